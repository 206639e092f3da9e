//! Why a command was refused or failed.

mod hint;

use std::time::{Duration, UNIX_EPOCH};

use super::checks::CheckError;
use super::trials::TrialError;
use crate::config::ConfigError;
use crate::model::{
    AppName, BackendAddr, BackendAnswer, BackendId, BackendState, DomainName, EntryKind, Made,
    OptionError, PoolName, Tag, counted, with_causes,
};
use crate::store::StoreError;

/// Why a command was refused, or how far it came. Unless it says otherwise, nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// It is about splits, trials or previews.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// A new tag did not pass what it must.
    #[error(transparent)]
    Check(#[from] CheckError),
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
    #[error("{}", not_carried(.pool))]
    UnknownTag {
        /// What was asked for.
        pool: PoolName,
        /// The tag that is most like it.
        near: Option<Tag>,
        /// The tags that backends of the app carry.
        known: Vec<Tag>,
    },
    /// There is no such app.
    #[error("unknown app `{app}`")]
    UnknownApp {
        /// What was asked for.
        app: AppName,
        /// The name that is most like it.
        near: Option<AppName>,
    },
    /// There is an app of that name.
    #[error("the app `{app}` exists already")]
    AppExists {
        /// The name.
        app: AppName,
    },
    /// Something belongs to the app that is to be removed.
    #[error("the {kind} `{by}` belongs to the app `{app}`")]
    AppInUse {
        /// The app.
        app: AppName,
        /// What belongs to it.
        kind: EntryKind,
        /// Its name.
        by: String,
    },
    /// A deploy names no address.
    #[error("no address is named")]
    NoAddress,
    /// A deploy names an address twice.
    #[error("the address `{address}` is named twice")]
    AddressTwice {
        /// The address.
        address: BackendAddr,
    },
    /// A deploy names an app twice.
    #[error("the app `{app}` is named twice")]
    AppTwice {
        /// The app.
        app: AppName,
    },
    /// A deploy names more than it may.
    #[error("{given} {what} are given; at most {most} may be")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        given: usize,
        /// How many there may be.
        most: usize,
    },
    /// The ids that a deploy would give its backends are none.
    #[error("the id `{id}` of a new backend would be too long")]
    LongId {
        /// The id.
        id: String,
    },
    /// An app that has no domain can't be deployed.
    #[error("the app `{app}` has no domain")]
    NoHost {
        /// The app.
        app: AppName,
    },
    /// A domain belongs to another app, or to none.
    #[error("{}", of_other_app(.domain, .owner.as_ref()))]
    OtherApp {
        /// The domain.
        domain: DomainName,
        /// The app that it belongs to.
        owner: Option<AppName>,
        /// The app that it was to belong to.
        app: AppName,
    },
    /// A backend that is to belong to an app serves a domain that is not to.
    #[error("the backend `{backend}` serves `{domain}` too")]
    ServesOther {
        /// The backend.
        backend: BackendId,
        /// The domain.
        domain: DomainName,
    },
    /// The domains of an app are live on different tags.
    #[error("{}", split(.app, .domains))]
    AppIsSplit {
        /// The app.
        app: AppName,
        /// Two of its domains with their tags.
        domains: Vec<(DomainName, Tag)>,
    },
    /// The tag for a new version serves already.
    #[error("the tag `{tag}` of `{app}` serves `{domain}` already")]
    TagServes {
        /// The app.
        app: AppName,
        /// The tag.
        tag: Tag,
        /// The domain that it serves, or a path of it.
        domain: DomainName,
    },
    /// A name is that of a domain and of an app.
    #[error("`{name}` is a domain and an app")]
    Ambiguous {
        /// The name.
        name: DomainName,
    },
    /// A domain would join the backends of another one, which never served it.
    #[error("the backends of `{tag}` serve `{other}` and have never served `{domain}`")]
    ForeignTag {
        /// The domain.
        domain: DomainName,
        /// The tag that it was to move to.
        tag: Tag,
        /// A domain that is live on the tag.
        other: DomainName,
    },
    /// Another deploy of the app has not ended.
    #[error("another deploy of `{app}` is under way ({phase})")]
    DeployRunning {
        /// The app.
        app: AppName,
        /// Where that deploy is.
        phase: &'static str,
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
    /// What stands at an option of an app does not fit.
    #[error("the option `{path}` of the app `{app}` does not fit")]
    AppOption {
        /// The app.
        app: AppName,
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
    /// Another switch or deploy of the domain has not ended.
    #[error("another {what} of `{domain}` is under way ({phase})")]
    SwitchRunning {
        /// The domain.
        domain: DomainName,
        /// Which of the two.
        what: &'static str,
        /// How far it is.
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
    /// There is no plan with this token.
    #[error("there is no plan `{token}`")]
    UnknownPlan {
        /// The token.
        token: String,
    },
    /// The plan was made by a newer version.
    #[error("the plan was made by a newer `vhost`, and this one cannot carry it out")]
    NewerPlan,
    /// The plan is one of another verb.
    #[error("this is the plan of a {verb}")]
    PlanOfOther {
        /// The verb of `vhost ctl` that applies it.
        verb: &'static str,
    },
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
    /// A hook does not agree.
    #[error("the hook `{hook}` does not agree: {reason}")]
    HookRefused {
        /// Its name.
        hook: String,
        /// What came of asking it.
        reason: String,
    },
    /// There is no such hook.
    #[error("unknown hook `{hook}`")]
    UnknownHook {
        /// What was asked for.
        hook: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The command asks no hooks.
    #[error("{verb} asks no hooks")]
    NoHooks {
        /// What it does.
        verb: &'static str,
    },
    /// There are too many hooks.
    #[error("there are {given} hooks; at most {most} are asked")]
    TooManyHooks {
        /// How many were named.
        given: usize,
        /// How many there may be.
        most: usize,
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
    /// Another process is the server now.
    #[error(
        "the server was upgraded while this was under way: it was given up, and has changed nothing"
    )]
    TakenOver,
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

    /// What is wrong with an option of an app.
    pub(crate) fn app_option(app: &AppName, error: OptionError) -> Self {
        Self::AppOption { app: app.clone(), path: error.path, remedy: error.reason }
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

fn of_other_app(domain: &DomainName, owner: Option<&AppName>) -> String {
    match owner {
        Some(owner) => format!("the domain `{domain}` belongs to the app `{owner}`"),
        None => format!("the domain `{domain}` exists and is in no app"),
    }
}

fn split(app: &AppName, domains: &[(DomainName, Tag)]) -> String {
    let each = domains.iter().map(|(domain, tag)| format!("`{domain}` is on `{tag}`"));
    format!("the domains of `{app}` are on different tags: {}", each.collect::<Vec<_>>().join(", "))
}

fn not_carried(PoolName { app, tag }: &PoolName) -> String {
    match app {
        Some(app) => format!("no backend of the app `{app}` carries the tag `{tag}`"),
        None => format!("no backend carries the tag `{tag}`"),
    }
}

fn taken(name: &DomainName, owner: &DomainName) -> String {
    if name == owner {
        format!("the domain `{name}` exists already")
    } else {
        format!("`{name}` is an alias of `{owner}` already")
    }
}
