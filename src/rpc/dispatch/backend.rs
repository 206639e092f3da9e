//! The methods on backends.

use std::time::Duration;

use serde_json::Value;

use super::{Call, Dispatch, Failure, read, to_its_end, write};
use crate::control::{BackendEdit, ControlError};
use crate::model::record;
use crate::model::{Backend, BackendId, BackendOptions, BackendState};
use crate::rpc::methods::{Changed, Method, backend};
use crate::rpc::views;
use crate::state::Snapshot;

impl Dispatch {
    pub(super) fn list_backends(&self, params: Value) -> Result<Value, Failure> {
        write::<backend::List>(&views::backends(&self.control.snapshot(), &read(params)?))
    }

    pub(super) fn show_backend(&self, params: Value) -> Result<Value, Failure> {
        let backend::BackendParams { id } = read(params)?;
        let snapshot = self.control.snapshot();
        let node = self.control.find_backend(&snapshot, &id)?;
        let mut info = views::backend(&snapshot, &node);
        info.serves = views::served_by(&snapshot, &node);
        write::<backend::Show>(&info)
    }

    pub(super) async fn add_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::AddParams { id, address, tags, options } = read(params)?;
        let options = record::patched(&BackendOptions::default(), options.values)
            .map_err(|error| ControlError::backend_option(&id, error))?;
        let state = BackendState::Ready;
        let new = Backend { id: id.clone(), address, tags, options, state };
        let snapshot = self.control.add_backend(call.caller(), new).await?;
        self.backend_info::<backend::Add>(&snapshot, &id)
    }

    pub(super) async fn set_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::SetParams { id, address, options, tags, state, force } = read(params)?;
        let edit = BackendEdit { address, options: options.values, tags, state, force };
        let snapshot = self.control.set_backend(call.caller(), id.clone(), edit).await?;
        self.backend_info::<backend::Set>(&snapshot, &id)
    }

    pub(super) async fn remove_backend(
        &self,
        params: Value,
        call: &Call,
    ) -> Result<Value, Failure> {
        let backend::DrainParams { id, wait: _, timeout_ms, force } = read(params)?;
        let timeout = timeout_ms.map(Duration::from_millis);
        let report = call.reporter::<backend::Remove>();
        let progress = move |remaining| report(backend::DrainProgress { remaining });
        let (control, caller) = (self.control.clone(), call.caller());
        let snapshot = to_its_end(async move {
            control.remove_backend(caller, id, timeout, force, progress).await
        })
        .await?;
        write::<backend::Remove>(&Changed { revision: snapshot.revision() })
    }

    pub(super) async fn tag_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::TagParams { id, tags, force: _ } = read(params)?;
        let snapshot = self.control.tag_backend(call.caller(), id.clone(), tags).await?;
        self.backend_info::<backend::AddTags>(&snapshot, &id)
    }

    pub(super) async fn untag_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::TagParams { id, tags, force } = read(params)?;
        let snapshot = self.control.untag_backend(call.caller(), id.clone(), tags, force).await?;
        self.backend_info::<backend::RemoveTags>(&snapshot, &id)
    }

    pub(super) async fn stop_backend<M>(
        &self,
        params: Value,
        call: &Call,
        state: BackendState,
    ) -> Result<Value, Failure>
    where
        M: Method<Result = backend::BackendInfo, Progress = backend::DrainProgress>,
    {
        let backend::DrainParams { id, wait, timeout_ms, force } = read(params)?;
        let caller = call.caller();
        self.control.set_backend_state(caller, id.clone(), state, force).await?;
        if wait {
            let report = call.reporter::<M>();
            let progress = move |remaining| report(backend::DrainProgress { remaining });
            let timeout = timeout_ms.map(Duration::from_millis);
            self.control.drain_backend(&id, timeout, progress).await?;
        }
        self.backend_info::<M>(&self.control.snapshot(), &id)
    }

    pub(super) async fn ready_backend(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let backend::ReadyParams { id, wait, timeout_ms } = read(params)?;
        let state = BackendState::Ready;
        self.control.set_backend_state(call.caller(), id.clone(), state, false).await?;
        if wait {
            let timeout = timeout_ms.map(Duration::from_millis);
            self.control.wait_backend_healthy(&id, timeout).await?;
        }
        self.backend_info::<backend::Ready>(&self.control.snapshot(), &id)
    }

    fn backend_info<M: Method<Result = backend::BackendInfo>>(
        &self,
        snapshot: &Snapshot,
        id: &BackendId,
    ) -> Result<Value, Failure> {
        let node = self.control.find_backend(snapshot, id)?;
        write::<M>(&views::backend(snapshot, &node))
    }
}
