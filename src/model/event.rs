//! What happened: the entries of the history.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AppName, CertificateNews, DomainName, Outcome, SplitMove, Tag, TokenName, TrialKind, TrialNews,
};

/// The longest phrase on a change that the history keeps, in characters.
const MAX_PHRASE_CHARS: usize = 500;

/// The most phrases on changes that one event has; one more says how many were left out.
const MAX_PHRASES: usize = 100;

/// The longest other text of an event, in characters: reasons, causes and errors.
const MAX_TEXT_CHARS: usize = 10_000;

/// Stands at the end of a text that was cut.
pub const CUT: char = '…';

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "via", rename_all = "lowercase")]
pub enum Actor {
    /// A process at the admin socket, by the credentials that the kernel reports.
    Socket {
        /// The user id of the peer.
        uid: u32,
        /// The process id of the peer, where the kernel tells it.
        pid: Option<i32>,
    },
    /// The holder of a token of the management API.
    Token {
        /// The token's name.
        name: TokenName,
    },
    /// The config file.
    File,
    /// The server itself, as it renews certificates.
    Certificates,
    /// The server itself, as it ends what a command has begun.
    Server,
    /// A value of a newer version.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { uid, pid: Some(pid) } => f.pad(&format!("uid {uid}, pid {pid}")),
            Self::Socket { uid, pid: None } => f.pad(&format!("uid {uid}")),
            Self::Token { name } => f.pad(&format!("token {name}")),
            Self::File => f.pad("config file"),
            Self::Certificates | Self::Server => f.pad("vhost itself"),
            Self::Unknown => f.pad("unknown"),
        }
    }
}

/// Who made something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// Who.
    pub actor: Actor,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// Domains moved, or were to move, from one tag to another.
    Switch {
        /// Each domain with the tag before and the tag after.
        steps: Vec<super::SwitchStep>,
        /// How it ended, or where it is.
        outcome: Outcome,
        /// Whether it went back to the tag before.
        #[serde(default)]
        undo: bool,
        /// Whether the gate was skipped.
        #[serde(default)]
        forced: bool,
        /// The operator's words.
        #[serde(default)]
        reason: Option<String>,
        /// The hooks that were to agree.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<String>,
    },
    /// Shares of tags beside the live one changed.
    Split {
        /// What changed.
        moves: Vec<SplitMove>,
        /// The operator's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something happened in a rollout, or under a guard.
    Trial {
        /// Its number, the same in all events of it.
        trial_id: u64,
        /// What it is.
        trial: TrialKind,
        /// Its domains.
        domains: Vec<DomainName>,
        /// The old tag.
        from: Tag,
        /// The new tag.
        to: Tag,
        /// What.
        #[serde(flatten)]
        news: TrialNews,
    },
    /// A preview was made.
    PreviewMade {
        /// The domain.
        domain: DomainName,
        /// The tag.
        tag: Tag,
        /// When it ends, in milliseconds since the Unix epoch.
        until_ms: u64,
    },
    /// Previews ended, by their time or because an operator has revoked them.
    PreviewsEnded {
        /// The domain.
        domain: DomainName,
        /// Their tags.
        tags: Vec<Tag>,
    },
    /// A virtual host was added.
    DomainAdded {
        /// Its name.
        domain: DomainName,
        /// Its live tag.
        live: Tag,
    },
    /// A virtual host's options changed.
    DomainSet {
        /// Its name.
        domain: DomainName,
        /// What changed, each as `field: before → after`.
        changed: Vec<String>,
    },
    /// A virtual host was removed.
    DomainRemoved {
        /// Its name.
        domain: DomainName,
    },
    /// A backend was added.
    BackendAdded {
        /// Its id.
        backend: super::BackendId,
    },
    /// A backend's address, tags, weight or state changed.
    BackendSet {
        /// Its id.
        backend: super::BackendId,
        /// What changed, each as `field: before → after`.
        changed: Vec<String>,
    },
    /// A backend was removed.
    BackendRemoved {
        /// Its id.
        backend: super::BackendId,
    },
    /// A version of an app became live, or was to.
    Deploy {
        /// Each app, with its tags and backends.
        apps: Vec<super::DeployedApp>,
        /// Each domain that moved, with the tag before and the tag after.
        steps: Vec<super::SwitchStep>,
        /// How it ended, or where it is.
        outcome: Outcome,
        /// Whether the gate was skipped.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
        /// The operator's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The hooks that were to agree.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<String>,
    },
    /// The version before a deploy was kept for as long as that said, and then removed.
    StandbyRemoved {
        /// The app.
        app: AppName,
        /// The tag of that version.
        tag: Tag,
        /// Its backends.
        backends: Vec<super::BackendId>,
    },
    /// An app was added.
    AppAdded {
        /// Its name.
        app: AppName,
        /// Domains that were taken into it, with their backends.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        domains: Vec<DomainName>,
    },
    /// An app's options changed.
    AppSet {
        /// Its name.
        app: AppName,
        /// What changed, each as `field: before → after`.
        changed: Vec<String>,
    },
    /// An app was removed.
    AppRemoved {
        /// Its name.
        app: AppName,
        /// Its domains, which were removed with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        domains: Vec<DomainName>,
        /// Its backends, which were removed with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        backends: Vec<super::BackendId>,
    },
    /// Changes of the config file were applied.
    FileApplied {
        /// The file's path.
        path: String,
        /// What changed, one phrase each.
        changed: Vec<String>,
        /// The domains among it.
        #[serde(default)]
        domains: Vec<DomainName>,
    },
    /// Something happened to the certificate of a name.
    Certificate {
        /// The name.
        domain: DomainName,
        /// What.
        #[serde(flatten)]
        news: CertificateNews,
    },
    /// An event of a newer version.
    #[serde(other)]
    Unknown,
}

