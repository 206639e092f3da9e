//! Backends as `vhost ctl backend …` shows them.

use serde_json::Value;

use crate::cli::output::{health_cell, last_answer};
use crate::cli::table::{Cell, Table, Tone, count, join};
use crate::cli::time::{elapsed, timestamp};
use crate::model::record::{self, Shown};
use crate::model::{
    BackendOptions, BackendState, DomainName, HealthCheckOptions, HealthStatus, shown_in_words,
};
use crate::rpc::methods::Open;
use crate::rpc::methods::backend::BackendInfo;

/// The options that are shown also where they are as by default.
const ALWAYS_SHOWN: [&str; 2] = ["scheme", "weight"];

/// The state of a backend in one line.
pub(super) fn summary(info: &BackendInfo) -> String {
    let tags = if info.tags.is_empty() {
        "no tags".to_owned()
    } else {
        let word = if info.tags.len() == 1 { "tag" } else { "tags" };
        format!("{word} {}", join(&info.tags))
    };
    let doing = match info.state.known() {
        Some(BackendState::Ready) => format!("health {}", info.health.status),
        Some(BackendState::Draining | BackendState::Disabled) | None => {
            format!("{} in flight", count(info.in_flight, "request"))
        }
    };
    format!("{}: {}, {tags}, {doing}, revision {}", info.id, info.state, info.revision)
}

/// All backends; `wide` has more columns, on lines of any length. The reason why one is unhealthy is too long
/// for a column: see [`facts`].
pub(super) fn table(backends: &[BackendInfo], wide: bool, now_ms: u64) -> Table {
    let row = |info: &BackendInfo| {
        let mut row = vec![
            ("ID", info.id.as_str().into()),
            ("ADDRESS", info.address.to_string().into()),
            ("TAGS", words(&info.tags)),
            ("STATE", state(&info.state)),
            ("HEALTH", health(info)),
            ("IN-FLIGHT", info.in_flight.to_string().into()),
        ];
        if wide {
            row.extend([
                ("SCHEME", info.options.text("scheme").into()),
                ("WEIGHT", info.options.text("weight").into()),
                ("RESOLVED", words(&info.resolved)),
                ("REQUESTS", info.requests.to_string().into()),
                ("FAILED", info.failures.to_string().into()),
                ("LAST ANSWER", last_answer(&info.health, now_ms).into()),
                ("OPTIONS", others(info)),
            ]);
        }
        row
    };
    Table::of(backends, row).shortening(&[(1, 16), (2, 8), (0, 16)])
}

/// The options that have no column and are not as by default.
fn others(info: &BackendInfo) -> Cell {
    let defaults = record::defaults::<BackendOptions>();
    let others = info
        .options
        .iter()
        .filter(|(key, value)| defaults.get(*key) != Some(value) && !ALWAYS_SHOWN.contains(key));
    let text =
        |path: &str, key: &str, value: &Value| format!("{path}={}", record::text(key, Some(value)));
    words(others.flat_map(|(key, value)| match value {
        Value::Object(members) => {
            let member = |(member, value): (&String, &Value)| {
                text(&format!("{key}.{member}"), member, value)
            };
            members.iter().map(member).collect()
        }
        value => vec![text(key, key, value)],
    }))
}

/// Values without a space between them, so that the column is one word for `awk`.
fn words<T: ToString>(values: impl IntoIterator<Item = T>) -> Cell {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(",").into()
}

/// A note on where to read why backends are unhealthy.
pub(super) fn unhealthy_note(backends: &[BackendInfo]) -> Option<String> {
    let mut unhealthy = backends.iter().filter(|info| {
        info.state != BackendState::Disabled && info.health.status == HealthStatus::Unhealthy
    });
    let id = &unhealthy.next()?.id;
    let who = match unhealthy.count() {
        0 => format!("`{id}` is"),
        more => format!("{} backends are", more + 1),
    };
    Some(format!("{who} unhealthy; `vhost ctl backend show {id}` says why"))
}

/// One backend.
pub(super) fn facts(info: &BackendInfo, now_ms: u64) -> Table {
    let mut table = Table::facts();
    table.fact("id", info.id.as_str());
    table.fact("address", info.address.to_string());
    table.fact("resolved", join(&info.resolved));
    table.fact("tags", join(&info.tags));
    let defaults = record::defaults::<BackendOptions>();
    for (key, value) in info.options.iter() {
        let is_told = defaults.get(key) != Some(value) || ALWAYS_SHOWN.contains(&key);
        if key == BackendOptions::INSECURE_SKIP_VERIFY && is_told {
            table.fact(
                "TLS verify",
                Cell::toned("off: its certificate is not verified", Tone::Unsure),
            );
        } else if is_told {
            table.fact(&key.replace('_', " "), record::text(key, Some(value)));
        }
    }
    table.fact("state", state(&info.state));
    table.fact("health", health(info));
    let since = |at_ms| format!("{}, for {}", timestamp(at_ms), elapsed(now_ms, at_ms));
    table.known("since", info.health.since_ms.map(since));
    table.fact("last answer", last_answer(&info.health, now_ms));
    for (index, line) in info.health_check_in_effect.iter().flat_map(check_in_lines).enumerate() {
        table.fact(if index == 0 { "probed by" } else { "" }, line);
    }
    table.fact("in flight", info.in_flight.to_string());
    let (sent, failed) = (info.requests, info.failures);
    table.fact("requests", format!("{sent}, {failed} failed"));
    table.fact("serves", join(info.serves.iter().map(DomainName::shown)));
    table.fact("revision", info.revision.to_string());
    table
}

/// Every key of a check, `kind http, path /up, …, interval 10s`, on lines that fit a terminal.
fn check_in_lines(check: &Shown<HealthCheckOptions>) -> Vec<String> {
    const WIDTH: usize = 60;
    let keys = check.iter().map(|(key, value)| {
        let name = key.strip_suffix("_secs").unwrap_or(key).replace('_', " ");
        match shown_in_words(key, Some(value)) {
            value if value.is_empty() => format!("{name} none"),
            value if value.contains([',', ' ']) => format!("{name} `{value}`"),
            value => format!("{name} {value}"),
        }
    });
    let mut lines: Vec<String> = Vec::new();
    for key in keys {
        match lines.last_mut() {
            Some(line) if line.chars().count() + key.chars().count() < WIDTH => {
                line.push_str(", ");
                line.push_str(&key);
            }
            Some(line) => {
                line.push(',');
                lines.push(key);
            }
            None => lines.push(key),
        }
    }
    lines
}

fn state(state: &Open<BackendState>) -> Cell {
    let tone = match state.known() {
        Some(BackendState::Ready) => Tone::Plain,
        Some(BackendState::Draining | BackendState::Disabled) | None => Tone::Unsure,
    };
    Cell::toned(state.to_string(), tone)
}

/// The last observation of a backend that is not probed is outdated.
fn health(info: &BackendInfo) -> Cell {
    match info.state.known() {
        Some(BackendState::Disabled) => "-".into(),
        Some(BackendState::Ready | BackendState::Draining) | None => {
            health_cell(info.health.status)
        }
    }
}
