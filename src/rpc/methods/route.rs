//! Methods on the way that a request would take.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::find;
use crate::model::{Explanation, HeaderLine, RequestUrl};
use crate::proxy::explain::Question;
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// Explains what would happen to a request: which domain, tag and backends would serve it, and why.
    Explain, "route.explain", ExplainParams => Explanation;
}

/// What `route.explain` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainParams {
    /// The URL that a client would request.
    pub url: RequestUrl,
    /// The headers of the request. `Host` overrides the URL's host.
    #[serde(default)]
    pub headers: Vec<HeaderLine>,
    /// The address of the client. Without it, `allow`, `deny` and limits of clients are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
}

impl Run for Explain {
    async fn run(server: &Dispatch, params: ExplainParams, _: &Call) -> Answered<Self> {
        let ExplainParams { url, headers, client } = params;
        let snapshot = server.control.snapshot();
        let question = Question { url: &url, headers: &headers, client };
        let mut explanation = server.facts.explainer.explain(&snapshot, question);
        if let (Some(matched), Some(live)) = (&explanation.matched, &mut explanation.live) {
            live.since = server.control.live_since(matched.domain.clone()).await?;
            live.switching = server.control.switch_phase(&matched.domain).map(str::to_owned);
        } else if let Some(host) = &explanation.host {
            explanation.near = find::domain_like(&snapshot, host);
        }
        Ok(explanation)
    }
}
