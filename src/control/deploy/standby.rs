//! The version before, which a deploy keeps for as long as it was asked to.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::now_ms;
use crate::control::claims::Claimed;
use crate::control::edit::Edit;
use crate::control::{ControlError, ControlPlane};
use crate::model::{Actor, AppName, Change, DeployedApp, EventKind, Tag, time_in_words};
use crate::state::{AppNode, Snapshot};

/// The longest that is slept at once: the clock may be set meanwhile.
const MAX_SLEEP: Duration = Duration::from_mins(1);

/// When what is due could not be removed.
const RETRY: Duration = Duration::from_secs(5);

impl ControlPlane {
    /// Removes stand-bys when their time has come. Never ends by itself.
    pub(crate) async fn keep_standbys(self) {
        let mut reader = self.inner.reader.clone();
        loop {
            let now = now_ms();
            let next = self.snapshot().apps().filter_map(|node| next_removal(node)).min();
            let sleep = match next {
                Some(at) if at <= now => {
                    self.remove_standbys().await;
                    let is_due =
                        |node: &Arc<AppNode>| next_removal(node).is_some_and(|at| at <= now);
                    if self.snapshot().apps().any(is_due) { RETRY } else { Duration::ZERO }
                }
                Some(at) => Duration::from_millis(at - now).min(MAX_SLEEP),
                None => MAX_SLEEP,
            };
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                changed = reader.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Keeps the versions before for `keep_ms` from now on, where their time began with the switch.
    pub(super) async fn keep_from_now(&self, apps: &[DeployedApp], keep_ms: u64) {
        for of in apps {
            let (name, Some(tag)) = (of.app.clone(), of.from.clone()) else { continue };
            let keep = move |snapshot: &Snapshot| Ok(kept_until(snapshot, &name, &tag, keep_ms));
            if let Err(error) = self.change(Actor::Server, keep).await {
                let app = &of.app;
                tracing::warn!(%app, error = error.in_full(), "a stand-by is not kept for as long as it should be");
            }
        }
    }

    /// Removes the stand-bys whose time has come. What can't be removed is logged.
    pub(super) async fn remove_standbys(&self) {
        let now = now_ms();
        let snapshot = self.snapshot();
        for node in snapshot.apps() {
            let is_due = |at: Option<u64>| at.is_some_and(|at| at <= now);
            let due = node.app.releases.iter().filter(|(_, release)| is_due(release.remove_at_ms));
            for (tag, _) in due {
                if let Err(error) = self.remove_standby(node.app.name.clone(), tag.clone()).await {
                    let app = &node.app.name;
                    tracing::warn!(%app, tag = tag.as_str(), error = error.in_full(), "cannot remove a stand-by");
                }
            }
        }
    }

    async fn remove_standby(&self, app: AppName, tag: Tag) -> Result<(), ControlError> {
        // A drain that is under way may still need it, and an undo or a switch may be about to go there.
        let snapshot = self.snapshot();
        let domains = snapshot.app(&app).into_iter().flat_map(|node| node.domains().cloned());
        let claimed = domains.map(Claimed::Domain).chain([Claimed::App(app.clone())]).collect();
        let Ok(claim) = self.inner.claims.take_for_deploy(claimed) else {
            return Ok(());
        };
        self.change(Actor::Server, move |snapshot| Ok(removal(snapshot, &app, &tag))).await?;
        drop(claim);
        Ok(())
    }
}

/// When the first stand-by of an app is to be removed.
fn next_removal(node: &AppNode) -> Option<u64> {
    node.app.releases.values().filter_map(|release| release.remove_at_ms).min()
}

/// A stand-by that is kept for `keep_ms` from now on.
fn kept_until(snapshot: &Snapshot, name: &AppName, tag: &Tag, keep_ms: u64) -> Option<Edit> {
    let mut app = snapshot.app(name)?.app.clone();
    let until = app.releases.get_mut(tag)?.remove_at_ms.as_mut()?;
    *until = now_ms().saturating_add(keep_ms);
    let changed = vec![format!(
        "{tag}: drained, and kept for another {}",
        time_in_words(Duration::from_millis(keep_ms))
    )];
    let event = EventKind::AppSet { app: name.clone(), changed };
    Some(Edit::new(vec![Change::PutApp(app)], event))
}

/// Takes a stand-by out of the state; one that is live again stays, for good.
fn removal(snapshot: &Snapshot, name: &AppName, tag: &Tag) -> Option<Edit> {
    let node = snapshot.app(name)?;
    let mut app = node.app.clone();
    let hosts = node.domains().filter_map(|domain| snapshot.domain(domain));
    if hosts.into_iter().any(|host| host.virtual_host.needs(tag)) {
        app.releases.get_mut(tag)?.remove_at_ms = None;
        let changed = vec![format!("{tag}: kept, because it is live again")];
        let event = EventKind::AppSet { app: name.clone(), changed };
        return Some(Edit::new(vec![Change::PutApp(app)], event));
    }
    app.releases.remove(tag)?;
    let own = node.backends().filter_map(|id| snapshot.backend(id)).map(|node| &node.backend);
    let own = own.filter(|backend| backend.tags.iter().all(|of| of == tag));
    let backends: Vec<_> = own.filter(|of| !of.tags.is_empty()).map(|of| of.id.clone()).collect();
    let event = EventKind::StandbyRemoved {
        app: name.clone(),
        tag: tag.clone(),
        backends: backends.clone(),
    };
    let changes = backends.into_iter().map(Change::DropBackend);
    let changes = changes.chain(std::iter::once(Change::PutApp(app))).collect();
    Some(Edit::new(changes, event))
}
