//! Methods on previews.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::find;
use crate::model::{DomainName, Preview, Tag, nonzero_millis};
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// Makes a preview of a tag: a link that pins a browser to it, whatever tag is live.
    Make, "preview.make", MakeParams => PreviewInfo, faults [NotFound, Conflict];
    /// The previews of a domain. Their links are shown again.
    List, "preview.list", ListParams => PreviewList, faults [NotFound];
    /// Ends a preview of a domain, or all.
    Revoke, "preview.revoke", RevokeParams => Revoked, faults [NotFound];
}

/// How long a preview lasts unless that is said.
const TIME: Duration = Duration::from_hours(1);

/// The longest time of a preview.
const MOST_MS: u64 = 30 * 86_400_000;

/// What `preview.make` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MakeParams {
    /// The domain.
    pub domain: DomainName,
    /// The tag.
    pub tag: Tag,
    /// How long it lasts, in milliseconds, up to 30 days. The default is an hour.
    #[serde(default, deserialize_with = "nonzero_millis", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub time_ms: Option<u64>,
}

/// What `preview.list` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    /// The domain.
    pub domain: DomainName,
}

/// What `preview.revoke` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeParams {
    /// The domain.
    pub domain: DomainName,
    /// The number of the preview; without it, all end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

/// A preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PreviewInfo {
    /// Its number.
    pub id: u64,
    /// The domain.
    pub domain: DomainName,
    /// The tag.
    pub tag: Tag,
    /// When it ends, in milliseconds since the Unix epoch.
    pub until_ms: u64,
    /// The link. Of a wildcard domain it has a name of its own in the place of the asterisk.
    pub url: String,
}

/// The answer of `preview.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PreviewList {
    /// Those that last still.
    pub previews: Vec<PreviewInfo>,
}

/// The answer of `preview.revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Revoked {
    /// The numbers of those that ended.
    pub ended: Vec<u64>,
}

impl Run for Make {
    async fn run(server: &Dispatch, params: MakeParams, call: &Call) -> Answered<Self> {
        let MakeParams { domain, tag, time_ms } = params;
        let time = time_ms.map_or(TIME, |ms| Duration::from_millis(ms.min(MOST_MS)));
        let (domain, preview) =
            server.control.make_preview(call.caller(), domain, tag, time).await?;
        Ok(info(server, &domain, preview))
    }
}

impl Run for List {
    async fn run(server: &Dispatch, params: ListParams, _: &Call) -> Answered<Self> {
        let snapshot = server.control.snapshot();
        let host = &find::domain(&snapshot, &params.domain)?.virtual_host;
        let previews = host.beside.previews.iter();
        let previews = previews.map(|preview| info(server, &host.domain, preview.clone()));
        Ok(PreviewList { previews: previews.collect() })
    }
}

impl Run for Revoke {
    async fn run(server: &Dispatch, params: RevokeParams, call: &Call) -> Answered<Self> {
        let RevokeParams { domain, id } = params;
        let ended = server.control.revoke_previews(call.caller(), domain, id).await?;
        Ok(Revoked { ended: ended.iter().map(|preview| preview.id).collect() })
    }
}

fn info(server: &Dispatch, domain: &DomainName, preview: Preview) -> PreviewInfo {
    let snapshot = server.control.snapshot();
    let url = server.facts.explainer.preview_url(&snapshot, domain, &preview).unwrap_or_default();
    let Preview { id, tag, until_ms } = preview;
    PreviewInfo { id, domain: domain.clone(), tag, until_ms, url }
}
