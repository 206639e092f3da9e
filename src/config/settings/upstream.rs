//! `[upstream]` and `[switch]`.

use std::time::Duration;

use crate::config::kind::{Choice, List, Time, Whole};
use crate::config::table::settings;
use crate::model::ForwardedHeaders;

settings! {
    /// The side of the backends.
    "upstream" => pub(crate) UpstreamSettings;

    /// How long connecting may take, TLS handshake included.
    connect_timeout_secs: Time = Duration::from_secs(5);
    /// The longest time that a backend may go without sending anything during a request.
    read_timeout_secs: Time = Duration::from_mins(1);
    /// The longest time that a backend may go without reading any of a request.
    write_timeout_secs: Time = Duration::from_mins(1);
    /// How long an unused connection is kept. Stay below the backends' own keep-alive time (5 s in
    /// Node.js): a POST on a connection that the backend is just closing fails.
    idle_timeout_secs: Time = Duration::from_secs(4);
    /// On how many backends a request is tried if connecting fails.
    max_tries: Whole<usize, 1, 10> = 3;
    /// How often host names of backends are looked up again, never while a request waits.
    resolve_interval_secs: Time = Duration::from_secs(5);
    /// The maximum number of concurrent requests on one backend; others wait in order. 0 means no
    /// limit.
    max_requests_per_backend: Whole<usize, 0, 1_000_000>;
    /// The maximum number of requests that wait for a backend of a tag. Further ones get 503.
    queue_size: Whole<usize, 0, 1_000_000> = 1000;
    /// How long a request may wait; then it gets 503.
    queue_timeout_secs: Time = Duration::from_secs(5);
    /// The share of running requests, in percent, that may be retried on another backend at once,
    /// so that retries can't make an outage worse; ten are always allowed.
    retry_budget_percent: Whole<u8, 0, 100> = 20;
    /// What backends get about the client: `x-forwarded` (`X-Forwarded-For`, `-Proto` and `-Host`),
    /// `forwarded` (`Forwarded` of RFC 7239), `x-real-ip` and `x-forwarded-port`. What strangers send under
    /// these names never reaches a backend.
    forwarded_headers: List<Choice<ForwardedHeaders>, true> = vec![ForwardedHeaders::XForwarded];
}

settings! {
    /// Defaults of `vhost ctl deploy`, `switch` and `undo`.
    "switch" => pub(crate) SwitchSettings;

    /// How long the new tag has to become healthy. If it doesn't, nothing changes.
    gate_timeout_secs: Time = Duration::from_secs(30);
    /// How long requests on the old tag have to end before the switch stops waiting for them.
    drain_timeout_secs: Time = Duration::from_secs(30);
    /// The share of the new tag's ready backends, in percent, that must be healthy.
    min_healthy_percent: Whole<u8, 1, 100> = 100;
    /// The share of the old tag's capacity, in percent, that the new tag must have: its healthy weight
    /// beside that of the old, and the `max_requests` of its backends beside the most requests that the
    /// old had in flight within ten minutes. 0 is not to look at it.
    min_capacity_percent: Whole<u8, 0, 100> = 50;
}
