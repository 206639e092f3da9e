//! Commands on apps.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::domains::changes;
use super::edit::Edit;
use super::{Caller, ControlError, ControlPlane, Effect, find};
use crate::model::record::{self, Record};
use crate::model::{
    App, AppName, AppOptions, Backend, BackendOptions, Change, DomainName, EntryKind, EventKind,
    TopOptions, VirtualHost,
};
use crate::state::{AppNode, Snapshot};

impl ControlPlane {
    /// Adds an app, and takes domains that are in none into it with all their backends, in one step.
    ///
    /// # Errors
    /// When there is one of that name, an option does not fit, a domain is not there or in another app, its backends
    /// serve others too, or it can't be saved.
    pub(crate) async fn add_app(
        &self,
        caller: impl Into<Caller> + Send,
        name: AppName,
        options: Map<String, Value>,
        domains: Vec<DomainName>,
    ) -> Result<Effect, ControlError> {
        self.edit(caller, move |snapshot| {
            if snapshot.app(&name).is_some() {
                return Err(ControlError::AppExists { app: name });
            }
            let options = patched(&name, &AppOptions::default(), options)?;
            let taken_in = take_in(snapshot, &name, &domains)?;
            let event = EventKind::AppAdded { app: name.clone(), domains };
            let app = std::iter::once(Change::PutApp(App::new(name, options)));
            Ok(Some(Edit::new(app.chain(taken_in).collect(), event)))
        })
        .await
    }

    /// Changes the options of an app.
    ///
    /// # Errors
    /// When there is no such app, an option does not fit, or it can't be saved.
    pub(crate) async fn set_app(
        &self,
        caller: impl Into<Caller> + Send,
        name: AppName,
        options: Map<String, Value>,
    ) -> Result<Effect, ControlError> {
        self.edit(caller, move |snapshot| {
            let before = &find::app(snapshot, &name)?.app;
            let options = patched(&name, &before.options, options)?;
            let after = App { options, ..before.clone() };
            let changed = changes(before.differences(&after));
            let event = EventKind::AppSet { app: name, changed: changed.clone() };
            Ok((!changed.is_empty()).then(|| Edit::new(vec![Change::PutApp(after)], event)))
        })
        .await
    }

    /// Removes an app; with `all`, also its domains and backends. Requests in flight end as they would have.
    ///
    /// # Errors
    /// When there is no such app, something belongs to it and `all` is not given, or it can't be saved.
    pub(crate) async fn remove_app(
        &self,
        caller: impl Into<Caller> + Send,
        name: AppName,
        all: bool,
    ) -> Result<Effect, ControlError> {
        let claims = self.clone();
        self.edit(caller, move |snapshot| {
            let node = find::app(snapshot, &name)?;
            claims.inner.claims.check_app(&name)?;
            if !all {
                refuse_in_use(node)?;
            }
            let domains: Vec<_> = node.domains().cloned().collect();
            let backends: Vec<_> = node.backends().cloned().collect();
            let event = EventKind::AppRemoved {
                app: name.clone(),
                domains: domains.clone(),
                backends: backends.clone(),
            };
            let domains = domains.into_iter().map(Change::DropDomain);
            let changes = domains.chain(backends.into_iter().map(Change::DropBackend));
            let changes = changes.chain(std::iter::once(Change::DropApp(name)));
            Ok(Some(Edit::new(changes.collect(), event)))
        })
        .await
    }
}

/// Takes domains into an app, with the backends of all their tags. So nothing changes about who serves them.
fn take_in(
    snapshot: &Snapshot,
    app: &AppName,
    domains: &[DomainName],
) -> Result<Vec<Change>, ControlError> {
    let mut hosts: Vec<VirtualHost> = Vec::new();
    let mut pools = BTreeSet::new();
    for name in domains {
        let host = &find::domain(snapshot, name)?.virtual_host;
        if let Some(owner) = host.app() {
            let (owner, app) = (Some(owner.clone()), app.clone());
            return Err(ControlError::OtherApp { domain: host.domain.clone(), owner, app });
        }
        if hosts.iter().any(|taken| taken.domain == host.domain) {
            return Err(ControlError::NamedTwice { name: name.clone() });
        }
        pools.extend(host.serving().chain(&host.previous).map(|tag| host.pool(tag)));
        let top = TopOptions { app: Some(app.clone()), ..host.top.clone() };
        hosts.push(VirtualHost { top, ..host.clone() });
    }
    let own = snapshot.backends().map(|node| &node.backend);
    let own: Vec<_> =
        own.filter(|backend| backend.pools().any(|pool| pools.contains(&pool))).collect();
    // Whoever else they serve would lose them.
    for other in snapshot.domains().map(|node| &node.virtual_host) {
        let is_taken = hosts.iter().any(|host| host.domain == other.domain);
        let shared = |backend: &&&Backend| other.serving_pools().any(|pool| backend.is_in(&pool));
        if let Some(backend) = own.iter().find(shared).filter(|_| !is_taken) {
            let (backend, domain) = (backend.id.clone(), other.domain.clone());
            return Err(ControlError::ServesOther { backend, domain });
        }
    }
    let backends = own.into_iter().map(|backend| {
        let options = BackendOptions { app: Some(app.clone()), ..backend.options.clone() };
        Change::PutBackend(Backend { options, ..backend.clone() })
    });
    Ok(backends.chain(hosts.into_iter().map(Change::PutDomain)).collect())
}

fn refuse_in_use(node: &AppNode) -> Result<(), ControlError> {
    let domain = node.domains().next().map(|name| (EntryKind::Domain, name.to_string()));
    let backend = || node.backends().next().map(|id| (EntryKind::Backend, id.to_string()));
    match domain.or_else(backend) {
        None => Ok(()),
        Some((kind, by)) => Err(ControlError::AppInUse { app: node.app.name.clone(), kind, by }),
    }
}

/// The options with what a command says in their place.
pub(super) fn patched(
    app: &AppName,
    before: &AppOptions,
    patch: Map<String, Value>,
) -> Result<AppOptions, ControlError> {
    let refuse = |error| ControlError::app_option(app, error);
    let after = record::patched(before, patch).map_err(refuse)?;
    match after.problems().into_iter().next() {
        None => Ok(after),
        Some(problem) => Err(refuse(problem)),
    }
}
