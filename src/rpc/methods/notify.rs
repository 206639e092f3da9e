//! Methods on those who are notified of events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NoParams, Open};
use crate::clock::whole_millis;
use crate::model::NotifyKind;
use crate::notify::TargetFacts;
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// The services and programs that are notified of events, in the order of the config file.
    List, "notify.list", NoParams => TargetList;
    /// Sends one event of the kind `test` to a target right now, and answers with what came of it. Events that the
    /// target is still to get are not affected.
    Test, "notify.test", NameParams => TestReport, faults [NotFound];
}

/// Names one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameParams {
    /// Its name.
    pub name: String,
}

/// The answer of `notify.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TargetList {
    /// The targets.
    pub targets: Vec<TargetInfo>,
}

/// Who is notified of events. The counts begin when the server starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TargetInfo {
    /// Its name.
    pub name: String,
    /// `url` or `exec`.
    pub by: String,
    /// The kinds of events that it gets.
    pub events: Vec<Open<NotifyKind>>,
    /// Events that it has not got yet.
    pub waiting: u64,
    /// Events that it got.
    pub delivered: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Events that it never gets: too many waited, it refused them, or they were tried for a day.
    pub dropped: u64,
    /// When it last got an event, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub delivered_ms: Option<u64>,
    /// Since when it has failed, in milliseconds since the Unix epoch; null when it has not.
    #[serde(default)]
    pub failing_since_ms: Option<u64>,
    /// Why it failed last; null when it got an event since.
    #[serde(default)]
    pub last_error: Option<String>,
}

/// The answer of `notify.test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TestReport {
    /// The name of the target.
    pub name: String,
    /// Whether the target got the event.
    pub delivered: bool,
    /// What it answered, or why it failed.
    pub answer: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Run for List {
    async fn run(server: &Dispatch, _: NoParams, _: &Call) -> Answered<Self> {
        let targets = server.facts.notifier.list().into_iter().map(info);
        Ok(TargetList { targets: targets.collect() })
    }
}

impl Run for Test {
    async fn run(server: &Dispatch, params: NameParams, _: &Call) -> Answered<Self> {
        let NameParams { name } = params;
        let tested = server.facts.notifier.test(&name).await?;
        let delivered = tested.answer.is_ok();
        let answer = tested.answer.unwrap_or_else(|why| why);
        Ok(TestReport { name, delivered, answer, took_ms: whole_millis(tested.took) })
    }
}

fn info(facts: TargetFacts) -> TargetInfo {
    TargetInfo {
        name: facts.name,
        by: if facts.is_program { "exec" } else { "url" }.to_owned(),
        events: facts.events.into_iter().map(Open::from).collect(),
        waiting: facts.waiting,
        delivered: facts.delivered,
        failed: facts.failed,
        dropped: facts.dropped,
        delivered_ms: facts.delivered_ms,
        failing_since_ms: facts.failing_since_ms,
        last_error: facts.last_error,
    }
}
