//! Lines that are not JSON: for people, and those of other web servers.

use super::escape::write_hex_escaped;
use super::line::{AccessLine, write_common_time, write_ip, write_ms, write_number, write_rfc3339};
use super::value::write_cut;

/// The Common Log Format: `CLIENT - - [TIME] "METHOD PATH PROTOCOL" STATUS BYTES`.
pub(super) fn write_common(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    client(out, line);
    out.extend_from_slice(b" - - [");
    write_common_time(out, line.time_ms);
    out.extend_from_slice(b"] \"");
    write_cut(out, line.method.as_bytes());
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

/// The same, followed by ` "REFERER" "USER AGENT"`.
pub(super) fn write_combined(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    write_common(out, line);
    for header in [line.referer, line.user_agent] {
        out.extend_from_slice(b" \"");
        write_cut(out, header.unwrap_or(b"-"));
        out.push(b'"');
    }
}

/// The fields that stand at the beginning of a line of `text`, where nobody chooses.
pub(super) const BEGINS_WITH: [&str; 12] = [
    "time",
    "client_ip",
    "method",
    "host",
    "path",
    "query",
    "protocol",
    "status",
    "duration_ms",
    "upstream_ms",
    "bytes_in",
    "bytes_out",
];

/// `TIME CLIENT "METHOD HOST PATH PROTOCOL" STATUS DURATIONms upstream=DURATIONms in=BYTES out=BYTES`.
pub(super) fn write_beginning(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    write_rfc3339(out, line.time_ms);
    out.push(b' ');
    client(out, line);
    out.extend_from_slice(b" \"");
    write_cut(out, line.method.as_bytes());
    out.push(b' ');
    write_cut(out, line.host.unwrap_or("-").as_bytes());
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
