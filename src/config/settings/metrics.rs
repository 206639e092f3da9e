//! `[metrics]`.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value as Json, json};

use super::{Listeners, Listens};
use crate::config::kind::{Host, List, Whole};
use crate::config::reader::Section;
use crate::config::table::{RESTART, settings};

settings! {
    /// Metrics for Prometheus at `/metrics`. Anyone who can reach the address can read them.
    "metrics" => pub(crate) MetricsSettings, restart: RESTART, rules: rules();

    /// Whether metrics are served.
    enabled: bool;
    /// The address of the metrics, or a list of them.
    listen_addr: Listens = SocketAddr::from(([0, 0, 0, 0], 9090)).into();
    /// How many domains have series of their own, those with the most requests first; the others
    /// are counted together as `domain="other"`.
    per_domain_limit: Whole<usize, 0, 1_000_000> = 1000;
    /// A status page at `/`, which shows domains, backends and events live.
    status_page: bool;
    /// Whether the status page requires a token with read access, made with `vhost ctl token add NAME
    /// --read`: from a browser as the password, with any user name; from a program as
    /// `Authorization: Bearer TOKEN`. Tokens that allow changes are refused, because page and token
    /// go over plain HTTP. `/metrics` requires none.
    status_page_token: bool;
    /// Further host names of the metrics, such as the name that Prometheus uses; their address and
    /// `localhost` are always accepted. Requests for other hosts are refused, because a web page
    /// could send them.
    hosts: List<Host>, example: ["vhost.example.net"];
}

pub(super) fn read(section: &mut Section<'_, '_>, listeners: &mut Listeners) -> MetricsSettings {
    let settings = MetricsSettings::read(section, MetricsSettings::default());
    if settings.enabled && section.has("listen_addr") {
        listeners.claim(section, "listen_addr", &settings.listen_addr);
    }
    if settings.status_page_token && !settings.status_page {
        section.problem(
            "status_page_token",
            "there is no status page to protect; add `status_page = true`",
        );
    }
    warn_of_strangers(section, &settings);
    settings
}

fn rules() -> Json {
    json!({
        "if": {
            "properties": { "status_page_token": { "const": true } },
            "required": ["status_page_token"],
        },
        "then": {
            "properties": { "status_page": { "const": true } },
            "required": ["status_page"],
        },
    })
}

/// Warns of metrics that anybody can read, also at the default address.
fn warn_of_strangers(section: &Section<'_, '_>, settings: &MetricsSettings) {
    let open = settings.listen_addr.each().map(|one| one.address).find(|at| !is_closed(at.ip()));
    let Some(address) = open.filter(|_| settings.enabled) else { return };
    let key = if section.has("listen_addr") { "listen_addr" } else { "enabled" };
    let (page, clear_text) = match (settings.status_page, settings.status_page_token) {
        (true, false) => (" and the status page (`status_page_token`)", ""),
        (true, true) => ("", "; the status page and its token go there in clear text"),
        (false, _) => ("", ""),
    };
    let place = if address.ip().to_canonical().is_unspecified() {
        format!("`{address}` is every interface of the machine")
    } else {
        format!("`{address}` is not a private address")
    };
    section.warn(
        key,
        format!(
            "{place}: whoever reaches it can read the metrics{page}, with the names of domains and \
             backends{clear_text}; listen on a loopback or private address, such as `listen_addr = \
             \"127.0.0.1:{}\"`",
            address.port()
        ),
    );
}

/// Whether an address is only reached from networks that somebody has chosen: the machine itself, a
/// private network (RFC 1918, RFC 4193), a link, or a shared network (RFC 6598), as overlays have.
fn is_closed(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
