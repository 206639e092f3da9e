//! `[health_check]`.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::config::kind::{Time, Whole};
use crate::config::reader::Section;
use crate::config::records::{read_settings, rows};
use crate::config::table::{Settings, Table, settings};
use crate::model::{HealthCheckOptions, ProbeKind, health_check_defaults};

settings! {
    /// The health checks of backends. `health_check` of an app or a backend has its own keys, which take the
    /// place of these; a backend's come before its app's.
    "health_check" => pub(crate) HealthCheckSettings, rules: rules();
    .. check: HealthCheckOptions;

    /// Whether 5xx answers to traffic count as failures. Failed connections always do.
    count_5xx: bool;
    /// How long the share of a newly healthy backend takes to grow to its full size; 0 turns this
    /// off.
    slow_start_secs: Time<true> = Duration::ZERO;
    /// The share of a tag's ready backends, in percent, that passive failures may eject at once.
    /// Probes have no such limit.
    max_ejected_percent: Whole<u8, 0, 100> = 50;
}

impl HealthCheckOptions {
    fn read(section: &mut Section<'_, '_>, _: Self) -> Self {
        read_settings(section, |read: &Self| {
            let mut defaults = health_check_defaults();
            defaults.insert("kind".to_owned(), read.check().kind.kind().as_str().into());
            defaults
        })
    }
}

impl Settings for HealthCheckOptions {
    fn table() -> Table {
        let examples = [
            ("host", json!("shop.example.com")),
            ("port", json!(9000)),
            ("headers", json!({ "X-Probe": "vhost" })),
            ("expect_body", json!("ok")),
        ];
        Table {
            name: "health_check",
            about: "",
            rows: rows::<Self>(&health_check_defaults(), &examples),
            rules: Json::Null,
        }
    }
}

/// What goes together in a health check.
pub(in crate::config) fn rules() -> Json {
    let of_kind = ProbeKind::ALL.into_iter().map(|kind| {
        json!({
            "if": { "properties": { "kind": { "const": kind.as_str() } }, "required": ["kind"] },
            "then": { "properties": none_of(kind) },
        })
    });
    let others = [
        json!({
            "if": { "properties": { "grpc_service": { "minLength": 1 } }, "required": ["grpc_service"] },
            "then": { "properties": none_of(ProbeKind::Grpc) },
        }),
        json!({
            "if": { "properties": { "method": { "const": "HEAD" } }, "required": ["method"] },
            "then": { "properties": { "expect_body": false } },
        }),
    ];
    json!({ "allOf": of_kind.chain(others).collect::<Vec<_>>() })
}

/// No key that probes of a kind don't have. An empty service is the default of all.
fn none_of(kind: ProbeKind) -> Json {
    let none = |key| if key == "grpc_service" { json!({ "const": "" }) } else { false.into() };
    Json::Object(kind.lacks().map(|key| (key.to_owned(), none(key))).collect())
}
