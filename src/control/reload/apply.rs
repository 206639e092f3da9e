//! A merge on its way into the live state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::left::Left;
use crate::config::Declared;
use crate::control::claims::Claim;
use crate::control::configuration::off_the_runtime;
use crate::control::peer::FILES;
use crate::control::plane::Edit;
use crate::control::reconcile::{Merged, check_served, merge, same};
use crate::control::{ControlError, ControlPlane, gate};
use crate::model::{Actor, EntryChange, EntryKind, EventKind, ReloadProgress, SwitchStep, Tag};
use crate::state::{ReadAgain, Snapshot};

/// How often a reload is planned anew because others changed the state while it was checked.
const ATTEMPTS: usize = 5;

/// A config that is to be merged into the live state.
pub(super) struct Merge<'a> {
    pub(super) control: &'a ControlPlane,
    /// Where the config comes from.
    pub(super) path: String,
    /// What was applied last.
    pub(super) applied: Arc<Declared>,
    /// What is to be applied.
    pub(super) declared: Arc<Declared>,
    /// Whether the files of backends are read again, though nothing is declared otherwise.
    pub(super) reads_files: bool,
}

/// What a merge did, or would do.
pub(super) struct Done {
    pub(super) revision: u64,
    pub(super) told: Vec<EntryChange>,
    pub(super) steps: Vec<SwitchStep>,
    pub(super) left: Left,
    /// Keeps others from switching the domains that moved.
    pub(super) claim: Option<Claim>,
}

impl Merge<'_> {
    /// What it would do now.
    pub(super) async fn preview(&self, force: bool) -> Result<Done, ControlError> {
        let Plan { revision, merged, left, .. } = self.plan(force).await?;
        let Merged { told, steps, .. } = merged;
        Ok(Done { revision, told, steps, left, claim: None })
    }

    /// Proves what must be proven and commits. `settings` is what else changed, for the history.
    pub(super) async fn apply(
        &self,
        actor: Actor,
        force: bool,
        settings: &[EntryChange],
        progress: &(impl Fn(ReloadProgress) + Send + Sync),
    ) -> Result<Done, ControlError> {
        for _ in 0..ATTEMPTS {
            let plan = self.plan(force).await?;
            let steps = &plan.merged.steps;
            let claim = (!steps.is_empty())
                .then(|| self.control.inner.claims.take(steps, false))
                .transpose()?;
            if !force {
                self.prove(&plan, progress).await?;
            }
            if let Some(done) = self.commit(actor.clone(), plan, force, settings).await? {
                return Ok(Done { claim, ..done });
            }
        }
        Err(ControlError::NeverStill)
    }

    /// Commits without any proof: nobody is served yet.
    pub(super) async fn at_start(
        &self,
        check: impl Fn(&Snapshot) -> Result<(), ControlError> + Send,
    ) -> Result<(), ControlError> {
        let plan = self.plan(false).await?;
        check(&plan.next)?;
        let committed = self.commit(Actor::File, plan, false, &[]).await?;
        committed.map(drop).ok_or(ControlError::NeverStill)
    }

    async fn plan(&self, force: bool) -> Result<Plan, ControlError> {
        let (applied, declared) = (Arc::clone(&self.applied), Arc::clone(&self.declared));
        let (live, reads_files) = (self.control.snapshot(), self.reads_files);
        off_the_runtime(move || Plan::new(&live, &applied, &declared, force, reads_files)).await
    }

    /// Proves every tag that the config makes live, on the state as it would be.
    async fn prove(
        &self,
        plan: &Plan,
        progress: &(impl Fn(ReloadProgress) + Send + Sync),
    ) -> Result<(), ControlError> {
        let options = self.control.options();
        let deadline = Instant::now() + options.gate_timeout;
        let tags: BTreeSet<&Tag> = plan.merged.steps.iter().map(|step| &step.to).collect();
        for tag in tags {
            let told = |healthy, needed, total| {
                progress(ReloadProgress::Checking { tag: tag.clone(), healthy, needed, total });
            };
            let (percent, probe) = (options.min_healthy_percent, &self.control.inner.probe);
            let timeout = deadline.saturating_duration_since(Instant::now());
            gate::prove(&plan.next, tag, percent, timeout, probe, told).await?;
        }
        Ok(())
    }

    /// Commits the plan. When the state has changed since, the plan is made anew; `None` when that
    /// one moves domains, for it was not proven.
    async fn commit(
        &self,
        actor: Actor,
        plan: Plan,
        force: bool,
        settings: &[EntryChange],
    ) -> Result<Option<Done>, ControlError> {
        let (applied, declared) = (Arc::clone(&self.applied), Arc::clone(&self.declared));
        let (path, settings) = (self.path.clone(), settings.to_vec());
        let reads_files = self.reads_files;
        let (committed, done) = self
            .control
            .change_and(actor, move |now| {
                let plan = if plan.revision == now.revision() {
                    plan
                } else {
                    let anew = Plan::new(now, &applied, &declared, force, reads_files)?;
                    if !anew.merged.steps.is_empty() {
                        return Ok((None, None));
                    }
                    anew
                };
                let (edit, done) = plan.into_edit(path, &declared, &settings);
                Ok((edit, Some(done)))
            })
            .await?;
        let revision = committed.map(|applied| applied.snapshot.revision());
        Ok(done.map(|done| Done { revision: revision.unwrap_or(done.revision), ..done }))
    }
}

