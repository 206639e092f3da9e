//! `[metrics]`.

use std::net::SocketAddr;

use super::Listeners;
use crate::config::kind::{Host, List, Listen, Whole};
use crate::config::reader::Section;
use crate::config::table::{RESTART, settings};

settings! {
    /// Metrics for Prometheus, at `/metrics`. Anyone who reaches the address can read them.
    "metrics" => pub MetricsSettings, restart: RESTART;

    /// Whether they are served.
    enabled: bool;
    /// Where they are served.
    listen_addr: Listen = SocketAddr::from(([0, 0, 0, 0], 9090));
    /// How many domains have series of their own, those with most requests first; the others are
    /// counted together, as `domain="other"`.
    per_domain_limit: Whole<usize, 0, 1_000_000> = 1000;
    /// A page for people at `/`, which shows the same live: domains, backends, what happened.
    status_page: bool;
    /// Names by which they may be called, besides their address and `localhost`: what Prometheus is to
    /// call them by. Requests for other hosts are refused: a web page could send them.
    hosts: List<Host>, example: ["vhost.example.net"];
}

pub(super) fn read(section: &mut Section<'_, '_>, listeners: &mut Listeners) -> MetricsSettings {
    let settings = MetricsSettings::read(section, MetricsSettings::default());
    if settings.enabled && section.has("listen_addr") {
        listeners.claim(section, "listen_addr", settings.listen_addr);
    }
    settings
}
