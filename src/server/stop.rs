//! How a server ends: no new connections, what runs finishes, and then at once.

use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::{Server, TakenOver};
use crate::model::Reason;

/// How long idle connections stay open after the stop began. A client may be sending on one at this
/// very moment; it is answered, with `Connection: close`.
const LINGER: Duration = Duration::from_secs(1);

/// Between two looks at what still runs.
const LOOK: Duration = Duration::from_millis(2);

/// How long requests that are cut off may take to be dropped.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a stop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Everything had ended.
    Finished,
    /// So many requests were cut off.
    CutOff(usize),
}

impl Server {
    /// Stops accepting and waits until what runs has ended, the config's time-out is over, or `now`
    /// is.
    pub(crate) async fn stop(self, now: impl Future<Output = ()>) -> Stopped {
        // It would be on its own.
        self.upgrades.abandon();
        let timeout = **self.shutdown_timeout.load();
        self.finish(timeout, std::future::pending(), now).await
    }

    /// Leaves everything but what runs to the process that has taken over, and waits until that has ended, it has been
    /// long enough, or `now` is. From `soon` on it has as long as at a stop.
    pub(crate) async fn leave(
        mut self,
        taken_over: TakenOver,
        soon: impl Future<Output = ()>,
        now: impl Future<Output = ()>,
    ) -> Stopped {
        self.keeping.iter().for_each(AbortHandle::abort);
        self.closing.send_replace(true);
        if taken_over.keeps_admin_socket {
            self.socket.leave();
        }
        let (timeout, upgrades) = (self.upgrade_times.load().drain, self.upgrades.clone());
        let stopped = self.finish(timeout, soon, now).await;
        upgrades.say_the_last().await;
        stopped
    }

    async fn finish(
        mut self,
        mut timeout: Duration,
        soon: impl Future<Output = ()>,
        now: impl Future<Output = ()>,
    ) -> Stopped {
        let started = Instant::now();
        self.metrics.stop();
        self.stopping.send_replace(true);
        self.sockets.close();
        tracing::info!(
            connections = self.metrics.connections.count(),
            in_flight = self.metrics.busy.count(),
            "stopping"
        );
        tokio::pin!(soon, now);
        let (mut is_soon, mut hurried) = (false, false);
        // Who has connected a moment ago is counted.
        tokio::time::sleep(LOOK).await;
        while !self.has_ended(started) {
            // Nobody listens any more: whoever watches over this process is to start it again.
            hurried |= self.upgrades.has_lost_successor();
            if hurried || started.elapsed() >= timeout {
                let cut = self.metrics.busy.count();
                tracing::warn!(cut, "stopped before all requests had ended");
                self.cut_off(cut).await;
                return Stopped::CutOff(cut);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = &mut soon, if !is_soon => {
                    is_soon = true;
                    timeout = timeout.min(started.elapsed() + **self.shutdown_timeout.load());
                }
                () = &mut now => hurried = true,
            }
        }
        tracing::info!(duration_ms = started.elapsed().as_millis(), "stopped");
        Stopped::Finished
    }

    /// Drops what runs; each request then gets its line in the access log.
    async fn cut_off(&mut self, cut: usize) {
        (0..cut).for_each(|_| self.metrics.count_refused(Reason::Shutdown));
        if let Some(traffic) = self.traffic.take() {
            let dropped = tokio::task::spawn_blocking(|| traffic.shutdown_timeout(LAST_WORDS));
            let _ = dropped.await;
        }
    }

    fn has_ended(&self, started: Instant) -> bool {
        let idle = self.metrics.connections.count() + self.metrics.managers.count();
        let idle_may_go = idle == 0 || started.elapsed() >= LINGER;
        self.metrics.busy.count() == 0 && idle_may_go
    }
}