/// A merge on the state of one revision.
struct Plan {
    revision: u64,
    merged: Merged,
    /// The state after it, not published.
    next: Snapshot,
    left: Left,
    /// Whether the file declares what it declared before.
    same: bool,
    /// What became of the files of backends.
    files: Vec<ReadAgain>,
}

impl Plan {
    fn new(
        live: &Snapshot,
        applied: &Declared,
        declared: &Declared,
        force: bool,
        reads_files: bool,
    ) -> Result<Self, ControlError> {
        let same = same(applied, declared);
        let mut merged = if same { Merged::default() } else { merge(live, applied, declared)? };
        let revision = live.revision();
        let next = if merged.changes.is_empty() {
            live.clone()
        } else {
            live.after(merged.changes.clone(), revision + 1)
        };
        if !force {
            check_served(live, &next, &merged)?;
        }
        let left = Left::of(live, &next, &merged.changes);
        let (next, files) =
            if reads_files { next.with_files_read_again(None) } else { (next, Vec::new()) };
        for read in &files {
            if let ReadAgain::Changed(id) = read {
                merged.tell_more(EntryKind::Backend, id, FILES.to_owned());
            }
        }
        Ok(Self { revision, merged, next, left, same, files })
    }

    /// What is committed, if anything, and what is told of it.
    fn into_edit(
        self,
        path: String,
        declared: &Declared,
        settings: &[EntryChange],
    ) -> (Option<Edit>, Done) {
        let Self { revision, merged, next, left, same, files } = self;
        for read in &files {
            if let ReadAgain::Kept(id, error) = read {
                let (error, hint) = (error.to_string(), error.hint());
                tracing::warn!(backend_id = %id, error, hint, "a TLS file is not read again");
            }
        }
        let is_renewed = files.iter().any(|read| matches!(read, ReadAgain::Changed(_)));
        let Merged { changes, told, domains, steps } = merged;
        let changed = told.iter().chain(settings).map(ToString::to_string).collect();
        let next = (is_renewed || !changes.is_empty()).then_some(next);
        let edit = (!same || is_renewed || !settings.is_empty()).then(|| Edit {
            changes,
            event: EventKind::FileApplied { path, changed, domains },
            applied_file: (!same).then(|| declared.to_json()),
            next,
        });
        (edit, Done { revision, told, steps, left, claim: None })
    }
}
