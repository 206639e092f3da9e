//! A deploy: what it is asked to do, and what it reports while it runs and when it ends.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::record::New;
use super::{
    AppName, AppOptions, BackendAddr, BackendId, BackendOptions, DomainName, Millis, Outcome,
    ReleaseLabel, RolloutSteps, SwitchOptions, SwitchStep, Tag,
};

/// What a deploy is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployOptions {
    /// The app.
    pub app: AppName,
    /// Where the backends of the new version listen.
    pub addresses: Vec<BackendAddr>,
    /// Further apps that get the same version in the same step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<AppName>,
    /// The tag of the new version. The default is the tag that was live before the present one, or else whichever
    /// of `a` and `b` is free. Backends of the app with this tag alone are removed; those with further tags lose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// Domains of the app; domains that it does not have yet are added. One that is in another app, or in none, is
    /// refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<DomainName>,
    /// A label for the new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseLabel>,
    /// How long the stand-by is kept after the end of the drain, in milliseconds. Without it, until the next
    /// deploy. With 0 it is removed at the end of the drain, also of one that timed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_ms: Option<u64>,
    /// Options of the new backends.
    #[serde(default, skip_serializing_if = "no_options")]
    pub backend: New<BackendOptions>,
    /// Options of the app that change with it: a JSON merge patch (RFC 7396), so null removes one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "Option<AppOptions>")]
    pub options: Map<String, Value>,
    /// If another deploy or switch of the app is under way, wait for its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wait: bool,
    /// Make it live step by step, instead of at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<DeployRollout>,
    /// How it is proven healthy, switched and drained.
    #[serde(default)]
    pub switch: SwitchOptions,
}

/// How a deploy is rolled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRollout {
    /// Its steps.
    pub steps: RolloutSteps,
    /// How long a step may wait for enough requests after its own time, in milliseconds. The default is an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
}

fn no_options(given: &New<BackendOptions>) -> bool {
    given.values.is_empty()
}

impl DeployOptions {
    /// The apps, each once.
    pub fn apps(&self) -> BTreeSet<&AppName> {
        std::iter::once(&self.app).chain(&self.also).collect()
    }
}

/// What a deploy does to one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeployedApp {
    /// The app.
    pub app: AppName,
    /// Whether the deploy made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_new: bool,
    /// The tag that was live before, if any was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Tag>,
    /// The tag of the new version.
    pub to: Tag,
    /// The label of the new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseLabel>,
    /// Its backends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends_added: Vec<BackendId>,
    /// Backends that were removed: those of older versions, and those that carried the tag of the new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends_removed: Vec<BackendId>,
    /// Domains that were added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains_added: Vec<DomainName>,
}

/// A phase of a deploy that has been reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum DeployProgress {
    /// Another deploy or switch of the app is under way.
    Waiting {
        /// The app.
        app: AppName,
    },
    /// The new backends are being probed.
    Checking {
        /// The app.
        app: AppName,
        /// The tag of the new version.
        tag: Tag,
        /// Backends proven healthy so far.
        healthy: usize,
        /// Backends that must be.
        needed: usize,
        /// All of them.
        total: usize,
    },
    /// The new backends are being tried with smoke requests.
    Smoke {
        /// Requests that were answered as expected.
        passed: usize,
        /// Requests that were not.
        failed: usize,
        /// All of them.
        total: usize,
    },
    /// Every request from now on goes to the new version.
    Switched {
        /// Each app, with its tags and backends.
        apps: Vec<DeployedApp>,
        /// Each domain that moved, with the tag before and the tag after.
        steps: Vec<SwitchStep>,
        /// The revision at which it does.
        revision: u64,
        /// How long persisting and publishing took, in milliseconds.
        switch_ms: Millis,
    },
    /// Requests of the old version are still running.
    Draining {
        /// How many.
        remaining: usize,
        /// How many of them are WebSockets.
        web_sockets: usize,
        /// In how many milliseconds the server has ended the WebSockets and event streams among them; without
        /// it, they end when they like.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended_in_ms: Option<u64>,
    },
}

/// How a deploy ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeployReport {
    /// Each app, with its tags and backends. Empty if there was nothing to do.
    pub apps: Vec<DeployedApp>,
    /// Each domain that moved, with the tag before and the tag after.
    pub steps: Vec<SwitchStep>,
    /// The revision that it led to.
    pub revision: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// How long the gate took, in milliseconds.
    pub gate_ms: u64,
    /// How long persisting and publishing took, in milliseconds.
    pub switch_ms: Millis,
    /// How long the drain took, in milliseconds.
    pub drain_ms: u64,
    /// The number of the guard, or of the rollout, that watches the new version from now on; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<u64>,
    /// How many of the requests that the drain did not wait for are WebSockets.
    #[serde(default)]
    pub web_sockets: usize,
    /// When the server has ended the last of the WebSockets and event streams that were left, in milliseconds
    /// after the switch; without it, they end when they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_after_ms: Option<u64>,
}

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeployPlan {
    /// The revision of the state that it was worked out on.
    pub revision: u64,
    /// Each app, with its tags and backends. Empty if there is nothing to do.
    pub apps: Vec<DeployedApp>,
    /// Each domain that would move, with the tag before and the tag after.
    pub steps: Vec<SwitchStep>,
    /// How long the new backends may take to be healthy, in milliseconds.
    pub gate_timeout_ms: u64,
    /// How long requests of the old version may take to end, in milliseconds; null if that is not waited for.
    pub drain_timeout_ms: Option<u64>,
    /// What to think about before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The hooks that would be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// What `app.apply_deploy` takes to do this and nothing else; null if there is nothing to do.
    pub token: Option<String>,
}
