//! What large heads cost that came compressed: HPACK makes of one byte what was sent once, as large as it
//! may be.

use std::sync::Arc;
use std::time::Instant;

use crate::proxy::memory::{Budget, Charge};

/// A head up to this size is free, whatever it was sent as: a client's usual fields.
const FREE: usize = 8 * 1024;

/// What may come beyond that at once, and then each second. A client with 32 KiB of cookies may begin 100
/// requests at once, and 20 a second.
const BURST: f64 = 2.5 * 1024.0 * 1024.0;
const PER_SEC: f64 = 512.0 * 1024.0;

/// A head is held as it came, and as it goes to the backend.
const COPIES: usize = 2;

/// The heads of one connection.
#[derive(Debug)]
pub(crate) struct Heads {
    left: f64,
    at: Instant,
}

/// Why a request goes no further for its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadRefused {
    /// So much has come that it can only be meant to be expanded.
    TooFast,
    /// What the connection holds already leaves no room for it.
    NoRoom,
}

impl Heads {
    pub(crate) fn new() -> Self {
        Self { left: BURST, at: Instant::now() }
    }

    /// Takes the head of a request in, which has this size. It is counted as held for as long as the charge is kept.
    ///
    /// # Errors
    /// When it should go no further.
    pub(crate) fn take(
        &mut self,
        size: usize,
        memory: &Arc<Budget>,
    ) -> Result<Option<Charge>, HeadRefused> {
        if size <= FREE {
            return Ok(None);
        }
        if !self.pays(size - FREE, Instant::now()) {
            return Err(HeadRefused::TooFast);
        }
        memory.charge_alone(COPIES * size).map(Some).ok_or(HeadRefused::NoRoom)
    }

    fn pays(&mut self, bytes: usize, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * PER_SEC;
        (self.left, self.at) = ((self.left + gained).min(BURST), now);
        #[expect(clippy::cast_precision_loss, reason = "heads are below a megabyte or two")]
        let bytes = bytes as f64;
        let pays = self.left >= bytes;
        if pays {
            self.left -= bytes;
        }
        pays
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::counters::Metrics;
    use crate::proxy::memory::Budgets;
    use crate::proxy::options::MemoryLimits;

    fn memory() -> Arc<Budget> {
        let limits = MemoryLimits {
            per_connection: 2 << 20,
            per_client: usize::MAX,
            in_all: usize::MAX,
            h2_send_buffer: 1,
        };
        Budgets::default().open(None, limits, &Metrics::default())
    }

    #[test]
    fn usual_heads_are_free_and_large_ones_have_a_rate() {
        let (mut heads, memory, usual) = (Heads::new(), memory(), 4000);
        for _ in 0..10_000 {
            assert!(matches!(heads.take(usual, &memory), Ok(None)));
        }
        let start = heads.at;
        let taken = (0..1000).take_while(|_| heads.pays(50_000, start)).count();
        assert_eq!(taken, 52, "two and a half mebibytes at once");
        assert!(heads.pays(500_000, start + Duration::from_secs(1)));
        heads.left = -1e9;
        assert_eq!(heads.take(60_000, &memory).unwrap_err(), HeadRefused::TooFast);
    }

    /// Who needs little is not refused for what others hold.
    #[test]
    fn a_large_head_passes_while_others_hold_all() {
        let limits = MemoryLimits {
            per_connection: 2 << 20,
            per_client: 1 << 20,
            in_all: 1 << 20,
            h2_send_buffer: 1,
        };
        let (budgets, metrics) = (Budgets::default(), Metrics::default());
        let open = || budgets.open("192.0.2.1".parse().ok(), limits, &metrics);
        let (greedy, modest) = (open(), open());
        let mut held = Vec::new();
        let mut heads = Heads::new();
        while let Ok(charge) = heads.take(60_000, &greedy) {
            held.push(charge);
        }
        assert!(metrics.buffered.used() > limits.in_all);
        assert!(Heads::new().take(60_000, &modest).is_ok());
    }

    #[test]
    fn heads_that_are_held_have_a_bound() {
        let (mut heads, memory) = (Heads::new(), memory());
        let mut held = Vec::new();
        let refused = loop {
            match heads.take(60_000, &memory) {
                Ok(charge) => held.push(charge),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused, HeadRefused::NoRoom);
        assert_eq!(held.len(), 17, "of twice 60,000 bytes, in two mebibytes");
        held.pop();
        assert!(heads.take(60_000, &memory).is_ok());
    }
}
