//! What the log has of an event of the history.

use tracing::{error, info, warn};

use crate::model::{Actor, EventKind, ReleaseLabel, SplitMove, Tag, TrialEnd, TrialNews};

/// Logs an event: one line for each domain that moves, and one for all else.
pub(super) fn announce(revision: u64, actor: &Actor, event: &EventKind) {
    match event {
        EventKind::Switch { steps, outcome: _, undo, forced, reason, before: _ } => {
            for step in steps {
                let (domain, from, to) = (&step.domain, step.from.as_str(), step.to.as_str());
                info!(revision, %actor, event = "switched", %domain, from, to, undo, forced, reason, "state changed");
            }
        }
        EventKind::Split { moves, reason } => {
            for SplitMove { domain, tag, before, after } in moves {
                let tag = tag.as_str();
                info!(revision, %actor, event = "split", %domain, tag, %before, %after, reason, "state changed");
            }
        }
        EventKind::Trial { .. } => announce_trial(revision, actor, event),
        EventKind::PreviewMade { domain, tag, until_ms } => {
            let tag = tag.as_str();
            info!(revision, %actor, event = "preview_made", %domain, tag, until_ms, "state changed");
        }
        EventKind::PreviewsEnded { domain, tags } => {
            let tags = tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ");
            info!(revision, %actor, event = "previews_ended", %domain, tags, "state changed");
        }
        EventKind::DomainAdded { domain, live } => {
            let tag = live.as_str();
            info!(revision, %actor, event = "domain_added", %domain, tag, "state changed");
        }
        EventKind::DomainSet { domain, changed } => {
            let changed = changed.join("; ");
            info!(revision, %actor, event = "domain_set", %domain, changed, "state changed");
        }
        EventKind::DomainRemoved { domain } => {
            info!(revision, %actor, event = "domain_removed", %domain, "state changed");
        }
        EventKind::BackendAdded { backend } => {
            info!(revision, %actor, event = "backend_added", backend_id = %backend, "state changed");
        }
        EventKind::BackendSet { backend, changed } => {
            let changed = changed.join("; ");
            info!(revision, %actor, event = "backend_set", backend_id = %backend, changed, "state changed");
        }
        EventKind::BackendRemoved { backend } => {
            info!(revision, %actor, event = "backend_removed", backend_id = %backend, "state changed");
        }
        EventKind::Deploy { apps, steps, outcome: _, forced, reason, before: _ } => {
            for of in apps {
                let (app, from, to) = (&of.app, of.from.as_ref().map(Tag::as_str), of.to.as_str());
                let release = of.release.as_ref().map(ReleaseLabel::as_str);
                info!(revision, %actor, event = "deployed", %app, from, to, release, forced, reason, "state changed");
            }
            for step in steps {
                let (domain, from, to) = (&step.domain, step.from.as_str(), step.to.as_str());
                info!(revision, %actor, event = "switched", %domain, from, to, forced, reason, "state changed");
            }
        }
        EventKind::StandbyRemoved { app, tag, backends } => {
            let (tag, backends) = (tag.as_str(), backends.len());
            info!(revision, %actor, event = "standby_removed", %app, tag, backends, "state changed");
        }
        EventKind::AppAdded { app, domains } => {
            let domains = domains.len();
            info!(revision, %actor, event = "app_added", %app, domains, "state changed");
        }
        EventKind::AppSet { app, changed } => {
            let changed = changed.join("; ");
            info!(revision, %actor, event = "app_set", %app, changed, "state changed");
        }
        EventKind::AppRemoved { app, domains, backends } => {
            let (domains, backends) = (domains.len(), backends.len());
            info!(revision, %actor, event = "app_removed", %app, domains, backends, "state changed");
        }
        EventKind::FileApplied { path, changed, domains: _ } => {
            let changed = changed.join("; ");
            info!(revision, %actor, event = "file_applied", path, changed, "state changed");
        }
        // They are not changes of the state: the keeper logs what happens to certificates.
        EventKind::Certificate { .. } | EventKind::Unknown => {}
    }
}

/// Logs what happened in a trial: a line for each domain.
fn announce_trial(revision: u64, actor: &Actor, event: &EventKind) {
    let EventKind::Trial { trial_id, trial, domains, from, to, news } = event else { return };
    let (from, to) = (from.as_str(), to.as_str());
    for domain in domains {
        match news {
            TrialNews::Started { steps, before: _ } => {
                info!(revision, %actor, event = "trial_started", trial_id, %trial, %domain, from, to, %steps, "state changed");
            }
            TrialNews::Stepped { share } => {
                info!(revision, %actor, event = "trial_stepped", trial_id, %trial, %domain, from, to, %share, "state changed");
            }
            TrialNews::Paused => {
                info!(revision, %actor, event = "trial_paused", trial_id, %trial, %domain, from, to, "state changed");
            }
            TrialNews::Resumed => {
                info!(revision, %actor, event = "trial_resumed", trial_id, %trial, %domain, from, to, "state changed");
            }
            TrialNews::Alarm { cause }
            | TrialNews::Ended { end: TrialEnd::Alarm, cause: Some(cause) } => {
                error!(revision, %actor, event = "trial_alarm", trial_id, %trial, %domain, from, to, cause, "a new tag waits for a person");
            }
            TrialNews::Ended { end: TrialEnd::RolledBack, cause } => {
                warn!(revision, %actor, event = "trial_ended", trial_id, %trial, %domain, from, to, end = %TrialEnd::RolledBack, cause, "state changed");
            }
            TrialNews::Ended { end, cause } => {
                info!(revision, %actor, event = "trial_ended", trial_id, %trial, %domain, from, to, %end, cause, "state changed");
            }
            TrialNews::Unknown => {}
        }
    }
}
