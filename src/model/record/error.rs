//! Why options can't be had.

/// Why options can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {reason}")]
pub struct OptionError {
    /// The key, with what leads to it.
    pub path: String,
    /// What is wrong, and what would be right.
    pub reason: String,
    /// What would be right, where what is wrong is the value and can be shown apart.
    pub remedy: Option<String>,
}

impl OptionError {
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into(), remedy: None }
    }

    /// The key that it is about.
    pub fn key(&self) -> &str {
        self.path.split(['.', '[']).next().unwrap_or_default()
    }
}
