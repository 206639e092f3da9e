//! What a deploy changes: worked out on one state. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::control::apps::patched;
use crate::control::domains::check_names;
use crate::control::trials::Begin;
use crate::control::{ControlError, TrialError, files, find};
use crate::model::record;
use crate::model::{
    App, AppName, AppOptions, Backend, BackendAddr, BackendId, BackendOptions, BackendState,
    Beside, Change, DeployOptions, DeployedApp, EventKind, HostOptions, Outcome, PlannedDeploy,
    Release, SwitchStep, Tag, TopOptions, VirtualHost,
};
use crate::state::{AppNode, Snapshot};

/// What a deploy changes. Nothing where all is as it is asked for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) apps: Vec<DeployedApp>,
    pub(super) steps: Vec<SwitchStep>,
    pub(super) changes: Vec<Change>,
    /// The backends that it removes.
    removed: Vec<Backend>,
}

impl Plan {
    /// It does what was planned.
    pub(super) fn check(&self, planned: &PlannedDeploy) -> Result<(), ControlError> {
        let Self { apps, steps, removed, .. } = self;
        if *apps == planned.apps && *steps == planned.steps && *removed == planned.removed {
            return Ok(());
        }
        let what = "the apps, their domains or their backends changed".to_owned();
        Err(ControlError::PlanOutdated { what })
    }

    /// What is kept of it until it is applied.
    pub(super) fn kept(&self, options: DeployOptions) -> PlannedDeploy {
        let Self { apps, steps, removed, .. } = self;
        let (apps, steps, removed) = (apps.clone(), steps.clone(), removed.clone());
        PlannedDeploy { options, apps, steps, removed }
    }

    pub(super) fn event(&self, outcome: Outcome, options: &DeployOptions) -> EventKind {
        EventKind::Deploy {
            apps: self.apps.clone(),
            // Where it is rolled out, nobody has left the old version yet.
            steps: if options.rollout.is_some() { Vec::new() } else { self.steps.clone() },
            outcome,
            forced: options.switch.force,
            reason: options.switch.reason.clone(),
            before: options.switch.before.clone(),
        }
    }
}

/// The changes of a plan, with the new versions as they begin on `snapshot`: watched, or with their first share.
pub(super) fn begun(changes: Vec<Change>, snapshot: &Snapshot, begin: &Begin) -> Vec<Change> {
    let apps: Vec<App> = changes
        .iter()
        .filter_map(|change| match change {
            Change::PutApp(app) => Some(app.clone()),
            _ => None,
        })
        .collect();
    let replaced = |change| match change {
        Change::PutDomain(host) => {
            let before = snapshot.domain(&host.domain).map(|node| &node.virtual_host);
            let app = apps.iter().find(|app| Some(&app.name) == host.app()).map(|app| &app.options);
            let moves = before.filter(|before| before.live != host.live);
            let host =
                moves.map_or_else(|| host.clone(), |before| begin.on(before, &host.live, app));
            Change::PutDomain(host)
        }
        other => other,
    };
    changes.into_iter().map(replaced).collect()
}

/// Works out what a deploy that began at `at_ms` changes about `snapshot`.
pub(super) fn plan(
    snapshot: &Snapshot,
    options: &DeployOptions,
    at_ms: u64,
) -> Result<Plan, ControlError> {
    check_addresses(options)?;
    if options.rollout.is_some() && options.keep_ms.is_some() {
        return Err(TrialError::Kept.into());
    }
    let mut plan = Plan::default();
    for name in options.apps() {
        let hosts = if *name == options.app { options.hosts.as_slice() } else { &[] };
        let of = OfApp::new(snapshot, options, name, hosts, at_ms)?;
        of.add_to(&mut plan)?;
    }
    // An app in which nothing changes is no part of it.
    plan.apps.retain(|of| {
        plan.changes.iter().any(|change| match change {
            Change::PutApp(app) => app.name == of.app,
            _ => false,
        })
    });
    Ok(plan)
}

/// The most addresses, hosts and apps of one deploy: the gate probes all of its backends at once.
const MAX_NAMED: usize = 256;

