//! The table of metrics: what each is called, how it is labelled, and what it says.
//!
//! The names are an interface: dashboards and alerts go by them. docs/metrics.md says more of each.

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
        "Further tries of requests whose backend failed before it had taken them.";
    REFUSED: COUNTER "proxy_refused_total" ["reason"]
        "Requests and connections that were refused or failed, by the reason.";
    DROPPED_FIELDS: COUNTER "proxy_request_fields_dropped_total" []
        "Header fields of requests that no backend gets: those with an underscore in their name, and Proxy.";
    CONNECTIONS: GAUGE "proxy_active_connections" ["listener"]
        "Open connections of clients.";
    BUFFERED: GAUGE "proxy_buffered_bytes" []
        "Bytes that are held in memory until clients or backends take them.";
    LIVE_TAG: GAUGE "domain_live_tag" ["domain", "tag"]
        "1 for the tag that serves the domain now.";
    DRAIN_REMAINING: GAUGE "drain_remaining" ["domain", "tag"]
        "Requests in flight on a tag that does not serve the domain any more.";
    SWITCHES: COUNTER "switches_total" ["domain", "outcome"]
        "Moves of the domain to another tag, by how they ended.";
    SWITCH_DURATION: HISTOGRAM "switch_duration_seconds" []
        "How long switches took, from the command to the end of the drain.";
    UPSTREAM_REQUESTS: COUNTER "proxy_upstream_requests_total" ["backend", "status_class"]
        "Requests that the backend answered, by the first digit of the status.";
    UPSTREAM_DURATION: HISTOGRAM "proxy_upstream_duration_seconds" ["backend"]
        "How long the backend took until its answer began.";
    UPSTREAM_IN_FLIGHT: GAUGE "proxy_upstream_requests_in_flight" ["backend"]
        "Requests that run at the backend.";
    UPSTREAM_FAILURES: COUNTER "proxy_upstream_failures_total" ["backend", "reason"]
        "Tries that the backend failed, by the reason.";
    BACKEND_HEALTHY: GAUGE "backend_healthy" ["backend"]
        "1 where the backend is healthy, 0 where it is unhealthy; nothing while that is not known.";
    BACKEND_TRANSITIONS: COUNTER "backend_health_transitions_total" ["backend", "to"]
        "How often the backend's health became this.";
    BACKEND_TAG: GAUGE "backend_tag" ["backend", "tag"]
        "1 for each tag that the backend carries, while it is ready.";
    CERTIFICATE_NOT_AFTER: GAUGE "tls_certificate_not_after_seconds" ["domain"]
        "Until when the certificate of the name is valid, in seconds since 1970.";
    CONFIG_RELOADS: COUNTER "config_reloads_total" ["outcome"]
        "Reloads of the config, by how they ended.";
    DROPPED_LINES: COUNTER "log_lines_dropped_total" ["log"]
        "Lines that a log does not have, because its output was too slow or could not be written.";
    STATE_REVISION: GAUGE "state_revision" []
        "The revision of the state: it grows by one with each change.";
    BUILD_INFO: GAUGE "vhost_build_info" ["version"]
        "1, with the version that runs.";
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
