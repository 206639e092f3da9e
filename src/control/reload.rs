//! The reload: read, merge, prove, apply, drain. All of it or nothing.

mod apply;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::configuration::Configuration;
use super::reconcile::Clash;
use super::settings::{SettingsChange, compare};
use super::{ControlError, ControlPlane, drain};
use crate::clock::whole_millis;
use crate::config::{Config, Declared, Problem};
use crate::model::{
    Actor, EntryKind, Made, Outcome, ReloadEnd, ReloadProgress, ReloadReport, SwitchEnd,
};
use crate::state::Snapshot;
use crate::tls::PeerFiles;
use apply::{Done, Merge};

/// How a reload is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReloadOptions {
    /// Skip the gate, and take the last backend from a live tag if the config says so.
    pub force: bool,
    /// Don't wait for the requests of what was removed or left.
    pub no_drain: bool,
    /// How long they may take to end. The default is the config's time-out.
    pub drain_timeout: Option<Duration>,
}

impl Configuration {
    /// Reads the config again and applies what changed in it. What can't change while the server
    /// runs is reported.
    ///
    /// The caller must see to it that this runs to its end even when nobody waits any more.
    ///
    /// # Errors
    /// When the config is wrong, contradicts what was done by commands, would leave a domain without
    /// a backend or move it to one that is not healthy. Then nothing has changed.
    pub(crate) async fn reload(
        &self,
        actor: Actor,
        options: ReloadOptions,
        progress: impl Fn(ReloadProgress) + Send + Sync,
    ) -> Result<ReloadReport, ControlError> {
        let metrics = &self.control.inner.metrics;
        let done = self.apply(actor, options.force, &progress).await;
        metrics.count_reload(if done.is_ok() { ReloadEnd::Applied } else { ReloadEnd::Failed });
        let (done, mut report) = done?;
        if !report.changed.is_empty() {
            progress(ReloadProgress::Applied { revision: report.revision });
        }
        self.drain(done, &options, &progress, &mut report).await;
        if let Some(end) = SwitchEnd::of(&report.outcome) {
            self.control.count_end(&report.steps, end);
        }
        Ok(report)
    }

    async fn apply(
        &self,
        actor: Actor,
        force: bool,
        progress: &(impl Fn(ReloadProgress) + Send + Sync),
    ) -> Result<(Done, ReloadReport), ControlError> {
        // Until the changes are in effect: the next reload compares with them.
        let _turn = self.turn().await;
        let (config, settings, merge) = self.read_and_compare().await?;
        let done = merge.apply(actor, force, &settings.changed, progress).await;
        let done = match done {
            Ok(done) => done,
            Err(error) => return Err(self.control.with_maker(error).await),
        };
        let report = self.report(false, &done, &settings, &config);
        self.put_into_effect(&config, settings);
        Ok((done, report))
    }

    /// Says what [`Self::reload`] would do now, without probing anything.
    ///
    /// # Errors
    /// As of a reload, but for the gate's.
    pub(crate) async fn preview(&self, force: bool) -> Result<ReloadReport, ControlError> {
        let (config, settings, merge) = self.read_and_compare().await?;
        match merge.preview(force).await {
            Ok(done) => Ok(self.report(true, &done, &settings, &config)),
            Err(error) => Err(self.control.with_maker(error).await),
        }
    }

    async fn read_and_compare(&self) -> Result<(Config, SettingsChange, Merge<'_>), ControlError> {
        let mut config = self.read().await?;
        let settings = compare(&self.settings(), &config.effective);
        let declared = Arc::new(std::mem::take(&mut config.declared));
        let applied = Arc::new(self.control.applied().await?.unwrap_or_default());
        let path = self.source().to_string();
        let control = &self.control;
        let files = std::mem::take(&mut config.peer_files);
        let clash = Clash::Refused;
        let merge = Merge { control, path, applied, declared, files, clash };
        Ok((config, settings, merge))
    }

    fn report(
        &self,
        dry_run: bool,
        done: &Done,
        settings: &SettingsChange,
        config: &Config,
    ) -> ReloadReport {
        let in_a_line = |of: &Problem| format!("{}:{}: {of}", of.file.display(), of.line);
        ReloadReport {
            source: self.source().to_string(),
            dry_run,
            revision: done.revision,
            changed: [done.entries.as_slice(), &settings.changed].concat(),
            needs_restart: settings.needs_restart.clone(),
            steps: done.steps.clone(),
            warnings: config.warnings.iter().map(in_a_line).collect(),
            outcome: Outcome::Done,
            drain_ms: 0,
        }
    }

    fn put_into_effect(&self, config: &Config, settings: SettingsChange) {
        self.settle(config, settings.after);
        for fixed in &settings.needs_restart {
            let (key, value) = (&fixed.key, &fixed.file);
            tracing::warn!(key, value, hint = fixed.hint, "a setting is not in effect");
        }
    }

    async fn drain(
        &self,
        done: Done,
        options: &ReloadOptions,
        progress: &(impl Fn(ReloadProgress) + Send + Sync),
        report: &mut ReloadReport,
    ) {
        let Done { left, mut claim, .. } = done;
        if let Some(claim) = &mut claim {
            claim.drains();
        }
        let remaining = || left.remaining(&self.control.snapshot(), &self.control.inner.elsewhere);
        if options.no_drain {
            if remaining() > 0 {
                report.outcome = Outcome::NotDrained;
            }
            return;
        }
        let started = Instant::now();
        let timeout = options.drain_timeout.unwrap_or(self.control.options().drain_timeout);
        let on_change = |remaining| progress(ReloadProgress::Draining { remaining });
        if let Err(remaining) = drain::until_none(remaining, started + timeout, on_change).await {
            report.outcome = Outcome::DrainTimedOut { remaining };
        }
        report.drain_ms = whole_millis(started.elapsed());
    }
}

impl ControlPlane {
    /// Applies what changed in the config file at `path` since `applied`, the declarations that were
    /// applied last. All of it or nothing. `files` was read a moment ago. For a start: nobody is served yet, so nothing is proven; `check`
    /// looks at the state that it leads to.
    ///
    /// # Errors
    /// When the check fails, the file now declares what a command has made with other values, a name is taken, a domain would
    /// lose its last backend, or the change can't be saved.
    pub(crate) async fn apply_file(
        &self,
        path: String,
        applied: Option<Declared>,
        declared: Declared,
        files: PeerFiles,
        check: impl Fn(&Snapshot) -> Result<(), ControlError> + Send,
    ) -> Result<Arc<Snapshot>, ControlError> {
        let applied = Arc::new(applied.unwrap_or_default());
        let declared = Arc::new(declared);
        let clash = Clash::FileHolds;
        let merge = Merge { control: self, path, applied, declared, files, clash };
        match merge.at_start(check).await {
            Ok(()) => Ok(self.snapshot()),
            Err(error) => Err(self.with_maker(error).await),
        }
    }

    /// Says who made what the config contradicts.
    async fn with_maker(&self, mut error: ControlError) -> ControlError {
        let (kind, name, made) = match &mut error {
            ControlError::FileConflict { kind, name, made, .. } => (*kind, name.clone(), made),
            ControlError::FileNameTaken { owner, made, .. } => {
                (EntryKind::Domain, owner.to_string(), made)
            }
            _ => return error,
        };
        let newest = self.reading(move |history| history.newest_of(kind, &name));
        // The conflict must be reported, even if the history can't be read.
        if let Ok(Some(event)) = newest.await {
            *made = Some(Made { actor: event.actor, at_ms: event.at_ms });
        }
        error
    }
}
