//! Method → control: one match. No operation lives here.

mod backend;
mod cert;
mod config;
mod domain;
mod event;
mod log;
mod overview;
mod route;
mod state;
mod stats;
mod switch;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use super::envelope::{Fault, code};
use super::fault;
use super::methods::{self, Method};
use super::progress::ProgressSink;
use crate::certs::{CertError, Certificates};
use crate::control::{Caller, Configuration, ControlError, ControlPlane};
use crate::counters::InFlightGuard;
use crate::counters::Metrics;
use crate::model::{Actor, BackendState};
use crate::proxy::explain::Explainer;
use crate::stats::Stats;
use crate::telemetry::LevelHandle;
use crate::tokens::{TokenError, Tokens};

/// What `state.get` tells beside the state.
#[derive(Debug)]
pub struct ServerFacts {
    /// When the server started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The addresses it serves at: those of plain HTTP, then those of HTTPS.
    pub listeners: Vec<String>,
    /// What needs a person now, beside domains, backends and certificates.
    pub warnings: Warnings,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// Says what would become of a request.
    pub explainer: Explainer,
    /// Says how traffic is.
    pub stats: Stats,
    /// Turns to true when the server stops.
    pub stopping: watch::Receiver<bool>,
    /// How much is logged.
    pub log_level: LevelHandle,
}

/// Tells what needs a person now.
pub struct Warnings(Box<dyn Fn() -> Vec<String> + Send + Sync>);

impl Warnings {
    /// Tells what `ask` does.
    pub fn new(ask: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Box::new(ask))
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Warnings").field(&(self.0)()).finish()
    }
}

/// Carries out methods. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch {
    control: ControlPlane,
    configuration: Configuration,
    certificates: Certificates,
    tokens: Tokens,
    facts: Arc<ServerFacts>,
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

    fn caller(&self) -> Caller {
        Caller { actor: self.actor.clone(), revisions: self.revisions.clone() }
    }

    /// A sink for the progress of `M`.
    fn reporter<M: Method>(&self) -> impl Fn(M::Progress) + Send + Sync + 'static {
        let progress = self.progress.clone();
        move |report| {
            if let Ok(report) = serde_json::to_value(report) {
                progress.report(report);
            }
        }
    }
}

/// Why a call has no result.
enum Failure {
    Params(serde_json::Error),
    Control(ControlError),
    Cert(CertError),
    Token(TokenError),
    Result(serde_json::Error),
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        Self::Control(error)
    }
}

