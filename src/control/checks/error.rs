//! Why a new tag is not made live.

use crate::model::{Tag, counted};

/// Why a new tag is not made live.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// Its backends weigh less than those of the old tag.
    #[error(
        "`{to}` can carry less than `{from}`: its healthy weight is {after} after {before}, and {percent} % must be left"
    )]
    LessWeight {
        /// The old tag.
        from: Tag,
        /// The new tag.
        to: Tag,
        /// The healthy weight of the old tag.
        before: u64,
        /// That of the new tag, as far as it may be healthy.
        after: u64,
        /// The share of it that the new tag must have.
        percent: u8,
    },
    /// Its backends take fewer requests than the old tag had.
    #[error(
        "the backends of `{to}` take {} at once, and `{from}` had {peak} within ten minutes",
        counted(*room, "request")
    )]
    LessRoom {
        /// The old tag.
        from: Tag,
        /// The new tag.
        to: Tag,
        /// The most requests that the old tag had at once.
        peak: usize,
        /// The most that the new tag takes.
        room: usize,
    },
}

impl CheckError {
    /// What a plan says of it.
    pub(in crate::control) fn forecast(&self) -> String {
        format!("{self}: it would be refused as it is now")
    }

    /// What to do about it.
    pub(in crate::control) fn hint(&self) -> String {
        match self {
            Self::LessWeight { to, .. } => format!(
                "nothing was changed; give `{to}` more backends, set `min_capacity_percent` of `[switch]`, or pass \
                 `--force`, which skips the gate too"
            ),
            Self::LessRoom { to, .. } => format!(
                "nothing was changed; give the backends of `{to}` a higher `max_requests`, or more of them; `--force` \
                 skips this, and the gate too"
            ),
        }
    }
}
