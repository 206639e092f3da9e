//! What a server exports, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::*;

/// One scrape.
pub(super) struct Scrape {
    pub(super) text: String,
    /// The kind of each metric.
    pub(super) kinds: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    pub(super) fn of(address: SocketAddr) -> Self {
        let response = get(address, "localhost", "/metrics");
        assert_eq!(response.status, 200);
        Self::read(response.text())
    }

    fn read(text: String) -> Self {
        let mut kinds = BTreeMap::new();
        let mut samples = Vec::new();
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a kind");
                assert_eq!(kinds.insert(name.to_owned(), kind.to_owned()), None, "{name} twice");
            } else if !line.starts_with('#') {
                samples.push(Sample::read(line));
            }
        }
        Self { text, kinds, samples }
    }

    /// The samples of this name that have these labels, added up; nothing where there is none.
    pub(super) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).reduce(|a, b| a + b)
    }

    #[track_caller]
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?} in\n{}", self.text))
    }

    /// The values that a label of this metric has.
    pub(super) fn values_of(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let samples = self.samples.iter().filter(|sample| sample.name == name);
        samples.filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect()
    }

    /// The labels of each name that a sample has, `_bucket` and the like included.
    pub(super) fn labels(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for sample in &self.samples {
            let names = sample.labels.keys().map(String::as_str);
            labels.entry(&sample.name).or_default().extend(names);
        }
        labels
    }

    /// The counters of `before` that are less by now.
    pub(super) fn fallen_since(&self, before: &Self) -> Vec<String> {
        let is_count = |sample: &&Sample| {
            ["_total", "_count", "_sum", "_bucket"].iter().any(|end| sample.name.ends_with(end))
        };
        let now: BTreeMap<_, _> =
            self.samples.iter().map(|s| ((&s.name, &s.labels), s.value)).collect();
        let fallen = before.samples.iter().filter(is_count).filter(|sample| {
            now.get(&(&sample.name, &sample.labels)).is_some_and(|now| *now < sample.value)
        });
        fallen.map(|sample| format!("{} {:?}", sample.name, sample.labels)).collect()
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let pairs = labels.strip_suffix('}').expect("labels end").split_terminator("\",");
        let pair = |pair: &str| {
            let (label, value) = pair.split_once("=\"").expect("a label");
            (label.to_owned(), value.trim_end_matches('"').to_owned())
        };
        Self {
            name: name.to_owned(),
            labels: pairs.map(pair).collect(),
            value: value.parse().expect("a number"),
        }
    }
}

/// Waits until what is exported is so.
#[track_caller]
pub(super) fn eventually_exported(
    what: &str,
    address: SocketAddr,
    mut is_so: impl FnMut(&Scrape) -> bool,
) -> Scrape {
    eventually_some(what, Duration::from_secs(20), || {
        let scrape = Scrape::of(address);
        is_so(&scrape).then_some(scrape)
    })
}

/// Runs Prometheus' own tool, which must find nothing wrong. `./dev test` unpacks it.
#[track_caller]
pub(super) fn promtool(args: &[&str], input: &str) {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/promtool");
    let tool = if unpacked.exists() { unpacked } else { PathBuf::from("promtool") };
    let mut child = Command::new(&tool)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; `./dev test` gets it", tool.display()));
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    let _ = writer.join().expect("no panic");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {args:?}: {}", String::from_utf8_lossy(&said));
}
