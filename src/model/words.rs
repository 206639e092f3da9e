//! Values as people read them, wherever one is shown.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{HIDDEN, Size, is_obeyed};

/// `1 request`, `2 requests`.
pub fn counted(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// ``choose `one`, `two` or `three` ``.
pub fn choose(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("choose {} or {last}", rest.join(", ")),
        _ => format!("choose {}", quoted.concat()),
    }
}

/// `` `one`, `two` and `three` ``.
pub fn listed(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The error with its causes, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The text, cut after `most` characters: what others have sent neither fills a terminal nor comes back at
/// any length.
pub fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The text on one line, with nothing in it that moves a terminal's cursor.
pub fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Options that are on or off; others have a value or none.
const SWITCHES: [&str; 7] = [
    "basic_auth",
    "client_rate_limit",
    "compression",
    "maintenance",
    "pause",
    "rate_limit",
    "sticky",
];

/// An option as people read it: `on (requests wait up to 30s, at most 1000)` of a pause, `off` where it is not
/// given.
pub fn shown_in_words(key: &str, value: Option<&Value>) -> String {
    let is_switch = SWITCHES.contains(&key);
    match value {
        None | Some(Value::Null) => if is_switch { "off" } else { "none" }.to_owned(),
        Some(Value::Object(members)) if members.contains_key("requests") => rate(members),
        Some(Value::Object(members)) if members.is_empty() => "on".to_owned(),
        Some(Value::Object(members)) if is_switch => {
            format!("on ({})", members_in_words(key, members))
        }
        Some(value) => in_words(key, value),
    }
}

fn rate(members: &Map<String, Value>) -> String {
    let number = |key| members.get(key).and_then(Value::as_u64);
    let requests = number("requests").unwrap_or_default();
    let period = number("per_secs").filter(|secs| *secs != 1);
    let period = period.map_or_else(
        || "a second".to_owned(),
        |secs| format!("in {}", time_in_words(Duration::from_secs(secs))),
    );
    let burst = number("burst").map(|burst| format!(", {burst} at once")).unwrap_or_default();
    format!("{requests} requests {period}{burst}")
}

/// Tables whose names are not ours: of header fields, users and statuses.
const MAPS: [&str; 5] = ["add", "error_pages", "headers", "set", "users"];

/// The members of the table that stands at `table`.
fn members_in_words(table: &str, members: &Map<String, Value>) -> String {
    let is_map = MAPS.contains(&table);
    let words = members.iter().map(|(key, value)| {
        if value == HIDDEN {
            return key.clone();
        }
        let shown = match value {
            Value::Object(inner) => format!("({})", members_in_words(key, inner)),
            value => in_words(key, value),
        };
        if is_map {
            // A text must not look as if it were the end of it.
            let is_plain = !shown.contains([',', '(', ')', '"']);
            return if is_plain {
                format!("{key}: {shown}")
            } else {
                format!("{key}: \"{shown}\"")
            };
        }
        match key.as_str() {
            "max_wait_secs" => format!("requests wait up to {shown}"),
            "max_waiting" => format!("at most {shown}"),
            key => {
                let name = key.strip_suffix("_secs").unwrap_or(key).replace('_', " ");
                format!("{name} {shown}")
            }
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

fn in_words(key: &str, value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(is_on) => if *is_on { "on" } else { "off" }.to_owned(),
        Value::Number(number) if key.ends_with("_secs") => {
            let time = number.as_f64().and_then(|secs| Duration::try_from_secs_f64(secs).ok());
            time.map_or_else(|| number.to_string(), time_in_words)
        }
        Value::Number(number) if key.ends_with("_bytes") => {
            number.as_u64().map_or_else(|| number.to_string(), |bytes| Size::new(bytes).in_words())
        }
        Value::Number(number) => number.to_string(),
        Value::String(text) => on_one_line(text),
        Value::Array(elements) => {
            let elements = elements.iter().map(|element| match element {
                Value::Object(members) => format!("({})", members_in_words(key, members)),
                element => in_words(key, element),
            });
            elements.collect::<Vec<_>>().join(", ")
        }
        Value::Object(members) => members_in_words(key, members),
    }
}

/// A time as it may be written in the config file, such as `1m 30s`.
pub fn time_in_words(time: Duration) -> String {
    let days = time.as_secs() / 86_400;
    // What is longer would be in months and years, which have no definite length.
    let rest = Duration::new(time.as_secs() % 86_400, time.subsec_nanos());
    let rest = (days == 0 || !rest.is_zero()).then(|| humantime::format_duration(rest).to_string());
    let days = (days > 0).then(|| format!("{days}d"));
    days.into_iter().chain(rest).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_option_is_never_shown_as_json() {
        for (key, value, words) in [
            (
                "pause",
                json!({"max_wait_secs": 30, "max_waiting": 1000}),
                "on (requests wait up to 30s, at most 1000)",
            ),
            (
                "request_headers",
                json!({"set": {"x_api_secs": "1", "max_waiting": "a, remove server)"}}),
                "set (max_waiting: \"a, remove server)\", x_api_secs: 1)",
            ),
            ("pause", json!(null), "off"),
            ("maintenance", json!({}), "on"),
            ("maintenance", json!({"retry_after_secs": 90}), "on (retry after 1m 30s)"),
            ("sticky", json!({"cookie": "c", "max_age_secs": 60}), "on (cookie c, max age 1m)"),
            ("rate_limit", json!({"requests": 5}), "5 requests a second"),
            (
                "rate_limit",
                json!({"requests": 5, "per_secs": 60, "burst": 9}),
                "5 requests in 1m, 9 at once",
            ),
            ("max_body_bytes", json!(10), "10 bytes"),
            ("max_body_bytes", json!(10 << 20), "10MB"),
            ("timeouts", json!({"response_secs": 0.3}), "response 300ms"),
            ("compression", json!(["zstd", "gzip"]), "zstd, gzip"),
            ("paths", json!([{"prefix": "/api", "tag": "a"}]), "(prefix /api, tag a)"),
            ("request_headers", json!({"set": {"X-A": "1"}}), "set (X-A: 1)"),
            ("request_headers", json!({"remove": ["X-A", "X-B"]}), "remove X-A, X-B"),
            (
                "basic_auth",
                json!({"realm": "staff", "users": {"ann": "(hidden)", "bob": "${BOB}"}}),
                "on (realm staff, users (ann, bob: ${BOB}))",
            ),
            ("canonical_host", json!("a.test"), "a.test"),
        ] {
            assert_eq!(shown_in_words(key, Some(&value)), words, "{key}");
        }
        let days = |days: u64| time_in_words(Duration::from_secs(days * 86_400 + 60));
        assert_eq!((days(0), days(365)), ("1m".to_owned(), "365d 1m".to_owned()));
        assert_eq!(shown_in_words("pause", None), "off");
        assert_eq!(shown_in_words("allow", None), "none");
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äöü…");
        assert_eq!(on_one_line("a\nb\u{1b}[1m"), "a\\nb\\u{1b}[1m");
    }
}
