//! Backends as `vhost ctl backend …` shows them.

use crate::cli::output::{health_cell, last_answer};
use crate::cli::table::{Cell, Table, Tone, count, join};
use crate::cli::time::{elapsed, timestamp};
use crate::model::{BackendState, HealthStatus};
use crate::rpc::methods::backend::BackendInfo;

/// The state of a backend in one line.
pub(super) fn summary(info: &BackendInfo) -> String {
    let tags = if info.tags.is_empty() {
        "no tags".to_owned()
    } else {
        let word = if info.tags.len() == 1 { "tag" } else { "tags" };
        format!("{word} {}", join(&info.tags))
    };
    let doing = match info.state {
        BackendState::Ready => format!("health {}", info.health.status),
        BackendState::Draining | BackendState::Disabled => {
            format!("{} in flight", count(info.in_flight, "request"))
        }
    };
    format!("{}: {}, {tags}, {doing}, revision {}", info.id, info.state, info.revision)
}

/// All backends. Why one is unhealthy is a sentence, which no column holds: see [`facts`].
pub(super) fn table(backends: &[BackendInfo]) -> Table {
    let mut table = Table::list(&["ID", "ADDRESS", "TAGS", "STATE", "HEALTH", "IN-FLIGHT"])
        .shortening(&[(1, 16), (2, 8), (0, 16)]);
    for info in backends {
        table.row([
            info.id.as_str().into(),
            info.address.to_string().into(),
            // Without a space, so that the column is one word for `awk`.
            info.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(",").into(),
            state(info.state),
            health(info),
            info.in_flight.to_string().into(),
        ]);
    }
    table
}

/// All backends, with all that is known of them.
pub(super) fn wide_table(backends: &[BackendInfo], now_ms: u64) -> Table {
    let mut table = Table::list(&[
        "ID",
        "ADDRESS",
        "RESOLVED",
        "SCHEME",
        "WEIGHT",
        "TAGS",
        "STATE",
        "HEALTH",
        "IN-FLIGHT",
        "REQUESTS",
        "FAILED",
        "LAST ANSWER",
    ]);
    let words = |words: Vec<String>| Cell::from(words.join(","));
    for info in backends {
        table.row([
            info.id.as_str().into(),
            info.address.to_string().into(),
            words(info.resolved.clone()),
            info.scheme.as_str().into(),
            info.weight.to_string().into(),
            words(info.tags.iter().map(ToString::to_string).collect()),
            state(info.state),
            health(info),
            info.in_flight.to_string().into(),
            info.requests.to_string().into(),
            info.failures.to_string().into(),
            last_answer(&info.health, now_ms).into(),
        ]);
    }
    table
}

/// Where to read why backends are unhealthy.
pub(super) fn unhealthy_note(backends: &[BackendInfo]) -> Option<String> {
    let unhealthy = |info: &&BackendInfo| {
        info.state != BackendState::Disabled && info.health.status == HealthStatus::Unhealthy
    };
    let first = backends.iter().find(unhealthy)?;
    let number = backends.iter().filter(unhealthy).count();
    let id = &first.id;
    Some(if number == 1 {
        format!("`{id}` is unhealthy; `vhost ctl backend show {id}` says why")
    } else {
        format!("{number} backends are unhealthy; `vhost ctl backend show {id}` says why")
    })
}

/// One backend.
pub(super) fn facts(info: &BackendInfo, now_ms: u64) -> Table {
    let mut table = Table::facts();
    table.fact("id", info.id.as_str());
    table.fact("address", info.address.to_string());
    table.fact("resolved", join(&info.resolved));
    table.fact("tags", join(&info.tags));
    table.fact("weight", info.weight.to_string());
    table.fact("scheme", info.scheme.as_str());
    table.fact("state", state(info.state));
    table.fact("health", health(info));
    if let Some(since_ms) = info.health.since_ms {
        let since = timestamp(since_ms);
        table.fact("since", format!("{since}, for {}", elapsed(now_ms, since_ms)));
    }
    table.fact("last answer", last_answer(&info.health, now_ms));
    table.fact("in flight", info.in_flight.to_string());
    let (sent, failed) = (info.requests, info.failures);
    table.fact("requests", format!("{sent}, {failed} failed"));
    table.fact("serves", join(&info.serves));
    table.fact("revision", info.revision.to_string());
    table
}

fn state(state: BackendState) -> Cell {
    let tone = match state {
        BackendState::Ready => Tone::Plain,
        BackendState::Draining | BackendState::Disabled => Tone::Unsure,
    };
    Cell::toned(state.as_str(), tone)
}

/// What was last observed of a backend that is not probed says nothing any more.
fn health(info: &BackendInfo) -> Cell {
    match info.state {
        BackendState::Disabled => "-".into(),
        BackendState::Ready | BackendState::Draining => health_cell(info.health.status),
    }
}
