//! Why something about splits, trials or previews was refused.

use std::time::Duration;

use crate::model::{DomainName, MAX_SPLIT_TAGS, Share, Tag, time_in_words};

/// Why something about splits, trials or previews was refused. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    /// Nothing is on trial.
    #[error("no rollout of `{name}` runs, and no guard")]
    None { name: String },
    /// What is asked for is about rollouts.
    #[error("`{to}` of `{domain}` is live already, under a guard: there is no rollout to pause")]
    Guarded { domain: DomainName, to: Tag },
    /// It is paused, or isn't.
    #[error("the rollout of `{domain}` {}", if *.is_paused { "is paused already" } else { "is not paused" })]
    Pace { domain: DomainName, is_paused: bool },
    /// Another one is under way.
    #[error("`{to}` of `{domain}` is on trial already")]
    UnderWay { domain: DomainName, to: Tag },
    /// Shares were given by hand.
    #[error("`{domain}` is split already: `{tag}` has {share}")]
    Split { domain: DomainName, tag: Tag, share: Share },
    /// Nothing is split.
    #[error("no tag of `{domain}` has a share beside the live one, `{live}`")]
    NotSplit { domain: DomainName, live: Tag },
    /// Which of several?
    #[error("several tags of `{domain}` have a share")]
    Several { domain: DomainName, tags: Vec<Tag> },
    /// The new tag is live.
    #[error("`{tag}` is the live tag of `{domain}`")]
    Live { domain: DomainName, tag: Tag },
    /// There is not so much to give.
    #[error(
        "`{tag}` can't have {share} of `{domain}`: the live tag `{live}` has only {rest} left to give"
    )]
    NotLeft { domain: DomainName, tag: Tag, share: Share, live: Tag, rest: Share },
    /// Too many tags.
    #[error("at most {MAX_SPLIT_TAGS} tags of `{domain}` may have a share beside the live one")]
    TooManyTags { domain: DomainName },
    /// A tag was named twice.
    #[error("`{tag}` is named twice")]
    TagTwice { tag: Tag },
    /// No share was given.
    #[error("no tag is named")]
    NoShare,
    /// No backend of the old tag is healthy.
    #[error("no backend of `{from}` is healthy, and `{domain}` would go back to it")]
    Unhealthy { domain: DomainName, from: Tag },
    /// The version before is live until the rollout has ended.
    #[error("a deploy that is rolled out can't say how long the version before is kept")]
    Kept,
    /// It runs still.
    #[error("the rollout or guard of `{name}` has not ended within {}", time_in_words(*.time))]
    Late { name: String, time: Duration },
    /// There is no such preview.
    #[error("`{domain}` has no preview {id}")]
    NoPreview { domain: DomainName, id: String },
    /// Too many previews.
    #[error("`{domain}` has {most} previews already")]
    TooManyPreviews { domain: DomainName, most: usize },
}

impl TrialError {
    /// What to do next.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::None { .. } => "`vhost ctl rollout status` shows what runs".into(),
            Self::Guarded { domain, .. } => {
                format!("`vhost ctl undo {domain}` goes back; the guard ends by itself")
            }
            Self::Pace { domain, is_paused: true } => {
                format!("let it go on with `vhost ctl rollout resume {domain}`")
            }
            Self::Pace { is_paused: false, .. } => "it goes on by itself".into(),
            Self::UnderWay { domain, .. } => format!(
                "make it live with `vhost ctl rollout promote {domain}`, or end it with `vhost ctl rollout abort {domain}`"
            ),
            Self::Split { domain, tag, .. } => format!(
                "end that first with `vhost ctl split {domain} {tag}=0`, or make it live with `vhost ctl promote {domain}`"
            ),
            Self::NotSplit { domain, .. } => {
                format!("give one a share with `vhost ctl split {domain} TAG=10%`")
            }
            Self::Several { domain, tags } => {
                let tag = tags.first().map_or("TAG", Tag::as_str);
                format!("name one: `vhost ctl promote {domain} {tag}`")
            }
            Self::Live { .. } => "name another tag; the live one gets what the others leave".into(),
            Self::NotLeft { tag, rest, .. } => {
                format!(
                    "give `{tag}` at most {rest} more, or take from another tag in the same command"
                )
            }
            Self::TooManyTags { .. } => "take the share of another one away first (`TAG=0`)".into(),
            Self::TagTwice { .. } => "name each once".into(),
            Self::NoShare => "write `TAG=SHARE`, such as `b=10%`".into(),
            Self::Unhealthy { domain, .. } => format!(
                "make one healthy first, or move `{domain}` by hand with `vhost ctl switch --force`"
            ),
            Self::Kept => "leave `--keep` out: the next deploy removes it".into(),
            Self::Late { name, .. } => format!("`vhost ctl rollout status {name}` shows it"),
            Self::NoPreview { domain, .. } => {
                format!("`vhost ctl preview {domain} --list` shows them")
            }
            Self::TooManyPreviews { domain, .. } => {
                format!("revoke some first: `vhost ctl preview {domain} --revoke all`")
            }
        }
    }

    /// Whether too little is well.
    pub(crate) fn is_about_health(&self) -> bool {
        matches!(self, Self::Unhealthy { .. })
    }

    /// Whether it took too long.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, Self::Late { .. })
    }

    /// Whether it is about something that there isn't.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::None { .. } | Self::NotSplit { .. } | Self::NoPreview { .. })
    }

    /// Whether it is about what was asked for, whatever the state.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(
            self,
            Self::Live { .. }
                | Self::NotLeft { .. }
                | Self::TooManyTags { .. }
                | Self::TagTwice { .. }
                | Self::NoShare
                | Self::Kept
                | Self::Several { .. }
                | Self::Guarded { .. }
        )
    }
}
