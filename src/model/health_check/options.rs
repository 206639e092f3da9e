//! A health check as people write it, in layers: each says what is to differ from the one below.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use serde_json::Value;

use super::body::ExpectedBody;
use super::check::{GrpcCheck, HealthCheck, HealthCheckKind, HttpCheck};
use super::headers;
use super::headers::ProbeHeader;
use super::values::{
    GrpcService, HealthHost, HealthPath, ProbeCount, ProbeKind, ProbeMethod, StatusRanges,
};
use crate::model::record::{self, Canonical, OptionError, Record, as_written, record};
use crate::model::{BackendAddr, HeaderField, Seconds};

record! {
    /// A health check: what is not given here is as in the app's, else as in `[health_check]`.
    pub struct HealthCheckOptions {
        /// What a probe does: `http` sends a request, `tcp` only connects, and `grpc` calls `Check` of
        /// `grpc.health.v1.Health` over HTTP/2. Without it, it is what the other keys need.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub kind: Option<ProbeKind>,
        /// The path that a probe requests. Only with `kind = "http"`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub path: Option<HealthPath>,
        /// The Host of a probe, with a port if needed; without it, the address that the probe goes to. Not
        /// with `kind = "tcp"`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub host: Option<HealthHost>,
        /// The port that a probe goes to, at the host of the backend's address, instead of the address's own.
        /// No PROXY protocol is sent there. A backend at a Unix socket has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub port: Option<NonZeroU16>,
        /// The method of a probe's request, which has no body. Only with `kind = "http"`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub method: Option<ProbeMethod>,
        /// Further headers of a probe. They are no secrets: whoever may see the options sees them. Not with
        /// `kind = "tcp"`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub headers: Option<BTreeMap<HeaderField, ProbeHeader>>,
        /// The statuses that are healthy: `200`, `200-399`, `200,204,301-308`. Only with `kind = "http"`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub expected_status: Option<StatusRanges>,
        /// What the body of a healthy answer contains: a text, or what a regular expression matches, such as
        /// `{ regex = "^ok" }`. Its first 64 KiB are looked at. Only with `kind = "http"`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub expect_body: Option<ExpectedBody>,
        /// The service that a probe asks about, such as `shop.v1.Cart`; empty for the server as a whole. Only
        /// with `kind = "grpc"`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub grpc_service: Option<GrpcService>,
        /// The time between two probes of a backend. An unhealthy one is probed more often at first: each
        /// second for a minute, then less and less often.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub interval_secs: Option<Seconds>,
        /// The time a probe may take.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub timeout_secs: Option<Seconds>,
        /// Failures in a row that make a backend unhealthy.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub unhealthy_threshold: Option<ProbeCount>,
        /// Successes in a row that make a backend healthy.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub healthy_threshold: Option<ProbeCount>,
    }
}

/// The keys that only some kinds of probes have.
const KEYS_OF_KINDS: [(&str, &[ProbeKind]); 7] = [
    ("path", &[ProbeKind::Http]),
    ("host", &[ProbeKind::Http, ProbeKind::Grpc]),
    ("method", &[ProbeKind::Http]),
    ("headers", &[ProbeKind::Http, ProbeKind::Grpc]),
    ("expected_status", &[ProbeKind::Http]),
    ("expect_body", &[ProbeKind::Http]),
    ("grpc_service", &[ProbeKind::Grpc]),
];

impl ProbeKind {
    /// Whether probes of this kind have that key.
    fn has(self, key: &str) -> bool {
        kinds_with(key).is_none_or(|kinds| kinds.contains(&self))
    }

    /// The keys that probes of this kind don't have.
    pub fn lacks(self) -> impl Iterator<Item = &'static str> {
        let keys = KEYS_OF_KINDS.into_iter().map(|(key, _)| key);
        keys.filter(move |key| !self.has(key))
    }
}

/// The kinds that have a key; `None` where all have it.
fn kinds_with(key: &str) -> Option<&'static [ProbeKind]> {
    KEYS_OF_KINDS.into_iter().find(|(other, _)| *other == key).map(|(_, kinds)| kinds)
}

