//! An app as routing sees it: what was declared, and who names it.

use imbl::OrdSet;

use crate::model::{App, AppOptions, BackendId, DomainName, HealthCheckOptions, Pattern};

/// An app as routing sees it. Whoever names it is on its lists, so that a change of the app costs what its own
/// domains and backends cost.
#[derive(Debug, Clone)]
pub struct AppNode {
    /// What the operator declared, and what was deployed.
    pub app: App,
    domains: OrdSet<DomainName>,
    backends: OrdSet<BackendId>,
    /// What its backends go by: its options, with a Host for probes.
    for_backends: AppOptions,
}

impl AppNode {
    /// The app, which was `before` if there was one of its name.
    pub(super) fn new(app: App, before: Option<&Self>) -> Self {
        let domains = before.map(|node| node.domains.clone()).unwrap_or_default();
        let backends = before.map(|node| node.backends.clone()).unwrap_or_default();
        let for_backends = for_backends(&app, &domains);
        Self { app, domains, backends, for_backends }
    }

    /// Its domains, by name.
    pub fn domains(&self) -> impl ExactSizeIterator<Item = &DomainName> {
        self.domains.iter()
    }

    /// Its backends, by id.
    pub fn backends(&self) -> impl ExactSizeIterator<Item = &BackendId> {
        self.backends.iter()
    }

    /// What its backends go by unless they say otherwise.
    pub fn for_backends(&self) -> &AppOptions {
        &self.for_backends
    }

    /// Puts a domain on its list or takes it off. Returns whether its backends go by something else after that.
    #[must_use]
    pub(super) fn set_domain(&mut self, domain: &DomainName, is_own: bool) -> bool {
        if is_own {
            self.domains.insert(domain.clone());
        } else {
            self.domains.remove(domain);
        }
        let after = for_backends(&self.app, &self.domains);
        std::mem::replace(&mut self.for_backends, after) != self.for_backends
    }

    /// Puts a backend on its list or takes it off.
    pub(super) fn set_backend(&mut self, backend: &BackendId, is_own: bool) {
        if is_own {
            self.backends.insert(backend.clone());
        } else {
            self.backends.remove(backend);
        }
    }
}

/// Frameworks refuse a request whose Host is none of the app's own.
fn for_backends(app: &App, domains: &OrdSet<DomainName>) -> AppOptions {
    let mut options = app.options.clone();
    let is_exact = |name: &&DomainName| matches!(name.pattern(), Pattern::Exact(_));
    let first = domains.iter().find(is_exact).and_then(|name| name.to_string().parse().ok());
    if let Some(first) = first {
        let below = HealthCheckOptions { host: Some(first), ..HealthCheckOptions::default() };
        let layers = options.health_check.as_deref().into_iter().chain([&below]);
        options.health_check = Some(Box::new(HealthCheckOptions::layered(layers)));
    }
    options
}
