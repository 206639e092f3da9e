//! The fast trip: failures in a row, each from another client network.

/// No streak shorter than this trips.
const SHORTEST: f64 = 10.0;

/// What a success ends. With one client there is no streak: one client is no proof.
#[derive(Debug)]
pub struct FailureStreak {
    networks: Vec<u64>,
    trips_at: usize,
}

impl FailureStreak {
    /// `trips_at` is from [`streak_to_trip`].
    pub fn new(trips_at: usize) -> Self {
        Self { networks: Vec::new(), trips_at }
    }

    /// Whether so many failures of different networks came without a success between them. Of a
    /// network that fails several times, one counts.
    pub fn record(&mut self, network: u64, failed: bool) -> bool {
        if !failed {
            self.networks.clear();
        } else if !self.networks.contains(&network) && self.networks.len() < self.trips_at {
            self.networks.push(network);
        }
        self.networks.len() >= self.trips_at
    }
}

/// The length at which an equal version that makes `requests` trips with a probability of at most
/// `risk`, if the old one fails with a share of `old_share`. `None` if the old one always fails.
///
/// A streak that starts at a given request has the probability `old_share` to the power of its
/// length; there are no more starts than requests.
pub fn streak_to_trip(old_share: f64, requests: u64, risk: f64) -> Option<usize> {
    if old_share >= 1.0 {
        return None;
    }
    let needed = (super::counts::real(requests.max(1)) / risk).ln() / -old_share.max(1e-9).ln();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and NaN is 0"
    )]
    Some(needed.ceil().max(SHORTEST) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_is_of_different_networks_without_a_success() {
        let mut streak = FailureStreak::new(3);
        for _ in 0..9 {
            assert!(!streak.record(1, true), "one client");
        }
        assert!(!streak.record(2, true));
        assert!(!streak.record(3, false));
        assert!(!streak.record(1, true));
        assert!(!streak.record(2, true));
        assert!(streak.record(3, true));
    }

    #[test]
    fn the_more_the_old_version_fails_the_longer_it_takes() {
        let length = |share| streak_to_trip(share, 100_000, 0.0005);
        assert_eq!(length(0.0), Some(10));
        assert_eq!(length(0.1), Some(10));
        assert_eq!(length(0.5), Some(28));
        assert_eq!(length(0.9), Some(182));
        assert_eq!(length(1.0), None);
    }
}
