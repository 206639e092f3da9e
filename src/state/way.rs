//! Which of a domain's tags a request goes to, and why.

/// A path of a domain that another tag serves: where its option and its tag stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteNode {
    /// In the options' `paths`.
    pub(super) option: usize,
    /// In the node's tags.
    pub(super) tag: usize,
}

/// Which of a domain's tags a request goes to, and why. The numbers are places in [`super::DomainNode::tags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the live tag.
    Live,
    /// To the tag of its path.
    Path(RouteNode),
    /// To a tag that has a share, for its client is one of those.
    Share(usize),
    /// To the tag that its client has asked for.
    Asked(usize),
}

impl Way {
    /// The route of its path, where that has one.
    pub fn route(self) -> Option<RouteNode> {
        match self {
            Self::Path(route) => Some(route),
            Self::Live | Self::Share(_) | Self::Asked(_) => None,
        }
    }

    /// The place of its tag.
    pub(super) fn place(self) -> usize {
        match self {
            Self::Live => 0,
            Self::Path(route) => route.tag,
            Self::Share(place) | Self::Asked(place) => place,
        }
    }
}
