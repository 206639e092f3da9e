//! The table of metrics: names, labels and help texts.
//!
//! The names are an interface: dashboards and alerts use them. docs/metrics.md describes each.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::totals::{Durations, float};
use crate::counters::BUCKETS_MICROS;

use MetricType::{COUNTER, GAUGE, HISTOGRAM};

/// A metric.
pub(super) struct Family {
    pub(super) name: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
}

/// Makes a constant of each row: `NAME: KIND "name" ["label"] "help";`.
macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $constant: Family =
            Family { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)+
    };
}

families! {
    REQUESTS: COUNTER "proxy_requests_total" ["domain", "tag", "status_class"]
        "Requests that have ended, by the domain, the tag that served it and the first digit of the status.";
    REQUEST_DURATION: HISTOGRAM "proxy_request_duration_seconds" ["domain", "tag"]
        "How long requests took, from when their head was read to the end of the answer.";
    IN_FLIGHT: GAUGE "proxy_requests_in_flight" ["domain", "tag"]
        "Requests that have begun and not ended, WebSockets included.";
    BYTES: COUNTER "proxy_bytes_total" ["domain", "direction"]
        "Bytes of bodies, from clients (received) and to clients (sent), of requests that have ended.";
    RETRIES: COUNTER "proxy_retries_total" ["domain"]
        "Requests that were sent again because a backend failed before it had accepted them.";
    REFUSED: COUNTER "proxy_refused_total" ["reason"]
        "Requests and connections that were refused or failed, by the reason.";
    DROPPED_FIELDS: COUNTER "proxy_request_fields_dropped_total" []
        "Header fields of requests that are not passed on: those with an underscore in their name, and Proxy.";
    CONNECTIONS: GAUGE "proxy_active_connections" ["listener"]
        "Open connections of clients.";
    BUFFERED: GAUGE "proxy_buffered_bytes" []
        "Bytes that are held in memory until clients or backends read them.";
    LIVE_TAG: GAUGE "domain_live_tag" ["domain", "app", "tag"]
        "1 for the live tag of the domain, with its app; empty if it is in none.";
    RELEASE_INFO: GAUGE "domain_release_info" ["domain", "tag", "release"]
        "1 for each version with a label that serves the domain or did: its tag, and its label.";
    DRAIN_REMAINING: GAUGE "drain_remaining" ["domain", "tag"]
        "Requests in flight on a tag that no longer serves the domain.";
    SPLIT_SHARE: GAUGE "vhost_split_share" ["domain", "tag"]
        "The share of the domain's clients that the tag has, 0 to 1; no series while the live tag has all.";
    TRIALS: GAUGE "vhost_trials" ["kind"]
        "Rollouts and guards that run.";
    TRIAL_ENDS: COUNTER "vhost_trial_ends_total" ["kind", "end"]
        "Rollouts and guards that have ended, by how.";
    NETTED: COUNTER "vhost_netted_requests_total" []
        "Requests that the tag on trial failed and the old tag answered in its place.";
    SWITCHES: COUNTER "switches_total" ["domain", "outcome"]
        "Switches of the domain, by outcome.";
    SWITCH_DURATION: HISTOGRAM "switch_duration_seconds" []
        "How long switches took, from the command to the end of the drain.";
    UPSTREAM_REQUESTS: COUNTER "proxy_upstream_requests_total" ["backend", "status_class"]
        "Requests that the backend answered, by the first digit of the status.";
    UPSTREAM_DURATION: HISTOGRAM "proxy_upstream_duration_seconds" ["backend"]
        "How long the backend took until its answer began.";
    UPSTREAM_IN_FLIGHT: GAUGE "proxy_upstream_requests_in_flight" ["backend"]
        "Requests in flight at the backend.";
    UPSTREAM_FAILURES: COUNTER "proxy_upstream_failures_total" ["backend", "reason"]
        "Failed tries at the backend, by the reason.";
    BACKEND_HEALTHY: GAUGE "backend_healthy" ["backend"]
        "1 if the backend is healthy, 0 if it is unhealthy; no series while its health is unknown.";
    BACKEND_TRANSITIONS: COUNTER "backend_health_transitions_total" ["backend", "to"]
        "Changes of the backend's health, by the new status.";
    BACKEND_TAG: GAUGE "backend_tag" ["backend", "app", "tag"]
        "1 for each tag of the backend, while it is ready, with its app; empty if it is in none.";
    CERTIFICATE_NOT_AFTER: GAUGE "tls_certificate_not_after_seconds" ["domain"]
        "When the certificate of the name expires, in seconds since 1970.";
    CONFIG_RELOADS: COUNTER "config_reloads_total" ["outcome"]
        "Reloads of the config, by outcome.";
    NOTIFY_DELIVERIES: COUNTER "vhost_notify_deliveries_total" ["target", "outcome"]
        "Events that the target got (delivered) or never gets (dropped), and tries that failed (failed).";
    NOTIFY_WAITING: GAUGE "vhost_notify_waiting" ["target"]
        "Events that the target has not got yet.";
    DROPPED_LINES: COUNTER "log_lines_dropped_total" ["log"]
        "Log lines that were dropped, because the output was too slow or could not be written.";
    STATE_REVISION: GAUGE "state_revision" []
        "The revision of the state, which grows by one with each change.";
    BUILD_INFO: GAUGE "vhost_build_info" ["version"]
        "1, with the running version.";
}

impl Family {
    /// The series of these labels with a number.
    pub(super) fn number<const N: usize>(&self, labels: [&str; N], number: f64) -> Metric {
        let mut metric = self.series(labels);
        if self.kind == COUNTER {
            let mut counter = Counter::default();
            counter.set_value(number);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(number);
            metric.set_gauge(gauge);
        }
        metric
    }

    /// The series of these labels with durations.
    pub(super) fn durations<const N: usize>(
        &self,
        labels: [&str; N],
        durations: &Durations,
    ) -> Metric {
        let mut total = 0;
        let buckets = BUCKETS_MICROS.iter().zip(durations.buckets).map(|(bound, count)| {
            total += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(float(*bound) / 1e6);
            bucket.set_cumulative_count(total);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(durations.buckets.iter().sum());
        histogram.set_sample_sum(float(durations.micros) / 1e6);
        let mut metric = self.series(labels);
        metric.set_histogram(histogram);
        metric
    }

    /// The metric with all its series.
    pub(super) fn with(&self, series: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(series);
        family
    }

    fn series<const N: usize>(&self, values: [&str; N]) -> Metric {
        debug_assert_eq!(N, self.labels.len(), "{}", self.name);
        let pairs = self.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.to_owned());
            pair
        });
        Metric::from_label(pairs.collect())
    }
}
