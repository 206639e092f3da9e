//! The state as it was saved, and the config file applied to it.

use super::{ServerError, secrets};
use crate::config::{Config, Declared, Source};
use crate::control::ControlPlane;
use crate::model::Change;
use crate::state::{Publisher, Reader, ReadyMade, Snapshot, publication};
use crate::store::{Saved, Store};
use crate::tls::PeerFiles;

pub(super) fn open_store(config: &Config) -> Result<(Store, Saved), ServerError> {
    opened(config, Store::open(&config.proxy.state_dir)?, true)
}

/// The same of a process that has given it away. If that serves on what it has, its drains go on there.
pub(super) fn open_given_store(
    config: &Config,
    drains_go_on: bool,
) -> Result<(Store, Saved), ServerError> {
    opened(config, Store::open_given(&config.proxy.state_dir)?, !drains_go_on)
}

fn opened(
    config: &Config,
    mut store: Store,
    ends_drains: bool,
) -> Result<(Store, Saved), ServerError> {
    if ends_drains {
        // Nobody takes it back any more.
        store.forget_copy();
    }
    let interrupted = if ends_drains { store.mark_interrupted(u64::MAX)? } else { 0 };
    if interrupted > 0 {
        tracing::warn!(interrupted, "the last stop cut short the drain of switches");
    }
    let cut_off = store.end_operations()?;
    if cut_off > 0 {
        tracing::warn!(cut_off, "the last stop cut off deploys: they changed nothing");
    }
    let mut saved = store.load()?;
    secrets::resolve(&mut saved);
    secrets::forget(&mut store, &saved, &config.declared)?;
    Ok((store, saved))
}

/// `files` is what was read of the files of backends; it gets what the saved ones name besides.
pub(super) fn publish(saved: &Saved, files: &mut PeerFiles) -> (Publisher, Reader) {
    for backend in &saved.backends {
        // The error is kept with what was read, and reported with the backend.
        let _ = files.read(&backend.options);
    }
    let apps = saved.apps.iter().cloned().map(Change::PutApp);
    let domains = saved.domains.iter().cloned().map(Change::PutDomain);
    let backends = saved.backends.iter().cloned().map(Change::PutBackend);
    let changes = apps.chain(domains).chain(backends).collect();
    publication(Snapshot::default().after_reading(
        changes,
        files,
        &ReadyMade::new(),
        saved.revision,
    ))
}

pub(super) async fn apply_file(
    plane: &ControlPlane,
    saved: &Saved,
    declared: Declared,
    files: PeerFiles,
    source: &Source,
) -> Result<(), ServerError> {
    let applied: Option<Declared> = saved
        .applied_file
        .as_deref()
        .map(Declared::from_json)
        .transpose()
        .map_err(|source| crate::store::StoreError::Row { what: "the applied file", source })?;
    plane.apply_file(source.to_string(), applied, declared, files, secrets::check).await?;
    Ok(())
}
