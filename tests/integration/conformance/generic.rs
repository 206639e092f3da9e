//! What every implementation must take.

use super::peer::*;
use super::*;

/// What PRIORITY says: a stream, whether it is its only child, and a weight less one.
pub(super) fn priority(depends_on: u32, exclusive: bool, weight: u8) -> Vec<u8> {
    let first = depends_on | if exclusive { 1 << 31 } else { 0 };
    [&first.to_be_bytes()[..], &[weight]].concat()
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let body = |flags, bytes: &[u8]| frame(DATA, flags, 1, bytes);
    let padded = [&[6][..], b"hello", &[0; 6]].concat();
    let whole = request("GET", "/", &[]);
    let (first, second) = whole.split_at(10);
    let (second, third) = second.split_at(10);
    let indexed = |bytes: &[u8]| {
        let block = [&[0x82, 0x86, 0x84, 0x01, 11][..], b"example.com", bytes].concat();
        frame(HEADERS, WHOLE, 1, &block)
    };
    vec![
        Case::new("generic/1: the preface", vec![], Step::Alive),
        Case::new(
            "generic/2: PRIORITY for an idle stream",
            vec![frame(PRIORITY, 0, 1, &priority(0, false, 15))],
            Step::Alive,
        ),
        Case::new(
            "generic/2: WINDOW_UPDATE when half closed",
            vec![get(1), frame(WINDOW_UPDATE, 0, 1, &100_u32.to_be_bytes())],
            Step::Answered(1),
        ),
        Case::new(
            "generic/2: PRIORITY when half closed",
            vec![get(1), frame(PRIORITY, 0, 1, &priority(0, false, 15))],
            Step::Answered(1),
        ),
        Case::new(
            "generic/2: RST_STREAM when half closed",
            vec![get_held(1), frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())],
            Step::Alive,
        ),
        Case::new("generic/2: PRIORITY when closed", vec![get(1)], Step::Answered(1))
            .then(Step::Send(frame(PRIORITY, 0, 1, &priority(0, false, 15))))
            .then(Step::Alive),
        Case::new(
            "generic/3.1: DATA",
            vec![post(1), body(END_STREAM, b"hello")],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.1: several DATA",
            vec![post(1), body(0, b"hel"), body(END_STREAM, b"lo")],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.1: empty DATA",
            vec![post(1), body(0, b""), body(END_STREAM, b"")],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.1: padded DATA",
            vec![post(1), body(END_STREAM | PADDED, &padded)],
            Step::Answered(1),
        ),
        Case::new("generic/3.2: HEADERS", vec![get(1)], Step::Answered(1)),
        Case::new(
            "generic/3.2: padded HEADERS",
            vec![frame(HEADERS, WHOLE | PADDED, 1, &[&[3][..], &whole, &[0; 3]].concat())],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.2: HEADERS with a priority",
            vec![frame(
                HEADERS,
                WHOLE | WITH_PRIORITY,
                1,
                &[&priority(0, false, 15)[..], &whole].concat(),
            )],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.3: PRIORITY with weight 1",
            vec![frame(PRIORITY, 0, 1, &priority(0, false, 0)), get(1)],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.3: PRIORITY with weight 256",
            vec![frame(PRIORITY, 0, 1, &priority(0, false, 255)), get(1)],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.3: PRIORITY that depends",
            vec![get_held(1), frame(PRIORITY, 0, 3, &priority(1, false, 15)), get(3)],
            Step::Answered(3),
        ),
        Case::new(
            "generic/3.3: PRIORITY that is exclusive",
            vec![get_held(1), frame(PRIORITY, 0, 3, &priority(1, true, 15)), get(3)],
            Step::Answered(3),
        ),
        Case::new(
            "generic/3.3: PRIORITY of an idle stream, then a lower one",
            vec![frame(PRIORITY, 0, 7, &priority(0, false, 15)), get(1)],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.4: RST_STREAM",
            vec![post(1), frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())],
            Step::Alive,
        ),
        Case::new(
            "generic/3.5: SETTINGS",
            vec![frame(SETTINGS, 0, 0, &settings(&[(3, 100)]))],
            Step::Comes { kind: SETTINGS, flags: ACK, length: 0 },
        ),
        Case::new(
            "generic/3.7: PING",
            vec![frame(PING, 0, 0, b"12345678")],
            Step::Comes { kind: PING, flags: ACK, length: 8 },
        ),
        Case::new(
            "generic/3.8: GOAWAY",
            vec![frame(GOAWAY, 0, 0, &[0; 8])],
            Step::Ends(&[NO_ERROR]),
        ),
        Case::new(
            "generic/3.9: WINDOW_UPDATE of the connection",
            vec![frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()), get(1)],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.9: WINDOW_UPDATE of a stream",
            vec![post(1), frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()), body(END_STREAM, b"x")],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.10: CONTINUATION",
            vec![
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, END_HEADERS, 1, &[second, third].concat()),
            ],
            Step::Answered(1),
        ),
        Case::new(
            "generic/3.10: several CONTINUATION",
            vec![
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, 0, 1, second),
                frame(CONTINUATION, END_HEADERS, 1, third),
            ],
            Step::Answered(1),
        ),
        Case::new("generic/4: GET", vec![get(1)], Step::Answered(1)),
        Case::new(
            "generic/4: HEAD",
            vec![frame(HEADERS, WHOLE, 1, &request("HEAD", "/", &[]))],
            Step::Answered(1),
        ),
        Case::new("generic/4: POST", vec![post(1), body(END_STREAM, b"hello")], Step::Answered(1)),
        Case::new(
            "generic/4: POST with trailers",
            vec![post(1), body(0, b"hello"), frame(HEADERS, WHOLE, 1, &block(&[("x-sum", "1")]))],
            Step::Answered(1),
        ),
        Case::new("generic/5: indexed fields", vec![indexed(&[0x90])], Step::Answered(1)),
        Case::new(
            "generic/5: a literal that is indexed, with a known name",
            vec![indexed(&[0x7a, 1, b'x'])],
            Step::Answered(1),
        ),
        Case::new(
            "generic/5: a literal that is indexed, with a known name, by Huffman",
            vec![indexed(&[0x7a, 0x81, 0xf3])],
            Step::Answered(1),
        ),
        Case::new(
            "generic/5: a literal that is indexed, with a new name",
            vec![indexed(&[0x40, 1, b'x', 1, b'y'])],
            Step::Answered(1),
        ),
        Case::new(
            "generic/5: a literal that is not indexed",
            vec![indexed(&[0x00, 1, b'x', 1, b'y'])],
            Step::Answered(1),
        ),
        Case::new(
            "generic/5: a literal that is not indexed, with a known name",
            vec![indexed(&[0x0f, 0x2b, 1, b'x'])],
            Step::Answered(1),
        ),
        Case::new(
            "generic/5: a literal that is never indexed",
            vec![indexed(&[0x10, 1, b'x', 1, b'y'])],
            Step::Answered(1),
        ),
        Case::new(
            "generic/5: an entry of the dynamic table",
            vec![indexed(&[0x40, 1, b'x', 1, b'y', 0xbe])],
            Step::Answered(1),
        ),
        Case::new(
            "generic/5: an update of the table's size",
            vec![frame(HEADERS, WHOLE, 1, &[&[0x20][..], &whole].concat())],
            Step::Answered(1),
        ),
        Case::new(
            "generic/5: two updates of the table's size",
            vec![frame(HEADERS, WHOLE, 1, &[&[0x20, 0x3f, 0x61][..], &whole].concat())],
            Step::Answered(1),
        ),
    ]
}

#[test]
fn what_everyone_must_take_is_taken() {
    run(&cases(), true);
}
