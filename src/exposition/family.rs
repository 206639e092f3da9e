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

pub(super) const REQUESTS: Family = Family {
    name: "proxy_requests_total",
    kind: COUNTER,
    labels: &["domain", "tag", "status_class"],
    help: "Requests that have ended, by the domain, the tag that served it and the first digit of the status.",
};

pub(super) const REQUEST_DURATION: Family = Family {
    name: "proxy_request_duration_seconds",
    kind: HISTOGRAM,
    labels: &["domain", "tag"],
    help: "How long requests took, from when their head was read to the end of the answer.",
};

pub(super) const IN_FLIGHT: Family = Family {
    name: "proxy_requests_in_flight",
    kind: GAUGE,
    labels: &["domain", "tag"],
    help: "Requests that have begun and not ended, WebSockets included.",
};

pub(super) const BYTES: Family = Family {
    name: "proxy_bytes_total",
    kind: COUNTER,
    labels: &["domain", "direction"],
    help: "Bytes of bodies, from clients (received) and to clients (sent), of requests that have ended.",
};

pub(super) const RETRIES: Family = Family {
    name: "proxy_retries_total",
    kind: COUNTER,
    labels: &["domain"],
    help: "Further tries of requests whose backend failed before it had taken them.",
};

pub(super) const REFUSED: Family = Family {
    name: "proxy_refused_total",
    kind: COUNTER,
    labels: &["reason"],
    help: "Requests and connections that were refused or failed, by the reason.",
};

pub(super) const DROPPED_FIELDS: Family = Family {
    name: "proxy_request_fields_dropped_total",
    kind: COUNTER,
    labels: &[],
    help: "Header fields of requests that no backend gets: those with an underscore in their name, and Proxy.",
};

pub(super) const CONNECTIONS: Family = Family {
    name: "proxy_active_connections",
    kind: GAUGE,
    labels: &["listener"],
    help: "Open connections of clients.",
};

pub(super) const BUFFERED: Family = Family {
    name: "proxy_buffered_bytes",
    kind: GAUGE,
    labels: &[],
    help: "Bytes that are held in memory until clients or backends take them.",
};

pub(super) const LIVE_TAG: Family = Family {
    name: "domain_live_tag",
    kind: GAUGE,
    labels: &["domain", "tag"],
    help: "1 for the tag that serves the domain now.",
};

pub(super) const DRAIN_REMAINING: Family = Family {
    name: "drain_remaining",
    kind: GAUGE,
    labels: &["domain", "tag"],
    help: "Requests in flight on a tag that does not serve the domain any more.",
};

pub(super) const SWITCHES: Family = Family {
    name: "switches_total",
    kind: COUNTER,
    labels: &["domain", "outcome"],
    help: "Moves of the domain to another tag, by how they ended.",
};

pub(super) const SWITCH_DURATION: Family = Family {
    name: "switch_duration_seconds",
    kind: HISTOGRAM,
    labels: &[],
    help: "How long switches took, from the command to the end of the drain.",
};

pub(super) const UPSTREAM_REQUESTS: Family = Family {
    name: "proxy_upstream_requests_total",
    kind: COUNTER,
    labels: &["backend", "status_class"],
    help: "Requests that the backend answered, by the first digit of the status.",
};

pub(super) const UPSTREAM_DURATION: Family = Family {
    name: "proxy_upstream_duration_seconds",
    kind: HISTOGRAM,
    labels: &["backend"],
    help: "How long the backend took until its answer began.",
};

pub(super) const UPSTREAM_IN_FLIGHT: Family = Family {
    name: "proxy_upstream_requests_in_flight",
    kind: GAUGE,
    labels: &["backend"],
    help: "Requests that run at the backend.",
};

pub(super) const UPSTREAM_FAILURES: Family = Family {
    name: "proxy_upstream_failures_total",
    kind: COUNTER,
    labels: &["backend", "reason"],
    help: "Tries that the backend failed, by the reason.",
};

pub(super) const BACKEND_HEALTHY: Family = Family {
    name: "backend_healthy",
    kind: GAUGE,
    labels: &["backend"],
    help: "1 where the backend is healthy, 0 where it is unhealthy; nothing while that is not known.",
};

pub(super) const BACKEND_TRANSITIONS: Family = Family {
    name: "backend_health_transitions_total",
    kind: COUNTER,
    labels: &["backend", "to"],
    help: "How often the backend's health became this.",
};

pub(super) const BACKEND_TAG: Family = Family {
    name: "backend_tag",
    kind: GAUGE,
    labels: &["backend", "tag"],
    help: "1 for each tag that the backend carries, while it is ready.",
};

pub(super) const CERTIFICATE_NOT_AFTER: Family = Family {
    name: "tls_certificate_not_after_seconds",
    kind: GAUGE,
    labels: &["domain"],
    help: "Until when the certificate of the name is valid, in seconds since 1970.",
};

pub(super) const CONFIG_RELOADS: Family = Family {
    name: "config_reloads_total",
    kind: COUNTER,
    labels: &["outcome"],
    help: "Reloads of the config, by how they ended.",
};

pub(super) const DROPPED_LINES: Family = Family {
    name: "log_lines_dropped_total",
    kind: COUNTER,
    labels: &["log"],
    help: "Lines that a log does not have, because its output was too slow or could not be written.",
};

pub(super) const STATE_REVISION: Family = Family {
    name: "state_revision",
    kind: GAUGE,
    labels: &[],
    help: "The revision of the state: it grows by one with each change.",
};

pub(super) const BUILD_INFO: Family = Family {
    name: "vhost_build_info",
    kind: GAUGE,
    labels: &["version"],
    help: "1, with the version that runs.",
};

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