impl EventKind {
    /// Whether it chose the tag that serves `domain`.
    pub fn sets_live_of(&self, domain: &DomainName) -> bool {
        match self {
            Self::Switch { steps, outcome, .. } => {
                !matches!(outcome, Outcome::GateFailed { .. })
                    && steps.iter().any(|step| step.domain == *domain)
            }
            Self::Deploy { apps, steps, outcome, .. } => {
                let is_added = || apps.iter().any(|app| app.domains_added.contains(domain));
                !matches!(outcome, Outcome::GateFailed { .. })
                    && (steps.iter().any(|step| step.domain == *domain) || is_added())
            }
            Self::DomainAdded { domain: added, .. } => added == domain,
            Self::Trial { domains, news, .. } => news.sets_live() && domains.contains(domain),
            Self::FileApplied { changed, .. } => {
                let name = format!("`{domain}`");
                // The live tag is the first that a phrase names, so no cut takes it away.
                let tells = |phrase: &String| {
                    phrase.contains(&name)
                        && (phrase.ends_with(" added") || phrase.contains("live: "))
                };
                changed.iter().any(tells)
            }
            Self::DomainSet { .. }
            | Self::Split { .. }
            | Self::PreviewMade { .. }
            | Self::PreviewsEnded { .. }
            | Self::StandbyRemoved { .. }
            | Self::AppAdded { .. }
            | Self::AppSet { .. }
            | Self::AppRemoved { .. }
            | Self::DomainRemoved { .. }
            | Self::BackendAdded { .. }
            | Self::BackendSet { .. }
            | Self::BackendRemoved { .. }
            | Self::Certificate { .. }
            | Self::Unknown => false,
        }
    }

