//! A merge on its way into the live state.

use std::sync::Arc;
use std::time::Instant;

use crate::config::Declared;
use crate::control::claims::Claim;
use crate::control::edit::Edit;
use crate::control::files::FILES;
use crate::control::left::Left;
use crate::control::plan::joined;
use crate::control::plane::off_the_runtime;
use crate::control::reconcile::{Clash, Merged, check_apps, check_served, merge, same};
use crate::control::{ControlError, ControlPlane, gate};
use crate::model::{
    Actor, Backend, Change, EntryChange, EntryKind, EventKind, ReloadProgress, SwitchStep,
};
use crate::state::{ReadyMade, Snapshot};
use crate::tls::PeerFiles;

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
    /// What was read of the files of backends a moment ago.
    pub(super) files: PeerFiles,
    pub(super) clash: Clash,
}

/// What a merge did, or would do.
pub(super) struct Done {
    pub(super) revision: u64,
    pub(super) entries: Vec<EntryChange>,
    pub(super) steps: Vec<SwitchStep>,
    pub(super) left: Left,
    /// Keeps others from switching the domains that moved.
    pub(super) claim: Option<Claim>,
}

impl Merge<'_> {
    /// What it would do now.
    pub(super) async fn preview(&self, force: bool) -> Result<Done, ControlError> {
        let Plan { revision, merged, left, .. } = self.plan(force).await?;
        let Merged { entries, steps, .. } = merged;
        Ok(Done { revision, entries, steps, left, claim: None })
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
        let (live, mut files) = (self.control.snapshot(), self.files.clone());
        let clash = self.clash;
        off_the_runtime(move || {
            let same = same(&applied, &declared);
            let merged = changed(&live, &applied, &declared, same, clash)?;
            for backend in merged.backends().chain(live.backends().map(|node| &node.backend)) {
                if let Err(error) = files.read(&backend.options) {
                    let (error, hint) = (error.to_string(), error.hint());
                    tracing::warn!(backend_id = %backend.id, error, hint, "a TLS file cannot be used");
                }
            }
            Plan::new(&live, merged, files, same, force)
        })
        .await
    }

    /// Proves every tag that the config makes live, on the state as it would be.
    async fn prove(
        &self,
        plan: &Plan,
        progress: &(impl Fn(ReloadProgress) + Send + Sync),
    ) -> Result<(), ControlError> {
        let options = self.control.options();
        let deadline = Instant::now() + options.gate_timeout;
        for pool in joined(&plan.next, &plan.merged.steps)? {
            let tag = &pool.tag;
            let on_change = |healthy, needed, total| {
                progress(ReloadProgress::Checking { tag: tag.clone(), healthy, needed, total });
            };
            let (percent, probe) =
                (options.min_healthy_percent, &self.control.inner.services.probe);
            let timeout = deadline.saturating_duration_since(Instant::now());
            let gate = gate::prove(&plan.next, &pool, percent, timeout, probe, on_change);
            self.control.unless_taken_over(gate).await?;
        }
        Ok(())
    }

    /// Commits the plan. When the state has changed since, the plan is made anew; `None` when that
    /// one moves domains, which was not proven, or names a file that was not read.
    async fn commit(
        &self,
        actor: Actor,
        plan: Plan,
        force: bool,
        settings: &[EntryChange],
    ) -> Result<Option<Done>, ControlError> {
        let (applied, declared) = (Arc::clone(&self.applied), Arc::clone(&self.declared));
        let (path, settings) = (self.path.clone(), settings.to_vec());
        let clash = self.clash;
        let (committed, done) = self
            .control
            .change_and(actor, move |now| {
                let plan = if plan.revision == now.revision() {
                    plan
                } else {
                    let merged = changed(now, &applied, &declared, plan.same, clash)?;
                    let is_read = |backend: &Backend| plan.files.of(&backend.options).is_some();
                    if !merged.steps.is_empty() || !merged.backends().all(is_read) {
                        return Ok((None, None));
                    }
                    Plan::new(now, merged, plan.files, plan.same, force)?
                };
                let (edit, done) = plan.into_edit(path, &declared, &settings);
                Ok((edit, Some(done)))
            })
            .await?;
        let revision = committed.map(|applied| applied.snapshot.revision());
        Ok(done.map(|done| Done { revision: revision.unwrap_or(done.revision), ..done }))
    }
}

/// What the config changes about `live`; nothing where it is the same as the one applied last.
fn changed(
    live: &Snapshot,
    applied: &Declared,
    declared: &Declared,
    same: bool,
    clash: Clash,
) -> Result<Merged, ControlError> {
    if same { Ok(Merged::default()) } else { merge(live, applied, declared, clash) }
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
    /// What was read of the files of backends.
    files: PeerFiles,
}

impl Plan {
    fn new(
        live: &Snapshot,
        mut merged: Merged,
        files: PeerFiles,
        same: bool,
        force: bool,
    ) -> Result<Self, ControlError> {
        merged.take_in(live, &files);
        let revision = live.revision();
        let next = if merged.changes.is_empty() {
            live.clone()
        } else {
            live.after_reading(merged.changes.clone(), &files, &ReadyMade::new(), revision + 1)
        };
        check_apps(&next, &merged)?;
        if !force {
            check_served(live, &next, &merged)?;
        }
        let left = Left::of(live, &next, &merged.changes);
        Ok(Self { revision, merged, next, left, same, files })
    }

    /// What is committed, if anything, and what is reported.
    fn into_edit(
        self,
        path: String,
        declared: &Declared,
        settings: &[EntryChange],
    ) -> (Option<Edit>, Done) {
        let Self { revision, merged, next, left, same, files: _ } = self;
        let Merged { changes, entries, domains, steps } = merged;
        let changed = entries.iter().chain(settings).map(ToString::to_string).collect();
        let edit = (!same || !changes.is_empty() || !settings.is_empty()).then(|| {
            let next = (!changes.is_empty()).then_some(next);
            let applied_file = (!same).then(|| declared.to_json());
            let event = EventKind::FileApplied { path, changed, domains };
            Edit { applied_file, next, ..Edit::new(changes, event) }
        });
        (edit, Done { revision, entries, steps, left, claim: None })
    }
}

impl Merged {
    /// The backends that are added or changed.
    fn backends(&self) -> impl Iterator<Item = &Backend> {
        self.changes.iter().filter_map(|change| match change {
            Change::PutBackend(backend) => Some(backend),
            Change::PutDomain(_)
            | Change::DropDomain(_)
            | Change::DropBackend(_)
            | Change::PutApp(_)
            | Change::DropApp(_) => None,
        })
    }

    /// Adds the backends whose files hold something else than what handshakes go by.
    fn take_in(&mut self, live: &Snapshot, files: &PeerFiles) {
        for node in live.backends().filter(|node| node.differs_from(files)) {
            let backend = &node.backend;
            if self.changes.contains(&Change::DropBackend(backend.id.clone())) {
                continue;
            }
            let put = self.backends().find(|put| put.id == backend.id);
            match put.map(|put| put.options.connection() == backend.options.connection()) {
                Some(true) => {}
                // What it is reached by changes as a whole.
                Some(false) => continue,
                None => self.changes.push(Change::PutBackend(backend.clone())),
            }
            self.tell_more(EntryKind::Backend, &backend.id, FILES.to_owned());
        }
    }
}
