//! Why a new tag is not made live.

use crate::model::{DomainName, SmokeFailure, Tag, counted};

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
    /// Backends did not answer as they should.
    #[error("{}", failed(.failures, *.total))]
    Smoke {
        /// The requests that failed, with what is wrong with each.
        failures: Vec<SmokeFailure>,
        /// How many were made.
        total: usize,
    },
    /// A command tries nothing.
    #[error("`{verb}` makes no smoke requests")]
    NoSmoke {
        /// The verb of `vhost ctl`.
        verb: &'static str,
    },
    /// A smoke request is for a domain that matches many hosts.
    #[error("the smoke request `{request}` names no host, and `{domain}` is none")]
    SmokeHost {
        /// The domain.
        domain: DomainName,
        /// The request.
        request: String,
    },
    /// A smoke request is for a host that does not move.
    #[error("the smoke request `{request}` is for `{host}`, which is not among what moves")]
    SmokeElsewhere {
        /// The host.
        host: DomainName,
        /// The request.
        request: String,
    },
}

/// The first of the requests that failed, and how many there are.
fn failed(failures: &[SmokeFailure], total: usize) -> String {
    const MAX_LISTED: usize = 5;
    let listed =
        failures.iter().take(MAX_LISTED).map(|SmokeFailure { backend, host, request, fault }| {
            format!("`{backend}` to {request} of {}: {fault}", host.shown())
        });
    let mut lines =
        vec![format!("{} of {} failed", failures.len(), counted(total, "smoke request"))];
    lines.extend(listed);
    let left = failures.len().saturating_sub(MAX_LISTED);
    lines.extend((left > 0).then(|| format!("and {left} more")));
    lines.join("; ")
}

impl CheckError {
    /// Whether what was asked for does not fit: nothing is said of the new tag.
    pub(crate) fn is_invalid(&self) -> bool {
        match self {
            Self::NoSmoke { .. } | Self::SmokeHost { .. } | Self::SmokeElsewhere { .. } => true,
            Self::LessWeight { .. } | Self::LessRoom { .. } | Self::Smoke { .. } => false,
        }
    }

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
            Self::Smoke { .. } => {
                "nothing was changed; the new version serves nobody yet: look at its log".into()
            }
            Self::NoSmoke { .. } => "leave them out".into(),
            Self::SmokeHost { .. } => {
                "give it a `host`, such as `host = \"shop.example.com\"`".into()
            }
            Self::SmokeElsewhere { .. } => {
                "name a host of a domain that moves, or leave `host` out".into()
            }
            Self::LessRoom { to, .. } => format!(
                "nothing was changed; give the backends of `{to}` a higher `max_requests`, or more of them; `--force` \
                 skips this, and the gate too"
            ),
        }
    }
}
