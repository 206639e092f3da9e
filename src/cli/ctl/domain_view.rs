//! Domains as people read them.

use serde_json::Value;

use super::trial_view;
use crate::cli::table::{Cell, Table, Tone, count, join};
use crate::model::{DomainMode, DomainName, Tag, record, with_unicode_names};
use crate::rpc::methods::Open;
use crate::rpc::methods::domain::{DomainInfo, PoolInfo};

/// Options that are names of domains.
const NAMES: [&str; 2] = ["aliases", "canonical_host"];

/// The state of a domain in one line.
pub(super) fn summary(info: &DomainInfo) -> String {
    let PoolInfo { ready, healthy, .. } = info.backends;
    let backends = match ready {
        0 => "no ready backends".to_owned(),
        _ => format!("{healthy} of {} healthy", count(ready, "backend")),
    };
    let held = match info.mode.known() {
        Some(DomainMode::Serving) | None => "",
        Some(DomainMode::Maintenance) => ", in maintenance",
        Some(DomainMode::Paused) => ", paused",
    };
    let draining = left_behind(info);
    let draining = if draining.is_empty() { draining } else { format!(", {draining} in flight") };
    let (live, domain, revision) = (live(info), info.domain.shown(), info.revision);
    format!("{domain}: live {live}{held}, {backends}{draining}, revision {revision}")
}

/// All domains, within the width of a terminal; `wide` has all their options, on lines of any length.
pub(super) fn table(domains: &[DomainInfo], wide: bool) -> Table {
    let row = |info: &DomainInfo| {
        let mut row = vec![
            ("DOMAIN", info.domain.shown().into()),
            ("LIVE", live(info).into()),
            ("BEFORE", join(&info.previous).into()),
            ("MODE", mode(info)),
            ("BACKENDS", pool(info.backends)),
            ("IN-FLIGHT", in_flight(info).into()),
        ];
        let mut aliases = aliases(info);
        if wide {
            row.extend([
                ("ASCII", ascii(&info.domain).into()),
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
    Table::of(domains, row).shortening(&[(6, 0), (0, 24), (2, 6), (1, 8), (5, 8), (4, 12), (0, 18)])
}

/// One domain.
pub(super) fn facts(info: &DomainInfo) -> Table {
    let mut table = Table::facts();
    table.fact("domain", info.domain.shown());
    table.known("ascii", info.domain.unicode().map(|_| info.domain.to_string()));
    table.fact("mode", Cell::toned(info.mode.to_string(), tone(&info.mode)));
    table.fact("live", info.live.as_str());
    if !info.shares.is_empty() {
        let shares = info.shares.iter().map(|of| format!("{} {}", of.tag, of.share));
        table.fact("shares", join(shares));
    }
    if let Some(trial) = &info.trial {
        table.fact(trial.kind.as_str(), trial_view::brief(trial));
    }
    if info.previews > 0 {
        table.fact("previews", info.previews.to_string());
    }
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
        let text = record::text(key, Some(value));
        let is_name = NAMES.contains(&key);
        let text = if is_name { with_unicode_names(&text).into_owned() } else { text };
        table.fact(&key.replace('_', " "), text);
    }
    table.fact("revision", info.revision.to_string());
    table
}

/// The live tag, and those that have a share beside it.
fn live(info: &DomainInfo) -> String {
    let beside = info.shares.iter().skip(1).map(|of| format!("{} {}", of.tag, of.share));
    join([info.live.to_string()].into_iter().chain(beside))
}

/// The mode of a domain, where it is not the usual one, or what is tried there: a list has little room.
fn mode(info: &DomainInfo) -> Cell {
    match (info.mode.known(), &info.trial) {
        (Some(DomainMode::Serving), None) => "".into(),
        (Some(DomainMode::Serving), Some(trial)) if trial.is_paused => {
            Cell::toned(format!("{} paused", trial.kind), Tone::Unsure)
        }
        (Some(DomainMode::Serving), Some(trial)) => {
            Cell::toned(trial.kind.as_str(), trial_view::tone(trial.finding))
        }
        (Some(DomainMode::Paused | DomainMode::Maintenance) | None, _) => {
            Cell::toned(info.mode.to_string(), tone(&info.mode))
        }
    }
}

/// What the mode of a domain means: an operator has to end what is not the usual one.
pub(super) fn tone(mode: &Open<DomainMode>) -> Tone {
    match mode.known() {
        Some(DomainMode::Serving) => Tone::Plain,
        Some(DomainMode::Paused | DomainMode::Maintenance) | None => Tone::Unsure,
    }
}

/// The name in ASCII, where people write it in another form.
pub(super) fn ascii(name: &DomainName) -> String {
    name.unicode().map(|_| name.to_string()).unwrap_or_default()
}

fn aliases(info: &DomainInfo) -> Vec<String> {
    let aliases = info.top.get("aliases").and_then(Value::as_array);
    let aliases = aliases.into_iter().flatten().filter_map(Value::as_str);
    aliases.map(|alias| with_unicode_names(alias).into_owned()).collect()
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
    let has_share = |tag: &Tag| info.shares.iter().any(|of| of.tag == *tag);
    let serves = |tag: &Tag| *tag == info.live || by_path(tag) || has_share(tag);
    let left = left.filter(|of| of.requests > 0 && !serves(&of.tag));
    join(left.map(|of| format!("{} on {}", of.requests, of.tag)))
}
