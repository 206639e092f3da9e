//! Method → control: one match. No operation lives here.

mod cert;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use super::envelope::{Fault, code};
use super::methods::{
    Changed, Method, NoParams, backend, cert as certificate, config, domain, event, name, route,
    state, switch,
};
use super::progress::ProgressSink;
use super::{fault, methods, names, views};
use crate::certs::{CertError, Certificates};
use crate::control::{
    BackendEdit, Configuration, ControlError, ControlPlane, DomainEdit, NewDomain, ReloadOptions,
    SwitchOptions, SwitchTarget,
};
use crate::metrics::Metrics;
use crate::model::{
    Actor, Backend, BackendId, BackendState, DomainName, HealthStatus, HostOptions, VirtualHost,
};
use crate::proxy::explain::Explainer;
use crate::state::{InFlightGuard, Snapshot};

/// Events that `event.list` answers with when it is not told how many, and at most.
const EVENTS: usize = 20;
const MOST_EVENTS: usize = 10_000;

/// How long a watcher hears nothing: what is sent then tells whether it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What `state.get` tells beside the state.
#[derive(Debug)]
pub struct ServerFacts {
    /// When the server started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The addresses it serves at: those of plain HTTP, then those of HTTPS.
    pub listeners: Vec<String>,
    /// What its config asks for and it doesn't do.
    pub notes: Vec<String>,
    /// What needs a person now, beside domains, backends and certificates.
    pub warnings: Warnings,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// Says what would become of a request.
    pub explainer: Explainer,
    /// Turns to true when the server stops.
    pub stopping: watch::Receiver<bool>,
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
    facts: Arc<ServerFacts>,
}

/// One call: who makes it, and where its progress goes.
pub(super) struct Call {
    pub(super) actor: Actor,
    pub(super) request_id: String,
    /// Gets what the method reports while it is under way.
    pub(super) progress: ProgressSink,
}

impl Call {
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

impl Dispatch {
    /// Carries methods out on `control`, `configuration` and `certificates`.
    pub fn new(
        control: ControlPlane,
        configuration: Configuration,
        certificates: Certificates,
        facts: ServerFacts,
    ) -> Self {
        Self { control, configuration, certificates, facts: Arc::new(facts) }
    }

    /// Counts a call, so that a stop of the server leaves it a moment to be answered.
    pub(super) fn enter(&self) -> InFlightGuard {
        self.facts.metrics.calls.enter()
    }

