//! What stands on the page for what is another one at each run.

use std::cell::RefCell;

use serde_json::{Map, Value, json};

/// The token of a plan.
const TOKEN: &str = "p2223k7q4xmw";

/// The moment at which all happens, and those of certificates around it.
const NOW: u64 = 1_767_225_600_000;
const NOT_BEFORE: u64 = NOW - 3_600_000;
const NOT_AFTER: u64 = NOT_BEFORE + 90 * DAY;
const RENEWAL: u64 = NOT_BEFORE + 60 * DAY;
const DAY: u64 = 24 * 3_600_000;

/// The day of [`NOT_AFTER`].
const LAST_DAY: &str = "2026-03-31";

/// The number of a rollout, or of a preview.
const RANDOM: u64 = 2_718_281_828;

/// Who signs certificates.
const ISSUER: &str = "Example Intermediate CA 1";

/// The number of the event that is shown first, which is the newest.
const NEWEST: u64 = 11;

/// Puts them in their place. `events` are those that were shown, in the order of the page.
pub(super) fn settle(value: &mut Value, events: &RefCell<Vec<u64>>) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|value| settle(value, events)),
        Value::String(text) => *text = settled(text),
        Value::Object(members) => {
            if let Some(id) = event(members) {
                let mut events = events.borrow_mut();
                let place = events.iter().position(|shown| *shown == id).unwrap_or_else(|| {
                    events.push(id);
                    events.len() - 1
                });
                members["id"] = json!(NEWEST - u64::try_from(place).expect("few events"));
            }
            for (name, value) in members.iter_mut() {
                settle_member(name, value, events);
            }
        }
        _ => {}
    }
}

/// The number of an event, which depends on how many certificates came before.
fn event(members: &Map<String, Value>) -> Option<u64> {
    members.get("actor").and_then(|_| members.get("id"))?.as_u64()
}

fn settle_member(name: &str, value: &mut Value, events: &RefCell<Vec<u64>>) {
    let is_point = value.as_u64() > Some(1 << 40);
    match name {
        "pid" => *value = json!(4242),
        "old_pid" => *value = json!(4000),
        "uptime_ms" | "covered_ms" => *value = json!(93_500),
        // Whether a step has ended depends on how fast the machine is.
        "recent_rates" => *value = json!([]),
        "uid" => *value = json!(1000),
        "connections" => *value = json!(12),
        "request_id" => *value = json!("5f3a9c01"),
        "token" => *value = json!(TOKEN),
        "secret" => *value = json!(format!("vhost_{}", "5e".repeat(32))),
        "serial" => *value = json!("4f1c8e07a2b95d36"),
        "sha256" => {
            *value = json!("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
        }
        "issuer" => *value = json!(ISSUER),
        "chain" if !value[0].is_null() => *value = json!([ISSUER]),
        "thumbprint" if value.is_string() => {
            *value = json!("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        }
        "not_before_ms" => *value = json!(NOT_BEFORE),
        "not_after_ms" => *value = json!(NOT_AFTER),
        "switch_ms" | "latency_ms" if value.is_number() => *value = json!(0.85),
        // Numbers that are chosen at random.
        "id" | "trial" | "trial_id" if value.as_u64() > Some(1 << 16) => *value = json!(RANDOM),
        "ended" if value.is_array() => *value = json!([RANDOM]),
        "window_ms" | "last_ms" if value.is_u64() => {}
        "next_ms" if is_point => *value = json!(RENEWAL),
        "window_ms" if value.is_array() => *value = json!([RENEWAL - DAY, RENEWAL + DAY]),
        name if name.ends_with("_ms") && is_point => *value = json!(NOW),
        name if name.ends_with("_ms") && value.is_u64() => *value = json!(12),
        _ => settle(value, events),
    }
}

fn settled(text: &str) -> String {
    let mut text = without_bodies(text);
    if let Some((before, rest)) = text.split_once("/my-account/") {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        text = format!("{before}/my-account/1{}", &rest[end..]);
    }
    if let Some((before, _)) = text.split_once("vhost_preview=") {
        text = format!("{before}vhost_preview=AbCdEf…");
    }
    // Each run has CAs of its own.
    for issuer in ["Pebble Intermediate CA ", "authority "] {
        if let Some((before, rest)) = text.split_once(issuer) {
            let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
            if end > 0 {
                text = format!("{before}{ISSUER}{}", &rest[end..]);
            }
        }
    }
    let is_day = |at: usize| {
        let day = text.get(at..at + 10).unwrap_or_default();
        !day.is_empty()
            && day.bytes().enumerate().all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    if let Some(at) = (0..text.len()).find(|at| is_day(*at)) {
        text.replace_range(at..at + 10, LAST_DAY);
    }
    text
}

/// The text with what is in PEM blocks cut short.
fn without_bodies(text: &str) -> String {
    if !text.contains("-----BEGIN ") {
        return text.to_owned();
    }
    let mut short = String::new();
    for line in text.lines() {
        if line.starts_with("-----BEGIN ") {
            short.push_str(line);
            short.push_str("\nMII…\n");
        } else if line.starts_with("-----END ") {
            short.push_str(line);
            short.push('\n');
        }
    }
    short
}