/// ``only for `kind = "http"` or `kind = "grpc"` ``.
fn only_for(key: &str) -> String {
    let kinds = kinds_with(key).unwrap_or_default().iter();
    let kinds: Vec<_> = kinds.map(|kind| format!("`kind = \"{kind}\"`")).collect();
    format!("only for {}", kinds.join(" or "))
}

impl Record for HealthCheckOptions {
    const MAPS: &'static [(&'static str, Canonical)] = &[("headers", as_written::<HeaderField>)];

    fn problems(&self) -> Vec<OptionError> {
        let mut problems = self.strange_keys();
        let conflicts = self.conflicts().into_iter();
        problems.extend(conflicts.map(|([key, _], reason)| OptionError::new(key, reason)));
        let headers = self.headers.as_ref().map_or(Ok(()), headers::check);
        problems.extend(headers.err().map(|reason| OptionError::new("headers", reason)));
        problems
    }
}

impl HealthCheckOptions {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// The layers as one, the topmost first.
    pub fn layered<'a>(layers: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut layers = layers.into_iter();
        let topmost = layers.next().cloned().unwrap_or_default();
        layers.fold(topmost, |above, below| above.over(below))
    }

    /// These keys, and of `below` those that are not given here. Keys that don't fit what is given here, such
    /// as those of another kind, are left out.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        if self.is_empty() {
            return below.clone();
        }
        let kind = self.kind_over(below.kind_over(ProbeKind::default()));
        let own = record::values(self);
        let mut values = record::values(below);
        values.retain(|key, _| kind.has(key));
        values.extend(own.clone());
        if self.kind.or(below.kind).is_some() {
            values.insert("kind".to_owned(), kind.as_str().into());
        }
        // Each value is of a layer that there is.
        let merged: Self = record::typed(values.clone()).unwrap_or_else(|_| self.clone());
        let conflicts = merged.conflicts();
        if conflicts.is_empty() {
            return merged;
        }
        for (keys, _) in conflicts {
            keys.iter()
                .filter(|key| !own.contains_key(**key))
                .for_each(|key| _ = values.remove(*key));
        }
        record::typed(values).unwrap_or(merged)
    }

    /// The check that these keys make over the settings of `[health_check]`.
    pub fn check_over(&self, settings: &Self) -> HealthCheck {
        self.over(settings).check()
    }

    /// The check that these keys make where nothing lies below.
    pub fn check(&self) -> HealthCheck {
        let default = HealthCheck::default();
        let time = |given: Option<Seconds>, default| given.map_or(default, Seconds::get);
        let count =
            |given: Option<ProbeCount>, default| given.map_or(default, |count| count.get().into());
        let (host, headers) = (self.host.clone(), self.headers.clone().unwrap_or_default());
        let kind = match self.kind_over(ProbeKind::default()) {
            ProbeKind::Tcp => HealthCheckKind::Tcp,
            ProbeKind::Grpc => HealthCheckKind::Grpc(GrpcCheck {
                service: self.grpc_service.clone().unwrap_or_default(),
                host,
                headers,
            }),
            ProbeKind::Http => HealthCheckKind::Http(HttpCheck {
                method: self.method.unwrap_or_default(),
                path: self.path.clone().unwrap_or_default(),
                host,
                headers,
                expected_status: self.expected_status.clone().unwrap_or_default(),
                expect_body: self.expect_body.clone(),
            }),
        };
        HealthCheck {
            kind,
            port: self.port,
            interval: time(self.interval_secs, default.interval),
            timeout: time(self.timeout_secs, default.timeout),
            unhealthy_threshold: count(self.unhealthy_threshold, default.unhealthy_threshold),
            healthy_threshold: count(self.healthy_threshold, default.healthy_threshold),
        }
    }

    /// The kind of probes where this lies over a layer with another.
    fn kind_over(&self, below: ProbeKind) -> ProbeKind {
        let given = self.given();
        let has_all = |kind: &ProbeKind| given.iter().all(|key| kind.has(key));
        let needed = || [below].into_iter().chain(ProbeKind::ALL).find(has_all);
        self.kind.or_else(needed).unwrap_or(below)
    }

    /// The given keys that only some kinds have. An empty text says nothing.
    fn given(&self) -> Vec<&'static str> {
        let given = record::values(self);
        let keys = KEYS_OF_KINDS.into_iter().map(|(key, _)| key);
        keys.filter(|key| given.get(*key).is_some_and(|value| value != "")).collect()
    }

    /// The keys that the kind doesn't have, or that no kind has together.
    fn strange_keys(&self) -> Vec<OptionError> {
        let kind = self.kind_over(ProbeKind::default());
        let why = match (self.kind, kind) {
            (None, _) => {
                "other keys here are for another kind; take one or the other out".to_owned()
            }
            (Some(_), ProbeKind::Tcp) => {
                "a TCP check just connects; take the key out, or choose that kind".to_owned()
            }
            (Some(_), ProbeKind::Http | ProbeKind::Grpc) => {
                format!("here it is `kind = \"{kind}\"`; take the key out, or choose that kind")
            }
        };
        let strange = self.given().into_iter().filter(|key| !kind.has(key));
        strange.map(|key| OptionError::new(key, format!("{}; {why}", only_for(key)))).collect()
    }

    /// Pairs of keys that can't be had together, each with what would be right.
    fn conflicts(&self) -> Vec<([&'static str; 2], String)> {
        let mut conflicts = Vec::new();
        if self.expect_body.is_some() && self.method == Some(ProbeMethod::Head) {
            let reason =
                "an answer to HEAD has no body; use `method = \"GET\"`, or take the key out";
            conflicts.push((["expect_body", "method"], reason.to_owned()));
        }
        if let (Some(_), Some(statuses)) = (&self.expect_body, &self.expected_status)
            && !statuses.have_bodies()
        {
            let reason = format!(
                "no answer with `expected_status = \"{statuses}\"` has a body; expect another status, or \
                 take the key out"
            );
            conflicts.push((["expect_body", "expected_status"], reason));
        }
        conflicts
    }
}

