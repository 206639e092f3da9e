//! Why a command was refused or failed.

use std::time::{Duration, UNIX_EPOCH};

use crate::config::ConfigError;
use crate::model::{
    BackendAnswer, BackendId, BackendState, DomainName, EntryKind, Made, OptionError, Tag, counted,
    with_causes,
};
use crate::store::StoreError;

/// Why a command was refused, or how far it came. Unless it says otherwise, nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// There is no such virtual host.
    #[error("unknown domain `{domain}`")]
    UnknownDomain {
        /// What was asked for.
        domain: DomainName,
        /// The name that is most like it.
        near: Option<DomainName>,
    },
    /// There is no such backend.
    #[error("unknown backend `{backend}`")]
    UnknownBackend {
        /// What was asked for.
        backend: BackendId,
        /// The id that is most like it.
        near: Option<BackendId>,
    },
    /// No backend carries the tag.
    #[error("no backend carries the tag `{tag}`")]
    UnknownTag {
        /// What was asked for.
        tag: Tag,
        /// The tag that is most like it.
        near: Option<Tag>,
        /// The tags that backends carry.
        known: Vec<Tag>,
    },
    /// The name is taken.
    #[error("{}", taken(.name, .owner))]
    DomainExists {
        /// The name.
        name: DomainName,
        /// The virtual host that answers for it.
        owner: DomainName,
    },
    /// The id is taken.
    #[error("the backend `{backend}` exists already")]
    BackendExists {
        /// The id.
        backend: BackendId,
    },
    /// A name is listed twice in one command.
    #[error("`{name}` is named twice")]
    NamedTwice {
        /// The name.
        name: DomainName,
    },
    /// What stands at an option of a domain does not fit.
    #[error("the option `{path}` of `{domain}` does not fit")]
    OptionValue {
        /// The domain.
        domain: DomainName,
        /// The key, with what leads to it.
        path: String,
        /// What is wrong, and what would be right.
        remedy: String,
    },
    /// A backend can't have an option so.
    #[error("`{backend}` cannot have {what}")]
    BackendOption {
        /// The backend.
        backend: BackendId,
        /// The option, as the file names it, and what it was to be.
        what: String,
        /// What would be right.
        remedy: String,
    },
    /// A file of a backend's TLS can't be used.
    #[error("`{backend}` cannot be reached by TLS: {what}")]
    BackendFile {
        /// The backend.
        backend: BackendId,
        /// Which key and file, and what is wrong with it.
        what: String,
        /// What would be right.
        remedy: String,
    },
    /// No domain was named.
    #[error("no domain is named")]
    NoDomain,
    /// The backend does not carry the tag.
    #[error("the backend `{backend}` does not carry the tag `{tag}`")]
    NotTagged {
        /// The backend.
        backend: BackendId,
        /// The tag.
        tag: Tag,
    },
    /// A live tag would be left without a backend as fit to serve as this one.
    #[error("without `{backend}`, `{domain}` has no healthy backend left (tag `{tag}`)")]
    LastBackend {
        /// The backend.
        backend: BackendId,
        /// The tag that is live.
        tag: Tag,
        /// A domain that it serves.
        domain: DomainName,
    },
    /// Another switch of the domain has not ended.
    #[error("another switch of `{domain}` is under way ({phase})")]
    SwitchRunning {
        /// The domain.
        domain: DomainName,
        /// Where that switch is.
        phase: &'static str,
    },
    /// The state moved between the check and the switch.
    #[error("`{what}` changed while the switch was being checked")]
    Moved {
        /// What changed.
        what: String,
    },
    /// What a plan depends on changed since it was made.
    #[error("the plan is outdated: {what}")]
    PlanOutdated {
        /// What changed, as far as it is known.
        what: String,
    },
    /// The state is not one that the caller has seen.
    #[error("the state has changed: it is at revision {now}")]
    OtherRevision {
        /// The revision of now.
        now: u64,
    },
    /// The text is no plan's token.
    #[error("this is not the token of a plan")]
    NoPlanToken,
    /// It is unknown which tag is the other one.
    #[error("{}", no_other(.domain, .live, .previous.as_ref()))]
    NoOtherTag {
        /// The domain.
        domain: DomainName,
        /// Its live tag.
        live: Tag,
        /// The tag before, which no backend carries any more.
        previous: Option<Tag>,
        /// The tags that backends carry.
        known: Vec<Tag>,
    },
    /// There is nothing to go back to.
    #[error("`{domain}` has never been switched")]
    NothingToUndo {
        /// The domain.
        domain: DomainName,
    },
    /// No ready backend carries the tag.
    #[error("no backend with the tag `{tag}` is ready: {}", states(.backends))]
    NoneReady {
        /// The tag.
        tag: Tag,
        /// The backends that carry it, with their states.
        backends: Vec<(BackendId, BackendState)>,
    },
    /// The gate failed.
    #[error(
        "{healthy} of {} with the tag `{tag}` became healthy within {}; {}",
        counted(*total, "backend"), span(*waited), required(*needed)
    )]
    GateFailed {
        /// The tag that was to be live.
        tag: Tag,
        /// Backends proven healthy.
        healthy: usize,
        /// Backends that must be.
        needed: usize,
        /// Ready backends that carry the tag.
        total: usize,
        /// How long the gate was open.
        waited: Duration,
        /// Each backend with its last answer.
        answers: Vec<BackendAnswer>,
    },
    /// What was waited for did not become healthy in time.
    #[error(
        "{} did not become healthy within {}",
        those(what, *unhealthy, answers), span(*waited)
    )]
    NotHealthy {
        /// A domain or a backend.
        what: String,
        /// How many were not.
        unhealthy: usize,
        /// How long it was waited.
        waited: Duration,
        /// Each backend with its last answer.
        answers: Vec<BackendAnswer>,
    },
    /// Requests had not ended in time. The change that stopped new ones stands.
    #[error("{} of `{what}` had not ended after {}", counted(*remaining, "request"), span(*waited))]
    NotDrained {
        /// A domain or a backend.
        what: String,
        /// Requests that had not ended.
        remaining: usize,
        /// How long it was waited.
        waited: Duration,
    },
    /// A backend that was to be removed still had requests. It stays, draining.
    #[error(
        "{} of `{backend}` had not ended after {}; it stays, draining",
        counted(*remaining, "request"), span(*waited)
    )]
    NotRemoved {
        /// The backend.
        backend: BackendId,
        /// Requests that had not ended.
        remaining: usize,
        /// How long it was waited.
        waited: Duration,
    },
    /// A backend that was to be removed takes requests again.
    #[error("`{backend}` was made ready again while it drained; it stays")]
    MadeReady {
        /// The backend.
        backend: BackendId,
    },
    /// The config file declares what a command has made with other values.
    #[error(
        "the config file declares the {kind} `{name}`, which {} ({})",
        made_otherwise(.made.as_ref()), differs.join("; ")
    )]
    FileConflict {
        /// A domain or a backend.
        kind: EntryKind,
        /// Its name.
        name: String,
        /// How they differ, each as `field: made → declared`.
        differs: Vec<String>,
        /// Who made it, where the history tells.
        made: Option<Made>,
    },
    /// The config file declares a name that another domain has.
    #[error(
        "the config file gives the name `{name}` to `{domain}`, but `{owner}` has it, which {}",
        made_otherwise(.made.as_ref())
    )]
    FileNameTaken {
        /// The name.
        name: DomainName,
        /// The domain that the file gives it to.
        domain: DomainName,
        /// The domain that has it.
        owner: DomainName,
        /// Who made it so, where the history tells.
        made: Option<Made>,
    },
    /// The config file takes the last backend away from a live tag.
    #[error("{}", unserved(.domain, .tag, .backends))]
    FileUnserved {
        /// The domain that would not be served.
        domain: DomainName,
        /// Its live tag.
        tag: Tag,
        /// The backends that carry the tag now.
        backends: Vec<BackendId>,
    },
    /// The config can't be read, or says what is wrong.
    #[error("{}", bad_config(.0))]
    Config(#[source] ConfigError),
    /// There is no config file to read again.
    #[error("this server was started without a config file ({what}): there is none to read again")]
    NoFile {
        /// Who did.
        what: String,
    },
    /// Others changed the state each time that a reload was about to be applied.
    #[error("the state changed again and again while the config file was being checked")]
    NeverStill,
    /// The state could not be persisted.
    #[error("the change could not be saved")]
    Store(#[from] StoreError),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl ControlError {
    /// What is wrong with an option of a domain.
    pub(crate) fn domain_option(domain: &DomainName, error: OptionError) -> Self {
        let OptionError { path, reason: remedy, .. } = error;
        Self::OptionValue { domain: domain.clone(), path, remedy }
    }

    /// What is wrong with an option of a backend.
    pub(crate) fn backend_option(backend: &BackendId, error: OptionError) -> Self {
        let what = format!("`{}` so", error.path);
        Self::BackendOption { backend: backend.clone(), what, remedy: error.reason }
    }

    /// The error with its causes, in one line.
    pub(crate) fn in_full(&self) -> String {
        match self {
            // Its problems are reported one by one.
            Self::Config(ConfigError::Invalid { .. }) => self.to_string(),
            _ => with_causes(self),
        }
    }

    /// Everything that is wrong in the config file, each as `file:line: key: what is wrong`.
    pub(crate) fn problems(&self) -> Vec<String> {
        match self {
            Self::Config(ConfigError::Invalid { problems, .. }) => {
                problems.iter().map(|p| format!("{}:{}: {p}", p.file.display(), p.line)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What to do next, where there is something.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownDomain { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownDomain { .. } => "`vhost ctl domain list` shows all".into(),
            Self::UnknownBackend { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownBackend { .. } => "`vhost ctl backend list` shows all".into(),
            Self::UnknownTag { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownTag { known, .. } if known.is_empty() => {
                "add one first: `vhost ctl backend add ID ADDRESS --tag TAG`".into()
            }
            Self::UnknownTag { known, .. } => format!("backends carry {}", list(known)),
            Self::DomainExists { owner, .. } => {
                format!("change it with `vhost ctl domain set {owner}`, or remove it first")
            }
            Self::BackendExists { backend } => {
                format!("change it with `vhost ctl backend set {backend}`, or remove it first")
            }
            Self::NoDomain => "name at least one".into(),
            Self::NamedTwice { .. } => "name it once".into(),
            Self::OptionValue { remedy, .. }
            | Self::BackendOption { remedy, .. }
            | Self::BackendFile { remedy, .. } => remedy.clone(),
            Self::NotTagged { backend, .. } => {
                format!("`vhost ctl backend show {backend}` shows its tags")
            }
            Self::LastBackend { .. } => {
                "make another backend healthy first (`vhost ctl backend ready ID --wait`), or pass \
                 `--force`"
                    .into()
            }
            Self::SwitchRunning { domain, phase: "draining" } => {
                format!("`vhost ctl undo {domain}` goes back at once; or wait for it to end")
            }
            Self::SwitchRunning { .. } => "wait for it to end, then try again".into(),
            Self::Moved { .. } | Self::OtherRevision { .. } => {
                "look at the state and try again".into()
            }
            Self::PlanOutdated { .. } => {
                "nothing was changed; plan again: `vhost ctl switch DOMAIN TAG --plan`".into()
            }
            Self::NoPlanToken => {
                "copy the whole token that `vhost ctl switch DOMAIN TAG --plan` printed".into()
            }
            Self::NoOtherTag { known, live, .. } => {
                let others: Vec<_> = known.iter().filter(|tag| *tag != live).cloned().collect();
                if others.is_empty() {
                    "add backends with another tag first".into()
                } else {
                    format!("name the tag; backends carry {}", list(&others))
                }
            }
            Self::NothingToUndo { .. } => "name a tag: `vhost ctl switch DOMAIN TAG`".into(),
            Self::NoneReady { backends, .. } => {
                let id = backends.first().map_or("ID", |(id, _)| id.as_str());
                format!("make one ready: `vhost ctl backend ready {id}`")
            }
            Self::GateFailed { .. } => {
                "nothing was changed; look at the backends above, then try again".into()
            }
            Self::NotHealthy { .. } => "look at the backends above".into(),
            Self::NotDrained { .. } => {
                "they may still finish: run it again to keep waiting; stopping their backend cuts them off".into()
            }
            Self::NotRemoved { backend, .. } => format!(
                "they may still finish: run it again to keep waiting, remove it now with `--force`, or \
                 keep it with `vhost ctl backend ready {backend}`"
            ),
            Self::MadeReady { .. } => "run it again if it should still be removed".into(),
            Self::FileConflict { kind, name, .. } => format!(
                "change the file's entry to the live one (`vhost ctl config export` shows it), remove it \
                 from the file, or remove the live one first: `vhost ctl {kind} remove {name}`"
            ),
            Self::FileNameTaken { owner, .. } => format!(
                "remove the name from the file, or from `{owner}` first: `vhost ctl domain show {owner}`"
            ),
            Self::FileUnserved { domain, tag, .. } => format!(
                "keep a backend with the tag `{tag}` in the file, or move `{domain}` to another tag \
                 first (`vhost ctl switch {domain} TAG`), or pass `--force`"
            ),
            Self::Config(error) => error.hint().map_or_else(
                || "nothing was changed; `vhost check` reports the same before a reload".to_owned(),
                str::to_owned,
            ),
            Self::NeverStill => "try again".into(),
            Self::Store(error) => error.hint(),
            Self::NoFile { .. } => {
                "`vhost ctl` changes domains and backends; to change settings, start it with others"
                    .into()
            }
            Self::Stopping => return None,
        })
    }
}

/// A duration as people write it, without what a clock adds to a round one.
pub(super) fn span(duration: Duration) -> humantime::FormattedDuration {
    let millis = u64::try_from((duration.as_micros() + 500) / 1000).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(millis))
}

/// How many backends a gate wants.
fn required(needed: usize) -> String {
    format!("at least {needed} {} required", if needed == 1 { "is" } else { "are" })
}

/// What did not become healthy: a backend, or some of a domain's.
fn those(what: &str, unhealthy: usize, answers: &[BackendAnswer]) -> String {
    match answers {
        [one] if one.backend.as_str() == what => format!("`{what}`"),
        _ => format!("{} of `{what}`", counted(unhealthy, "backend")),
    }
}

fn no_other(domain: &DomainName, live: &Tag, previous: Option<&Tag>) -> String {
    match previous {
        Some(previous) => format!("no backend carries `{previous}`, the tag of `{domain}` before"),
        None => format!("`{domain}` has no other tag: `{live}` is live and it was never switched"),
    }
}

fn made_otherwise(made: Option<&Made>) -> String {
    match made {
        None => "a command made with other values".to_owned(),
        Some(Made { actor, at_ms }) => {
            let at = UNIX_EPOCH + Duration::from_millis(*at_ms);
            format!("{actor} made with other values on {}", humantime::format_rfc3339_seconds(at))
        }
    }
}

fn unserved(domain: &DomainName, tag: &Tag, backends: &[BackendId]) -> String {
    const MOST: usize = 4;
    let listed: Vec<_> = backends.iter().take(MOST).map(|id| format!("`{id}`")).collect();
    let more = if backends.len() > MOST { " and others" } else { "" };
    let now = if backends.is_empty() {
        "no backend does".to_owned()
    } else {
        format!("now it is {}{more}", listed.join(", "))
    };
    format!(
        "with the config file, no backend would carry `{tag}`, a tag that serves `{domain}` ({now})"
    )
}

fn bad_config(error: &ConfigError) -> String {
    match error {
        ConfigError::Invalid { path, .. } => {
            format!("the config file `{}` is invalid", path.display())
        }
        ConfigError::Unreadable { .. } | ConfigError::Arguments { .. } => error.to_string(),
    }
}

/// The states of the backends, as many as fit a line.
fn states(backends: &[(BackendId, BackendState)]) -> String {
    const MOST: usize = 4;
    let shown = backends.iter().take(MOST).map(|(id, state)| format!("`{id}` is {state}"));
    let more = backends.len().saturating_sub(MOST);
    let rest = (more > 0).then(|| format!("{more} more are not ready either"));
    shown.chain(rest).collect::<Vec<_>>().join(", ")
}

fn taken(name: &DomainName, owner: &DomainName) -> String {
    if name == owner {
        format!("the domain `{name}` exists already")
    } else {
        format!("`{name}` is an alias of `{owner}` already")
    }
}

/// The tags, as many as fit a line.
fn list(tags: &[Tag]) -> String {
    const MOST: usize = 8;
    let shown = tags.iter().take(MOST).map(|tag| format!("`{tag}`"));
    let more = tags.len().saturating_sub(MOST);
    let rest = (more > 0).then(|| format!("and {more} more"));
    shown.chain(rest).collect::<Vec<_>>().join(", ")
}
