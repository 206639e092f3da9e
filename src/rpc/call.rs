//! A call by name: the method is found in the catalogue, and run.

use serde_json::{Value, json};

use super::catalogue;
use super::dispatch::{Call, Dispatch, Failure};
use super::envelope::{Fault, code};
use super::fault;
use super::methods::{NoParams, event, rollout, state, stats};
use super::progress::ProgressSink;
use super::run::Run;
use crate::clock::now_ms;
use crate::model::{Actor, StatsWindow};

/// Domains, and backends, in an overview.
const MAX_SHOWN: usize = 100;

/// Events in an overview.
const EVENTS: usize = 20;

impl Dispatch {
    /// Carries out one method.
    pub(crate) async fn call(
        &self,
        method: &str,
        params: Value,
        call: &Call,
    ) -> Result<Value, Fault> {
        let Some(entry) = catalogue::find(method) else {
            return Err(fault::unknown_method(method));
        };
        (entry.run)(self, params, call).await.map_err(|failure| {
            let fault = fault::of_failure(failure, entry, &call.request_id);
            let kind = fault.data.kind;
            let declared = entry.may_answer(kind) || fault.code == code::REVISION;
            debug_assert!(declared, "`{method}` does not declare {kind:?}");
            fault
        })
    }

    /// How the server is, as JSON for a page: what `state.get`, `stats.get`, `event.list` and `rollout.list`
    /// answer. `None` when one of them has no answer.
    pub(crate) async fn overview(&self) -> Option<String> {
        serde_json::to_string(&self.read_overview().await.ok()?).ok()
    }

    async fn read_overview(&self) -> Result<Value, Failure> {
        let call = Call::new(Actor::Unknown, ProgressSink::Nobody);
        let traffic = stats::GetParams {
            window_secs: StatsWindow::TenSecs,
            limit: Some(MAX_SHOWN),
            ..stats::GetParams::default()
        };
        let history = event::ListParams { domain: None, limit: Some(EVENTS) };
        Ok(json!({
            "now_ms": now_ms(),
            "server": state::Get::run(self, NoParams {}, &call).await?,
            "stats": stats::Get::run(self, traffic, &call).await?,
            "events": event::List::run(self, history, &call).await?.events,
            "trials": rollout::List::run(self, rollout::ListParams::default(), &call).await?.trials,
        }))
    }
}