impl HealthCheck {
    /// Every key that plays a part in the check of a backend at this address.
    pub fn in_full(&self, address: &BackendAddr) -> HealthCheckOptions {
        let time = |time: Duration| Seconds::try_from(time.as_secs_f64()).ok();
        let count = |count: u32| ProbeCount::try_from(u64::from(count)).ok();
        let own_host = || self.host_of(address).parse().ok();
        let headers = |headers: &BTreeMap<HeaderField, ProbeHeader>| {
            (!headers.is_empty()).then(|| headers.clone())
        };
        let full = HealthCheckOptions {
            port: self.port,
            interval_secs: time(self.interval),
            timeout_secs: time(self.timeout),
            unhealthy_threshold: count(self.unhealthy_threshold),
            healthy_threshold: count(self.healthy_threshold),
            ..HealthCheckOptions::default()
        };
        match &self.kind {
            HealthCheckKind::Tcp => HealthCheckOptions { kind: Some(ProbeKind::Tcp), ..full },
            HealthCheckKind::Grpc(check) => HealthCheckOptions {
                kind: Some(ProbeKind::Grpc),
                host: check.host.clone().or_else(own_host),
                headers: headers(&check.headers),
                grpc_service: Some(check.service.clone()),
                ..full
            },
            HealthCheckKind::Http(check) => HealthCheckOptions {
                kind: Some(ProbeKind::Http),
                path: Some(check.path.clone()),
                host: check.host.clone().or_else(own_host),
                method: Some(check.method),
                headers: headers(&check.headers),
                expected_status: Some(check.expected_status.clone()),
                expect_body: check.expect_body.clone(),
                ..full
            },
        }
    }
}

/// The value of each key where nothing is given.
pub fn defaults() -> serde_json::Map<String, Value> {
    let address = BackendAddr::Unix(std::path::Path::new("/").into());
    let mut defaults = record::values(&HealthCheck::default().in_full(&address));
    defaults.remove("host");
    defaults.insert("headers".to_owned(), Value::Object(serde_json::Map::new()));
    defaults.insert("grpc_service".to_owned(), GrpcService::default().as_str().into());
    defaults
}

#[cfg(test)]
mod tests;
