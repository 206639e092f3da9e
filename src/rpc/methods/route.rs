//! Methods on the way that a request would take.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method;
use crate::model::{Explanation, HeaderLine, RequestUrl};

method!(/// What would become of a request: which domain, tag and backends, and why.
    Explain, "route.explain", ExplainParams => Explanation);

/// What `route.explain` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainParams {
    /// The URL that a client would ask for.
    pub url: RequestUrl,
    /// Headers that it would send; `Host` goes before the URL's host.
    #[serde(default)]
    pub headers: Vec<HeaderLine>,
    /// The address that it would come from; without it nothing is said of `allow` and `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
}
