//! What RFC 9113 demands of frames and streams.

use super::generic::priority;
use super::peer::*;
use super::*;

const PROTOCOL: &[u32] = &[PROTOCOL_ERROR];
const FRAME_SIZE: &[u32] = &[FRAME_SIZE_ERROR];
const FLOW_CONTROL: &[u32] = &[FLOW_CONTROL_ERROR];
const CLOSED: &[u32] = &[STREAM_CLOSED];
const CLOSED_OR_PROTOCOL: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];

fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, bytes)
}

fn increment(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn cancel(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// A request whose header block is not whole yet.
fn open_head(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM, stream, &request("GET", "/", &[]))
}

fn continuation(stream: u32, flags: u8) -> Vec<u8> {
    frame(CONTINUATION, flags, stream, &block(&[("x-more", "1")]))
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn frames() -> Vec<Case> {
    let large = vec![0; 16_385];
    vec![
        Case::new(
            "4.1: a frame of an unknown type",
            vec![frame(22, 0, 0, b"12345678")],
            Step::Alive,
        ),
        Case::new(
            "4.1: a flag that is not defined",
            vec![frame(PING, 16, 0, b"12345678")],
            Step::Comes { kind: PING, flags: ACK, length: 8 },
        ),
        Case::new(
            "4.1: the reserved bit",
            vec![frame(PING, 0, 1 << 31, b"12345678")],
            Step::Comes { kind: PING, flags: ACK, length: 8 },
        ),
        Case::new(
            "4.2: DATA of 16 KiB",
            vec![post(1), data(1, END_STREAM, &large[1..])],
            Step::Answered(1),
        ),
        Case::new(
            "4.2: DATA beyond the largest frame",
            vec![post(1), data(1, END_STREAM, &large)],
            Step::Resets(FRAME_SIZE),
        ),
        Case::new(
            "4.2: HEADERS beyond the largest frame",
            vec![frame(HEADERS, WHOLE, 1, &large)],
            Step::Ends(FRAME_SIZE),
        ),
        Case::new(
            "4.3: a header block that can't be decoded",
            vec![frame(HEADERS, WHOLE, 1, &[0x40])],
            Step::Ends(&[COMPRESSION_ERROR]),
        ),
        Case::new(
            "4.3: PRIORITY in a header block",
            vec![
                open_head(1),
                frame(PRIORITY, 0, 1, &priority(0, false, 255)),
                continuation(1, END_HEADERS),
            ],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "4.3: HEADERS of another stream in a header block",
            vec![open_head(1), get(3)],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "5.3.1: HEADERS that depend on themselves",
            vec![frame(
                HEADERS,
                WHOLE | WITH_PRIORITY,
                1,
                &[&priority(1, false, 15)[..], &request("GET", "/", &[])].concat(),
            )],
            Step::Resets(PROTOCOL),
        ),
        Case::new(
            "5.3.1: PRIORITY that depends on itself",
            vec![frame(PRIORITY, 0, 1, &priority(1, false, 15))],
            Step::Resets(PROTOCOL),
        ),
        Case::new(
            "5.4.1: a malformed frame ends the connection",
            vec![frame(PING, 0, 1, b"12345678")],
            Step::Ends(PROTOCOL),
        ),
        Case::new("5.5: an unknown frame", vec![frame(22, 0, 0, b"")], Step::Alive),
        Case::new(
            "5.5: an unknown frame in a header block",
            vec![open_head(1), frame(22, 0, 1, b""), continuation(1, END_HEADERS)],
            Step::Ends(PROTOCOL),
        ),
        Case::new("6.1: DATA of stream 0", vec![data(0, END_STREAM, b"x")], Step::Ends(PROTOCOL)),
        Case::new(
            "6.1: DATA of a stream that is not open",
            vec![get_held(1), data(1, END_STREAM, b"x")],
            Step::Resets(CLOSED),
        ),
        Case::new(
            "6.1: DATA with too much padding",
            vec![post(1), data(1, END_STREAM | PADDED, &[6, b'x'])],
            Step::Ends(PROTOCOL),
        ),
        Case::new("6.2: HEADERS of stream 0", vec![get(0)], Step::Ends(PROTOCOL)),
        Case::new(
            "6.2: HEADERS with too much padding",
            vec![frame(HEADERS, WHOLE | PADDED, 1, &[200, 0x82])],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.3: PRIORITY of stream 0",
            vec![frame(PRIORITY, 0, 0, &priority(0, false, 15))],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.3: PRIORITY of the wrong size",
            vec![post(1), frame(PRIORITY, 0, 1, &[0; 4])],
            Step::Resets(FRAME_SIZE),
        ),
        Case::new("6.4: RST_STREAM of stream 0", vec![cancel(0)], Step::Ends(PROTOCOL)),
        Case::new("6.4: RST_STREAM of an idle stream", vec![cancel(1)], Step::Ends(PROTOCOL)),
        Case::new(
            "6.4: RST_STREAM of the wrong size",
            vec![post(1), frame(RST_STREAM, 0, 1, &[0; 3])],
            Step::Ends(FRAME_SIZE),
        ),
        Case::new(
            "6.5: SETTINGS with ACK and more",
            vec![frame(SETTINGS, ACK, 0, &settings(&[(1, 0)]))],
            Step::Ends(FRAME_SIZE),
        ),
        Case::new(
            "6.5: SETTINGS of a stream",
            vec![frame(SETTINGS, 0, 1, &settings(&[(3, 100)]))],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.5: SETTINGS of the wrong size",
            vec![frame(SETTINGS, 0, 0, &[0; 3])],
            Step::Ends(FRAME_SIZE),
        ),
        Case::new(
            "6.5.2: ENABLE_PUSH of 2",
            vec![frame(SETTINGS, 0, 0, &settings(&[(2, 2)]))],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.5.2: INITIAL_WINDOW_SIZE of 2^31",
            vec![frame(SETTINGS, 0, 0, &settings(&[(4, 1 << 31)]))],
            Step::Ends(FLOW_CONTROL),
        ),
        Case::new(
            "6.5.2: MAX_FRAME_SIZE below its least",
            vec![frame(SETTINGS, 0, 0, &settings(&[(5, 16_383)]))],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.5.2: MAX_FRAME_SIZE beyond its most",
            vec![frame(SETTINGS, 0, 0, &settings(&[(5, 1 << 24)]))],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.5.2: an unknown setting",
            vec![frame(SETTINGS, 0, 0, &settings(&[(255, 1)]))],
            Step::Alive,
        ),
        Case::new(
            "6.5.3: two values of one setting",
            vec![frame(SETTINGS, 0, 0, &settings(&[(4, 100), (4, 1)])), get(1)],
            Step::Comes { kind: DATA, flags: 0, length: 1 },
        ),
        Case::new(
            "6.5.3: SETTINGS are acknowledged",
            vec![frame(SETTINGS, 0, 0, &[])],
            Step::Comes { kind: SETTINGS, flags: ACK, length: 0 },
        ),
        Case::new(
            "6.7: PING with ACK is not answered",
            vec![frame(PING, ACK, 0, b"12345678")],
            Step::Alive,
        ),
        Case::new(
            "6.7: PING of a stream",
            vec![frame(PING, 0, 1, b"12345678")],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.7: PING of the wrong size",
            vec![frame(PING, 0, 0, b"123456")],
            Step::Ends(FRAME_SIZE),
        ),
        Case::new(
            "6.8: GOAWAY of a stream",
            vec![frame(GOAWAY, 0, 1, &[0; 8])],
            Step::Ends(PROTOCOL),
        ),
        Case::new("6.9: WINDOW_UPDATE by 0", vec![increment(0, 0)], Step::Ends(PROTOCOL)),
        Case::new(
            "6.9: WINDOW_UPDATE of a stream by 0",
            vec![post(1), increment(1, 0)],
            Step::Resets(PROTOCOL),
        ),
        Case::new(
            "6.9: WINDOW_UPDATE of the wrong size",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])],
            Step::Ends(FRAME_SIZE),
        ),
        Case::new(
            "6.9.1: no more DATA than the window has room for",
            vec![get(1)],
            Step::Comes { kind: DATA, flags: 0, length: 1 },
        )
        .settings(&[(4, 1)]),
        Case::new(
            "6.9.1: the connection's window beyond 2^31-1",
            vec![increment(0, 0x7fff_ffff), increment(0, 0x7fff_ffff)],
            Step::Ends(FLOW_CONTROL),
        ),
        Case::new(
            "6.9.1: a stream's window beyond 2^31-1",
            vec![post(1), increment(1, 0x7fff_ffff), increment(1, 0x7fff_ffff)],
            Step::Resets(FLOW_CONTROL),
        ),
        Case::new(
            "6.9.2: a window that is opened later",
            vec![get(1), frame(SETTINGS, 0, 0, &settings(&[(4, 1)]))],
            Step::Comes { kind: DATA, flags: 0, length: 1 },
        )
        .settings(&[(4, 0)]),
        Case::new(
            "6.9.2: a window below zero",
            vec![get(1)],
            Step::Comes { kind: DATA, flags: 0, length: 3 },
        )
        .settings(&[(4, 3)])
        .then(Step::Send([frame(SETTINGS, 0, 0, &settings(&[(4, 2)])), increment(1, 2)].concat()))
        .then(Step::Comes { kind: DATA, flags: 0, length: 1 }),
        Case::new(
            "6.10: CONTINUATION, then another frame",
            vec![open_head(1), continuation(1, 0), data(1, END_STREAM, b"x")],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.10: CONTINUATION of stream 0",
            vec![open_head(1), continuation(0, END_HEADERS)],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.10: CONTINUATION behind a whole head",
            vec![get_held(1), continuation(1, END_HEADERS)],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.10: CONTINUATION behind the last CONTINUATION",
            vec![open_head(1), continuation(1, END_HEADERS), continuation(1, END_HEADERS)],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "6.10: CONTINUATION behind DATA",
            vec![post(1), data(1, 0, b"x"), continuation(1, END_HEADERS)],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "7: GOAWAY with an unknown error",
            vec![frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])],
            Step::Ends(&[NO_ERROR]),
        ),
        Case::new(
            "7: RST_STREAM with an unknown error",
            vec![post(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff])],
            Step::Alive,
        ),
        Case::new(
            "8.2: PUSH_PROMISE from a client",
            vec![frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                &[&[0, 0, 0, 2][..], &request("GET", "/", &[])].concat(),
            )],
            Step::Ends(PROTOCOL),
        ),
    ]
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn streams() -> Vec<Case> {
    let over_limit: Vec<_> = (0..=100).map(|number| get_held(2 * number + 1)).collect();
    vec![
        Case::new("5.1: DATA when idle", vec![data(1, END_STREAM, b"test")], Step::Ends(PROTOCOL)),
        Case::new("5.1: RST_STREAM when idle", vec![cancel(1)], Step::Ends(PROTOCOL)),
        Case::new("5.1: WINDOW_UPDATE when idle", vec![increment(1, 100)], Step::Ends(PROTOCOL)),
        Case::new(
            "5.1: CONTINUATION when idle",
            vec![continuation(1, END_HEADERS)],
            Step::Ends(PROTOCOL),
        ),
        Case::new(
            "5.1: DATA when half closed",
            vec![get_held(1), data(1, END_STREAM, b"test")],
            Step::Resets(CLOSED),
        ),
        Case::new(
            "5.1: HEADERS when half closed",
            vec![get_held(1), get_held(1)],
            Step::Resets(CLOSED),
        ),
        Case::new(
            "5.1: CONTINUATION when half closed",
            vec![get_held(1), continuation(1, END_HEADERS)],
            Step::Resets(CLOSED_OR_PROTOCOL),
        ),
        Case::new(
            "5.1: DATA behind RST_STREAM",
            vec![post(1), cancel(1), data(1, END_STREAM, b"test")],
            Step::Resets(CLOSED),
        ),
        Case::new(
            "5.1: HEADERS behind RST_STREAM",
            vec![post(1), cancel(1), get(1)],
            Step::Resets(CLOSED),
        ),
        Case::new(
            "5.1: CONTINUATION behind RST_STREAM",
            vec![post(1), cancel(1), continuation(1, END_HEADERS)],
            Step::Resets(CLOSED_OR_PROTOCOL),
        ),
        Case::new("5.1: DATA when closed", vec![get(1)], Step::Answered(1))
            .then(Step::Finished)
            .then(Step::Send(data(1, END_STREAM, b"test")))
            .then(Step::Resets(CLOSED)),
        Case::new("5.1: HEADERS when closed", vec![get(1)], Step::Answered(1))
            .then(Step::Finished)
            .then(Step::Send(get(1)))
            .then(Step::Ends(CLOSED_OR_PROTOCOL)),
        Case::new("5.1: CONTINUATION when closed", vec![get(1)], Step::Answered(1))
            .then(Step::Finished)
            .then(Step::Send(continuation(1, END_HEADERS)))
            .then(Step::Ends(CLOSED_OR_PROTOCOL)),
        Case::new("5.1.1: a stream with an even number", vec![get(2)], Step::Ends(PROTOCOL)),
        Case::new(
            "5.1.1: a stream with a lower number",
            vec![get_held(5), get_held(3)],
            Step::Ends(CLOSED_OR_PROTOCOL),
        ),
        Case::new(
            "5.1.2: more streams than allowed",
            over_limit,
            Step::Resets(&[REFUSED_STREAM, PROTOCOL_ERROR, ENHANCE_YOUR_CALM]),
        ),
        Case::new(
            "8.1: a second HEADERS that does not end the stream",
            vec![post(1), frame(HEADERS, END_HEADERS, 1, &block(&[("x", "1")]))],
            Step::Resets(PROTOCOL),
        ),
        Case::new(
            "8.1.2.6: less DATA than the length",
            vec![
                frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[("content-length", "5")])),
                data(1, END_STREAM, b"test"),
            ],
            Step::Resets(PROTOCOL),
        ),
        Case::new(
            "8.1.2.6: more DATA than the length, in two",
            vec![
                frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[("content-length", "3")])),
                data(1, 0, b"te"),
                data(1, END_STREAM, b"st"),
            ],
            Step::Resets(PROTOCOL),
        ),
    ]
}

#[test]
fn frames_are_held_to_the_letter() {
    run(&frames(), true);
}

#[test]
fn streams_are_held_to_the_letter() {
    run(&streams(), true);
}

#[test]
fn another_preface_is_refused() {
    let vhost = Setup::new().start();
    for preface in ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "INVALID CONNECTION PREFACE\r\n\r\n"] {
        let mut client = vhost.connect();
        client.send(preface);
        assert!(client.closed_within(std::time::Duration::from_secs(10)).is_some(), "{preface:?}");
    }
}
