//! The logarithms of the gamma and beta functions, which std doesn't have in stable Rust.

/// `x` is above zero. Right to about 1e-13 of the result, or 1e-13 where that is small.
pub(super) fn ln_gamma(x: f64) -> f64 {
    // Stirling's series is exact enough from here on; below, ln Γ(x) = ln Γ(x + 1) - ln x.
    const SERIES_FROM: f64 = 12.0;
    const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;
    let (mut shifted, mut product) = (x, 1.0);
    while shifted < SERIES_FROM {
        product *= shifted;
        shifted += 1.0;
    }
    let inverse = shifted.recip();
    let square = inverse * inverse;
    let series = inverse
        * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0))));
    (shifted - 0.5) * shifted.ln() - shifted + HALF_LN_TAU + series - product.ln()
}

/// Both are above zero.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let half = std::f64::consts::PI.sqrt().ln();
        for (x, value) in [
            (0.5, half),
            (1.0, 0.0),
            (2.0, 0.0),
            (5.0, 24_f64.ln()),
            (1.5, half - 2_f64.ln()),
            (20.0, 39.339_884_187_199_495),
            (1e6, 12_815_504.569_147_611),
        ] {
            let error = (ln_gamma(x) - value).abs();
            assert!(error < 1e-12 * value.abs().max(1.0), "ln gamma({x}) is off by {error}");
        }
        assert!((ln_beta(2.0, 3.0) - (1.0 / 12.0_f64).ln()).abs() < 1e-12);
    }

    #[test]
    fn each_step_of_one_multiplies_by_the_argument() {
        for x in [1e-3, 0.3, 11.5, 12.0, 999.5, 1e9] {
            let step = ln_gamma(x + 1.0) - ln_gamma(x);
            assert!((step - f64::ln(x)).abs() < 1e-5, "{x}: {step}");
        }
    }
}
