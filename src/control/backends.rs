//! Commands on backends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::domains::changes;
use super::edit::Edit;
use super::{Caller, ControlError, ControlPlane, Effect, drain, files, find, loss};
use crate::model::record::{self, Record};
use crate::model::{
    Backend, BackendAddr, BackendId, BackendOptions, BackendState, Change, EventKind, PoolName, Tag,
};
use crate::state::{BackendLive, Snapshot};

/// A backend to be added.
pub(crate) type NewBackend = Backend;

/// What is to change about a backend; what is not given stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct BackendEdit {
    /// Where it listens.
    pub address: Option<BackendAddr>,
    /// What of its options changes.
    pub options: Map<String, Value>,
    /// All of its new tags; they replace the old ones.
    pub tags: Option<BTreeSet<Tag>>,
    /// The state that the operator has set.
    pub state: Option<BackendState>,
    /// Do it even if a live tag loses its last healthy backend.
    pub force: bool,
}

impl ControlPlane {
    /// Adds a backend.
    ///
    /// # Errors
    /// When the id is taken, options don't go together, a file of its TLS can't be used, or it can't be saved.
    pub(crate) async fn add_backend(
        &self,
        caller: impl Into<Caller> + Send,
        new: NewBackend,
    ) -> Result<Effect, ControlError> {
        self.edit_reading(caller, move |snapshot, _| {
            if snapshot.backend(&new.id).is_some() {
                return Err(ControlError::BackendExists { backend: new.id.clone() });
            }
            files::check_options(&new)?;
            find::named_app(snapshot, new.options.app.as_ref())?;
            let event = EventKind::BackendAdded { backend: new.id.clone() };
            Ok(Some(Edit::new(vec![Change::PutBackend(new.clone())], event)))
        })
        .await
    }

    /// Changes a backend, all at once. Requests it has go on.
    ///
    /// # Errors
    /// When there is no such backend, options don't go together, a file of its TLS can't be used, a live tag would
    /// lose its last backend that can serve (unless forced), or it can't be saved.
    pub(crate) async fn set_backend(
        &self,
        caller: impl Into<Caller> + Send,
        id: BackendId,
        edit: BackendEdit,
    ) -> Result<Effect, ControlError> {
        self.edit_reading(caller, move |snapshot, _| {
            let edit = edit.clone();
            let node = find::backend(snapshot, &id)?;
            let before = &node.backend;
            let mut after = before.clone();
            if let Some(address) = edit.address {
                after.address = address;
            }
            let names_files = BackendOptions::FILES
                .iter()
                .any(|key| edit.options.get(*key).is_some_and(|file| !file.is_null()));
            after.options = record::patched(&before.options, edit.options)
                .map_err(|error| ControlError::backend_option(&id, error))?;
            if let Some(tags) = edit.tags {
                after.tags = tags;
            }
            if let Some(state) = edit.state {
                after.state = state;
            }
            if !edit.force {
                loss::check(snapshot, node, left(before, &after))?;
            }
            files::check_options(&after)?;
            find::named_app(snapshot, after.options.app.as_ref())?;
            let changed = changes(before.differences(&after));
            // A file that is named again is read again.
            let reads_again = names_files && before.options.files().eq(after.options.files());
            Ok((reads_again || !changed.is_empty())
                .then(|| Edit { reads_again, ..put(after, changed) }))
        })
        .await
    }

    /// Adds tags to a backend. Tags it carries already stay.
    ///
    /// # Errors
    /// When there is no such backend, or it can't be saved.
    pub(crate) async fn tag_backend(
        &self,
        caller: impl Into<Caller> + Send,
        id: BackendId,
        tags: BTreeSet<Tag>,
    ) -> Result<Effect, ControlError> {
        self.edit(caller, move |snapshot| {
            let before = &find::backend(snapshot, &id)?.backend;
            let mut after = before.clone();
            after.tags.extend(tags);
            Ok(put_changed(before, after))
        })
        .await
    }

    /// Removes tags from a backend.
    ///
    /// # Errors
    /// When there is no such backend, it doesn't carry one of them, a live tag would lose its last
    /// backend that can serve (unless forced), or it can't be saved.
    pub(crate) async fn untag_backend(
        &self,
        caller: impl Into<Caller> + Send,
        id: BackendId,
        tags: BTreeSet<Tag>,
        force: bool,
    ) -> Result<Effect, ControlError> {
        self.edit(caller, move |snapshot| {
            let node = find::backend(snapshot, &id)?;
            let before = &node.backend;
            if let Some(tag) = tags.iter().find(|tag| !before.tags.contains(*tag)) {
                return Err(ControlError::NotTagged { backend: id, tag: tag.clone() });
            }
            if !force {
                let app = before.options.app.as_ref();
                let pools = tags.iter().map(|tag| PoolName::new(app, tag));
                loss::check(snapshot, node, pools.collect())?;
            }
            let mut after = before.clone();
            after.tags.retain(|tag| !tags.contains(tag));
            Ok(put_changed(before, after))
        })
        .await
    }