fn check_addresses(options: &DeployOptions) -> Result<(), ControlError> {
    if options.addresses.is_empty() {
        return Err(ControlError::NoAddress);
    }
    let lists = [
        ("addresses", options.addresses.len()),
        ("hosts", options.hosts.len()),
        ("further apps", options.also.len()),
    ];
    if let Some((what, given)) = lists.into_iter().find(|(_, given)| *given > MAX_NAMED) {
        return Err(ControlError::TooMany { what, given, most: MAX_NAMED });
    }
    let mut apps = BTreeSet::from([&options.app]);
    if let Some(twice) = options.also.iter().find(|app| !apps.insert(app)) {
        return Err(ControlError::AppTwice { app: twice.clone() });
    }
    let addresses = &options.addresses;
    let is_twice = |(place, address): &(usize, &BackendAddr)| {
        addresses[..*place].iter().any(|before| before.is_same_place(address))
    };
    match addresses.iter().enumerate().find(is_twice) {
        Some((_, twice)) => Err(ControlError::AddressTwice { address: twice.clone() }),
        None => Ok(()),
    }
}

/// A deploy as one app sees it.
struct OfApp<'a> {
    snapshot: &'a Snapshot,
    asked: &'a DeployOptions,
    node: Option<&'a AppNode>,
    name: &'a AppName,
    hosts: Vec<&'a VirtualHost>,
    new_hosts: Vec<VirtualHost>,
    backend: BackendOptions,
    app: App,
    at_ms: u64,
}

impl<'a> OfApp<'a> {
    fn new(
        snapshot: &'a Snapshot,
        asked: &'a DeployOptions,
        name: &'a AppName,
        hosts: &[crate::model::DomainName],
        at_ms: u64,
    ) -> Result<Self, ControlError> {
        let node = snapshot.app(name).map(|node| &**node);
        if node.is_none() && *name != asked.app {
            find::app(snapshot, name)?;
        }
        if node.is_none() && hosts.is_empty() {
            return Err(match find::app(snapshot, name) {
                Err(ControlError::UnknownApp { app, near: None }) => ControlError::NoHost { app },
                Err(error) => error,
                Ok(_) => ControlError::NoHost { app: name.clone() },
            });
        }
        let before = node.map_or_else(AppOptions::default, |node| node.app.options.clone());
        let app_options = if *name == asked.app {
            patched(name, &before, asked.options.clone())?
        } else {
            before
        };
        let app = match node {
            Some(node) => App { options: app_options, ..node.app.clone() },
            None => App::new(name.clone(), app_options),
        };
        let mut given = asked.backend.values.clone();
        given.insert("app".to_owned(), Value::from(name.as_str()));
        // The id of the backend is not known yet; the option is what is wrong.
        let id: BackendId = name.as_str().parse().map_err(|_| ControlError::NoAddress)?;
        let backend = record::patched(&BackendOptions::default(), given)
            .map_err(|error| ControlError::backend_option(&id, error))?;
        let own = node.into_iter().flat_map(AppNode::domains);
        let own = own.filter_map(|domain| snapshot.domain(domain));
        let mut of = Self {
            snapshot,
            asked,
            node,
            name,
            hosts: own.map(|node| &node.virtual_host).collect(),
            new_hosts: Vec::new(),
            backend,
            app,
            at_ms,
        };
        for host in hosts {
            of.add_host(host)?;
        }
        if of.hosts.is_empty() && of.new_hosts.is_empty() {
            return Err(ControlError::NoHost { app: name.clone() });
        }
        Ok(of)
    }

    fn add_host(&mut self, domain: &crate::model::DomainName) -> Result<(), ControlError> {
        if let Some(owner) = self.snapshot.domain(domain) {
            let owner = &owner.virtual_host;
            if owner.app() == Some(self.name) {
                return Ok(());
            }
            return Err(ControlError::OtherApp {
                domain: domain.clone(),
                owner: owner.app().cloned(),
                app: self.name.clone(),
            });
        }
        if self.new_hosts.iter().any(|host| host.domain == *domain) {
            return Err(ControlError::NamedTwice { name: domain.clone() });
        }
        // The tag is put in when it is known.
        let live = "a".parse().map_err(|_| ControlError::NoDomain)?;
        let top = TopOptions { app: Some(self.name.clone()), ..TopOptions::default() };
        let options = HostOptions::default();
        let host = VirtualHost {
            domain: domain.clone(),
            live,
            previous: None,
            beside: Beside::default(),
            top,
            options,
        };
        check_names(self.snapshot, &host)?;
        self.new_hosts.push(host);
        Ok(())
    }

