//! What holds at a place: directives are inherited from the blocks around it.

use crate::translate::blocks::Directive;

/// The blocks around a place, the outermost first.
#[derive(Debug, Clone)]
pub(super) struct Scope<'t> {
    levels: Vec<&'t [Directive]>,
}

impl<'t> Scope<'t> {
    pub(super) fn new(levels: Vec<&'t [Directive]>) -> Self {
        Self { levels }
    }

    /// The scope of a block in this one.
    pub(super) fn with(&self, block: &'t [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(block);
        Self { levels }
    }

    /// The directive of this name that counts, where only one does.
    pub(super) fn one(&self, name: &str) -> Option<&'t Directive> {
        self.levels.iter().rev().find_map(|level| level.iter().rfind(|it| it.name == name))
    }

    /// All that count: those of the innermost block that has any with one of these names.
    pub(super) fn all(&self, names: &[&str]) -> Vec<&'t Directive> {
        let is_one = |it: &&Directive| names.contains(&it.name.as_str());
        let level = self.levels.iter().rev().find(|level| level.iter().any(|it| is_one(&it)));
        level.map(|level| level.iter().filter(is_one).collect()).unwrap_or_default()
    }

    /// The names of all directives in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &'t str> {
        self.levels.iter().flat_map(|level| level.iter()).map(|it| it.name.as_str())
    }

    /// The innermost block.
    pub(super) fn own(&self) -> &'t [Directive] {
        self.levels.last().copied().unwrap_or_default()
    }
}

/// A variable, without its `$` and braces.
pub(super) fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(name)
}

/// What passes requests on at a place. It is not inherited.
pub(super) fn passed<'t>(scope: &Scope<'t>) -> Option<&'t Directive> {
    scope.own().iter().find(|it| matches!(it.name.as_str(), "proxy_pass" | "grpc_pass"))
}
