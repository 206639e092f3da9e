//! The control plane: validate, persist, publish, answer.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, watch};

use super::announce::announce;
use super::claims::{Claims, UnderWay};
use super::edit::Edit;
use super::followers::{Follow, TellOutcome};
use super::{Caller, ControlError, Hooks, Reach, Services, files};
use crate::clock::now_ms;
use crate::counters::{Elsewhere, Metrics};
use crate::crash_point::crash_point;
use crate::model::{Actor, DomainName, EventKind, HealthCheckOptions};
use crate::state::{Publisher, Reader, Snapshot};
use crate::store::{Commit, HistoryReader, Store, StoreError};

/// The settings of the control plane.
#[derive(Debug, Clone)]
pub(crate) struct ControlOptions {
    /// How long a new tag may take to be healthy.
    pub gate_timeout: Duration,
    /// How long requests of an old tag, or of a backend, may take to end.
    pub drain_timeout: Duration,
    /// The share of a new tag's ready backends that must be proven healthy, in percent.
    pub min_healthy_percent: u8,
    /// The share of an old tag's capacity that a new one must have, in percent; 0 is not to look at it.
    pub min_capacity_percent: u8,
    /// Requests that may run at once on a backend that has no limit of its own; nothing is any number.
    pub max_requests_per_backend: Option<NonZeroUsize>,
    /// How backends are probed that don't say otherwise.
    pub health_check: HealthCheckOptions,
    /// The keys of it that refer to the environment, as the file writes them: nobody is shown what they
    /// stand for.
    pub health_check_written: Map<String, Value>,
    /// What commands may have the server reach.
    pub reach: Reach,
    /// Who may be asked before a change.
    pub hooks: Hooks,
}

/// The one writer of the state. Cloned handles share it.
#[derive(Clone)]
pub(crate) struct ControlPlane {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// Reads the history beside the changes.
    history: HistoryReader,
    /// Held only while a change is committed and published, and never across an await: changes come
    /// one after the other, off the threads that carry traffic.
    writer: Mutex<Writer>,
    /// Those who read the history come one at a time, so that they take one thread at most, and who goes
    /// away meanwhile costs nothing.
    reads: Semaphore,
    pub(super) reader: Reader,
    pub(super) options: ArcSwap<ControlOptions>,
    pub(super) services: Services,
    pub(super) metrics: Arc<Metrics>,
    pub(super) elsewhere: Elsewhere,
    /// The number of the newest event when this process began.
    pub(super) started_with: u64,
    /// Turns to true when another process has taken over.
    pub(super) over: watch::Sender<bool>,
    /// Takes the outcomes of drains once another process has taken over.
    pub(super) outcomes: OnceLock<TellOutcome>,
    pub(super) claims: Claims,
    /// How often the history was written to, for those who watch it.
    pub(super) written: watch::Sender<u64>,
}

pub(super) struct Writer {
    pub(super) store: Store,
    pub(super) publisher: Publisher,
    /// Another process has taken over: nothing is written here any more.
    pub(super) is_over: bool,
    /// Processes that were replaced, and follow the state.
    pub(super) followers: Option<Follow>,
}

/// A change that has been persisted and published.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) snapshot: Arc<Snapshot>,
    /// The number of its event.
    pub(super) event: u64,
    /// What its event says of it.
    pub(super) changed: Vec<String>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Effect {
    /// The state after it, or of now when there was nothing to change.
    pub snapshot: Arc<Snapshot>,
    /// What it changed, as the history has it.
    pub changed: Vec<String>,
}

impl Effect {
    fn none(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, changed: Vec::new() }
    }
}

impl From<Applied> for Effect {
    fn from(Applied { snapshot, changed, event: _ }: Applied) -> Self {
        Self { snapshot, changed }
    }
}

