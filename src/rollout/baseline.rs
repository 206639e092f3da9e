//! What is known of an old tag from before the new one served.

use verdict::{Histogram, slow_threshold};

use crate::clock::whole_micros;
use crate::counters::LatencyCells;
use crate::model::{Baseline, Ratio};
use crate::stats::Recent;

/// A request is not slow for a few milliseconds more, however fast the old tag is: nobody notices them, and a busy
/// machine makes them.
const LEAST_EXCESS_MICROS: u64 = 20_000;

/// The time to the first byte that makes a request slow where it is exceeded; nothing where too little is known.
pub(super) fn slow_micros(first_byte: &LatencyCells, ratio: Ratio) -> Option<u64> {
    let (bounds, counts) = first_byte.histogram();
    slow_threshold(Histogram { bounds: &bounds, counts }, ratio.get(), LEAST_EXCESS_MICROS)
}

/// What the last minutes say of an old tag. A request is slow that takes `ratio` times as long as nearly all of them.
pub(crate) fn baseline(recent: &Recent, ratio: Ratio) -> Baseline {
    let slow_micros = slow_micros(&recent.first_byte, ratio);
    let (bounds, counts) = recent.first_byte.histogram();
    let histogram = Histogram { bounds: &bounds, counts };
    let all = histogram.total();
    // The backends may have answered for other domains too.
    let requests = recent.counters.requests;
    let slow =
        slow_micros.map_or(0, |micros| histogram.above(micros) * requests.min(all) / all.max(1));
    let p95 = recent.first_byte.quantile(0.95).map(whole_micros);
    Baseline {
        requests,
        failures: recent.counters.faults,
        slow_micros,
        slow,
        p95_micros: p95,
        sole_network: recent.sole_network,
    }
}
