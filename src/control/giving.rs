//! The writer's role, given to a successor.

use super::followers::{Follow, TellOutcome};
use super::{ControlError, ControlPlane};
use crate::model::{Change, Outcome};
use crate::state::{ReadyMade, Snapshot};
use crate::tls::PeerFiles;

impl ControlPlane {
    /// Gives the store to another process, and is over once `offer` says that this has taken over. Otherwise the store
    /// is taken back as it was, whatever the other has done to it. Commands wait meanwhile.
    ///
    /// With `keeps_copy`, a copy of the database as it was stays in the state directory.
    ///
    /// Blocks as long as `offer` does, off the runtime.
    ///
    /// # Errors
    /// When the store can't be given away or taken back, and what `offer` says.
    pub(crate) async fn give_away<T, E>(
        &self,
        keeps_copy: bool,
        offer: impl FnOnce(&Snapshot) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, ControlError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let given = self.with_writer(move |writer, reader| {
            let given = writer.store.give_away()?;
            let offered = offer(&reader.load());
            if offered.is_ok() {
                writer.is_over = true;
                if keeps_copy {
                    writer.store.keep_copy();
                } else {
                    writer.store.forget_copy();
                }
            } else if let Err(error) = writer.store.take_back(&given) {
                // Whoever has it may write there.
                writer.is_over = true;
                return Err(error.into());
            }
            Ok(offered)
        });
        let given = given.await;
        if given.as_ref().is_ok_and(Result::is_ok) {
            self.inner.over.send_replace(true);
        }
        given
    }

    /// Waits for a gate, or until another process has taken over: what passes it then could not be committed any more.
    pub(super) async fn unless_taken_over<T>(
        &self,
        gate: impl Future<Output = Result<T, ControlError>>,
    ) -> Result<T, ControlError> {
        let mut over = self.inner.over.subscribe();
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => Err(ControlError::TakenOver),
            passed = gate => passed,
        }
    }

    /// Calls `first` with the current state, and calls `follow` for each later change. None comes in between.
    pub(crate) fn lead(&self, first: impl FnOnce(&Snapshot), follow: Follow) {
        let mut writer = self.inner.lock();
        first(&self.snapshot());
        writer.followers = Some(follow);
    }

    /// Once another process has taken over: `tell` takes what else is to be written of drains that were begun here.
    pub(crate) fn tell_outcomes(&self, tell: TellOutcome) {
        let _ = self.inner.outcomes.set(tell);
    }

    /// Makes the changes that the process has made that has taken over, so that requests that still begin here go by
    /// them. `files` is what was read for them. Blocks.
    pub(crate) fn follow(&self, revision: u64, changes: Vec<Change>, files: &PeerFiles) {
        let writer = self.inner.lock();
        let next = self.snapshot().after_reading(changes, files, &ReadyMade::new(), revision);
        writer.publisher.publish(next);
    }

    /// Writes how a switch went on: one of this process, or of one that it has replaced.
    ///
    /// # Errors
    /// When it can't be saved.
    pub(crate) async fn set_outcome(
        &self,
        event: u64,
        outcome: Outcome,
    ) -> Result<(), ControlError> {
        let after = outcome.clone();
        let set = self.writing(move |writer, _| Ok(writer.store.set_outcome(event, &outcome)?));
        match (set.await, self.inner.outcomes.get()) {
            (Err(ControlError::TakenOver), Some(tell)) => {
                tell(event, after);
                Ok(())
            }
            (set, _) => set,
        }
    }

    /// Marks the drains as interrupted that were begun in processes that have all ended, and that nobody has said the
    /// end of.
    ///
    /// # Errors
    /// When it can't be saved.
    pub(crate) async fn end_interrupted(&self) -> Result<(), ControlError> {
        let started = self.inner.started_with;
        self.with_writer(move |writer, _| {
            writer.store.mark_interrupted(started)?;
            Ok(())
        })
        .await
    }
}
