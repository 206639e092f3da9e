//! The facts of a line, and how each is written.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use time::{Month, OffsetDateTime};

use super::headers::Headers;
use crate::clock::whole_millis;
use crate::model::{DomainName, Pattern};

/// The facts of a request that has ended.
#[derive(Debug, Clone, Default)]
pub struct AccessLine<'a> {
    /// When it ended, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Its id, as the backend saw it.
    pub request_id: Option<&'a str>,
    /// The trace id of its `traceparent`.
    pub trace_id: Option<&'a str>,
    /// Its client, if known.
    pub client_ip: Option<IpAddr>,
    /// The address at the other end of its connection.
    pub peer_ip: Option<IpAddr>,
    pub method: &'a str,
    pub host: Option<&'a str>,
    pub path: &'a str,
    /// Its query, if queries are logged.
    pub query: Option<&'a str>,
    /// The protocol: `HTTP/1.1`.
    pub protocol: &'static str,
    /// The TLS version, if any.
    pub tls: Option<&'a str>,
    /// The name that its client asked for in the TLS handshake.
    pub tls_sni: Option<&'a str>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// How long it took.
    pub duration: Duration,
    /// The part of that time at the backend.
    pub upstream: Option<Duration>,
    pub domain: Option<&'a DomainName>,
    /// The tag that served it.
    pub tag: Option<&'a str>,
    /// The tag on trial that has failed it, where that one served it then.
    pub failed_tag: Option<&'a str>,
    /// The label of the version that was deployed there.
    pub release: Option<&'a str>,
    /// The backend that it went to last.
    pub backend_id: Option<&'a str>,
    /// How many backends it was tried on.
    pub tries: usize,
    /// Why it was refused or failed.
    pub reason: Option<&'static str>,
    pub referer: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    /// The headers of the request, of which lines may have some by name.
    pub request_headers: Headers<'a>,
    /// The same of its answer.
    pub response_headers: Headers<'a>,
}

/// A time as RFC 3339 has it, in UTC with milliseconds.
pub(super) fn write_rfc3339(out: &mut Vec<u8>, time_ms: u64) {
    let (time, ms) = split(time_ms);
    write_digits::<4>(out, time.year().unsigned_abs());
    out.push(b'-');
    write_digits::<2>(out, u8::from(time.month()).into());
    out.push(b'-');
    write_digits::<2>(out, time.day().into());
    out.push(b'T');
    write_time_of_day(out, time);
    out.push(b'.');
    write_digits::<3>(out, ms);
    out.push(b'Z');
}

/// A time as the Common Log Format has it, in UTC: `26/Nov/2026:11:50:31 +0000`.
pub(super) fn write_common_time(out: &mut Vec<u8>, time_ms: u64) {
    let (time, _) = split(time_ms);
    write_digits::<2>(out, time.day().into());
    out.push(b'/');
    out.extend_from_slice(match time.month() {
        Month::January => b"Jan",
        Month::February => b"Feb",
        Month::March => b"Mar",
        Month::April => b"Apr",
        Month::May => b"May",
        Month::June => b"Jun",
        Month::July => b"Jul",
        Month::August => b"Aug",
        Month::September => b"Sep",
        Month::October => b"Oct",
        Month::November => b"Nov",
        Month::December => b"Dec",
    });
    out.push(b'/');
    write_digits::<4>(out, time.year().unsigned_abs());
    out.push(b':');
    write_time_of_day(out, time);
    out.extend_from_slice(b" +0000");
}

fn split(time_ms: u64) -> (OffsetDateTime, u32) {
    let secs = i64::try_from(time_ms / 1000).unwrap_or(0);
    let ms = u32::try_from(time_ms % 1000).unwrap_or(0);
    (OffsetDateTime::from_unix_timestamp(secs).unwrap_or(OffsetDateTime::UNIX_EPOCH), ms)
}

fn write_time_of_day(out: &mut Vec<u8>, time: OffsetDateTime) {
    let (hour, minute, second) = time.to_hms();
    write_digits::<2>(out, hour.into());
    out.push(b':');
    write_digits::<2>(out, minute.into());
    out.push(b':');
    write_digits::<2>(out, second.into());
}

/// A duration in milliseconds with three decimals.
pub(super) fn write_ms(out: &mut Vec<u8>, duration: Duration) {
    write_number(out, whole_millis(duration));
    out.push(b'.');
    write_digits::<3>(out, duration.subsec_micros() % 1000);
}

pub(super) fn write_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A number with leading zeros.
fn write_digits<const N: usize>(out: &mut Vec<u8>, mut number: u32) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

/// One of our own names, which needs no escaping.
pub(super) fn write_domain(out: &mut Vec<u8>, domain: &DomainName) {
    match domain.pattern() {
        Pattern::Default => out.push(b'*'),
        Pattern::Exact(name) => out.extend_from_slice(name.as_bytes()),
        Pattern::Wildcard(base) => {
            out.extend_from_slice(b"*.");
            out.extend_from_slice(base.as_bytes());
        }
    }
}

pub(super) fn write_ip(out: &mut Vec<u8>, ip: IpAddr) {
    // Writing to a vector never fails.
    let _ = write!(out, "{ip}");
}
