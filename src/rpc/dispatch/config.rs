//! The methods on the config.

use std::time::Duration;

use serde_json::Value;

use super::{Call, Dispatch, Failure, read, to_its_end, write};
use crate::control::{ControlError, ReloadOptions, Secrets};
use crate::rpc::methods::{NoParams, config};

impl Dispatch {
    pub(super) async fn reload(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let config::ReloadParams { dry_run, force, no_drain, drain_timeout_ms } = read(params)?;
        if dry_run {
            return write::<config::Reload>(&self.configuration.preview(force).await?);
        }
        let drain_timeout = drain_timeout_ms.map(Duration::from_millis);
        let options = ReloadOptions { force, no_drain, drain_timeout };
        let report = call.reporter::<config::Reload>();
        let (configuration, actor) = (self.configuration.clone(), call.actor.clone());
        let report =
            to_its_end(async move { configuration.reload(actor, options, report).await }).await?;
        write::<config::Reload>(&report)
    }

    pub(super) async fn diff_config(&self, params: Value) -> Result<Value, Failure> {
        let NoParams {} = read(params)?;
        let (snapshot, differences) = self.control.differences().await?;
        let pending = self.configuration.preview(true).await;
        let (pending, problem) = match pending {
            Ok(pending) => (Some(pending), None),
            // Nothing can be pending.
            Err(ControlError::NoFile { .. }) => (None, None),
            Err(error) => (None, Some(error.in_full())),
        };
        write::<config::Diff>(&config::ConfigDiff {
            revision: snapshot.revision(),
            source: self.configuration.source().to_string(),
            differences,
            needs_restart: pending.as_ref().map(|p| p.needs_restart.clone()).unwrap_or_default(),
            pending: pending.map(|pending| pending.changed).unwrap_or_default(),
            problem,
        })
    }

    pub(super) async fn export_config(&self, params: Value) -> Result<Value, Failure> {
        let config::ExportParams { secrets } = read(params)?;
        let secrets = if secrets { Secrets::Written } else { Secrets::Hidden };
        let exported = self.configuration.export(secrets).await?;
        write::<config::Export>(&config::ConfigExport {
            revision: exported.revision,
            text: exported.text,
            warnings: exported.warnings,
        })
    }

    pub(super) fn show_config(&self, params: Value) -> Result<Value, Failure> {
        let config::ShowParams { effective, key } = read(params)?;
        let is_asked = |name: &str| {
            let rest = key.as_deref().map_or(Some(""), |key| name.strip_prefix(key));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let settings = self.configuration.settings();
        let settings = settings
            .iter()
            .filter(|setting| (effective || setting.is_set()) && is_asked(&setting.key));
        let settings = settings.map(|setting| config::ShownSetting {
            key: setting.key.clone(),
            value: setting.value.clone(),
            from: setting.from.to_string(),
            set: setting.is_set(),
        });
        write::<config::Show>(&config::ShownConfig {
            revision: self.control.snapshot().revision(),
            settings: settings.collect(),
        })
    }
}
