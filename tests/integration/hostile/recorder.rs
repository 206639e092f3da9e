//! A backend that tells in words what it got.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::*;

/// Records every byte, answers each request, and reads them strictly.
pub(super) struct Recorder {
    backend: RawBackend,
    /// How much of each connection was told already.
    told: Vec<usize>,
}

impl Recorder {
    pub(super) fn start() -> Self {
        let backend = RawBackend::start(|connection| {
            while let Some(head) = connection.read_head() {
                let head = head.to_ascii_lowercase();
                if head.contains("\r\nexpect: 100-continue\r\n") {
                    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().expect("a length"));
                let whole = if head.contains("\r\ntransfer-encoding:") {
                    // Up to the last chunk: no data of these tests has an empty line.
                    connection.read_head().is_some()
                } else {
                    connection.read_exactly(length)
                };
                if !whole {
                    return;
                }
                let is_head = head.starts_with("head ");
                connection.send(if is_head {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
                } else {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                });
            }
        });
        Self { backend, told: Vec::new() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.backend.address()
    }

    /// What has come since the last call: `METHOD TARGET @HOST BODY +TRAILER`, with `…` at the end of a body
    /// that is cut; sorted. Waits a little for what is `expected`.
    pub(super) fn new_requests(&mut self, expected: &[&str]) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let record = self.backend.record();
            self.told.resize(record.len(), 0);
            let new = record.iter().zip(&self.told).filter(|(bytes, told)| bytes.len() > **told);
            let mut requests: Vec<_> =
                new.flat_map(|(bytes, told)| requests(&bytes[*told..])).collect();
            // Those on two connections are in no order.
            requests.sort_unstable();
            if requests == expected || Instant::now() > deadline {
                self.told = record.iter().map(Vec::len).collect();
                return requests;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn requests(mut bytes: &[u8]) -> Vec<String> {
    let mut requests = Vec::new();
    while !bytes.is_empty() {
        let (request, rest) =
            request(bytes).unwrap_or_else(|| (format!("garbage: {}", bytes.escape_ascii()), &[]));
        requests.push(request);
        bytes = rest;
    }
    requests
}

/// One request in words, and what follows it. Nothing when it is none.
fn request(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, mut rest) = (&bytes[..end], &bytes[end + 4..]);
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let line = lines.next()?.strip_suffix(b" HTTP/1.1")?;
    let mut text = line.escape_ascii().to_string();
    let (mut length, mut chunked, mut hosts) = (None, false, 0);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = String::from_utf8_lossy(line[colon + 1..].trim_ascii()).into_owned();
        match line[..colon].to_ascii_lowercase().as_slice() {
            b"host" => {
                hosts += 1;
                let _ = write!(text, " @{value}");
            }
            b"content-length" if length.is_none() => length = Some(value.parse().ok()?),
            b"transfer-encoding" if !chunked && value == "chunked" => chunked = true,
            b"content-length" | b"transfer-encoding" => return None,
            _ => {}
        }
    }
    if hosts > 1 || (chunked && length.is_some()) {
        return None;
    }
    let mut body = Vec::new();
    let mut whole = true;
    let mut after = String::new();
    while chunked && whole {
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else {
            whole = false;
            break;
        };
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        let data = &rest[line + 2..];
        if size == 0 {
            (whole, rest) = trailers(data, &mut after)?;
            break;
        }
        if data.len() < size + 2 {
            body.extend_from_slice(&data[..size.min(data.len())]);
            (whole, rest) = (false, &[]);
            break;
        }
        if &data[size..size + 2] != b"\r\n" {
            return None;
        }
        body.extend_from_slice(&data[..size]);
        rest = &data[size + 2..];
    }
    if let Some(length) = length {
        whole = rest.len() >= length;
        let length = length.min(rest.len());
        body.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
    if !body.is_empty() {
        let _ = write!(text, " {}", body.escape_ascii());
    }
    text.push_str(&after);
    if !whole {
        text.push('…');
    }
    Some((text, rest))
}

/// Reads the lines behind a last chunk into `words`: whether they are whole, and what follows. Nothing
/// when they are none.
fn trailers<'b>(mut bytes: &'b [u8], words: &mut String) -> Option<(bool, &'b [u8])> {
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let line = &bytes[..end];
        bytes = &bytes[end + 2..];
        if line.is_empty() {
            return Some((true, bytes));
        }
        line.iter().position(|byte| *byte == b':')?;
        let _ = write!(words, " +{}", line.escape_ascii());
    }
    Some((false, &[]))
}
