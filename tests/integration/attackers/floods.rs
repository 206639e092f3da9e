//! HTTP/2 frames that are of no use, as many as the server takes: each such connection is to be ended.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::Attack;
use super::attacker::Attacker;
use crate::harness::peer::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WHOLE,
    WINDOW_UPDATE, block, frame,
};

/// How long a server may take such a flood.
const MAX_FLOOD: Duration = Duration::from_secs(20);

/// The frames of one write.
const BATCH: u32 = 32;

/// The preface and SETTINGS.
pub(super) fn beginning(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &payload)[..]].concat()
}

/// The stream of the request with this number.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// A head with more fields; `flags` say whether it ends the stream.
fn head(flags: u8, stream: u32, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo =
        [(":method", method), (":scheme", "http"), (":authority", "example.com"), (":path", path)];
    frame(HEADERS, flags, stream, &block(&[&pseudo[..], more].concat()))
}

/// Floods one connection until the server ends it; whether it did.
fn flood(attacker: &Attacker<'_>, next: impl Fn(u32) -> Vec<u8>) -> bool {
    let Ok(mut stream) = attacker.connect(attacker.vhost.http()) else { return true };
    let Ok(mut reading) = stream.try_clone() else { return true };
    // Who stops reading has ended it as well.
    let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
    std::thread::scope(|scope| {
        // Takes what the server answers, so that it is never stopped by us.
        let reader = scope.spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while reading.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
        let end = Instant::now() + MAX_FLOOD;
        let mut written = stream.write_all(&beginning(&[]));
        let mut number = 0;
        while written.is_ok() && Instant::now() < end && !reader.is_finished() {
            let batch: Vec<u8> = (number..number + BATCH).flat_map(&next).collect();
            number += BATCH;
            written = stream.write_all(&batch);
        }
        let is_ended = written.is_err() || reader.is_finished();
        let _ = stream.shutdown(std::net::Shutdown::Both);
        is_ended
    })
}

/// Four floods side by side, each again and again, every one of which is to be ended and counted.
fn floods(name: &'static str, next: fn(u32) -> Vec<u8>) {
    floods_counted_as(name, &["h2_flood"], next);
}

/// The same, counted as one of these.
fn floods_counted_as(name: &'static str, reasons: &[&str], next: fn(u32) -> Vec<u8>) {
    Attack::new(name).with_connections(8, 4).run(|attacker| {
        attacker.side_by_side(4, |_| {
            while attacker.goes_on() {
                if !flood(attacker, next) {
                    attacker.complain(format!("a flood goes on for {MAX_FLOOD:?}"));
                    return;
                }
            }
        });
        let counted: u64 = reasons.iter().map(|reason| attacker.refused(reason)).sum();
        if counted == 0 {
            attacker.complain(format!("no flood was counted as {reasons:?}"));
        }
    });
}

#[test]
fn rapid_resets() {
    floods("HTTP/2 flood: rapid resets", |number| {
        let cancel = 8_u32.to_be_bytes();
        [
            head(WHOLE, stream(number), "GET", "/", &[]),
            frame(RST_STREAM, 0, stream(number), &cancel),
        ]
        .concat()
    });
}

#[test]
fn resets_provoked_by_windows_that_overflow() {
    floods("HTTP/2 flood: resets by windows that overflow", |number| {
        let most = 0x7fff_ffff_u32.to_be_bytes();
        [
            head(END_HEADERS, stream(number), "POST", "/", &[]),
            frame(WINDOW_UPDATE, 0, stream(number), &most),
        ]
        .concat()
    });
}

#[test]
fn resets_provoked_by_windows_of_zero_bytes() {
    // h2 ends the connection for the first.
    floods_counted_as(
        "HTTP/2 flood: resets by updates of zero",
        &["h2_flood", "bad_request"],
        |number| {
            [
                head(END_HEADERS, stream(number), "POST", "/", &[]),
                frame(WINDOW_UPDATE, 0, stream(number), &[0; 4]),
            ]
            .concat()
        },
    );
}

