//! The PROXY protocol: from proxies in front, and to backends.

mod config;
mod haproxy;
mod receive;
mod send;
mod unwrapped;
mod who;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::json;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

/// `example.com` on one backend, behind a proxy that announces clients on both listeners.
fn behind(proxy: IpAddr, backend: &Backend) -> Setup {
    behind_with(proxy, backend, "")
}

/// The same, with options of the domain as lines of TOML.
fn behind_with(proxy: IpAddr, backend: &Backend, options: &str) -> Setup {
    Setup::new()
        .set("proxy.trusted_proxies", format!("[\"{proxy}\"]"))
        .set("proxy.proxy_protocol", true)
        .set("proxy.proxy_protocol_http", true)
        .domain_with("example.com", "a", &format!("http_to_https = false\n{options}"))
        .backend(backend.id(), backend.address(), &["a"])
}

fn v1(client: &str, server: &str) -> Vec<u8> {
    let (client, server): (SocketAddr, SocketAddr) =
        (client.parse().unwrap(), server.parse().unwrap());
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (client.port(), server.port());
    format!("PROXY {family} {} {} {from} {to}\r\n", client.ip(), server.ip()).into_bytes()
}

/// Version 2 with this after its signature.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

fn v2_proxied(client: &str, server: &str) -> Vec<u8> {
    let (family, rest) = v2_ends(client, server);
    v2(0x21, family, &rest)
}

/// The family of two ends, and how version 2 writes them.
fn v2_ends(client: &str, server: &str) -> (u8, Vec<u8>) {
    let ends: [SocketAddr; 2] = [client.parse().unwrap(), server.parse().unwrap()];
    let octets = ends.map(|end| match end.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    });
    let ports = ends.map(|end| end.port().to_be_bytes()).concat();
    (if ends[0].is_ipv4() { 0x11 } else { 0x21 }, [octets.concat(), ports].concat())
}

/// Requests that were refused for this reason so far.
fn refused(vhost: &Vhost, reason: &str) -> u64 {
    let state = vhost.rpc("state.get", json!({})).expect("state.get answers");
    state["refused"][reason].as_u64().unwrap_or(0)
}

#[track_caller]
fn wait_for_refused(vhost: &Vhost, reason: &str, count: u64) {
    eventually(&format!("{count} refused for {reason}"), SOON, || refused(vhost, reason) == count);
}
