//! A trial for those who watch it.

use std::sync::Arc;

use super::sight::Sight;
use crate::clock::whole_millis;
use crate::control::kind_of;
use crate::model::{Course, RolloutStanding, Trial, TrialReport};
use crate::state::DomainNode;

/// A trial as it is at `now_ms`.
pub(super) fn report(
    trial: &Trial,
    nodes: &[Arc<DomainNode>],
    sight: Option<&Sight>,
    now_ms: u64,
) -> TrialReport {
    let rollout = match &trial.course {
        Course::Guard { .. } => None,
        Course::Rollout(rollout) => {
            let (step, ran) = (rollout.step(), rollout.ran(now_ms));
            Some(RolloutStanding {
                steps: rollout.steps.clone(),
                step: rollout.at + 1,
                share: step.share,
                is_paused: rollout.paused_ms.is_some(),
                left_ms: whole_millis(step.time.saturating_sub(ran)),
            })
        }
    };
    let left_ms = match trial.course {
        Course::Guard { until_ms } => Some(until_ms.saturating_sub(now_ms)),
        Course::Rollout(_) => None,
    };
    TrialReport {
        id: trial.id,
        kind: kind_of(trial),
        domains: nodes.iter().map(|node| node.virtual_host.domain.clone()).collect(),
        from: trial.from.clone(),
        to: trial.to.clone(),
        rules: trial.rules,
        began_ms: trial.began_ms,
        rollout,
        left_ms,
        evidence: sight.map(|sight| sight.evidence.clone()),
        end: None,
        cause: None,
    }
}
