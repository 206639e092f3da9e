//! What can be wrong with a command on targets.

/// Why a command on targets was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotifyError {
    /// There is no such target.
    #[error("there is no target `{name}` among those that are notified of events")]
    UnknownTarget {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
}

impl NotifyError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        let Self::UnknownTarget { known, .. } = self;
        if known.is_empty() {
            return "add one as `[[notify]]` to the config file, then run `vhost ctl reload`"
                .to_owned();
        }
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        format!("use one of {}: `vhost ctl notify list` shows them", known.join(", "))
    }
}
