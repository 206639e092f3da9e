//! What follows from what is seen of a new tag. Pure.

use std::time::Duration;

use super::sight::Sight;
use crate::control::TrialStep;
use crate::model::{Course, Inconclusive, Rollout, Trial, TrialEnd};

/// The step that a trial takes at `now_ms`; nothing while it waits. `sight` is what is seen of it, where it is judged;
/// `can_go_back` whether a backend of the old tag is healthy.
pub(super) fn next(
    trial: &Trial,
    sight: Option<&Sight>,
    can_go_back: bool,
    now_ms: u64,
) -> Option<TrialStep> {
    if let Some(cause) = sight.and_then(|sight| sight.worse.clone()) {
        return Some(back(trial, cause, can_go_back, now_ms));
    }
    match &trial.course {
        Course::Guard { until_ms } if now_ms < *until_ms => None,
        Course::Guard { .. } => match sight {
            Some(sight) if !sight.is_enough => {
                let cause = sight.evidence.reason.clone();
                Some(inconclusive(trial, cause, can_go_back, now_ms))
            }
            _ => Some(TrialStep::End { end: TrialEnd::Passed, cause: None }),
        },
        Course::Rollout(rollout) => step(trial, rollout, sight, can_go_back, now_ms),
    }
}

/// Back to the old tag, or an alarm where that can't serve.
fn back(trial: &Trial, cause: String, can_go_back: bool, at_ms: u64) -> TrialStep {
    if can_go_back {
        return TrialStep::End { end: TrialEnd::RolledBack, cause: Some(cause) };
    }
    let cause = format!("{cause}; but no backend of `{}` is healthy either", trial.from);
    TrialStep::Alarm { cause, at_ms }
}

/// What becomes of a tag that is live alone, of which nothing can be said.
fn inconclusive(trial: &Trial, cause: String, can_go_back: bool, now_ms: u64) -> TrialStep {
    match trial.rules.unwrap_or_default().inconclusive {
        Inconclusive::Rollback => back(trial, cause, can_go_back, now_ms),
        Inconclusive::Keep => TrialStep::End { end: TrialEnd::Inconclusive, cause: Some(cause) },
    }
}

fn step(
    trial: &Trial,
    rollout: &Rollout,
    sight: Option<&Sight>,
    can_go_back: bool,
    now_ms: u64,
) -> Option<TrialStep> {
    let (ran, time) = (rollout.ran(now_ms), rollout.step().time);
    if rollout.paused_ms.is_some() || ran < time {
        return None;
    }
    if let Some(sight) = sight.filter(|sight| !sight.is_enough) {
        if ran < time + Duration::from_millis(rollout.max_wait_ms) {
            return None;
        }
        let cause = sight.evidence.reason.clone();
        return Some(match trial.rules.unwrap_or_default().inconclusive {
            Inconclusive::Rollback => back(trial, cause, can_go_back, now_ms),
            // It keeps the share that it has: a person decides.
            Inconclusive::Keep => TrialStep::Alarm { cause, at_ms: now_ms },
        });
    }
    Some(match rollout.next() {
        Some(_) => TrialStep::Next { from: rollout.at, at_ms: now_ms },
        None => TrialStep::End { end: TrialEnd::Promoted, cause: None },
    })
}
