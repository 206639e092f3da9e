//! The methods on requests that were not sent.

use serde_json::Value;

use super::{Dispatch, Failure, read, write};
use crate::proxy::explain::Question;
use crate::rpc::methods::route;

impl Dispatch {
    pub(super) async fn explain_route(&self, params: Value) -> Result<Value, Failure> {
        let route::ExplainParams { url, headers, client } = read(params)?;
        let question = Question { url: &url, headers: &headers, client };
        let snapshot = self.control.snapshot();
        let mut explanation = self.facts.explainer.explain(&snapshot, question);
        if let (Some(matched), Some(live)) = (&explanation.matched, &mut explanation.live) {
            live.since = self.control.live_since(matched.domain.clone()).await?;
            live.switching = self.control.switch_phase(&matched.domain).map(str::to_owned);
        } else if let Some(host) = &explanation.host {
            explanation.near = self.control.domain_like(&snapshot, host);
        }
        write::<route::Explain>(&explanation)
    }
}
