//! What was measured in a case, and how it is told: beside each figure of somebody else stands what
//! vhost has to it, as ratios are what counts.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::common::figures::median;

/// Whether less of a figure is better, or more, and whether there is a goal for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Less is better, and vhost is to have no more than the best peer.
    Judged,
    /// To be read, not judged.
    Told,
}

/// The figures of a case, with a column for each who took part; vhost is the first.
pub(crate) struct Table {
    pub(crate) name: String,
    about: String,
    columns: Vec<Column>,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

struct Column {
    name: String,
    is_peer: bool,
}

struct Figure {
    what: &'static str,
    unit: &'static str,
    kind: Kind,
    /// By column, by round. A round may lack a value.
    values: Vec<Vec<Option<f64>>>,
}

impl Table {
    pub(crate) fn new(name: &str, about: &str, columns: &[(&str, bool)]) -> Self {
        let column =
            |(name, is_peer): &(&str, bool)| Column { name: (*name).to_owned(), is_peer: *is_peer };
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            columns: columns.iter().map(column).collect(),
            figures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds what a column had in a round.
    pub(crate) fn add(
        &mut self,
        (column, round): (&str, usize),
        (what, unit): (&'static str, &'static str),
        kind: Kind,
        value: f64,
    ) {
        let index = self.columns.iter().position(|known| known.name == column);
        let index = index.expect("a column of this table");
        let columns = self.columns.len();
        let known = self.figures.iter().position(|figure| figure.what == what);
        let known = known.unwrap_or_else(|| {
            let values = vec![Vec::new(); columns];
            self.figures.push(Figure { what, unit, kind, values });
            self.figures.len() - 1
        });
        let rounds = &mut self.figures[known].values[index];
        if rounds.len() <= round {
            rounds.resize(round + 1, None);
        }
        rounds[round] = Some(value);
    }

    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The case as text, for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}: {}\n{:22}", self.name, self.about, "");
        for (index, column) in self.columns.iter().enumerate() {
            let _ = write!(text, "  {:<width$}", column.name, width = width(index));
        }
        text = text.trim_end().to_owned() + "\n";
        for figure in &self.figures {
            let mut line = format!("{:22}", format!("{} {}", figure.what, figure.unit));
            for index in 0..self.columns.len() {
                let cell = figure.cell(index);
                let _ = write!(line, "  {cell:<width$}", width = width(index));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "! {note}");
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let figures = self.figures.iter().map(|figure| {
            let columns = self.columns.iter().enumerate().map(|(index, column)| {
                let told = json!({
                    "median": figure.median(index),
                    "spread": figure.spread(index),
                    "rounds": figure.values[index],
                    "vhost_to_this": figure.ratio(index),
                });
                (column.name.clone(), told)
            });
            let columns: serde_json::Map<_, _> = columns.collect();
            json!({"what": figure.what, "unit": figure.unit, "measured": columns})
        });
        json!({
            "case": self.name,
            "about": self.about,
            "figures": figures.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    /// The figures in which a peer does better.
    pub(crate) fn short(&self) -> Vec<String> {
        let judged = self.figures.iter().filter(|figure| figure.kind == Kind::Judged);
        let worst = judged.filter_map(|figure| {
            let peers = self.columns.iter().enumerate().filter(|(_, column)| column.is_peer);
            let ratios = peers.filter_map(|(index, column)| {
                let ratio = figure.ratio(index)?;
                (ratio > 1.0).then_some((ratio, &column.name))
            });
            let (ratio, peer) = ratios.max_by(|one, other| one.0.total_cmp(&other.0))?;
            Some(format!("{}, {}: {ratio:.2} × {peer}", self.name, figure.what))
        });
        worst.collect()
    }

    /// What vhost has to the column, in a figure.
    pub(crate) fn ratio(&self, what: &str, column: &str) -> Option<f64> {
        let index = self.columns.iter().position(|known| known.name == column)?;
        self.figures.iter().find(|figure| figure.what == what)?.ratio(index)
    }
}

fn width(column: usize) -> usize {
    if column == 0 { 13 } else { 21 }
}

impl Figure {
    fn present(&self, column: usize) -> Vec<f64> {
        self.values[column].iter().copied().flatten().collect()
    }

    fn median(&self, column: usize) -> Option<f64> {
        let values = self.present(column);
        (!values.is_empty()).then(|| median(values))
    }

    /// From the least to the most of the rounds, to the median.
    fn spread(&self, column: usize) -> Option<f64> {
        let values = self.present(column);
        let least = values.iter().copied().min_by(f64::total_cmp)?;
        let most = values.iter().copied().max_by(f64::total_cmp)?;
        let median = self.median(column)?;
        (median > 0.0).then(|| (most - least) / median)
    }

    /// What the first column has to this one: the median of the rounds' ratios.
    fn ratio(&self, column: usize) -> Option<f64> {
        let pairs = self.values[0].iter().zip(&self.values[column]);
        let ratios: Vec<f64> = pairs
            .filter_map(|pair| match pair {
                (Some(vhost), Some(other)) if *other > 0.0 => Some(vhost / other),
                _ => None,
            })
            .collect();
        (!ratios.is_empty()).then(|| median(ratios))
    }

    fn cell(&self, column: usize) -> String {
        let Some(median) = self.median(column) else { return "–".to_owned() };
        let spread = self.spread(column).unwrap_or_default() * 100.0;
        let own = format!("{} ±{spread:.0}%", short(median));
        match self.ratio(column) {
            Some(ratio) if column > 0 => format!("{ratio:.2} ({own})"),
            _ => own,
        }
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}