    /// Carries out one method.
    pub(super) async fn call(
        &self,
        method: &str,
        params: Value,
        call: &Call,
    ) -> Result<Value, Fault> {
        let Some(entry) = methods::find(method) else { return Err(fault::unknown_method(method)) };
        let result = match method {
            state::Get::NAME => self.get_state(params),
            domain::List::NAME => self.list_domains(params),
            domain::Show::NAME => self.show_domain(params),
            domain::Add::NAME => self.add_domain(params, call).await,
            domain::Set::NAME => self.set_domain(params, call).await,
            domain::Remove::NAME => self.remove_domain(params, call).await,
            domain::Wait::NAME => self.wait_for_domain(params, call).await,
            backend::List::NAME => self.list_backends(params),
            backend::Show::NAME => self.show_backend(params),
            backend::Add::NAME => self.add_backend(params, call).await,
            backend::Set::NAME => self.set_backend(params, call).await,
            backend::Remove::NAME => self.remove_backend(params, call).await,
            backend::AddTags::NAME => self.tag_backend(params, call).await,
            backend::RemoveTags::NAME => self.untag_backend(params, call).await,
            backend::Drain::NAME => {
                self.stop_backend::<backend::Drain>(params, call, BackendState::Draining).await
            }
            backend::Disable::NAME => {
                self.stop_backend::<backend::Disable>(params, call, BackendState::Disabled).await
            }
            backend::Ready::NAME => self.ready_backend(params, call).await,
            switch::Start::NAME => self.start_switch(params, call).await,
            switch::Plan::NAME => self.plan_switch(params),
            switch::Apply::NAME => self.apply_switch(params, call).await,
            switch::Undo::NAME => self.undo_switch(params, call).await,
            config::Reload::NAME => self.reload(params, call).await,
            config::Diff::NAME => self.diff_config(params).await,
            config::Export::NAME => self.export_config(params).await,
            event::List::NAME => self.list_events(params).await,
            event::Watch::NAME => self.watch_events(params, call).await,
            route::Explain::NAME => self.explain_route(params).await,
            name::Complete::NAME => self.complete_name(params),
            config::Show::NAME => self.show_config(params),
            certificate::List::NAME => self.list_certificates(params),
            certificate::Show::NAME => self.show_certificate(params),
            certificate::Renew::NAME => self.renew_certificate(params).await,
            certificate::Wait::NAME => self.wait_for_certificate(params, call).await,
            certificate::Import::NAME => self.import_certificate(params, call).await,
            certificate::Export::NAME => self.export_certificate(params).await,
            certificate::Revoke::NAME => self.revoke_certificate(params, call).await,
            certificate::Ca::NAME => self.show_authority(params).await,
            certificate::Account::NAME => self.list_accounts(params).await,
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
                Failure::Result(error) => {
                    fault::of_message(code::INTERNAL_ERROR, error.to_string(), None)
                }
            };
            let kind = fault.data.kind;
            debug_assert!(entry.may_answer(kind), "`{method}` does not declare {kind:?}");
            fault
        })
    }

    fn get_state(&self, params: Value) -> Result<Value, Failure> {
        let NoParams {} = read(params)?;
        let snapshot = self.control.snapshot();
        let ready = || snapshot.backends().filter(|node| node.backend.state == BackendState::Ready);
        let with = |status| ready().filter(|node| node.live.health() == status).count();
        let in_flight = |node: &Arc<crate::state::DomainNode>| -> usize {
            node.in_flight().map(|(_, requests)| requests).sum()
        };
        let metrics = &self.facts.metrics;
        write::<state::Get>(&state::ServerInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started_ms: self.facts.started_ms,
            revision: snapshot.revision(),
            listeners: self.facts.listeners.clone(),
            domains: snapshot.domains().len(),
            backends: snapshot.backends().len(),
            healthy: with(HealthStatus::Healthy),
            unhealthy: with(HealthStatus::Unhealthy),
            connections: metrics.connections.count(),
            in_flight: snapshot.domains().map(in_flight).sum(),
            requests: metrics.requests(),
            refused: metrics.refused(),
            warnings: [
                views::warnings(&snapshot),
                self.certificates.warnings(),
                (self.facts.warnings.0)(),
            ]
            .concat(),
            notes: self.facts.notes.clone(),
        })
    }

    fn complete_name(&self, params: Value) -> Result<Value, Failure> {
        let params = read(params)?;
        write::<name::Complete>(&names::complete(&self.control.snapshot(), &params))
    }

    fn list_domains(&self, params: Value) -> Result<Value, Failure> {
        write::<domain::List>(&views::domains(&self.control.snapshot(), &read(params)?))
    }

    fn show_domain(&self, params: Value) -> Result<Value, Failure> {
        let domain::DomainParams { domain } = read(params)?;
        self.domain_info::<domain::Show>(&self.control.snapshot(), &domain)
    }

    async fn add_domain(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let params: domain::AddParams = read(params)?;
        let domain = params.domain.clone();
        let options = HostOptions::read(params.options).map_err(|error| {
            let domain = domain.clone();
            ControlError::OptionValue { domain, path: error.path, remedy: error.reason }
        })?;
        let virtual_host = VirtualHost {
            domain: params.domain,
            aliases: params.aliases,
            live: params.tag,
            previous: None,
            http_to_https: params.http_to_https.unwrap_or(true),
            balance: params.balance.unwrap_or_default(),
            tls: params.tls.unwrap_or_default(),
            hsts_max_age_secs: params.hsts_max_age_secs.unwrap_or(0),
            options,
        };
        let new = NewDomain { virtual_host, force: params.force };
        let snapshot = self.control.add_domain(call.actor.clone(), new).await?;
        self.domain_info::<domain::Add>(&snapshot, &domain)
    }

    async fn set_domain(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let domain::SetParams {
            domain,
            aliases,
            http_to_https,
            balance,
            tls,
            hsts_max_age_secs,
            options,
        } = read(params)?;
        let edit = DomainEdit { aliases, http_to_https, balance, tls, hsts_max_age_secs, options };
        let snapshot = self.control.set_domain(call.actor.clone(), domain.clone(), edit).await?;
        self.domain_info::<domain::Set>(&snapshot, &domain)
    }

    async fn remove_domain(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let domain::DomainParams { domain } = read(params)?;
        let snapshot = self.control.remove_domain(call.actor.clone(), domain).await?;
        write::<domain::Remove>(&Changed { revision: snapshot.revision() })
    }

    async fn wait_for_domain(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let domain::WaitParams { domain, until, timeout_ms } = read(params)?;
        let timeout = timeout_ms.map(Duration::from_millis);
        let report = call.reporter::<domain::Wait>();
        let progress = move |remaining| report(domain::WaitProgress { remaining });
        match until {
            domain::WaitFor::Healthy => {
                self.control.wait_healthy(&domain, timeout, progress).await?;
            }
            domain::WaitFor::Drained => {
                self.control.wait_drained(&domain, timeout, progress).await?;
            }
        }
        self.domain_info::<domain::Wait>(&self.control.snapshot(), &domain)
    }

    fn list_backends(&self, params: Value) -> Result<Value, Failure> {
        write::<backend::List>(&views::backends(&self.control.snapshot(), &read(params)?))
    }

    fn show_backend(&self, params: Value) -> Result<Value, Failure> {
        let backend::BackendParams { id } = read(params)?;
        let snapshot = self.control.snapshot();
        let node = self.control.find_backend(&snapshot, &id)?;
        let mut info = views::backend(&snapshot, &node);
        info.serves = views::served_by(&snapshot, &node);
        write::<backend::Show>(&info)
    }

    async fn add_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::AddParams { id, address, tags, weight, scheme } = read(params)?;
        let state = BackendState::Ready;
        let new = Backend { id: id.clone(), address, tags, weight, scheme, state };
        let snapshot = self.control.add_backend(call.actor.clone(), new).await?;
        self.backend_info::<backend::Add>(&snapshot, &id)
    }

    async fn set_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::SetParams { id, address, weight, scheme } = read(params)?;
        let edit = BackendEdit { address, weight, scheme };
        let snapshot = self.control.set_backend(call.actor.clone(), id.clone(), edit).await?;
        self.backend_info::<backend::Set>(&snapshot, &id)
    }

    async fn remove_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::DrainParams { id, wait: _, timeout_ms, force } = read(params)?;
        let timeout = timeout_ms.map(Duration::from_millis);
        let report = call.reporter::<backend::Remove>();
        let progress = move |remaining| report(backend::DrainProgress { remaining });
        let (control, actor) = (self.control.clone(), call.actor.clone());
        let snapshot =
            to_its_end(
                async move { control.remove_backend(actor, id, timeout, force, progress).await },
            )
            .await?;
        write::<backend::Remove>(&Changed { revision: snapshot.revision() })
    }

    async fn tag_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::TagParams { id, tags, force: _ } = read(params)?;
        let snapshot = self.control.tag_backend(call.actor.clone(), id.clone(), tags).await?;
        self.backend_info::<backend::AddTags>(&snapshot, &id)
    }

    async fn untag_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::TagParams { id, tags, force } = read(params)?;
        let snapshot =
            self.control.untag_backend(call.actor.clone(), id.clone(), tags, force).await?;
        self.backend_info::<backend::RemoveTags>(&snapshot, &id)
    }

    async fn stop_backend<M>(
        &self,
        params: Value,
        call: &Call,
        state: BackendState,
    ) -> Result<Value, Failure>
    where
        M: Method<Result = backend::BackendInfo, Progress = backend::DrainProgress>,
    {
        let backend::DrainParams { id, wait, timeout_ms, force } = read(params)?;
        let actor = call.actor.clone();
        self.control.set_backend_state(actor, id.clone(), state, force).await?;
        if wait {
            let report = call.reporter::<M>();
            let progress = move |remaining| report(backend::DrainProgress { remaining });
            let timeout = timeout_ms.map(Duration::from_millis);
            self.control.drain_backend(&id, timeout, progress).await?;
        }
        self.backend_info::<M>(&self.control.snapshot(), &id)
    }

    async fn ready_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::ReadyParams { id, wait, timeout_ms } = read(params)?;
        let state = BackendState::Ready;
        self.control.set_backend_state(call.actor.clone(), id.clone(), state, false).await?;
        if wait {
            let timeout = timeout_ms.map(Duration::from_millis);
            self.control.wait_backend_healthy(&id, timeout).await?;
        }
        self.backend_info::<backend::Ready>(&self.control.snapshot(), &id)
    }

    async fn start_switch(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let switch::StartParams { domains, tag, options } = read(params)?;
        let target = tag.map_or(SwitchTarget::Other, SwitchTarget::Tag);
        self.switch::<switch::Start>(call, domains, target, options).await
    }

    fn plan_switch(&self, params: Value) -> Result<Value, Failure> {
        let switch::StartParams { domains, tag, options } = read(params)?;
        let target = tag.map_or(SwitchTarget::Other, SwitchTarget::Tag);
        let plan = self.control.plan_switch(&domains, &target, switch_options(options))?;
        write::<switch::Plan>(&plan)
    }

    async fn apply_switch(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let switch::ApplyParams { token } = read(params)?;
        let report = call.reporter::<switch::Apply>();
        let (control, actor) = (self.control.clone(), call.actor.clone());
        let report =
            to_its_end(async move { control.switch_as_planned(actor, &token, report).await })
                .await?;
        write::<switch::Apply>(&report)
    }

    async fn undo_switch(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let switch::UndoParams { domain, options } = read(params)?;
        let target = SwitchTarget::Previous;
        self.switch::<switch::Undo>(call, vec![domain], target, options).await
    }

    async fn switch<M>(
        &self,
        call: &Call,
        domains: Vec<DomainName>,
        target: SwitchTarget,
        options: switch::SwitchOptions,
    ) -> Result<Value, Failure>
    where
        M: Method<Result = crate::model::SwitchReport, Progress = crate::model::SwitchProgress>,
    {
        let options = switch_options(options);
        let report = call.reporter::<M>();
        let (control, actor) = (self.control.clone(), call.actor.clone());
        let report =
            to_its_end(
                async move { control.switch(actor, domains, target, options, report).await },
            )
            .await?;
        write::<M>(&report)
    }

    async fn reload(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let config::ReloadParams { dry_run, force, no_drain, drain_timeout_ms } = read(params)?;
        if dry_run {
            return write::<config::Reload>(&self.configuration.preview(force).await?);
        }
        let drain_timeout = drain_timeout_ms.map(Duration::from_millis);
        let options = ReloadOptions { force, no_drain, drain_timeout };
        let report = call.reporter::<config::Reload>();
        let (configuration, actor) = (self.configuration.clone(), call.actor.clone());
        let report =
            to_its_end(async move { configuration.reload(actor, options, report).await }).await?;
        write::<config::Reload>(&report)
    }

    async fn diff_config(&self, params: Value) -> Result<Value, Failure> {
        let NoParams {} = read(params)?;
        let (snapshot, differences) = self.control.differences().await?;
        let pending = self.configuration.preview(true).await;
        let (pending, problem) = match pending {
            Ok(pending) => (Some(pending), None),
            // Nothing can be pending.
            Err(ControlError::NoFile { .. }) => (None, None),
            Err(error) => (None, Some(error.in_full())),
        };
        write::<config::Diff>(&config::ConfigDiff {
            revision: snapshot.revision(),
            source: self.configuration.source().to_string(),
            differences,
            needs_restart: pending.as_ref().map(|p| p.needs_restart.clone()).unwrap_or_default(),
            pending: pending.map(|pending| pending.changed).unwrap_or_default(),
            problem,
        })
    }

    async fn export_config(&self, params: Value) -> Result<Value, Failure> {
        let NoParams {} = read(params)?;
        let exported = self.configuration.export().await?;
        write::<config::Export>(&config::ConfigExport {
            revision: exported.revision,
            text: exported.text,
            warnings: exported.warnings,
        })
    }

    async fn list_events(&self, params: Value) -> Result<Value, Failure> {
        let event::ListParams { domain, limit } = read(params)?;
        let (domain, limit) = self.events_of(domain, limit);
        let revision = self.control.snapshot().revision();
        let events = self.control.events(domain, limit).await?;
        write::<event::List>(&event::EventList { revision, events })
    }

    async fn watch_events(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let event::WatchParams { domain, limit, count } = read(params)?;
        let (domain, limit) = self.events_of(domain, limit);
        let mut watch = self.control.watch_events(domain, limit);
        let mut told = 0;
        let mut stopping = self.facts.stopping.clone();
        'watching: loop {
            let news = tokio::select! {
                news = tokio::time::timeout(HEARTBEAT, watch.next()) => news,
                Ok(_) = stopping.wait_for(|stopping| *stopping) => break,
            };
            let Ok(events) = news else {
                if call.progress.beat().await.is_err() {
                    break;
                }
                continue;
            };
            for event in events? {
                if count.is_some_and(|count| told >= count) {
                    break 'watching;
                }
                let event = serde_json::to_value(&event).map_err(Failure::Result)?;
                if call.progress.deliver(event).await.is_err() {
                    break 'watching;
                }
                told += 1;
            }
            if count.is_some_and(|count| told >= count) {
                break;
            }
        }
        write::<event::Watch>(&event::Watched { told })
    }

    /// Whose events, and how many. The history of a domain outlives it, so an unknown name is no
    /// error; an alias is its domain.
    fn events_of(
        &self,
        domain: Option<DomainName>,
        limit: Option<usize>,
    ) -> (Option<DomainName>, usize) {
        let snapshot = self.control.snapshot();
        let domain = domain.map(|name| {
            snapshot.domain(&name).map_or(name, |node| node.virtual_host.domain.clone())
        });
        (domain, limit.unwrap_or(EVENTS).min(MOST_EVENTS))
    }

    fn show_config(&self, params: Value) -> Result<Value, Failure> {
        let config::ShowParams { effective, key } = read(params)?;
        let is_asked = |name: &str| {
            let rest = key.as_deref().map_or(Some(""), |key| name.strip_prefix(key));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let settings = self.configuration.settings();
        let settings = settings
            .iter()
            .filter(|setting| (effective || setting.is_set()) && is_asked(&setting.key));
        let settings = settings.map(|setting| config::ShownSetting {
            key: setting.key.clone(),
            value: setting.value.clone(),
            from: setting.from.to_string(),
            set: setting.is_set(),
        });
        write::<config::Show>(&config::ShownConfig {
            revision: self.control.snapshot().revision(),
            settings: settings.collect(),
        })
    }

    async fn explain_route(&self, params: Value) -> Result<Value, Failure> {
        let route::ExplainParams { url, headers } = read(params)?;
        let snapshot = self.control.snapshot();
        let mut explanation = self.facts.explainer.explain(&snapshot, &url, &headers);
        if let (Some(matched), Some(live)) = (&explanation.matched, &mut explanation.live) {
            live.since = self.control.live_since(matched.domain.clone()).await?;
            live.switching = self.control.switch_phase(&matched.domain).map(str::to_owned);
        } else if let Some(host) = &explanation.host {
            explanation.near = self.control.domain_like(&snapshot, host);
        }
        write::<route::Explain>(&explanation)
    }

    fn domain_info<M: Method<Result = domain::DomainInfo>>(
        &self,
        snapshot: &Snapshot,
        name: &DomainName,
    ) -> Result<Value, Failure> {
        let node = self.control.find_domain(snapshot, name)?;
        write::<M>(&views::domain(snapshot, &node))
    }

    fn backend_info<M: Method<Result = backend::BackendInfo>>(
        &self,
        snapshot: &Snapshot,
        id: &BackendId,
    ) -> Result<Value, Failure> {
        let node = self.control.find_backend(snapshot, id)?;
        write::<M>(&views::backend(snapshot, &node))
    }
}

fn switch_options(options: switch::SwitchOptions) -> SwitchOptions {
    SwitchOptions {
        timeout: options.timeout_ms.map(Duration::from_millis),
        drain_timeout: options.drain_timeout_ms.map(Duration::from_millis),
        no_drain: options.no_drain,
        force: options.force,
        reason: options.reason,
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
