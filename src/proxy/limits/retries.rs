//! How many requests may be on a further backend at once, so that tries can't make an outage worse.

use std::sync::Arc;

use crate::counters::{InFlight, InFlightGuard};

/// So many always may: a share of few requests is none.
const ALWAYS: usize = 10;

/// The requests that are being tried on a further backend.
#[derive(Debug, Clone, Default)]
pub(crate) struct Retries(Arc<InFlight>);

impl Retries {
    /// Counts one more, if `percent` of the `running` requests allow it. It is counted until it ends.
    pub(crate) fn enter(&self, running: usize, percent: u8) -> Option<InFlightGuard> {
        self.0.try_enter((running * usize::from(percent) / 100).max(ALWAYS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_what_runs_may_be_tried_again_and_a_few_always() {
        let most = |running, percent| {
            let retries = Retries::default();
            let mut held = Vec::new();
            while let Some(guard) = retries.enter(running, percent) {
                held.push(guard);
            }
            let most = held.len();
            drop(held);
            assert!(retries.enter(running, percent).is_some(), "what has ended counts no more");
            most
        };
        assert_eq!((most(0, 20), most(1000, 20), most(1000, 0)), (10, 200, 10));
    }
}
