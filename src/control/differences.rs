//! Where the live state differs from the config as it was last applied, since when and by whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{ControlError, ControlPlane};
use crate::config::Declared;
use crate::model::record::Differing;
use crate::model::{
    App, Backend, DeployedApp, Difference, EntryKind, Event, EventKind, Made, Outcome, VirtualHost,
};
use crate::state::Snapshot;
use crate::store::ReadLimit;

/// What is read of the history at once, and how often. Older events tell nothing that anybody waits for.
const PAGE: ReadLimit = ReadLimit { events: 1000, bytes: 1024 * 1024 };
const MAX_PAGES: usize = 200;

impl ControlPlane {
    /// Where the live state differs from what the config declared when it was last applied.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn differences(
        &self,
    ) -> Result<(Arc<Snapshot>, Vec<Difference>), ControlError> {
        let applied = self.applied().await?.unwrap_or_default();
        let snapshot = self.snapshot();
        let mut search = Search::new(differences(&snapshot, &applied));
        let mut before = None;
        for _ in 0..MAX_PAGES {
            if search.is_over() {
                break;
            }
            let page = self.reading(move |store| store.events_before(before, PAGE)).await?;
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            search.look_at(&page);
        }
        Ok((snapshot, search.differences))
    }
}

/// Differences of which it is searched who made them.
struct Search {
    differences: Vec<Difference>,
    open: BTreeMap<(EntryKind, String), Vec<usize>>,
}

impl Search {
    fn new(differences: Vec<Difference>) -> Self {
        let mut open: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, difference) in differences.iter().enumerate() {
            open.entry((difference.kind, difference.name.clone())).or_default().push(index);
        }
        Self { differences, open }
    }

    fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// Looks at events, the newest first.
    fn look_at(&mut self, events: &[Event]) {
        for event in events {
            for entry in entries_of(&event.kind) {
                let Some(indices) = self.open.get_mut(&entry) else { continue };
                indices.retain(|index| {
                    let difference = &mut self.differences[*index];
                    let found = made(&event.kind, difference);
                    if found {
                        let (actor, at_ms) = (event.actor.clone(), event.at_ms);
                        difference.made = Some(Made { actor, at_ms });
                    }
                    !found
                });
                if indices.is_empty() {
                    self.open.remove(&entry);
                }
            }
        }
    }
}

/// The entries that an event is about.
fn entries_of(event: &EventKind) -> Vec<(EntryKind, String)> {
    match event {
        EventKind::BackendAdded { backend }
        | EventKind::BackendSet { backend, .. }
        | EventKind::BackendRemoved { backend } => vec![(EntryKind::Backend, backend.to_string())],
        EventKind::Deploy { apps, .. } => deployed(event, apps),
        EventKind::StandbyRemoved { backends, .. } => {
            backends.iter().map(|id| (EntryKind::Backend, id.to_string())).collect()
        }
        EventKind::AppAdded { app, .. } | EventKind::AppSet { app, .. } => {
            vec![(EntryKind::App, app.to_string())]
        }
        EventKind::AppRemoved { app, domains, backends } => {
            let domains = domains.iter().map(|name| (EntryKind::Domain, name.to_string()));
            let backends = backends.iter().map(|id| (EntryKind::Backend, id.to_string()));
            std::iter::once((EntryKind::App, app.to_string()))
                .chain(domains)
                .chain(backends)
                .collect()
        }
        // What the file did is no difference from it, and certificates are not in it.
        EventKind::FileApplied { .. } | EventKind::Certificate { .. } => Vec::new(),
        other => other.domains().iter().map(|d| (EntryKind::Domain, d.to_string())).collect(),
    }
}

/// The entries that a deploy is about: its apps, their domains and backends.
fn deployed(event: &EventKind, apps: &[DeployedApp]) -> Vec<(EntryKind, String)> {
    let domains = event.domains().into_iter().map(|name| (EntryKind::Domain, name.to_string()));
    let of_app = |of: &DeployedApp| {
        let backends = of.backends_added.iter().chain(&of.backends_removed);
        let backends = backends.map(|id| (EntryKind::Backend, id.to_string()));
        std::iter::once((EntryKind::App, of.app.to_string())).chain(backends).collect::<Vec<_>>()
    };
    domains.chain(apps.iter().flat_map(of_app)).collect()
}