    fn add_to(mut self, plan: &mut Plan) -> Result<(), ControlError> {
        let from = self.live()?;
        let mut deployed = DeployedApp {
            app: self.name.clone(),
            is_new: self.node.is_none(),
            from: from.clone(),
            to: Tag::clone(&self.target(from.as_ref())?),
            release: self.asked.release.clone(),
            backends_added: Vec::new(),
            backends_removed: Vec::new(),
            domains_added: self.new_hosts.iter().map(|host| host.domain.clone()).collect(),
        };
        if let Some(live) = from.as_ref().filter(|live| self.is_live_already(live)) {
            // The same backends: what may change is what is said of them.
            deployed.to = live.clone();
            if let Some(label) = &self.asked.release {
                self.app.releases.entry(live.clone()).or_default().label = Some(label.clone());
            }
            deployed.release = self.app.label_of(live).cloned();
            let is_same = self.node.is_some_and(|node| node.app == self.app);
            if is_same && self.new_hosts.is_empty() {
                plan.apps.push(deployed);
                return Ok(());
            }
            plan.changes.push(Change::PutApp(self.app));
            let hosts = self.new_hosts.into_iter();
            plan.changes.extend(
                hosts.map(|host| Change::PutDomain(VirtualHost { live: live.clone(), ..host })),
            );
            plan.apps.push(deployed);
            return Ok(());
        }
        let to = deployed.to.clone();
        let removed = self.removed(from.as_ref(), &to);
        let added = self.added(&to, plan)?;
        deployed.backends_removed = removed.iter().map(|backend| backend.id.clone()).collect();
        deployed.backends_added = added.iter().map(|backend| backend.id.clone()).collect();
        let untagged = self.without(&to, &removed);
        self.note_releases(from.as_ref(), &to);
        plan.changes.push(Change::PutApp(self.app));
        plan.changes.extend(deployed.backends_removed.iter().cloned().map(Change::DropBackend));
        plan.removed.extend(removed.into_iter().cloned());
        plan.changes.extend(untagged.into_iter().map(Change::PutBackend));
        plan.changes.extend(added.into_iter().map(Change::PutBackend));
        for host in self.hosts.iter().filter(|host| host.live != to) {
            plan.changes.push(Change::PutDomain(host.moved_to(&to)));
            plan.steps.extend(host.live_tags().map(|from| SwitchStep {
                domain: host.domain.clone(),
                from: from.clone(),
                to: to.clone(),
            }));
        }
        let hosts = self.new_hosts.into_iter();
        plan.changes
            .extend(hosts.map(|host| Change::PutDomain(VirtualHost { live: to.clone(), ..host })));
        plan.apps.push(deployed);
        Ok(())
    }

    /// The tag on which all of its domains are live; `None` where it has none yet.
    fn live(&self) -> Result<Option<Tag>, ControlError> {
        let Some((first, others)) = self.hosts.split_first() else { return Ok(None) };
        match others.iter().find(|host| host.live != first.live) {
            Some(other) if self.asked.tag.is_none() => Err(ControlError::AppIsSplit {
                app: self.name.clone(),
                domains: [first, other].map(|host| (host.domain.clone(), host.live.clone())).into(),
            }),
            _ => Ok(Some(first.live.clone())),
        }
    }

    /// The tag of the new version.
    fn target(&self, live: Option<&Tag>) -> Result<Tag, ControlError> {
        let tag = match &self.asked.tag {
            Some(tag) => tag.clone(),
            None => self.other_tag(live),
        };
        let busy = self.hosts.iter().find(|host| host.serving().any(|served| *served == tag));
        match busy {
            // The same addresses may be live there already: that is seen before anything is changed.
            Some(_) if live.is_some_and(|live| self.is_live_already(live)) => Ok(tag),
            Some(host) => Err(ControlError::TagServes {
                app: self.name.clone(),
                tag,
                domain: host.domain.clone(),
            }),
            None => Ok(tag),
        }
    }

    /// The tag before, if there is one; otherwise `a` and `b` take turns.
    fn other_tag(&self, live: Option<&Tag>) -> Tag {
        let serves = |tag: &Tag| self.hosts.iter().any(|host| host.serving().any(|of| of == tag));
        let before = self.hosts.iter().filter_map(|host| host.previous.clone());
        let names = ["a", "b", "c"].into_iter().filter_map(|name| name.parse::<Tag>().ok());
        let mut free = before.chain(names).filter(|tag| Some(tag) != live && !serves(tag));
        // Three names can't all serve unless paths do; then somebody must choose.
        free.next().unwrap_or_else(|| self.hosts[0].live.clone())
    }

