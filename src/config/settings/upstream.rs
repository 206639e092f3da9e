//! `[upstream]` and `[switch]`.

use std::time::Duration;

use crate::config::kind::{Time, Whole};
use crate::config::table::settings;

settings! {
    /// The backends' side.
    "upstream" => pub UpstreamSettings;

    /// How long a connection, with its TLS handshake, may take to come about.
    connect_timeout_secs: Time = Duration::from_secs(5);
    /// How long a backend may send nothing within a request.
    read_timeout_secs: Time = Duration::from_mins(1);
    /// How long a backend may take nothing within a request.
    write_timeout_secs: Time = Duration::from_mins(1);
    /// How long an unused connection is kept. Stay below the backends' own keep-alive time (5 s in
    /// Node.js): on a connection that the backend is just closing, a POST fails.
    idle_timeout_secs: Time = Duration::from_secs(4);
    /// How many backends a request is tried on when connecting fails.
    max_tries: Whole<usize, 1, 10> = 3;
    /// How often the names of backends are resolved again.
    resolve_interval_secs: Time = Duration::from_secs(5);
    /// Requests that may run at once on one backend; others wait until there is room, in order. 0 is
    /// any number.
    max_requests_per_backend: Whole<usize, 0, 1_000_000>;
    /// Requests for a tag that may wait for a backend with room. One more gets 503.
    queue_size: Whole<usize, 0, 1_000_000> = 1000;
    /// How long each waits at most; then it gets 503.
    queue_timeout_secs: Time = Duration::from_secs(5);
    /// The share of running requests, in percent, that may be tried on a further backend at once, so that
    /// tries can't make an outage worse; ten always may.
    retry_budget_percent: Whole<u8, 0, 100> = 20;
}

settings! {
    /// What `vhost ctl switch` does, unless the command says otherwise.
    "switch" => pub SwitchSettings;

    /// How long the new tag has to prove itself healthy. If it doesn't, nothing changes.
    gate_timeout_secs: Time = Duration::from_secs(30);
    /// How long requests on the old tag have to end before the switch stops waiting for them.
    drain_timeout_secs: Time = Duration::from_secs(30);
    /// The share of the new tag's ready backends, in percent, that must be proven healthy.
    min_healthy_percent: Whole<u8, 1, 100> = 100;
}
