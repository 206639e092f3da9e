//! Figures of traffic in a few characters, each one word.

/// A rate, or a number.
pub(super) fn number(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"])
}

/// A count.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn count(count: u64) -> String {
    if count < 10_000 { count.to_string() } else { number(count as f64) }
}

/// An amount of bytes.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn bytes(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    scaled(bytes as f64, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// A share, 0 to 1.
pub(super) fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0%".to_owned(),
        ..0.1 => "<0.1%".to_owned(),
        ..9.95 => format!("{percent:.1}%"),
        // Not all failed.
        99.5..100.0 => ">99%".to_owned(),
        _ => format!("{percent:.0}%"),
    }
}

/// A duration; a dash where nothing was measured.
pub(super) fn millis(millis: Option<f64>) -> String {
    match millis {
        None => "-".to_owned(),
        Some(millis @ ..9.95) => format!("{millis:.1}ms"),
        Some(millis @ ..999.5) => format!("{millis:.0}ms"),
        Some(millis @ ..9_950.0) => format!("{:.1}s", millis / 1000.0),
        Some(millis) => format!("{:.0}s", millis / 1000.0),
    }
}

/// A bar chart, the last value on the right, scaled to the highest.
pub(super) fn bars(values: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &values[values.len().saturating_sub(width)..];
    let highest = shown.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let eighths = (value / highest * 8.0).ceil();
        // The lowest bar is for 0 only.
        let at = (2..8).find(|at| eighths <= f64::from(*at)).unwrap_or(8);
        BARS[if *value > 0.0 { usize::try_from(at - 1).unwrap_or_default() } else { 0 }]
    };
    let missing = std::iter::repeat_n(' ', width - shown.len());
    missing.chain(shown.iter().map(bar)).collect()
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let (mut rest, mut unit) = (number, 0);
    while rest >= step - step / 2000.0 && unit + 1 < units.len() {
        rest /= step;
        unit += 1;
    }
    let units = units[unit];
    match rest {
        0.0 => format!("0{units}"),
        ..0.1 => format!("<0.1{units}"),
        ..9.95 if rest.fract() != 0.0 => format!("{rest:.1}{units}"),
        _ => format!("{rest:.0}{units}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_never_more_than_they_are() {
        for (value, text) in [
            (0.0, "0"),
            (0.02, "<0.1"),
            (0.34, "0.3"),
            (7.0, "7"),
            (12.4, "12"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (1_234.0, "1.2k"),
            (45_600.0, "46k"),
            (2e6, "2M"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!([count(9_999), count(10_400), count(0)], ["9999", "10k", "0"]);
        assert_eq!(
            [bytes(0), bytes(999), bytes(1_500), bytes(u64::MAX)],
            ["0B", "999B", "1.5kB", "18447PB"]
        );
        for (value, text) in [
            (0.0, "0%"),
            (0.0004, "<0.1%"),
            (0.0123, "1.2%"),
            (0.5, "50%"),
            (0.9999, ">99%"),
            (1.0, "100%"),
        ] {
            assert_eq!(share(value), text);
        }
        for (value, text) in [
            (None, "-"),
            (Some(0.84), "0.8ms"),
            (Some(9.97), "10ms"),
            (Some(140.4), "140ms"),
            (Some(999.7), "1.0s"),
            (Some(30_000.0), "30s"),
        ] {
            assert_eq!(millis(value), text);
        }
    }

    #[test]
    fn bars_are_as_high_as_their_values() {
        assert_eq!(bars(&[0.0, 1.0, 4.0, 8.0], 6), "  ▁▂▄█");
        assert_eq!(bars(&[9.0, 0.0, 0.0], 2), "▁▁");
        assert_eq!(bars(&[0.001, 100.0], 2), "▂█");
        assert_eq!(bars(&[], 3), "   ");
    }
}