    /// Whether the backends that are asked for, and no others, are live, all domains are on them, and they
    /// have what is asked for.
    fn is_live_already(&self, live: &Tag) -> bool {
        let Some(pool) = self.snapshot.pool(&self.pool(live)) else { return false };
        let is_asked = |backend: &Backend| {
            self.asked.addresses.iter().any(|asked| asked.is_same_place(&backend.address))
                && backend.state == BackendState::Ready
                && self.has_options(backend)
        };
        self.asked.tag.as_ref().is_none_or(|tag| tag == live)
            && self.hosts.iter().all(|host| host.live == *live)
            && pool.backends().len() == self.asked.addresses.len()
            && pool.backends().iter().all(|node| is_asked(&node.backend))
    }

    /// What is not asked for may be anything.
    fn has_options(&self, backend: &Backend) -> bool {
        let (has, wants) = (record::values(&backend.options), record::values(&self.backend));
        self.asked.backend.values.keys().all(|key| has.get(key) == wants.get(key))
    }

    fn pool(&self, tag: &Tag) -> crate::model::PoolName {
        crate::model::PoolName::new(Some(self.name), tag)
    }

    /// The backends of versions older than the one that is kept, and of `to`, whose place is taken.
    fn removed(&self, from: Option<&Tag>, to: &Tag) -> Vec<&'a Backend> {
        let serves = |tag: &Tag| self.hosts.iter().any(|host| host.serving().any(|of| of == tag));
        let is_old = |tag: &Tag| {
            tag == to || (self.app.releases.contains_key(tag) && Some(tag) != from && !serves(tag))
        };
        let is_removed =
            |backend: &&Backend| !backend.tags.is_empty() && backend.tags.iter().all(is_old);
        self.backends().filter(is_removed).collect()
    }

    /// The backends that stay and carry `to` among their tags, without it: the new version is what was deployed.
    fn without(&self, to: &Tag, removed: &[&Backend]) -> Vec<Backend> {
        let stays = |backend: &&Backend| removed.iter().all(|gone| gone.id != backend.id);
        let own = self.backends().filter(|backend| backend.tags.contains(to)).filter(stays);
        own.map(|backend| {
            let mut backend = backend.clone();
            backend.tags.remove(to);
            backend
        })
        .collect()
    }

    /// The app's own backends, of all versions.
    fn backends(&self) -> impl Iterator<Item = &'a Backend> + use<'a> {
        let (snapshot, ids) = (self.snapshot, self.node.into_iter().flat_map(AppNode::backends));
        ids.filter_map(|id| snapshot.backend(id)).map(|node| &node.backend)
    }

    /// The backends of the new version. An id that is in use until now is none of theirs: it stands for another
    /// server, whose requests may still run.
    fn added(&self, to: &Tag, plan: &Plan) -> Result<Vec<Backend>, ControlError> {
        let in_use: BTreeSet<&BackendId> =
            plan.apps.iter().flat_map(|of| &of.backends_added).collect();
        let is_free = |id: &BackendId| !in_use.contains(id) && self.snapshot.backend(id).is_none();
        let mut numbers = 1_u32..;
        let mut next_id = || loop {
            let number = numbers.next().unwrap_or(u32::MAX);
            let id = format!("{}-{to}-{number}", self.name);
            match id.parse::<BackendId>() {
                Ok(id) if is_free(&id) => return Ok(id),
                Ok(_) => {}
                Err(_) => return Err(ControlError::LongId { id }),
            }
        };
        let backend = |address: &BackendAddr| {
            let id = next_id()?;
            let backend = Backend {
                id,
                address: address.clone(),
                tags: BTreeSet::from([to.clone()]),
                options: self.backend.clone(),
                state: BackendState::Ready,
            };
            files::check_options(&backend)?;
            Ok(backend)
        };
        self.asked.addresses.iter().map(backend).collect()
    }

    /// What is deployed from now on: the new version, and the one before as a stand-by.
    fn note_releases(&mut self, from: Option<&Tag>, to: &Tag) {
        let releases = &mut self.app.releases;
        let hosts = &self.hosts;
        let serves = |tag: &Tag| hosts.iter().any(|host| host.serving().any(|of| of == tag));
        // A tag that serves yet is removed by a later deploy.
        releases.retain(|tag, _| Some(tag) == from || serves(tag));
        if let Some(from) = from.filter(|from| *from != to) {
            let keep = self.asked.keep_ms;
            releases.entry(from.clone()).or_default().remove_at_ms =
                keep.map(|keep| self.at_ms.saturating_add(keep));
        }
        let (label, deployed_at_ms) = (self.asked.release.clone(), Some(self.at_ms));
        releases.insert(to.clone(), Release { label, deployed_at_ms, remove_at_ms: None });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::PoolName;

    fn options(app: &str, addresses: &[u16], hosts: &[&str]) -> DeployOptions {
        let address = |port: &u16| format!("127.0.0.1:{port}").parse().unwrap();
        DeployOptions {
            app: app.parse().unwrap(),
            addresses: addresses.iter().map(address).collect(),
            also: Vec::new(),
            tag: None,
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            release: None,
            keep_ms: None,
            backend: record::New::default(),
            options: serde_json::Map::new(),
            wait: false,
            rollout: None,
            switch: crate::model::SwitchOptions::default(),
        }
    }

    fn deployed(snapshot: &Snapshot, options: &DeployOptions) -> Snapshot {
        let plan = plan(snapshot, options, 1).unwrap_or_else(|error| panic!("{error}"));
        snapshot.after(plan.changes, snapshot.revision() + 1)
    }

    /// The addresses of the live version, and those of the one before.
    fn versions(snapshot: &Snapshot, app: &str) -> [BTreeSet<String>; 2] {
        let node = snapshot.app(&app.parse().unwrap()).expect("it is there");
        let host = node.domains().next().and_then(|name| snapshot.domain(name)).expect("a domain");
        let tags = [Some(&host.virtual_host.live), host.virtual_host.previous.as_ref()];
        tags.map(|tag| {
            let pool = tag.map(|tag| PoolName::new(Some(&node.app.name), tag));
            let pool = pool.and_then(|pool| snapshot.pool(&pool)).into_iter();
            let nodes = pool.flat_map(|pool| pool.backends());
            nodes.map(|node| node.backend.address.to_string()).collect()
        })
    }

    #[test]
    fn a_path_that_another_tag_serves_keeps_its_backends() {
        let first = deployed(&Snapshot::default(), &options("shop", &[1], &["shop.test"]));
        let mut host = first.domain(&"shop.test".parse().unwrap()).unwrap().virtual_host.clone();
        let api = Backend {
            id: "api".parse().unwrap(),
            address: "127.0.0.1:9".parse().unwrap(),
            tags: BTreeSet::from(["b".parse().unwrap()]),
            options: BackendOptions { app: host.app().cloned(), ..BackendOptions::default() },
            state: BackendState::Ready,
        };
        let paths = serde_json::json!({"paths": [{"prefix": "/api", "tag": "b"}]});
        let serde_json::Value::Object(paths) = paths else { panic!() };
        host.options = host.options.patched(paths).unwrap();
        let with_path = first.after(vec![Change::PutBackend(api), Change::PutDomain(host)], 2);
        let second = deployed(&with_path, &options("shop", &[2], &[]));
        assert_eq!(versions(&second, "shop")[0], BTreeSet::from(["127.0.0.1:2".to_owned()]));
        assert!(second.backend(&"api".parse().unwrap()).is_some(), "`b` serves a path");
    }

    proptest! {
        /// After any deploys: all domains are on the version of the last, the one before is there, whole, and
        /// there is no backend of any other.
        #[test]
        fn nothing_is_there_but_the_live_version_and_the_one_before(
            steps in proptest::collection::vec(
                (proptest::bool::ANY, proptest::collection::btree_set(1_u16..6, 1..4)),
                1..12,
            ),
        ) {
            let mut snapshot = Snapshot::default();
            let mut known = [(BTreeSet::new(), BTreeSet::new()), (BTreeSet::new(), BTreeSet::new())];
            for (is_shop, ports) in steps {
                let (app, hosts) = if is_shop { ("shop", ["a.test", "b.test"]) } else { ("blog", ["c.test", "d.test"]) };
                let ports: Vec<u16> = ports.into_iter().collect();
                let next = deployed(&snapshot, &options(app, &ports, &hosts));
                let addresses: BTreeSet<_> =
                    ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
                let (live, before) = &mut known[usize::from(is_shop)];
                if *live != addresses {
                    *before = std::mem::replace(live, addresses);
                }
                prop_assert_eq!(versions(&next, app), [live.clone(), before.clone()]);
                let tags: BTreeSet<_> = hosts
                    .iter()
                    .map(|host| next.domain(&host.parse().unwrap()).unwrap().virtual_host.live.clone())
                    .collect();
                prop_assert_eq!(tags.len(), 1);
                snapshot = next;
            }
            let all: usize = known.iter().map(|(live, before)| live.len() + before.len()).sum();
            prop_assert_eq!(snapshot.backends().len(), all);
        }
    }
}
