//! Domains as people read them.

use serde_json::Value;

use crate::cli::table::{Cell, Table, Tone, count, join};
use crate::model::{Tag, record};
use crate::rpc::methods::domain::{DomainInfo, PoolInfo};

/// The state of a domain in one line.
pub(super) fn summary(info: &DomainInfo) -> String {
    let PoolInfo { ready, healthy, .. } = info.backends;
    let backends = match ready {
        0 => "no ready backends".to_owned(),
        _ => format!("{healthy} of {} healthy", count(ready, "backend")),
    };
    let held = [("maintenance", ", in maintenance"), ("pause", ", paused")];
    let held = held.into_iter().find(|(option, _)| info.options.contains_key(*option));
    let held = held.map_or("", |(_, words)| words);
    let draining = left_behind(info);
    let draining = if draining.is_empty() { draining } else { format!(", {draining} in flight") };
    let DomainInfo { domain, live, revision, .. } = info;
    format!("{domain}: live {live}{held}, {backends}{draining}, revision {revision}")
}

/// All domains, within the width of a terminal; `wide` has all their options, on lines of any length.
pub(super) fn table(domains: &[DomainInfo], wide: bool) -> Table {
    let row = |info: &DomainInfo| {
        let mut row = vec![
            ("DOMAIN", info.domain.to_string().into()),
            ("LIVE", info.live.as_str().into()),
            ("BEFORE", join(&info.previous).into()),
            ("BACKENDS", pool(info.backends)),
            ("IN-FLIGHT", in_flight(info).into()),
        ];
        let mut aliases = aliases(info);
        if wide {
            row.extend([
                ("BALANCE", info.top.text("balance").into()),
                ("HTTP-TO-HTTPS", info.top.text("http_to_https").into()),
                ("TLS", info.top.text("tls").into()),
                ("HSTS-SECS", info.top.text("hsts_max_age_secs").into()),
                ("OPTIONS", others(info)),
            ]);
        } else if aliases.len() > 1 {
            aliases = vec![format!("{} +{}", aliases[0], aliases.len() - 1)];
        }
        row.push(("ALIASES", join(aliases).into()));
        row
    };
    Table::of(domains, row).shortening(&[(5, 0), (0, 24), (2, 6), (1, 8), (4, 8), (3, 12)])
}

/// One domain.
pub(super) fn facts(info: &DomainInfo) -> Table {
    let mut table = Table::facts();
    table.fact("domain", info.domain.to_string());
    table.fact("live", info.live.as_str());
    table.fact("before", join(&info.previous));
    table.fact("backends", pool(info.backends));
    table.fact("in flight", in_flight(info));
    if info.waiting > 0 {
        let waiting = format!("{} for it to be resumed", count(info.waiting, "request"));
        table.fact("waiting", Cell::toned(waiting, Tone::Unsure));
    }
    let options = info.options.iter().map(|(key, value)| (key.as_str(), value));
    let top = info.top.iter().map(|(key, value)| (key as &str, value));
    for (key, value) in top.chain(options) {
        table.fact(&key.replace('_', " "), record::text(key, Some(value)));
    }
    table.fact("revision", info.revision.to_string());
    table
}

fn aliases(info: &DomainInfo) -> Vec<String> {
    let aliases = info.top.get("aliases").and_then(Value::as_array);
    aliases.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The keys of the other options that it has.
fn others(info: &DomainInfo) -> Cell {
    info.options.keys().map(String::as_str).collect::<Vec<_>>().join(",").into()
}

/// How many backends of a pool are healthy, of those that should serve.
fn pool(pool: PoolInfo) -> Cell {
    let PoolInfo { total, ready, healthy } = pool;
    let text = match (ready, total - ready.min(total)) {
        (0, 0) => "none".to_owned(),
        (0, out) => format!("none ready, {out} out"),
        (_, 0) => format!("{healthy}/{ready} healthy"),
        (_, out) => format!("{healthy}/{ready} healthy, {out} out"),
    };
    Cell::toned(text, Tone::of_pool(healthy, ready))
}

/// Requests on the live tag, and those still on former tags.
fn in_flight(info: &DomainInfo) -> String {
    let live = info.in_flight.iter().filter(|of| of.tag == info.live);
    let live: usize = live.map(|of| of.requests).sum();
    let left = left_behind(info);
    if left.is_empty() { live.to_string() } else { format!("{live}, {left}") }
}

fn left_behind(info: &DomainInfo) -> String {
    let paths = info.options.get("paths").and_then(Value::as_array);
    let by_path = |tag: &Tag| paths.into_iter().flatten().any(|path| path["tag"] == tag.as_str());
    let left = info.in_flight.iter();
    let left = left.filter(|of| of.tag != info.live && of.requests > 0 && !by_path(&of.tag));
    join(left.map(|of| format!("{} on {}", of.requests, of.tag)))
}
