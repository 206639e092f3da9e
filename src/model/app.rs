//! An app: what is deployed as one thing. Domains and backends name it, and tags are looked up within it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backend_options::health_check_problems;
use super::record::{
    self, Canonical, Differing, Keys as _, OptionError, Record, as_stored, record, stored,
};
use super::{
    AccessLogRule, AppName, BackendOptions, Drain, GuardOptions, HealthCheckOptions, ParseError,
    RequestLimit, Size, Tag, Timeouts, text,
};

record! {
    /// The options of an app: what its domains and backends go by unless they say otherwise.
    pub struct AppOptions {
        /// The health check of its backends. What is not given here is as in `[health_check]`, but for `host`: that is
        /// the first of the app's domains.
        #[serde(deserialize_with = "super::backend_options::health_check")]
        pub health_check: Option<Box<HealthCheckOptions>>,
        /// How long its backends may take, where a domain does not say so itself.
        #[serde(skip_serializing_if = "is_empty")]
        pub timeouts: Timeouts,
        /// The largest request body, in bytes, where a domain has no limit of its own. A larger one gets 413.
        pub max_body_bytes: Option<Size>,
        /// How many requests may run on each of its backends at once, where a backend has no limit of its own;
        /// others wait in order. 0 means no limit. The default is `max_requests_per_backend` of `[upstream]`.
        pub max_requests: Option<RequestLimit>,
        /// What becomes of WebSockets and event streams when their tag, or backend, is left, where a domain does
        /// not say so itself.
        #[serde(skip_serializing_if = "is_empty")]
        pub drain: Drain,
        /// Which requests the access log has, where a domain does not say so itself.
        #[serde(skip_serializing_if = "is_empty")]
        pub access_log: AccessLogRule,
        /// How its switches, deploys and rollouts are watched, where the command does not say so itself.
        #[serde(skip_serializing_if = "is_empty")]
        pub guard: GuardOptions,
    }
}

fn is_empty<T: Default + PartialEq>(option: &T) -> bool {
    *option == T::default()
}

impl Record for AppOptions {
    const MAPS: &'static [(&'static str, Canonical)] = BackendOptions::MAPS;
    const TABLES: &'static [(&'static str, &'static [&'static str])] = &[
        (BackendOptions::HEALTH_CHECK, HealthCheckOptions::KEYS),
        (
            "timeouts",
            &[
                "connect_secs",
                "response_secs",
                "first_byte_secs",
                "between_bytes_secs",
                "websocket_idle_secs",
            ],
        ),
        ("drain", &["websockets"]),
        ("access_log", &["enabled", "sample"]),
        (
            "guard",
            &["time_secs", "max_error_delta", "max_p95_ratio", "min_requests", "inconclusive"],
        ),
    ];

    fn problems(&self) -> Vec<OptionError> {
        let of_log = self.access_log.check().err();
        let of_log = of_log.map(|reason| OptionError::new("access_log", reason));
        health_check_problems(self.health_check.as_deref()).chain(of_log).collect()
    }
}

text! {
    /// The label that an operator gives a version that is deployed, such as a commit or a version number.
    #[derive(PartialOrd, Ord)]
    pub struct ReleaseLabel(Arc<str>) "The label of a version: at most 64 ASCII letters, digits and marks, without spaces, quotes and `\\`.",
        by check_label;
}

fn check_label(text: &str) -> Result<(), ParseError> {
    const MAX_BYTES: usize = 64;
    let fail = |reason: &str| Err(ParseError::new("release label", text, reason));
    if text.is_empty() {
        return fail("it is empty; leave it out, or write a version such as `v1.2.3`");
    }
    if text.len() > MAX_BYTES {
        return fail("use at most 64 characters");
    }
    // It stands in logs, metrics and tables as it is.
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
        return fail("use ASCII letters, digits and marks, without spaces, quotes and `\\`");
    }
    Ok(())
}

/// What was deployed under a tag of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// The label of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<ReleaseLabel>,
    /// When it was deployed, in milliseconds since the Unix epoch; absent if that was not by a deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_at_ms: Option<u64>,
    /// When its backends are removed unless it is live again then, in milliseconds since the Unix epoch; absent
    /// if that is left to the next deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_at_ms: Option<u64>,
}

/// An app as the operator declared it, and what was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// What its domains and backends go by.
    #[serde(flatten, serialize_with = "as_stored", deserialize_with = "stored")]
    pub options: AppOptions,
    /// What was deployed, by tag: the live version and the one before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub releases: BTreeMap<Tag, Release>,
}

impl App {
    /// An app that nothing was deployed of.
    pub fn new(name: AppName, options: AppOptions) -> Self {
        Self { name, options, releases: BTreeMap::new() }
    }

    /// The label of the version under `tag`.
    pub fn label_of(&self, tag: &Tag) -> Option<&ReleaseLabel> {
        self.releases.get(tag)?.label.as_ref()
    }

    /// Each option that differs, with what both say of it, for people.
    pub fn differences(&self, other: &Self) -> Vec<Differing> {
        record::differences(&self.options, &other.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_in_logs_and_metrics_as_it_is() {
        for label in ["v1.2.3", "2026-11-30_a1b2c3", "main@4f1", "#12"] {
            assert!(label.parse::<ReleaseLabel>().is_ok(), "{label}");
        }
        for label in ["", "a b", "a\"b", "a\\b", "a\nb", "é", &"x".repeat(65)] {
            assert!(label.parse::<ReleaseLabel>().is_err(), "{label:?}");
        }
    }

    #[test]
    fn what_was_stored_comes_back() {
        let mut app = App::new("shop".parse().unwrap(), AppOptions::default());
        app.options.max_body_bytes = Some("10MB".parse().unwrap());
        let label = Some("v2".parse().unwrap());
        let release = Release { label, deployed_at_ms: Some(7), remove_at_ms: None };
        app.releases.insert("b".parse().unwrap(), release);
        let stored = serde_json::to_string(&app).unwrap();
        assert_eq!(serde_json::from_str::<App>(&stored).unwrap(), app);
        assert_eq!(
            serde_json::from_str::<App>(r#"{"name":"x"}"#).unwrap(),
            App::new("x".parse().unwrap(), AppOptions::default())
        );
    }
}
