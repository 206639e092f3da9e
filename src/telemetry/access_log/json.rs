//! A line as a JSON object, without empty fields.

use std::net::IpAddr;
use std::time::Duration;

use super::escape::write_json;
use super::line::{AccessLine, write_domain, write_ip, write_ms, write_number, write_rfc3339};

pub(super) fn write(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    write_rfc3339(out, line.time_ms);
    out.push(b'"');
    text(out, b",\"request_id\":\"", line.request_id);
    text(out, b",\"trace_id\":\"", line.trace_id);
    address(out, b",\"client_ip\":\"", line.client_ip);
    address(out, b",\"peer_ip\":\"", line.peer_ip);
    text(out, b",\"method\":\"", Some(line.method));
    text(out, b",\"host\":\"", line.host);
    text(out, b",\"path\":\"", Some(line.path));
    text(out, b",\"query\":\"", line.query);
    text(out, b",\"protocol\":\"", Some(line.protocol));
    text(out, b",\"tls\":\"", line.tls);
    if let Some(status) = line.status {
        number(out, b",\"status\":", status);
    }
    number(out, b",\"bytes_in\":", line.bytes_in);
    number(out, b",\"bytes_out\":", line.bytes_out);
    ms(out, b",\"duration_ms\":", line.duration);
    if let Some(upstream) = line.upstream {
        ms(out, b",\"upstream_ms\":", upstream);
    }
    if let Some(domain) = line.domain {
        out.extend_from_slice(b",\"domain\":\"");
        write_domain(out, domain);
        out.push(b'"');
    }
    text(out, b",\"tag\":\"", line.tag);
    text(out, b",\"backend_id\":\"", line.backend_id);
    number(out, b",\"tries\":", line.tries);
    text(out, b",\"reason\":\"", line.reason);
    out.extend_from_slice(b"}\n");
}

/// A field; its key already contains the quote of the value.
fn text(out: &mut Vec<u8>, key: &[u8], value: Option<&str>) {
    let Some(value) = value else { return };
    out.extend_from_slice(key);
    write_json(out, value);
    out.push(b'"');
}

fn address(out: &mut Vec<u8>, key: &[u8], ip: Option<IpAddr>) {
    let Some(ip) = ip else { return };
    out.extend_from_slice(key);
    write_ip(out, ip);
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, key: &[u8], value: impl itoa::Integer) {
    out.extend_from_slice(key);
    write_number(out, value);
}

fn ms(out: &mut Vec<u8>, key: &[u8], value: Duration) {
    out.extend_from_slice(key);
    write_ms(out, value);
}
