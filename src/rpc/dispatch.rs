//! What methods run on: the handles of the rooms of the server, and the call that is being carried out.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

use super::method::Method;
use super::progress::ProgressSink;
use crate::certs::{CertError, Certificates};
use crate::control::{Caller, Configuration, ControlError, ControlPlane};
use crate::counters::{Elsewhere, InFlightGuard, Metrics};
use crate::hand_over::UpgradeError;
use crate::model::{Actor, UpgradeProgress, UpgradeReport, ValueError};
use crate::notify::{Notifier, NotifyError};
use crate::proxy::explain::Explainer;
use crate::rollout::Trials;
use crate::stats::Stats;
use crate::telemetry::LevelHandle;
use crate::tokens::{TokenError, Tokens};

/// What methods report beside the state.
#[derive(Debug)]
pub(crate) struct ServerFacts {
    /// When the server started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The addresses that it listens on: plain HTTP first, then HTTPS.
    pub listeners: Vec<String>,
    /// What needs a person now, beside domains, backends and certificates.
    pub warnings: Warnings,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// Explains what would become of a request.
    pub explainer: Explainer,
    /// How traffic is.
    pub stats: Stats,
    /// The new tags that are on trial.
    pub trials: Trials,
    /// Who is notified of events.
    pub notifier: Notifier,
    /// Turns to true when the server stops.
    pub stopping: watch::Receiver<bool>,
    /// How much is logged.
    pub log_level: LevelHandle,
    /// Upgrades it.
    pub upgrade: UpgradeServer,
    /// What runs in processes that were replaced.
    pub elsewhere: Elsewhere,
    /// Finds out whether another program stands where the running one was.
    pub new_program: Asked,
}

/// Finds out whether something is so.
pub(crate) struct Asked(Box<dyn Fn() -> bool + Send + Sync>);

impl Asked {
    /// What `ask` returns.
    pub(crate) fn new(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Box::new(ask))
    }

    pub(super) fn now(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asked").field(&self.now()).finish()
    }
}

/// Finds out what needs a person now.
pub(crate) struct Warnings(Box<dyn Fn() -> Vec<String> + Send + Sync>);

impl Warnings {
    /// The warnings that `ask` returns.
    pub(crate) fn new(ask: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Box::new(ask))
    }

    pub(crate) fn now(&self) -> Vec<String> {
        (self.0)()
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Warnings").field(&self.now()).finish()
    }
}

/// Upgrades the server. Given by it, so that this room need not know how.
#[derive(Clone)]
pub(crate) struct UpgradeServer(Arc<UpgradeWith>);

type UpgradeWith = dyn Fn(Option<PathBuf>, bool, UpgradeReporter) -> Upgrading + Send + Sync;
type UpgradeReporter = Box<dyn Fn(UpgradeProgress) + Send + Sync>;
type Upgrading = Pin<Box<dyn Future<Output = Result<UpgradeReport, UpgradeError>> + Send>>;

impl UpgradeServer {
    /// Upgrades with `upgrade`.
    pub(crate) fn new<F>(
        upgrade: impl Fn(Option<PathBuf>, bool, UpgradeReporter) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<UpgradeReport, UpgradeError>> + Send + 'static,
    {
        Self(Arc::new(move |program, migrate, progress| {
            Box::pin(upgrade(program, migrate, progress))
        }))
    }

    pub(super) fn run(
        &self,
        program: Option<PathBuf>,
        migrate: bool,
        progress: impl Fn(UpgradeProgress) + Send + Sync + 'static,
    ) -> Upgrading {
        (self.0)(program, migrate, Box::new(progress))
    }
}

impl fmt::Debug for UpgradeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpgradeServer")
    }
}

/// Carries out methods. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dispatch {
    pub(super) control: ControlPlane,
    pub(super) configuration: Configuration,
    pub(super) certificates: Certificates,
    pub(super) tokens: Tokens,
    pub(super) facts: Arc<ServerFacts>,
}

/// One call: who makes it, and where its progress goes.
pub(crate) struct Call {
    pub(crate) actor: Actor,
    /// The revisions of which the state may be for it to be changed; any when not given.
    pub(crate) revisions: Option<Vec<u64>>,
    pub(crate) request_id: String,
    /// Gets what the method reports while it is under way.
    pub(crate) progress: ProgressSink,
}

impl Call {
    /// A call whose state may be of any revision.
    pub(crate) fn new(actor: Actor, progress: ProgressSink) -> Self {
        let request_id = format!("{:08x}", fastrand::u32(..));
        Self { actor, revisions: None, request_id, progress }
    }

    pub(super) fn caller(&self) -> Caller {
        Caller { actor: self.actor.clone(), revisions: self.revisions.clone() }
    }

    /// A sink for the progress of `M`.
    pub(super) fn reporter<M: Method>(&self) -> impl Fn(M::Progress) + Send + Sync + 'static {
        let progress = self.progress.clone();
        move |report| {
            if let Ok(report) = serde_json::to_value(report) {
                progress.report(report);
            }
        }
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the parameters are wrong: {0}")]
    Params(#[from] ValueError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Cert(#[from] CertError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error(transparent)]
    Notify(#[from] NotifyError),
    #[error(transparent)]
    Result(serde_json::Error),
}

impl Dispatch {
    /// Carries methods out on `control`, `configuration`, `certificates` and `tokens`.
    pub(crate) fn new(
        control: ControlPlane,
        configuration: Configuration,
        certificates: Certificates,
        tokens: Tokens,
        facts: ServerFacts,
    ) -> Self {
        Self { control, configuration, certificates, tokens, facts: Arc::new(facts) }
    }

    /// Counts a connection, so that a stop of the server leaves what comes on it a moment to be answered.
    pub(crate) fn enter(&self) -> InFlightGuard {
        self.facts.metrics.managers.enter()
    }
}

/// Lets an operation run to its end although its caller may go away.
pub(super) async fn to_its_end<T, E>(
    operation: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Into<Failure> + Send + 'static,
{
    let ended = tokio::spawn(operation).await.map_err(|_| ControlError::Stopping)?;
    ended.map_err(Into::into)
}