impl From<CertError> for Failure {
    fn from(error: CertError) -> Self {
        Self::Cert(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl Dispatch {
    /// Carries methods out on `control`, `configuration`, `certificates` and `tokens`.
    pub fn new(
        control: ControlPlane,
        configuration: Configuration,
        certificates: Certificates,
        tokens: Tokens,
        facts: ServerFacts,
    ) -> Self {
        Self { control, configuration, certificates, tokens, facts: Arc::new(facts) }
    }

    /// Counts a call, so that a stop of the server leaves it a moment to be answered.
    pub(crate) fn enter(&self) -> InFlightGuard {
        self.facts.metrics.calls.enter()
    }

    /// Carries out one method.
    pub(crate) async fn call(
        &self,
        method: &str,
        params: Value,
        call: &Call,
    ) -> Result<Value, Fault> {
        let Some(entry) = methods::find(method) else { return Err(fault::unknown_method(method)) };
        let result = match method {
            methods::state::Get::NAME => self.get_state(params),
            methods::stats::Get::NAME => self.get_stats(params).await,
            methods::domain::List::NAME => self.list_domains(params),
            methods::domain::Show::NAME => self.show_domain(params),
            methods::domain::Add::NAME => self.add_domain(params, call).await,
            methods::domain::Set::NAME => self.set_domain(params, call).await,
            methods::domain::Remove::NAME => self.remove_domain(params, call).await,
            methods::domain::Wait::NAME => self.wait_for_domain(params, call).await,
            methods::backend::List::NAME => self.list_backends(params),
            methods::backend::Show::NAME => self.show_backend(params),
            methods::backend::Add::NAME => self.add_backend(params, call).await,
            methods::backend::Set::NAME => self.set_backend(params, call).await,
            methods::backend::Remove::NAME => self.remove_backend(params, call).await,
            methods::backend::AddTags::NAME => self.tag_backend(params, call).await,
            methods::backend::RemoveTags::NAME => self.untag_backend(params, call).await,
            methods::backend::Drain::NAME => {
                self.stop_backend::<methods::backend::Drain>(params, call, BackendState::Draining)
                    .await
            }
            methods::backend::Disable::NAME => {
                self.stop_backend::<methods::backend::Disable>(params, call, BackendState::Disabled)
                    .await
            }
            methods::backend::Ready::NAME => self.ready_backend(params, call).await,
            methods::switch::Start::NAME => self.start_switch(params, call).await,
            methods::switch::Plan::NAME => self.plan_switch(params),
            methods::switch::Apply::NAME => self.apply_switch(params, call).await,
            methods::switch::Undo::NAME => self.undo_switch(params, call).await,
            methods::config::Reload::NAME => self.reload(params, call).await,
            methods::config::Diff::NAME => self.diff_config(params).await,
            methods::config::Export::NAME => self.export_config(params).await,
            methods::event::List::NAME => self.list_events(params).await,
            methods::event::Watch::NAME => self.watch_events(params, call).await,
            methods::route::Explain::NAME => self.explain_route(params).await,
            methods::name::Complete::NAME => self.complete_name(params),
            methods::config::Show::NAME => self.show_config(params),
            methods::cert::List::NAME => self.list_certificates(params),
            methods::cert::Show::NAME => self.show_certificate(params),
            methods::cert::Renew::NAME => self.renew_certificate(params).await,
            methods::cert::Wait::NAME => self.wait_for_certificate(params, call).await,
            methods::cert::Import::NAME => self.import_certificate(params, call).await,
            methods::cert::Export::NAME => self.export_certificate(params).await,
            methods::cert::Revoke::NAME => self.revoke_certificate(params, call).await,
            methods::cert::Ca::NAME => self.show_authority(params).await,
            methods::cert::Account::NAME => self.list_accounts(params).await,
            methods::log::Level::NAME => self.log_level(params, call),
            methods::token::Show::NAME => self.show_token(params),
            methods::token::Rotate::NAME => self.rotate_token(params, call).await,
            methods::token::Add::NAME => self.add_token(params, call).await,
            methods::token::List::NAME => self.list_tokens(params),
            methods::token::Remove::NAME => self.remove_token(params, call).await,
            // The catalogue has it and this does not: a test finds it before anybody else.
            _ => {
                let message = format!("`{method}` is not carried out");
                return Err(fault::of_message(code::INTERNAL_ERROR, message, None));
            }
        };
        result.map_err(|failure| {
            let fault = match failure {
                Failure::Params(error) => {
                    let message = format!("the parameters of `{method}` are wrong: {error}");
                    fault::of_message(code::INVALID_PARAMS, message, None)
                }
                Failure::Control(error) => fault::of_control(error, &call.request_id),
                Failure::Cert(error) => fault::of_cert(&error, &call.request_id),
                Failure::Token(error) => fault::of_token(&error, &call.request_id),
                Failure::Result(error) => {
                    fault::of_message(code::INTERNAL_ERROR, error.to_string(), None)
                }
            };
            let kind = fault.data.kind;
            let declared = entry.may_answer(kind) || fault.code == code::REVISION;
            debug_assert!(declared, "`{method}` does not declare {kind:?}");
            fault
        })
    }
}

/// Lets an operation run to its end although its caller may go away.
async fn to_its_end<T, E>(
    operation: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Into<Failure> + Send + 'static,
{
    let ended = tokio::spawn(operation).await.map_err(|_| ControlError::Stopping)?;
    ended.map_err(Into::into)
}

fn read<P: DeserializeOwned>(params: Value) -> Result<P, Failure> {
    let params = if params.is_null() {
        Value::Object(BTreeMap::new().into_iter().collect())
    } else {
        params
    };
    serde_json::from_value(params).map_err(Failure::Params)
}

fn write<M: Method>(result: &M::Result) -> Result<Value, Failure> {
    serde_json::to_value(result).map_err(Failure::Result)
}
