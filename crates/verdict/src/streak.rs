//! The fast trip: failures in a row, each from another client network, with no success between them. With one client
//! there is none: one client is no proof.

/// No streak shorter than this trips.
const SHORTEST: f64 = 10.0;

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
    fn the_more_the_old_version_fails_the_longer_it_takes() {
        let length = |share| streak_to_trip(share, 100_000, 0.0005);
        assert_eq!(length(0.0), Some(10));
        assert_eq!(length(0.1), Some(10));
        assert_eq!(length(0.5), Some(28));
        assert_eq!(length(0.9), Some(182));
        assert_eq!(length(1.0), None);
    }
}
