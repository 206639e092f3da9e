//! Methods on apps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::domain::{PoolInfo, is_zero, pool, running, trial_of};
use super::rollout::TrialStanding;
use super::switch::ApplyParams;
use super::{Changed, Confirmed, Listed, Page, PageParams};
use crate::control::{Effect, find};
use crate::model::record::{Edited, New, Shown};
use crate::model::{
    AppName, AppOptions, BackendId, DeployOptions, DeployPlan, DeployProgress, DeployReport,
    DomainName, PoolName, ReleaseLabel, Share, Tag,
};
use crate::rpc::dispatch::{Call, Dispatch, Failure, to_its_end};
use crate::rpc::run::{Answered, Run, methods};
use crate::state::{AppNode, Snapshot};

methods! {
    /// The apps by name, page by page.
    List, "app.list", PageParams<AppName> => Page<AppInfo>;
    /// One app.
    Show, "app.show", AppParams => AppInfo, faults [NotFound];
    /// Adds an app.
    Add, "app.add", AddParams => Confirmed<AppInfo>, faults [NotFound, AlreadyExists, Conflict];
    /// Changes an app's options; options that are not given stay unchanged.
    Set, "app.set", SetParams => Confirmed<AppInfo>, faults [NotFound];
    /// Removes an app.
    Remove, "app.remove", RemoveParams => Confirmed<Changed>, faults [NotFound, Conflict];
    /// Makes a new version of an app live: proves its backends healthy, moves all domains of the app in one
    /// step, drains the old version, and keeps it as a stand-by.
    Deploy, "app.deploy", DeployOptions => DeployReport, progress DeployProgress,
        faults [NotFound, AlreadyExists, Conflict, Unhealthy];
    /// Shows what `app.deploy` would do, as far as is known now. It changes nothing and probes nothing. The plan
    /// is kept for a day, so that `app.apply_deploy` can make it; the last 100 are, with those of switches.
    PlanDeploy, "app.plan_deploy", DeployOptions => DeployPlan,
        faults [NotFound, AlreadyExists, Conflict];
    /// Makes a planned deploy, unless it would do something else by now.
    ApplyDeploy, "app.apply_deploy", ApplyParams => DeployReport, progress DeployProgress,
        faults [NotFound, AlreadyExists, Conflict, Unhealthy];
}

/// Names one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppParams {
    /// Its name.
    pub app: AppName,
}

/// What `app.add` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddParams {
    /// The new name.
    pub app: AppName,
    /// Domains in no app that join the new app, with their backends. None of them may share backends with a domain
    /// that is not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainName>,
    #[serde(flatten)]
    pub options: New<AppOptions>,
}

/// What `app.set` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetParams {
    /// The app.
    pub app: AppName,
    #[serde(flatten)]
    pub options: Edited<AppOptions>,
}

/// What `app.remove` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveParams {
    /// The app.
    pub app: AppName,
    /// Remove its domains and backends with it.
    #[serde(default)]
    pub all: bool,
}

impl Listed for AppInfo {
    const MEMBER: &'static str = "apps";
    const PAGE_NAME: &'static str = "AppList";
    type Key = AppName;
}

/// An app with what is deployed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AppInfo {
    /// The revision of the state that was read.
    pub revision: u64,
    /// Its name.
    pub app: AppName,
    #[serde(flatten)]
    pub options: Shown<AppOptions>,
    /// Its domains, by name.
    pub domains: Vec<DomainName>,
    /// Its tags with backends, or that are live; live ones first, then by name.
    pub versions: Vec<VersionInfo>,
    /// The rollout or the guard that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialStanding>,
    /// How many previews its domains have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub previews: usize,
}

/// A tag of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VersionInfo {
    /// The tag.
    pub tag: Tag,
    /// The label of the version that was deployed there; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseLabel>,
    /// How many of the app's domains are live on it.
    pub live_domains: usize,
    /// What share of the clients it has, in percent: the largest where the app's domains differ.
    #[serde(default)]
    pub share: Share,
    /// Backends that carry it.
    pub backends: PoolInfo,
    /// Their ids.
    pub ids: Vec<BackendId>,
    /// When it was deployed, in milliseconds since the Unix epoch; absent if it was not by a deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_at_ms: Option<u64>,
    /// When its backends are removed, in milliseconds since the Unix epoch; absent if that is left to the next
    /// deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_at_ms: Option<u64>,
}

impl Run for List {
    async fn run(server: &Dispatch, params: PageParams<AppName>, _: &Call) -> Answered<Self> {
        let snapshot = server.control.snapshot();
        let nodes = snapshot.apps_after(params.after.as_ref());
        let (page, next) = params.take(nodes, |node| node.app.name.clone());
        let entries = page.into_iter().map(|node| app(server, &snapshot, node)).collect();
        Ok(Page { revision: snapshot.revision(), entries, next })
    }
}