    /// The event with its texts cut to what the history keeps.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        match &mut self {
            Self::DomainSet { changed, .. }
            | Self::BackendSet { changed, .. }
            | Self::AppSet { changed, .. }
            | Self::FileApplied { changed, .. } => cut_phrases(changed),
            Self::Switch { outcome, reason, .. } | Self::Deploy { outcome, reason, .. } => {
                if let Some(reason) = reason {
                    cut(reason, MAX_TEXT_CHARS);
                }
                if let Outcome::GateFailed { cause } = outcome {
                    cut(cause, MAX_TEXT_CHARS);
                }
            }
            Self::Certificate {
                news: CertificateNews::Failed { error, .. } | CertificateNews::Rejected { error },
                ..
            } => cut(error, MAX_TEXT_CHARS),
            Self::Split { reason, .. } => {
                if let Some(reason) = reason {
                    cut(reason, MAX_TEXT_CHARS);
                }
            }
            Self::Trial { news, .. } => {
                if let TrialNews::Alarm { cause } | TrialNews::Ended { cause: Some(cause), .. } =
                    news
                {
                    cut(cause, MAX_TEXT_CHARS);
                }
            }
            Self::PreviewMade { .. }
            | Self::PreviewsEnded { .. }
            | Self::DomainAdded { .. }
            | Self::DomainRemoved { .. }
            | Self::StandbyRemoved { .. }
            | Self::AppAdded { .. }
            | Self::AppRemoved { .. }
            | Self::BackendAdded { .. }
            | Self::BackendRemoved { .. }
            | Self::Certificate { .. }
            | Self::Unknown => {}
        }
        self
    }

    /// What it changed, a phrase each, for whoever made the change: they know of what.
    pub fn phrases(&self) -> Vec<String> {
        match self {
            Self::DomainSet { changed, .. }
            | Self::BackendSet { changed, .. }
            | Self::AppSet { changed, .. }
            | Self::FileApplied { changed, .. } => changed.clone(),
            Self::DomainAdded { live, .. } => vec![format!("added, live {live}")],
            Self::AppAdded { domains, .. } if !domains.is_empty() => {
                let domains: Vec<_> = domains.iter().map(ToString::to_string).collect();
                vec![format!("added with {}", domains.join(", "))]
            }
            Self::BackendAdded { .. } | Self::AppAdded { .. } => vec!["added".to_owned()],
            Self::DomainRemoved { .. }
            | Self::BackendRemoved { .. }
            | Self::StandbyRemoved { .. }
            | Self::AppRemoved { .. } => vec!["removed".to_owned()],
            Self::Switch { .. }
            | Self::Split { .. }
            | Self::Trial { .. }
            | Self::PreviewMade { .. }
            | Self::PreviewsEnded { .. }
            | Self::Deploy { .. }
            | Self::Certificate { .. }
            | Self::Unknown => Vec::new(),
        }
    }

    /// The hooks that were to agree to it.
    pub fn hooks(&self) -> &[String] {
        match self {
            Self::Switch { before, .. } | Self::Deploy { before, .. } => before,
            _ => &[],
        }
    }

    /// Whether it changed `domain` and its phrase on that was left out.
    pub fn leaves_out(&self, domain: &DomainName) -> bool {
        let Self::FileApplied { changed, domains, .. } = self else { return false };
        let name = format!("`{domain}`");
        changed.len() > MAX_PHRASES
            && domains.contains(domain)
            && changed.iter().all(|phrase| !phrase.contains(&name))
    }

    /// The domains that the event is about.
    pub fn domains(&self) -> Vec<&DomainName> {
        match self {
            Self::Switch { steps, .. } => steps.iter().map(|step| &step.domain).collect(),
            Self::Deploy { apps, steps, .. } => {
                let added = apps.iter().flat_map(|app| &app.domains_added);
                steps.iter().map(|step| &step.domain).chain(added).collect()
            }
            Self::Split { moves, .. } => {
                let mut domains: Vec<_> = moves.iter().map(|one| &one.domain).collect();
                domains.dedup();
                domains
            }
            Self::PreviewMade { domain, .. }
            | Self::PreviewsEnded { domain, .. }
            | Self::DomainAdded { domain, .. }
            | Self::DomainSet { domain, .. }
            | Self::DomainRemoved { domain }
            | Self::Certificate { domain, .. } => vec![domain],
            Self::Trial { domains, .. }
            | Self::FileApplied { domains, .. }
            | Self::AppAdded { domains, .. }
            | Self::AppRemoved { domains, .. } => domains.iter().collect(),
            Self::AppSet { .. }
            | Self::StandbyRemoved { .. }
            | Self::BackendAdded { .. }
            | Self::BackendSet { .. }
            | Self::BackendRemoved { .. }
            | Self::Unknown => Vec::new(),
        }
    }
}

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number; each event has a higher one.
    pub id: u64,
    /// The revision after it; that of the event before if nothing changed.
    pub revision: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub actor: Actor,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// Whether its outcome is still to come.
    pub fn is_open(&self) -> bool {
        matches!(
            self.kind,
            EventKind::Switch { outcome: Outcome::Draining, .. }
                | EventKind::Deploy { outcome: Outcome::Draining, .. }
        )
    }
}