    /// Makes a backend ready, draining or disabled. Requests it has go on.
    ///
    /// # Errors
    /// When there is no such backend, a live tag would lose its last backend that can serve (unless
    /// forced), or it can't be saved.
    pub(crate) async fn set_backend_state(
        &self,
        caller: impl Into<Caller> + Send,
        id: BackendId,
        state: BackendState,
        force: bool,
    ) -> Result<Effect, ControlError> {
        self.edit(caller, move |snapshot| {
            let node = find::backend(snapshot, &id)?;
            let before = &node.backend;
            let leaves = before.state == BackendState::Ready && state != BackendState::Ready;
            if leaves && !force {
                loss::check(snapshot, node, before.pools().collect())?;
            }
            Ok(put_changed(before, Backend { state, ..before.clone() }))
        })
        .await
    }

    /// Drains a backend, then removes it.
    ///
    /// # Errors
    /// As [`Self::set_backend_state`]; when its requests have not ended in time: then it stays,
    /// draining; and when somebody made it ready again meanwhile: then it stays, ready.
    pub(crate) async fn remove_backend(
        &self,
        caller: impl Into<Caller> + Send,
        id: BackendId,
        timeout: Option<Duration>,
        force: bool,
        progress: impl FnMut(usize) + Send,
    ) -> Result<Effect, ControlError> {
        let mut caller = caller.into();
        let before = find::backend(&self.snapshot(), &id)?.backend.state;
        if before == BackendState::Ready {
            self.set_backend_state(caller.clone(), id.clone(), BackendState::Draining, force)
                .await?;
            // The state is not the one that the caller has seen any more: by this very command.
            caller.revisions = None;
        } else if !force {
            let snapshot = self.snapshot();
            let node = find::backend(&snapshot, &id)?;
            loss::check(&snapshot, node, node.backend.pools().collect())?;
        }
        let drained = self.drain_backend(&id, timeout, progress).await;
        still_leaving(&self.snapshot(), &id)?;
        match drained {
            Ok(()) => {}
            Err(ControlError::NotDrained { .. }) if force => {}
            Err(ControlError::NotDrained { remaining, waited, .. }) => {
                return Err(ControlError::NotRemoved { backend: id, remaining, waited });
            }
            Err(error) => return Err(error),
        }
        self.edit(caller, move |snapshot| {
            still_leaving(snapshot, &id)?;
            let event = EventKind::BackendRemoved { backend: id.clone() };
            Ok(Some(Edit::new(vec![Change::DropBackend(id)], event)))
        })
        .await
    }

    /// Waits until a backend has no request in flight.
    ///
    /// # Errors
    /// When there is no such backend, or its requests have not ended in time.
    pub(crate) async fn drain_backend(
        &self,
        id: &BackendId,
        timeout: Option<Duration>,
        progress: impl FnMut(usize) + Send,
    ) -> Result<(), ControlError> {
        let snapshot = self.snapshot();
        let live: Arc<BackendLive> = Arc::clone(&find::backend(&snapshot, id)?.live);
        let elsewhere = self.inner.elsewhere.clone();
        let running = || live.in_flight() + elsewhere.on_backend(id.as_str(), snapshot.revision());
        let timeout = timeout.unwrap_or(self.options().drain_timeout);
        let started = Instant::now();
        let ended = drain::until_none(running, started + timeout, progress).await;
        ended.map_err(|remaining| ControlError::NotDrained {
            what: id.to_string(),
            remaining,
            waited: timeout,
        })
    }
}

/// Nobody has made the backend ready again since it began to drain.
fn still_leaving(snapshot: &Snapshot, id: &BackendId) -> Result<(), ControlError> {
    match find::backend(snapshot, id)?.backend.state {
        BackendState::Draining | BackendState::Disabled => Ok(()),
        BackendState::Ready => Err(ControlError::MadeReady { backend: id.clone() }),
    }
}

/// The pools that lose the backend.
fn left(before: &Backend, after: &Backend) -> Vec<PoolName> {
    let stops = before.state == BackendState::Ready && after.state != BackendState::Ready;
    before.pools().filter(|pool| stops || !after.is_in(pool)).collect()
}

fn put(after: Backend, changed: Vec<String>) -> Edit {
    let event = EventKind::BackendSet { backend: after.id.clone(), changed };
    Edit::new(vec![Change::PutBackend(after)], event)
}

fn put_changed(before: &Backend, after: Backend) -> Option<Edit> {
    let changed = changes(before.differences(&after));
    (!changed.is_empty()).then(|| put(after, changed))
}
