//! Methods on the config that the server runs by.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::NoParams;
use crate::control::{ControlError, ReloadOptions, Secrets};
use crate::model::{
    Difference, EntryChange, NeedsRestart, ReloadProgress, ReloadReport, nonzero_millis,
};
use crate::rpc::dispatch::{Call, Dispatch, to_its_end};
use crate::rpc::run::{Answered, Run, methods};

methods! {
    /// Reads the config again and applies what changed in it. Removed entries are drained.
    Reload, "config.reload", ReloadParams => ReloadReport, progress ReloadProgress,
        faults [Conflict, Unhealthy];
    /// Where the live state differs from the config as it was last applied.
    Diff, "config.diff", NoParams => ConfigDiff;
    /// The settings and the live state as the text of a config file.
    Export, "config.export", ExportParams => ConfigExport;
    /// The settings of the server, and where each comes from.
    Show, "config.show", ShowParams => ShownConfig;
}

/// What `config.export` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportParams {
    /// Write the hashes of passwords too, so that the file can be used as it is. The values of references to
    /// the environment are never written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secrets: bool,
}

/// What `config.reload` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReloadParams {
    /// Only report what it would do. Nothing is probed.
    #[serde(default)]
    pub dry_run: bool,
    /// Skip the gate of domains that move to another tag, and allow a live tag to lose its last backend.
    #[serde(default)]
    pub force: bool,
    /// Answer once the config is applied, without waiting for the requests of removed entries.
    #[serde(default)]
    pub no_drain: bool,
    /// How long they may take to end. The default is the config's time-out.
    #[serde(default, deserialize_with = "nonzero_millis")]
    #[schemars(range(min = 1))]
    pub drain_timeout_ms: Option<u64>,
}

/// The answer of `config.diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ConfigDiff {
    /// The revision of the state that was compared.
    pub revision: u64,
    /// Where the config comes from, usually a path.
    pub source: String,
    /// The differences, by kind and name.
    pub differences: Vec<Difference>,
    /// What a reload would change now.
    pub pending: Vec<EntryChange>,
    /// Changed settings that need a restart.
    pub needs_restart: Vec<NeedsRestart>,
    /// Why the current config can't be applied.
    pub problem: Option<String>,
}

/// The answer of `config.export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ConfigExport {
    /// The revision of the state that was exported.
    pub revision: u64,
    /// The config file.
    pub text: String,
    /// Why the file can't be used as it is.
    pub warnings: Vec<String>,
}

/// Which settings to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowParams {
    /// Show every key, also those with their default.
    #[serde(default)]
    pub effective: bool,
    /// Only this key, or the keys of this section: `proxy.threads`, `proxy`.
    pub key: Option<String>,
}

/// The settings of the server. Domains and backends are state: other methods show them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ShownConfig {
    /// The revision of the state.
    pub revision: u64,
    /// The keys, in the order of the sections.
    pub settings: Vec<ShownSetting>,
}

/// A key of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ShownSetting {
    /// Section and key, such as `proxy.threads`.
    pub key: String,
    /// The value as written in a file; null if there is neither a value nor a default. References to the
    /// environment are not replaced: `${NAME}`.
    pub value: Option<Value>,
    /// Where the value came from: `default`, `FILE:LINE`, `environment` or `command line`.
    pub from: String,
    /// Whether it is set, not a default.
    pub set: bool,
}

impl Run for Reload {
    async fn run(server: &Dispatch, params: ReloadParams, call: &Call) -> Answered<Self> {
        let ReloadParams { dry_run, force, no_drain, drain_timeout_ms } = params;
        if dry_run {
            return Ok(server.configuration.preview(force).await?);
        }
        let drain_timeout = drain_timeout_ms.map(Duration::from_millis);
        let options = ReloadOptions { force, no_drain, drain_timeout };
        let report = call.reporter::<Self>();
        let (configuration, actor) = (server.configuration.clone(), call.actor.clone());
        to_its_end(async move { configuration.reload(actor, options, report).await }).await
    }
}

impl Run for Diff {
    async fn run(server: &Dispatch, _: NoParams, _: &Call) -> Answered<Self> {
        let (snapshot, differences) = server.control.differences().await?;
        let (pending, problem) = match server.configuration.preview(true).await {
            Ok(pending) => (Some(pending), None),
            // Nothing can be pending.
            Err(ControlError::NoFile { .. }) => (None, None),
            Err(error) => (None, Some(error.in_full())),
        };
        Ok(ConfigDiff {
            revision: snapshot.revision(),
            source: server.configuration.source().to_string(),
            differences,
            needs_restart: pending.as_ref().map(|p| p.needs_restart.clone()).unwrap_or_default(),
            pending: pending.map(|pending| pending.changed).unwrap_or_default(),
            problem,
        })
    }
}

impl Run for Export {
    async fn run(server: &Dispatch, params: ExportParams, _: &Call) -> Answered<Self> {
        let ExportParams { secrets } = params;
        let secrets = if secrets { Secrets::Written } else { Secrets::Hidden };
        let exported = server.configuration.export(secrets).await?;
        Ok(ConfigExport {
            revision: exported.revision,
            text: exported.text,
            warnings: exported.warnings,
        })
    }
}

impl Run for Show {
    async fn run(server: &Dispatch, params: ShowParams, _: &Call) -> Answered<Self> {
        let ShowParams { effective, key } = params;
        let is_asked = |name: &str| {
            let rest = key.as_deref().map_or(Some(""), |key| name.strip_prefix(key));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let settings = server.configuration.settings();
        let settings = settings
            .iter()
            .filter(|setting| (effective || setting.is_set()) && is_asked(&setting.key));
        let settings = settings.map(|setting| ShownSetting {
            key: setting.key.clone(),
            value: setting.value.clone(),
            from: setting.from.to_string(),
            set: setting.is_set(),
        });
        Ok(ShownConfig {
            revision: server.control.snapshot().revision(),
            settings: settings.collect(),
        })
    }
}
