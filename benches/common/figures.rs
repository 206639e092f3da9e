//! What was measured, and how it is told.

use std::time::Duration;

use serde_json::{Value, json};

/// Rows of the report, in the order in which they were measured.
#[derive(Default)]
pub(crate) struct Figures {
    rows: Vec<Row>,
    quiet: bool,
}

struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    goal: Option<f64>,
}

impl Figures {
    /// Figures that are printed as they come, unless it is `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { rows: Vec::new(), quiet }
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.row(Row { what: what.into(), value, unit, goal: None });
    }

    /// Adds a figure that should be below `goal`.
    pub(crate) fn below(&mut self, goal: f64, what: &str, value: f64, unit: &'static str) {
        self.row(Row { what: what.to_owned(), value, unit, goal: Some(goal) });
    }

    /// Adds the median and the 99th percentile of what something took.
    pub(crate) fn spread(&mut self, what: &str, took: &[Duration], goal_ms: Option<f64>) {
        let median = Row {
            what: format!("{what}, median"),
            value: millis(percentile(took, 50)),
            unit: "ms",
            goal: goal_ms,
        };
        self.row(median);
        self.add(format!("{what}, p99"), millis(percentile(took, 99)), "ms");
    }

    /// All figures, for scripts.
    pub(crate) fn json(&self) -> Value {
        let row = |row: &Row| json!({"what": row.what, "value": row.value, "unit": row.unit, "below": row.goal});
        self.rows.iter().map(row).collect()
    }

    fn row(&mut self, row: Row) {
        if !self.quiet {
            let Row { what, value, unit, goal } = &row;
            let goal = goal.map(|goal| {
                let verdict = if *value < goal { "ok" } else { "MISSED" };
                format!("   below {goal} {unit}: {verdict}")
            });
            println!("{what:<54} {value:>10.2} {unit:<8}{}", goal.unwrap_or_default());
        }
        self.rows.push(row);
    }
}

/// The value that `percent` of all don't exceed.
pub(crate) fn percentile(took: &[Duration], percent: usize) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * percent / 100).min(sorted.len() - 1)).copied().expect("not empty")
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    to_float(usize::try_from(bytes).unwrap_or(usize::MAX)) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "figures have fewer digits than a float")]
pub(crate) fn to_float(number: usize) -> f64 {
    number as f64
}

pub(crate) fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
