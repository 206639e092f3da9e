//! Chance for tests, from a seed: `SplitMix64` (Steele, Lea and Flood, 2014).

use super::counts::real;

pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above 0 and below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (real(self.next() >> 12) + 0.5) / real(1 << 52)
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.next() % choices.len() as u64;
        choices[usize::try_from(index).unwrap()]
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(super) fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// How many of `trials` succeed. Leaps from one to the next; of very many, by the normal
    /// distribution.
    pub(super) fn successes(&mut self, trials: u64, share: f64) -> u64 {
        if share > 0.5 {
            return trials - self.successes(trials, 1.0 - share);
        }
        let mean = real(trials) * share;
        if mean > 5_000.0 {
            let value = mean + self.normal() * (mean * (1.0 - share)).sqrt();
            return rounded(value.clamp(0.0, real(trials)));
        }
        if share <= 0.0 {
            return 0;
        }
        let (mut found, mut at) = (0, 0);
        loop {
            at += rounded((self.unit().ln() / (-share).ln_1p()).floor().min(1e15)) + 1;
            if at > trials {
                break;
            }
            found += 1;
        }
        found
    }
}

/// The probability that [`Chance::normal`] is above `z`: Abramowitz and Stegun, 26.2.17.
pub(super) fn normal_above(z: f64) -> f64 {
    const TERMS: [f64; 5] =
        [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    if z < 0.0 {
        return 1.0 - normal_above(-z);
    }
    let t = (1.0 + 0.231_641_9 * z).recip();
    let sum = TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    sum * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tests, small values")]
pub(super) fn rounded(value: f64) -> u64 {
    value.round() as u64
}
