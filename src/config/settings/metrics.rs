//! `[metrics]`.

use std::net::SocketAddr;

use super::Listeners;
use crate::config::kind::{Host, List, Listen, Whole};
use crate::config::reader::Section;
use crate::config::table::{RESTART, settings};

settings! {
    /// Metrics for Prometheus at `/metrics`. Anyone who can reach the address can read them.
    "metrics" => pub(crate) MetricsSettings, restart: RESTART;

    /// Whether metrics are served.
    enabled: bool;
    /// The address of the metrics.
    listen_addr: Listen = SocketAddr::from(([0, 0, 0, 0], 9090));
    /// How many domains have series of their own, those with the most requests first; the others
    /// are counted together as `domain="other"`.
    per_domain_limit: Whole<usize, 0, 1_000_000> = 1000;
    /// A status page at `/`, which shows domains, backends and events live.
    status_page: bool;
    /// Further host names of the metrics, such as the name that Prometheus uses; their address and
    /// `localhost` are always accepted. Requests for other hosts are refused, because a web page
    /// could send them.
    hosts: List<Host>, example: ["vhost.example.net"];
}

pub(super) fn read(section: &mut Section<'_, '_>, listeners: &mut Listeners) -> MetricsSettings {
    let settings = MetricsSettings::read(section, MetricsSettings::default());
    if settings.enabled && section.has("listen_addr") {
        listeners.claim(section, "listen_addr", settings.listen_addr);
    }
    settings
}
