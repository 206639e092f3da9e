//! How a new tag becomes live: alone, watched or not; or with a share that grows.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{now_ms, whole_millis};
use crate::model::{
    AppOptions, Baseline, Beside, Course, DomainName, GuardOptions, GuardRules, Ratio, Rollout,
    RolloutOptions, RolloutSteps, Seconds, Split, Tag, Trial, VirtualHost,
};

/// How long a step of a rollout may wait for enough requests unless that is said.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// The largest number that every reader of JSON gets right.
const MAX_ID: u64 = 1 << 53;

/// What is known of a domain's traffic on a tag until now. The ratio is by how much a request must be slower than the
/// 95th percentile to count as slow. Given by the server, so that control need not know how traffic is kept.
pub(crate) type BaselineNow =
    Arc<dyn Fn(&DomainName, &Tag, Ratio) -> Option<Baseline> + Send + Sync>;

/// How a new tag becomes live.
#[derive(Clone)]
pub(in crate::control) struct Begin {
    /// The number of the trial.
    pub(in crate::control) id: u64,
    at_ms: u64,
    salt: u64,
    how: How,
    baseline: BaselineNow,
}

#[derive(Debug, Clone)]
enum How {
    /// All at once; watched as its app says, but for what is given.
    Whole { guard: Option<GuardOptions> },
    /// Nobody watches what goes back.
    Unwatched,
    /// Step by step.
    Steps { steps: RolloutSteps, max_wait_ms: u64, guard: Option<GuardOptions> },
}

impl Begin {
    fn new(how: How, baseline: &BaselineNow) -> Self {
        Self {
            id: fastrand::u64(1..MAX_ID),
            at_ms: now_ms(),
            salt: fastrand::u64(..),
            how,
            baseline: Arc::clone(baseline),
        }
    }

    /// All at once. What goes back is watched only where that is asked for.
    pub(in crate::control) fn whole(
        guard: Option<GuardOptions>,
        undo: bool,
        baseline: &BaselineNow,
    ) -> Self {
        let how = if undo && guard.is_none() { How::Unwatched } else { How::Whole { guard } };
        Self::new(how, baseline)
    }

    /// Step by step.
    pub(in crate::control) fn steps(options: &RolloutOptions, baseline: &BaselineNow) -> Self {
        let how = How::Steps {
            steps: options.steps.clone(),
            max_wait_ms: options.max_wait_ms.unwrap_or(whole_millis(MAX_WAIT)),
            guard: (!options.unguarded).then(|| options.guard.clone()),
        };
        Self::new(how, baseline)
    }

    /// The steps, where it is made live by steps.
    pub(in crate::control) fn rollout(&self) -> Option<&RolloutSteps> {
        match &self.how {
            How::Steps { steps, .. } => Some(steps),
            How::Whole { .. } | How::Unwatched => None,
        }
    }

    /// The virtual host with `to` live, or with its first share. `app` is what the host's app says.
    pub(in crate::control) fn on(
        &self,
        host: &VirtualHost,
        to: &Tag,
        app: Option<&AppOptions>,
    ) -> VirtualHost {
        let of_app = app.map(|app| app.guard.clone()).unwrap_or_default();
        let over_app = |guard: &Option<GuardOptions>| {
            guard.as_ref().map_or_else(|| of_app.clone(), |guard| guard.over(&of_app))
        };
        match &self.how {
            How::Unwatched => host.moved_to(to),
            How::Whole { guard } => {
                let guard = over_app(guard);
                let mut moved = host.moved_to(to);
                let time = guard.time_secs.map(Seconds::get).filter(|time| !time.is_zero());
                moved.beside.trial = time.filter(|_| host.live != *to).map(|time| {
                    let until_ms = self.at_ms + whole_millis(time);
                    self.trial(host, to, Some(guard.rules()), Course::Guard { until_ms })
                });
                moved
            }
            How::Steps { steps, max_wait_ms, guard } => {
                let rules = guard.as_ref().map(|guard| guard.over(&of_app).rules());
                let rollout = Rollout {
                    steps: steps.clone(),
                    at: 0,
                    since_ms: self.at_ms,
                    paused_ms: None,
                    max_wait_ms: *max_wait_ms,
                };
                let share = rollout.step().share;
                let trial = self.trial(host, to, rules, Course::Rollout(rollout));
                // Of a split that nobody has a share of yet there is enough left for any.
                let split = Split::new(self.salt).with(to, share);
                let beside = Beside { split, trial: Some(trial), ..host.beside.moved() };
                VirtualHost { beside, ..host.clone() }
            }
        }
    }

    fn trial(
        &self,
        host: &VirtualHost,
        to: &Tag,
        rules: Option<GuardRules>,
        course: Course,
    ) -> Trial {
        let ratio = rules.unwrap_or_default().max_p95_ratio;
        let baseline = (self.baseline)(&host.domain, &host.live, ratio);
        let from = host.live.clone();
        Trial { id: self.id, from, to: to.clone(), rules, began_ms: self.at_ms, course, baseline }
    }
}
