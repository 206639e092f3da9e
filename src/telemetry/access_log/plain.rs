//! Lines that are not JSON: for people, and those of other web servers.

use super::escape::write_hex_escaped;
use super::line::{
    AccessLine, write_common_time, write_domain, write_ip, write_ms, write_number, write_rfc3339,
};

/// The Common Log Format: `CLIENT - - [TIME] "METHOD PATH PROTOCOL" STATUS BYTES`.
pub(super) fn write_common(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    common(out, line);
    out.push(b'\n');
}

/// The same, followed by ` "REFERER" "USER AGENT"`.
pub(super) fn write_combined(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    common(out, line);
    for header in [line.referer, line.user_agent] {
        out.extend_from_slice(b" \"");
        write_hex_escaped(out, header.unwrap_or(b"-"));
        out.push(b'"');
    }
    out.push(b'\n');
}

fn common(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    client(out, line);
    out.extend_from_slice(b" - - [");
    write_common_time(out, line.time_ms);
    out.extend_from_slice(b"] \"");
    write_hex_escaped(out, line.method.as_bytes());
    out.push(b' ');
    target(out, line);
    out.push(b' ');
    out.extend_from_slice(line.protocol.as_bytes());
    out.extend_from_slice(b"\" ");
    match line.status {
        Some(status) => write_number(out, status),
        // Parsers expect three digits.
        None => out.extend_from_slice(b"000"),
    }
    out.push(b' ');
    write_number(out, line.bytes_out);
}

/// `TIME CLIENT "METHOD HOST PATH PROTOCOL" STATUS DURATIONms`, and the rest as `name=value`.
pub(super) fn write_text(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    write_rfc3339(out, line.time_ms);
    out.push(b' ');
    client(out, line);
    out.extend_from_slice(b" \"");
    write_hex_escaped(out, line.method.as_bytes());
    out.push(b' ');
    write_hex_escaped(out, line.host.unwrap_or("-").as_bytes());
    out.push(b' ');
    target(out, line);
    out.push(b' ');
    out.extend_from_slice(line.protocol.as_bytes());
    out.extend_from_slice(b"\" ");
    match line.status {
        Some(status) => write_number(out, status),
        None => out.push(b'-'),
    }
    out.push(b' ');
    write_ms(out, line.duration);
    out.extend_from_slice(b"ms");
    if let Some(upstream) = line.upstream {
        out.extend_from_slice(b" upstream=");
        write_ms(out, upstream);
        out.extend_from_slice(b"ms");
    }
    for (name, number) in [(&b" in="[..], line.bytes_in), (b" out=", line.bytes_out)] {
        out.extend_from_slice(name);
        write_number(out, number);
    }
    if let Some(ip) = line.peer_ip {
        out.extend_from_slice(b" peer_ip=");
        write_ip(out, ip);
    }
    word(out, b" tls=", line.tls);
    if let Some(domain) = line.domain {
        out.extend_from_slice(b" domain=");
        write_domain(out, domain);
    }
    word(out, b" tag=", line.tag);
    word(out, b" backend_id=", line.backend_id);
    out.extend_from_slice(b" tries=");
    write_number(out, line.tries);
    word(out, b" request_id=", line.request_id);
    word(out, b" trace_id=", line.trace_id);
    word(out, b" reason=", line.reason);
    out.push(b'\n');
}

fn client(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    match line.client_ip {
        Some(ip) => write_ip(out, ip),
        None => out.push(b'-'),
    }
}

fn target(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    write_hex_escaped(out, line.path.as_bytes());
    if let Some(query) = line.query {
        out.push(b'?');
        write_hex_escaped(out, query.as_bytes());
    }
}

/// A value without spaces: names and ids have none.
fn word(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        write_hex_escaped(out, value.as_bytes());
    }
}
