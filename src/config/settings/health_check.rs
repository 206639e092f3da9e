//! `[health_check]`.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::config::kind::{Choice, ProbeHost, ProbePath, Statuses, Time, Whole};
use crate::config::reader::Section;
use crate::config::table::settings;
use crate::model::{HealthCheck, HealthCheckKind, worded};

settings! {
    /// The health checks of backends.
    "health_check" => pub(crate) HealthCheckSettings, rules: rules();

    /// What a probe does: `http` requests `path`, `tcp` only connects.
    kind: Choice<ProbeKind>;
    /// The path that a probe requests. Not with `kind = "tcp"`.
    path: ProbePath;
    /// The Host of a probe, with a port if needed; without it, the backend's address. Not with
    /// `kind = "tcp"`.
    host: Option<ProbeHost>, example: "shop.example.com";
    /// The statuses that are healthy: `200`, `200-399`, `200,204,301-308`. Not with `kind = "tcp"`.
    expected_status: Statuses;
    /// The time between two probes of a backend.
    interval_secs: Time = HealthCheck::default().interval;
    /// The time a probe may take.
    timeout_secs: Time = HealthCheck::default().timeout;
    /// Failures in a row that make a backend unhealthy.
    unhealthy_threshold: Whole<u32, 1, 1000> = HealthCheck::default().unhealthy_threshold;
    /// Successes in a row that make a backend healthy.
    healthy_threshold: Whole<u32, 1, 1000> = HealthCheck::default().healthy_threshold;
    /// Whether 5xx answers to traffic count as failures. Failed connections always do.
    count_5xx: bool;
    /// How long the share of a newly healthy backend takes to grow to its full size; 0 turns this
    /// off.
    slow_start_secs: Time<true> = Duration::ZERO;
    /// The share of a tag's ready backends, in percent, that passive failures may eject at once.
    /// Probes have no such limit.
    max_ejected_percent: Whole<u8, 0, 100> = 50;
}

worded! {
    /// What a probe does.
    #[derive(Default)]
    pub(crate) enum ProbeKind {
        /// It sends a request.
        #[default]
        Http "http",
        /// It connects.
        Tcp "tcp",
    }
}

impl HealthCheckSettings {
    /// The check that these settings describe.
    pub(crate) fn check(&self) -> HealthCheck {
        let kind = match self.kind {
            ProbeKind::Tcp => HealthCheckKind::Tcp,
            ProbeKind::Http => HealthCheckKind::Http {
                path: self.path.clone(),
                host: self.host.clone(),
                expected: self.expected_status.clone(),
            },
        };
        HealthCheck {
            kind,
            interval: self.interval_secs,
            timeout: self.timeout_secs,
            unhealthy_threshold: self.unhealthy_threshold,
            healthy_threshold: self.healthy_threshold,
        }
    }
}

pub(super) fn read(section: &mut Section<'_, '_>) -> HealthCheckSettings {
    let settings = HealthCheckSettings::read(section, HealthCheckSettings::default());
    if settings.kind == ProbeKind::Tcp {
        for key in ["path", "host", "expected_status"].into_iter().filter(|key| section.has(key)) {
            section.problem(key, "only for `kind = \"http\"`; a TCP check just connects");
        }
    }
    settings
}

fn rules() -> Json {
    json!({
        "if": { "properties": { "kind": { "const": "tcp" } }, "required": ["kind"] },
        "then": { "properties": { "path": false, "host": false, "expected_status": false } },
    })
}