impl ControlPlane {
    /// Takes over the store and the writing end of the publication.
    pub(crate) fn new(
        store: Store,
        publisher: Publisher,
        reader: Reader,
        options: ControlOptions,
        services: Services,
        metrics: Arc<Metrics>,
        elsewhere: Elsewhere,
    ) -> Self {
        let history = store.history();
        // If it can't be read, it will be logged where the end of a drain can't be written.
        let started_with = history.newest().unwrap_or_default();
        let writer = Mutex::new(Writer { store, publisher, is_over: false, followers: None });
        let claims = Claims::default();
        let options = ArcSwap::from_pointee(options);
        let written = watch::Sender::default();
        Self {
            inner: Arc::new(Inner {
                history,
                writer,
                reads: Semaphore::new(1),
                reader,
                options,
                services,
                metrics,
                elsewhere,
                started_with,
                over: watch::Sender::new(false),
                outcomes: OnceLock::new(),
                claims,
                written,
            }),
        }
    }

    /// The state of now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.reader.load()
    }

    /// How far the switch or deploy of `domain` is that is under way: `checking` or `draining`.
    pub(crate) fn switch_phase(&self, domain: &DomainName) -> Option<&'static str> {
        self.under_way(domain).map(UnderWay::phase)
    }

    /// The switch or deploy of `domain` that is under way.
    pub(super) fn under_way(&self, domain: &DomainName) -> Option<UnderWay> {
        self.inner.claims.under_way(domain)
    }

    /// The settings in effect.
    pub(crate) fn options(&self) -> Arc<ControlOptions> {
        self.inner.options.load_full()
    }

    /// Puts other settings into effect.
    pub(crate) fn set_options(&self, options: ControlOptions) {
        self.inner.options.store(Arc::new(options));
    }

    /// Plans an edit on the state of now and applies it; nobody else changes the state in between.
    /// `None` from the plan means that there is nothing to do.
    pub(super) async fn change(
        &self,
        caller: impl Into<Caller> + Send,
        plan: impl FnOnce(&Snapshot) -> Result<Option<Edit>, ControlError> + Send + 'static,
    ) -> Result<Option<Applied>, ControlError> {
        let plan = move |snapshot: &Snapshot| Ok((plan(snapshot)?, ()));
        Ok(self.change_and(caller, plan).await?.0)
    }

    /// Plans an edit on the state of now, reads the files that it names, and applies it where it is still the
    /// same when nobody else can change the state; otherwise it begins again. So nobody waits for a file
    /// but who names it.
    pub(super) async fn edit_reading(
        &self,
        caller: impl Into<Caller> + Send,
        plan: impl Fn(&Snapshot, &Reach) -> Result<Option<Edit>, ControlError> + Send + 'static,
    ) -> Result<Effect, ControlError> {
        let (inner, caller, options) = (Arc::clone(&self.inner), caller.into(), self.options());
        off_the_runtime(move || {
            loop {
                let before = inner.reader.load();
                caller.has_seen(before.revision())?;
                let Some(edit) = plan(&before, &options.reach)? else {
                    return Ok(Effect::none(before));
                };
                let files = files::read(&options.reach, caller.file_errors(), &before, &edit)?;

                let mut writer = inner.writer()?;
                let now = inner.reader.load();
                caller.has_seen(now.revision())?;
                let is_same = Arc::ptr_eq(&before, &now)
                    || plan(&now, &options.reach)?.is_some_and(|anew| {
                        anew.changes == edit.changes && anew.event == edit.event
                    });
                if !is_same {
                    continue;
                }
                let Some(edit) = edit.with_files(&now, files) else {
                    return Ok(Effect::none(now));
                };
                let applied = writer.apply(&now, &caller.actor, edit)?;
                inner.written.send_modify(|times| *times += 1);
                return Ok(applied.into());
            }
        })
        .await
    }

    /// As [`Self::change`], for commands that end with their edit.
    pub(super) async fn edit(
        &self,
        caller: impl Into<Caller> + Send,
        plan: impl FnOnce(&Snapshot) -> Result<Option<Edit>, ControlError> + Send + 'static,
    ) -> Result<Effect, ControlError> {
        let applied = self.change(caller, plan).await?;
        Ok(applied.map_or_else(|| Effect::none(self.snapshot()), Effect::from))
    }

    /// As [`Self::change`], with what else the plan has found.
    pub(super) async fn change_and<T: Send + 'static>(
        &self,
        caller: impl Into<Caller> + Send,
        plan: impl FnOnce(&Snapshot) -> Result<(Option<Edit>, T), ControlError> + Send + 'static,
    ) -> Result<(Option<Applied>, T), ControlError> {
        let caller = caller.into();
        self.writing(move |writer, reader| {
            let before = reader.load();
            caller.has_seen(before.revision())?;
            let (edit, found) = plan(&before)?;
            let applied =
                edit.map(|edit| writer.apply(&before, &caller.actor, edit)).transpose()?;
            Ok((applied, found))
        })
        .await
    }

    /// Adds to the history what changed nothing.
    pub(super) async fn record(&self, actor: Actor, event: EventKind) -> Result<(), ControlError> {
        self.record_end(actor, event, None).await
    }

    /// Writes that an operation has begun. `event` is what the history will have of it if the server stops before
    /// it ends.
    pub(super) async fn begin(&self, actor: Actor, event: EventKind) -> Result<u64, ControlError> {
        let event = event.bounded();
        self.with_writer(move |writer, _| Ok(writer.store.begin_operation(&actor, &event)?)).await
    }

    /// Adds to the history how an operation ended that changed nothing.
    pub(super) async fn end(
        &self,
        operation: u64,
        actor: Actor,
        event: EventKind,
    ) -> Result<(), ControlError> {
        self.record_end(actor, event, Some(operation)).await
    }

    async fn record_end(
        &self,
        actor: Actor,
        event: EventKind,
        ends_operation: Option<u64>,
    ) -> Result<(), ControlError> {
        let event = event.bounded();
        self.writing(move |writer, reader| {
            let revision = reader.load().revision();
            let at_ms = now_ms();
            writer.store.commit(&Commit {
                changes: &[],
                revision,
                at_ms,
                actor: &actor,
                event: &event,
                applied_file: None,
                ends_operation,
            })?;
            Ok(())
        })
        .await
    }

    /// Reads the history; no change waits for it.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&HistoryReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let _turn = self.inner.reads.acquire().await.map_err(|_| ControlError::Stopping)?;
        let history = self.inner.history.clone();
        off_the_runtime(move || Ok(work(&history)?)).await
    }

    /// Writes, and wakes those who watch the history.
    pub(super) async fn writing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer, &Reader) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let written = self.with_writer(work).await?;
        self.inner.written.send_modify(|times| *times += 1);
        Ok(written)
    }

    pub(super) async fn with_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer, &Reader) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let inner = Arc::clone(&self.inner);
        off_the_runtime(move || work(&mut *inner.writer()?, &inner.reader)).await
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, Writer> {
        // A panic while it was held left either the old state or the new one on the disk, and
        // the snapshot is replaced in one store: there is no half state to fear.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, ControlError> {
        let writer = self.lock();
        if writer.is_over { Err(ControlError::TakenOver) } else { Ok(writer) }
    }
}

