//! Requests of a paused domain wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counters::Metrics;
use crate::model::Reason;
use crate::model::{Pause, VirtualHost};
use crate::places::{PlaceInLine, Who};
use crate::proxy::client::downstream::Downstream;
use crate::state::PauseLine;

/// How often a wait looks whether the server stops.
const LOOK: Duration = Duration::from_secs(1);

/// What a request waits in, and how.
pub(crate) struct Wait {
    line: Arc<PauseLine>,
    limits: Pause,
}

impl Wait {
    /// Waits in `line`, as the domain says. Once it is resumed it says no more, and there is nobody left
    /// to be bounded but who came at that moment.
    pub(crate) fn new(line: &Arc<PauseLine>, virtual_host: &VirtualHost) -> Self {
        let limits = virtual_host.options.get().pause.clone().unwrap_or_default();
        Self { line: Arc::clone(line), limits }
    }

    pub(crate) fn limits(&self) -> &Pause {
        &self.limits
    }

    /// Waits, as `who`, until the domain is resumed and everybody who came before has gone on. The time
    /// counts from the beginning of the request, so that a second pause does not double it.
    ///
    /// # Errors
    /// When the line is full, its place goes to a client that has fewer, time runs out, the server stops,
    /// or the client goes away. Of a client that sends a body this is not seen before that is read.
    pub(crate) async fn until_turn(
        self,
        session: &mut impl Downstream,
        who: Who,
        started: Instant,
        metrics: &Metrics,
    ) -> Result<PlaceInLine, Reason> {
        let Self { line, limits } = self;
        let most = usize::try_from(limits.max_waiting).unwrap_or(usize::MAX);
        let deadline = started + Duration::from_secs(limits.max_wait_secs.get().into());
        let mut place = line.join(who, most).map_err(|_| Reason::Paused)?;
        let body_done = session.is_body_read();
        {
            let turn = place.turn();
            tokio::pin!(turn);
            loop {
                let look = deadline.min(Instant::now() + LOOK);
                tokio::select! {
                    turn = &mut turn => {
                        turn.map_err(|_| Reason::Paused)?;
                        break;
                    }
                    () = session.gone(), if body_done => {
                        return Err(Reason::ClientGone);
                    }
                    () = tokio::time::sleep_until(look.into()) => {
                        if Instant::now() >= deadline || metrics.is_stopping() {
                            return Err(Reason::Paused);
                        }
                    }
                }
            }
        }
        Ok(place)
    }
}