#[test]
fn resets_provoked_by_data_beyond_the_length() {
    floods("HTTP/2 flood: resets by data beyond the length", |number| {
        [
            head(END_HEADERS, stream(number), "POST", "/", &[("content-length", "1")]),
            frame(DATA, 0, stream(number), b"12"),
        ]
        .concat()
    });
}

#[test]
fn resets_provoked_by_data_on_closed_streams() {
    // h2 ends the connection for the first.
    floods_counted_as(
        "HTTP/2 flood: resets by data on closed streams",
        &["h2_flood", "bad_request"],
        |number| {
            [head(WHOLE, stream(number), "GET", "/", &[]), frame(DATA, 0, stream(number), b"x")]
                .concat()
        },
    );
}

#[test]
fn malformed_streams() {
    let reasons = ["h2_flood", "bad_request"];
    floods_counted_as("HTTP/2 flood: malformed streams", &reasons, |number| {
        head(WHOLE, stream(number), "GET", "/", &[("Upper-Case", "x")])
    });
}

#[test]
fn streams_that_depend_on_themselves() {
    floods("HTTP/2 flood: streams that depend on themselves", |number| {
        let itself = [&stream(number).to_be_bytes()[..], &[1]].concat();
        frame(PRIORITY, 0, stream(number), &itself)
    });
}

#[test]
fn window_updates() {
    floods("HTTP/2 flood: WINDOW_UPDATE", |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()));
}

#[test]
fn window_updates_of_a_stream() {
    floods("HTTP/2 flood: WINDOW_UPDATE of a stream", |number| match number {
        0 => head(END_HEADERS, 1, "POST", "/", &[]),
        _ => frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()),
    });
}

#[test]
fn pings() {
    floods("HTTP/2 flood: PING", |_| frame(PING, 0, 0, &[0; 8]));
}

#[test]
fn settings() {
    floods("HTTP/2 flood: SETTINGS", |_| frame(SETTINGS, 0, 0, &[]));
}

#[test]
fn settings_that_change_windows() {
    floods("HTTP/2 flood: SETTINGS of windows and tables", |number| {
        let table = [0, 1, 0, 0, u8::try_from(number % 16).expect("small"), 0];
        let window = [0, 4, 0, 0, u8::try_from(number % 250).expect("small"), 1];
        frame(SETTINGS, 0, 0, &[table, window].concat())
    });
}

#[test]
fn priorities() {
    floods("HTTP/2 flood: PRIORITY", |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]));
}

#[test]
fn frames_of_no_known_type() {
    floods("HTTP/2 flood: frames of no known type", |_| frame(0xee, 0, 0, &[0; 100]));
}

#[test]
fn empty_data() {
    floods("HTTP/2 flood: empty DATA", |number| match number {
        0 => head(END_HEADERS, 1, "POST", "/", &[]),
        _ => frame(DATA, 0, 1, &[]),
    });
}

#[test]
fn padding_alone() {
    const PADDED: u8 = 8;
    floods("HTTP/2 flood: DATA of padding alone", |number| match number {
        0 => head(END_HEADERS, 1, "POST", "/", &[]),
        _ => frame(DATA, PADDED, 1, &[3, 0, 0, 0]),
    });
}

#[test]
fn continuations() {
    floods("HTTP/2 flood: CONTINUATION", |number| {
        // A field that is never indexed, with a value of 100 bytes.
        let field = [&[0x10, 1, b'x', 100][..], &[b'x'; 100]].concat();
        match number {
            0 => frame(HEADERS, 0, 1, &[0x82, 0x86, 0x84]),
            _ => frame(CONTINUATION, 0, 1, &field),
        }
    });
}

#[test]
fn empty_continuations() {
    floods("HTTP/2 flood: empty CONTINUATION", |number| match number {
        0 => frame(HEADERS, 0, 1, &[0x82, 0x86, 0x84]),
        _ => frame(CONTINUATION, 0, 1, &[]),
    });
}