fn cut_phrases(phrases: &mut Vec<String>) {
    let left_out = phrases.len().saturating_sub(MAX_PHRASES);
    phrases.truncate(MAX_PHRASES);
    for phrase in phrases.iter_mut() {
        cut(phrase, MAX_PHRASE_CHARS);
    }
    if left_out > 0 {
        phrases.push(format!("{CUT} and {left_out} more"));
    }
}

fn cut(text: &mut String, longest: usize) {
    if let Some((at, _)) = text.char_indices().nth(longest) {
        text.truncate(at);
        text.push(CUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(changed: Vec<String>, domains: &[&str]) -> EventKind {
        let domains = domains.iter().map(|domain| domain.parse().unwrap()).collect();
        EventKind::FileApplied { path: "vhost.toml".into(), changed, domains }
    }

    #[test]
    fn an_event_has_bounds() {
        let many = vec!["x".to_owned(); MAX_PHRASES + 7];
        let EventKind::FileApplied { changed, .. } = applied(many, &[]).bounded() else { panic!() };
        assert_eq!(changed.len(), MAX_PHRASES + 1);
        assert_eq!(changed[MAX_PHRASES], "… and 7 more");

        let long = format!("aliases: {}", "ä".repeat(10_000));
        let set = EventKind::DomainSet {
            domain: "example.com".parse().unwrap(),
            changed: vec!["weight: 1 → 2".into(), long],
        };
        let EventKind::DomainSet { changed, .. } = set.bounded() else { panic!() };
        assert_eq!(changed[0], "weight: 1 → 2", "what fits is whole");
        assert_eq!(changed[1].chars().count(), MAX_PHRASE_CHARS + 1);
        assert!(changed[1].starts_with("aliases: ä") && changed[1].ends_with("ä…"), "{changed:?}");

        let switch = EventKind::Switch {
            steps: Vec::new(),
            outcome: Outcome::GateFailed { cause: "c".repeat(1 << 20) },
            undo: false,
            forced: false,
            reason: Some("r".repeat(1 << 20)),
            before: Vec::new(),
        };
        assert!(serde_json::to_string(&switch.bounded()).unwrap().len() < 3 * MAX_TEXT_CHARS);
    }

    #[test]
    fn a_domain_whose_phrase_was_left_out_is_known_to_have_changed() {
        let domain = "last.test".parse().unwrap();
        let mut changed: Vec<_> =
            (0..MAX_PHRASES).map(|n| format!("domain `d{n}.test` added")).collect();
        changed.push("domain `last.test` added".to_owned());
        let cut = applied(changed.clone(), &["d1.test", "last.test"]).bounded();
        assert!(!cut.sets_live_of(&domain) && cut.leaves_out(&domain));
        assert!(!cut.leaves_out(&"d1.test".parse().unwrap()), "it is named");
        assert!(!cut.leaves_out(&"other.test".parse().unwrap()), "it is not among them");
        let whole = applied(changed, &["d1.test", "last.test"]);
        assert!(whole.sets_live_of(&domain) && !whole.leaves_out(&domain), "of a version before");
        let long = format!("domain `last.test`: live: a → b, aliases: {}", "x".repeat(10_000));
        assert!(applied(vec![long], &["last.test"]).bounded().sets_live_of(&domain));
    }
}
