//! The names of metrics are an interface: what is documented, charted and alerted on is what is
//! exported.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use super::promql::names;
use super::scrape::{Scrape, eventually_exported, promtool};
use super::with_metrics;
use crate::harness::*;

/// What Prometheus itself adds.
const OF_SCRAPES: [&str; 1] = ["up"];
const OF_TARGETS: [&str; 2] = ["instance", "job"];

/// A server that exports every metric there is.
fn everything() -> (Vhost, Scrape, [Backend; 3]) {
    let backends = ["a1", "b1", "shop"].map(Backend::start);
    let (setup, metrics) = with_metrics(
        Setup::new()
            .entries("[[notify]]\nname = \"chat\"\nexec = [\"/bin/true\"]\n")
            .set("metrics.per_domain_limit", 2)
            .domain_with("example.com", "a", "tls = \"internal\"\nhttp_to_https = false")
            .backend("a1", backends[0].address(), &["a"])
            .backend("b1", backends[1].address(), &["b"]),
    );
    let vhost = setup.start();
    vhost.wait_until_healthy(2);
    assert_eq!(vhost.get("example.com", "/").status, 200);
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    let shop = backends[2].address();
    vhost.ctl_ok(&["deploy", "shop", &shop, "--host", "shop.example", "--release", "v1"]);
    assert_eq!(vhost.get("shop.example", "/").status, 200);
    vhost.ctl_ok(&["split", "example.com", "a=1%"]);
    // One more than have series of their own.
    vhost.ctl_ok(&["domain", "add", "idle.example", "--tag", "b"]);
    let scrape = eventually_exported("everything", metrics, |scrape| {
        scrape.kinds.contains_key("tls_certificate_not_after_seconds")
            && scrape.kinds.contains_key("proxy_requests_total")
    });
    (vhost, scrape, backends)
}

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there")
}

/// A metric as docs/metrics.md has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Documented {
    kind: String,
    labels: BTreeSet<String>,
    query: String,
}

fn documented() -> BTreeMap<String, Documented> {
    let text = file("docs/metrics.md");
    let sections = text.split("\n### `").skip(1);
    let read = |section: &str| {
        let (name, text) = section.split_once('`').expect("a name");
        let (said, text) = text.trim_start().split_once(". ").expect("a kind, and more");
        let (kind, labels) = said.split_once(", by ").unwrap_or((said, ""));
        let (_, query) = text.split_once("```promql\n").expect("an example");
        let (query, _) = query.split_once("```").expect("it ends");
        let documented = Documented {
            kind: kind.to_lowercase(),
            labels: labels
                .split(", ")
                .filter(|label| !label.is_empty())
                .map(|label| label.trim_matches('`').to_owned())
                .collect(),
            query: query.to_owned(),
        };
        assert!(names(query).metrics.iter().any(|used| used.starts_with(name)), "{name}");
        (name.to_owned(), documented)
    };
    sections.map(read).collect()
}

/// What is wrong about the names of a query.
fn unknown(query: &str, scrape: &Scrape) -> Vec<String> {
    let exported = scrape.labels();
    let used = names(query);
    let mut labels: BTreeSet<&str> = OF_TARGETS.into();
    let mut unknown = Vec::new();
    for metric in &used.metrics {
        match exported.get(metric.as_str()) {
            Some(of) => labels.extend(of),
            None if OF_SCRAPES.contains(&metric.as_str()) => {}
            None => unknown.push(metric.clone()),
        }
    }
    assert!(!used.metrics.is_empty(), "{query}");
    let strange = used.labels.iter().filter(|label| !labels.contains(label.as_str()));
    unknown.extend(strange.cloned());
    unknown
}

/// A file of rules with these queries, for Prometheus to read.
fn rules(queries: &[String]) -> String {
    let rule = |query: &String| serde_json::json!({ "record": "query", "expr": query });
    let rules: Vec<_> = queries.iter().map(rule).collect();
    // JSON is YAML. No two rules may be the same.
    let groups = rules.iter().enumerate();
    let groups: Vec<_> = groups
        .map(|(n, rule)| serde_json::json!({ "name": format!("g{n}"), "rules": [rule] }))
        .collect();
    serde_json::json!({ "groups": groups }).to_string()
}

/// Has Prometheus read the queries.
fn check(queries: &[String]) {
    let mut different: Vec<_> = queries.to_vec();
    different.sort();
    different.dedup();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(rules(&different).as_bytes()).unwrap();
    promtool(&["check", "rules", "--lint=none", file.path().to_str().unwrap()], "");
}

/// Every query of the dashboard, as it is for one choice of its variables.
fn queries_of(dashboard: &Value, found: &mut Vec<String>) {
    match dashboard {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(query) if key == "expr" => {
                        let query = query.replace("$__rate_interval", "5m");
                        found.push(query.replace("$domain", ".*").replace("$job", "vhost"));
                    }
                    other => queries_of(other, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| queries_of(value, found)),
        _ => {}
    }
}

#[test]
fn what_is_documented_is_what_is_exported() {
    let (_vhost, scrape, _backends) = everything();
    promtool(&["check", "metrics"], &scrape.text);
    let documented = documented();
    let exported: BTreeSet<_> = scrape.kinds.keys().collect();
    assert_eq!(documented.keys().collect::<BTreeSet<_>>(), exported);
    let labels = scrape.labels();
    for (name, said) in &documented {
        assert_eq!(said.kind, scrape.kinds[name], "{name}");
        let sample = if said.kind == "histogram" { format!("{name}_sum") } else { name.clone() };
        let has: BTreeSet<_> = labels[sample.as_str()].iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(said.labels, has, "{name}");
        assert_eq!(unknown(&said.query, &scrape), [""; 0], "{name}");
    }
    check(&documented.into_values().map(|said| said.query).collect::<Vec<_>>());
}

#[test]
fn the_dashboard_and_the_alerts_use_names_that_exist() {
    let (_vhost, scrape, _backends) = everything();
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana-dashboard.json")).unwrap();
    let mut queries = Vec::new();
    queries_of(&dashboard, &mut queries);
    assert!(queries.len() > 30, "{}", queries.len());
    check(&queries);
    // Label queries of the variables: `label_values(METRIC, LABEL)`.
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    for variable in variables.iter().filter_map(|variable| variable["definition"].as_str()) {
        let inner = variable.strip_prefix("label_values(").and_then(|v| v.strip_suffix(')'));
        let (metric, label) = inner.unwrap().split_once(", ").unwrap();
        queries.push(format!("sum by ({label}) ({metric})"));
    }
    let alerts = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/alerts.yml");
    promtool(&["check", "rules", alerts], "");
    let alerts = std::process::Command::new("python3")
        .args(["-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"])
        .stdin(fs::File::open(alerts).unwrap())
        .output()
        .unwrap();
    let alerts: Value = serde_json::from_slice(&alerts.stdout).unwrap();
    let before = queries.len();
    queries_of(&alerts, &mut queries);
    assert!(queries.len() > before + 8, "the alerts were not found");
    for query in &queries {
        assert_eq!(unknown(query, &scrape), [""; 0], "{query}");
    }
}