impl Run for Show {
    async fn run(server: &Dispatch, params: AppParams, _: &Call) -> Answered<Self> {
        info(server, &server.control.snapshot(), &params.app)
    }
}

impl Run for Add {
    async fn run(server: &Dispatch, params: AddParams, call: &Call) -> Answered<Self> {
        let AddParams { app, domains, options } = params;
        let adding = server.control.add_app(call.caller(), app.clone(), options.values, domains);
        changed(server, adding.await?, &app)
    }
}

impl Run for Set {
    async fn run(server: &Dispatch, params: SetParams, call: &Call) -> Answered<Self> {
        let SetParams { app, options } = params;
        let effect = server.control.set_app(call.caller(), app.clone(), options.values).await?;
        changed(server, effect, &app)
    }
}

impl Run for Remove {
    async fn run(server: &Dispatch, params: RemoveParams, call: &Call) -> Answered<Self> {
        let RemoveParams { app, all } = params;
        let Effect { snapshot, changed } =
            server.control.remove_app(call.caller(), app, all).await?;
        Ok(Confirmed::new(Changed { revision: snapshot.revision() }, changed))
    }
}

impl Run for Deploy {
    async fn run(server: &Dispatch, params: DeployOptions, call: &Call) -> Answered<Self> {
        let report = call.reporter::<Self>();
        let (control, caller) = (server.control.clone(), call.caller());
        to_its_end(async move { control.deploy(caller, params, report).await }).await
    }
}

impl Run for PlanDeploy {
    async fn run(server: &Dispatch, params: DeployOptions, call: &Call) -> Answered<Self> {
        Ok(server.control.plan_deploy(call.caller(), params).await?)
    }
}

impl Run for ApplyDeploy {
    async fn run(server: &Dispatch, params: ApplyParams, call: &Call) -> Answered<Self> {
        let report = call.reporter::<Self>();
        let (control, caller) = (server.control.clone(), call.caller());
        to_its_end(async move { control.deploy_as_planned(caller, &params.token, report).await })
            .await
    }
}

fn changed(
    server: &Dispatch,
    effect: Effect,
    name: &AppName,
) -> Result<Confirmed<AppInfo>, Failure> {
    let Effect { snapshot, changed } = effect;
    Ok(Confirmed::new(info(server, &snapshot, name)?, changed))
}

fn info(server: &Dispatch, snapshot: &Snapshot, name: &AppName) -> Result<AppInfo, Failure> {
    Ok(app(server, snapshot, find::app(snapshot, name)?))
}

fn app(server: &Dispatch, snapshot: &Snapshot, node: &AppNode) -> AppInfo {
    let name = &node.app.name;
    let hosts = || node.domains().filter_map(|domain| snapshot.domain(domain));
    let trials = running(server, hosts());
    let share = |tag: &Tag| hosts().map(|host| host.virtual_host.share_of(tag)).max();
    let live = |tag: &Tag| hosts().filter(|host| host.virtual_host.live == *tag).count();
    let mut tags: Vec<&Tag> = snapshot.tags(Some(name));
    tags.extend(hosts().map(|host| &host.virtual_host.live));
    tags.sort();
    tags.dedup();
    let of = |tag| version(snapshot, node, tag, live(tag), share(tag).unwrap_or_default());
    let mut versions: Vec<_> = tags.into_iter().map(of).collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.live_domains));
    AppInfo {
        revision: snapshot.revision(),
        app: name.clone(),
        options: (&node.app.options).into(),
        domains: node.domains().cloned().collect(),
        versions,
        trial: hosts().find_map(|host| trial_of(&host.virtual_host, &trials)),
        previews: hosts().map(|host| host.virtual_host.beside.previews.len()).sum(),
    }
}

fn version(
    snapshot: &Snapshot,
    node: &AppNode,
    tag: &Tag,
    live_domains: usize,
    share: Share,
) -> VersionInfo {
    let name = PoolName::new(Some(&node.app.name), tag);
    let release = node.app.releases.get(tag);
    let backends = snapshot.pool(&name).into_iter().flat_map(|pool| pool.backends());
    VersionInfo {
        tag: tag.clone(),
        release: node.app.label_of(tag).cloned(),
        live_domains,
        share,
        backends: pool(snapshot, &name),
        ids: backends.map(|node| node.backend.id.clone()).collect(),
        deployed_at_ms: release.and_then(|release| release.deployed_at_ms),
        remove_at_ms: release.and_then(|release| release.remove_at_ms),
    }
}
