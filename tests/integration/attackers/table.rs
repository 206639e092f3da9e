//! What the attacks did, a row each.

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The rows of this run, in the order in which they ended.
static ROWS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// One attack.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    /// Connections that the attackers have made.
    pub(super) connections: usize,
    /// Exchanges of honest clients while it ran.
    pub(super) honest: usize,
    pub(super) lost: usize,
    /// The median and the 99th percentile of the client that it cost most, to those without an attack.
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Memory above what it was without an attack, in KiB: at most, what is allowed, and afterwards.
    pub(super) peak_kb: u64,
    may_grow_kb: u64,
    pub(super) after_kb: u64,
    /// Open files more than before, afterwards.
    pub(super) files_left: usize,
    pub(super) log_kb: u64,
    /// Whether connections and requests that run are counted as before.
    pub(super) counters_back: bool,
    /// What was not as promised.
    pub(super) wrong: Vec<String>,
}

impl Row {
    pub(super) fn new(name: &'static str, may_grow_kb: u64) -> Self {
        Self {
            name,
            connections: 0,
            honest: 0,
            lost: 0,
            p50: 0.0,
            p99: 0.0,
            peak_kb: 0,
            may_grow_kb,
            after_kb: 0,
            files_left: 0,
            log_kb: 0,
            counters_back: false,
            wrong: Vec::new(),
        }
    }

    /// Adds it to the table, which is written anew, so that it is there whatever comes.
    pub(super) fn write(&self) {
        let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
        rows.push(self.to_string());
        let _ = std::fs::write(file(), format!("{HEAD}\n{}\n", rows.join("\n")));
    }
}

/// Where `./dev` finds the table.
fn file() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("attackers.txt")
}

const HEAD: &str = "attack                                                  conns  honest  lost  p50 ×  p99 ×  peak MiB  allowed  after  files  log KiB  counters";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [peak, allowed, after] =
            [self.peak_kb, self.may_grow_kb, self.after_kb].map(|kb| kb.div_ceil(1024));
        write!(
            f,
            "{:<54} {:>6} {:>7} {:>5} {:>6.1} {:>6.1} {peak:>9} {allowed:>8} {after:>6} {:>6} {:>8}  {}",
            self.name,
            self.connections,
            self.honest,
            self.lost,
            self.p50,
            self.p99,
            self.files_left,
            self.log_kb,
            if self.counters_back { "back" } else { "not back" },
        )?;
        self.wrong.iter().try_for_each(|wrong| {
            let short: String = wrong.chars().take(160).collect();
            write!(f, "\n    FAILED: {}", short.replace('\n', " "))
        })
    }
}

/// What a panic said.
pub(super) fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