/// Whether an event about the entry made the difference.
fn made(event: &EventKind, difference: &Difference) -> bool {
    let field = difference.field.as_deref();
    match event {
        EventKind::Deploy { outcome, .. } => {
            (field == Some(LIVE) || field.is_none())
                && !matches!(outcome, Outcome::GateFailed { .. })
        }
        EventKind::Switch { outcome, .. } => {
            field == Some(LIVE) && !matches!(outcome, Outcome::GateFailed { .. })
        }
        EventKind::Trial { news, .. } => field == Some(LIVE) && news.sets_live(),
        EventKind::DomainAdded { .. }
        | EventKind::BackendAdded { .. }
        | EventKind::AppAdded { .. } => difference.live.is_some(),
        EventKind::StandbyRemoved { .. }
        | EventKind::DomainRemoved { .. }
        | EventKind::BackendRemoved { .. }
        | EventKind::AppRemoved { .. } => difference.live.is_none(),
        EventKind::DomainSet { changed, .. }
        | EventKind::AppSet { changed, .. }
        | EventKind::BackendSet { changed, .. } => field.is_some_and(|field| {
            changed
                .iter()
                .any(|change| change.strip_prefix(field).is_some_and(|rest| rest.starts_with(':')))
        }),
        EventKind::Split { .. }
        | EventKind::PreviewMade { .. }
        | EventKind::PreviewsEnded { .. }
        | EventKind::FileApplied { .. }
        | EventKind::Certificate { .. }
        | EventKind::Unknown => false,
    }
}

/// The field that a switch changes, as the history names it.
const LIVE: &str = "live";

/// The differences, by kind and name. Pure.
fn differences(live: &Snapshot, applied: &Declared) -> Vec<Difference> {
    let mut found = Found::default();
    let declared: BTreeSet<_> = applied.apps.iter().map(|app| &app.name).collect();
    for app in &applied.apps {
        if let Some(node) = live.app(&app.name) {
            let said = App { options: app.options.clone(), ..node.app.clone() };
            found.fields(EntryKind::App, &app.name, said.differences(&node.app));
        } else {
            found.add(EntryKind::App, &app.name, None, Some("declared".to_owned()), None);
        }
    }
    for node in live.apps().filter(|node| !declared.contains(&node.app.name)) {
        found.add(EntryKind::App, &node.app.name, None, None, Some("there".to_owned()));
    }
    let declared: BTreeSet<_> = applied.domains.iter().map(|domain| &domain.domain).collect();
    for domain in &applied.domains {
        let now = live.domain(&domain.domain).map(|node| &node.virtual_host);
        if let Some(now) = now.filter(|now| now.domain == domain.domain) {
            found.fields(EntryKind::Domain, &domain.domain, domain.differences(now));
        } else {
            let said = Some(format!("live {}", domain.live));
            found.add(EntryKind::Domain, &domain.domain, None, said, None);
        }
    }
    for node in live.domains().filter(|node| !declared.contains(&node.virtual_host.domain)) {
        let VirtualHost { domain, live, .. } = &node.virtual_host;
        found.add(EntryKind::Domain, domain, None, None, Some(format!("live {live}")));
    }
    let declared: BTreeSet<_> = applied.backends.iter().map(|backend| &backend.id).collect();
    for backend in &applied.backends {
        if let Some(node) = live.backend(&backend.id) {
            let said = Backend::from(backend.clone());
            found.fields(EntryKind::Backend, &backend.id, said.differences(&node.backend));
        } else {
            let said = Some(backend.address.to_string());
            found.add(EntryKind::Backend, &backend.id, None, said, None);
        }
    }
    for node in live.backends().filter(|node| !declared.contains(&node.backend.id)) {
        let Backend { id, address, .. } = &node.backend;
        found.add(EntryKind::Backend, id, None, None, Some(address.to_string()));
    }
    let mut differences = found.0;
    differences.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    differences
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn add(
        &mut self,
        kind: EntryKind,
        name: &impl ToString,
        field: Option<&str>,
        file: Option<String>,
        live: Option<String>,
    ) {
        let (name, field) = (name.to_string(), field.map(str::to_owned));
        self.0.push(Difference { kind, name, field, file, live, made: None });
    }

    fn fields(&mut self, kind: EntryKind, name: &impl ToString, differing: Vec<Differing>) {
        for (key, said, is) in differing {
            self.add(kind, name, Some(key), Some(said), Some(is));
        }
    }
}