impl Writer {
    fn apply(
        &mut self,
        before: &Snapshot,
        actor: &Actor,
        edit: Edit,
    ) -> Result<Applied, ControlError> {
        let Edit {
            changes,
            event,
            applied_file,
            reads_again: _,
            files,
            ready_made,
            ends_operation,
            next,
        } = edit;
        let event = event.bounded();
        let changed = event.phrases();
        let revision = before.revision() + u64::from(!changes.is_empty());
        let number = self.store.commit(&Commit {
            changes: &changes,
            revision,
            at_ms: now_ms(),
            actor,
            event: &event,
            applied_file: applied_file.as_deref(),
            ends_operation,
        })?;
        announce(revision, actor, &event);
        // One that has to follow gets a copy, before they are used up.
        let followed = self.followers.as_ref().map(|_| changes.clone()).unwrap_or_default();
        let snapshot = match next {
            Some(next) => self.publisher.publish(next),
            None if changes.is_empty() => self.publisher.now(),
            None => {
                let next = before.after_reading(changes, &files, &ready_made, revision);
                self.publisher.publish(next)
            }
        };
        if let Some(follow) = self.followers.as_ref().filter(|_| !followed.is_empty()) {
            follow(&snapshot, &followed);
        }
        crash_point("published");
        Ok(Applied { snapshot, event: number, changed })
    }
}

/// Does what takes its time off the threads of the runtime.
pub(super) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ControlError> + Send + 'static,
) -> Result<T, ControlError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ControlError::Stopping)?
}
