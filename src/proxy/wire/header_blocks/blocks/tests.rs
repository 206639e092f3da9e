use std::sync::Mutex;

use super::*;
use crate::counters::Metrics;
use crate::proxy::memory::Budgets;
use crate::proxy::options::MemoryLimits;

const LIMITS: MemoryLimits = MemoryLimits {
    per_connection: 2 << 20,
    per_client: 1 << 20,
    in_all: 8 << 20,
    h2_send_buffer: 64 << 10,
};

fn memory() -> Arc<Budget> {
    Budgets::default().open(None, LIMITS, &Metrics::default())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What became of frames.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// Why requests in them were refused.
    refused: Vec<&'static str>,
    goes_on: bool,
    /// What h2 reads.
    read: Vec<u8>,
}

fn follow_held(frames: &[Vec<u8>], piece: usize, max_held: usize) -> Outcome {
    follow_of(frames, piece, max_held, false)
}

/// On a connection of many clients, which may bring as many that are malformed as they like.
fn follow_among_many(frames: &[Vec<u8>], piece: usize) -> Outcome {
    follow_of(frames, piece, 1_000_000, true)
}

fn follow_of(frames: &[Vec<u8>], piece: usize, max_held: usize, is_many: bool) -> Outcome {
    let refused = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&refused);
    let rate = Arc::new(MalformedRate::new(is_many));
    let refuse = Box::new(move |_, why| noted.lock().unwrap().push(why));
    let mut blocks = HeaderBlocks::new(max_held, rate, memory(), refuse);
    let bytes = [vec![b'P'; PREFACE], frames.concat()].concat();
    let mut outcome = Outcome { goes_on: true, ..Outcome::default() };
    for piece in bytes.chunks(piece) {
        let Ok(passed) = blocks.follow(piece) else {
            outcome.goes_on = false;
            break;
        };
        outcome.read.extend_from_slice(&piece[..passed]);
        let mut room = [0; 7];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            blocks.hand_over(&mut buffer);
            if buffer.filled().is_empty() {
                break;
            }
            outcome.read.extend_from_slice(buffer.filled());
        }
    }
    outcome.read.drain(..PREFACE.min(outcome.read.len()));
    outcome.goes_on &= !blocks.has_ended;
    outcome.refused.clone_from(&refused.lock().unwrap());
    outcome
}

fn follow(frames: &[Vec<u8>], piece: usize) -> Outcome {
    follow_held(frames, piece, 100_000)
}

/// What h2 gets for a malformed block that keeps nothing.
fn reset(flags: u8, stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, FIELD_OF_CONNECTION)
}

fn end() -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, NO_BLOCK)
}

const FRAGMENT: &str = "there is a fragment in the target";
const PSEUDO: &str = "there is a pseudo-header field in trailers";
const SCHEME: &str = "the scheme is neither `http` nor `https`";
const HOP: &str = "there is a field of the connection";
const NAME: &str = "the name of a field is not a lower-case token";
const VALUE: &str = "the value of a field has a control character";
const LATE: &str = "a pseudo-header field is behind another field";
const TWICE: &str = "a pseudo-header field is there twice";
const FOREIGN: &str = "there is a pseudo-header field that requests don't have";

#[test]
fn blocks_are_found_wherever_reads_are_cut() {
    let bad = b"\x82\x86\x04\x04/a#f";
    let padded = |block: &[u8]| [&[3][..], &[0; 5], block, &[9; 3]].concat();
    let frames = [
        frame(0x4, 0, 0, &[0; 12]),
        frame(HEADERS, END_HEADERS, 1, b"\x82\x86\x84"),
        frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 3, &padded(bad)),
        frame(0x0, 0, 3, b"\x82\x86\x04\x04/a#f"),
        frame(HEADERS, END_STREAM, 5, &bad[..3]),
        frame(CONTINUATION, 0, 5, b""),
        frame(CONTINUATION, 0, 5, &bad[3..6]),
        frame(CONTINUATION, END_HEADERS, 5, &bad[6..]),
        frame(0x0, 0, 1, b""),
        frame(HEADERS, END_HEADERS, 3, b"\x00\x01a\x01b"),
        frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 7, &padded(b"\x82\x86\x84")),
        frame(0x0, 0, 1, &[7; 3000]),
    ];
    let mut read = frames.to_vec();
    read[2] = reset(0, 3);
    read[4] = reset(END_STREAM, 5);
    // Its padding is gone.
    read[10] = frame(HEADERS, END_HEADERS, 7, b"\x82\x86\x84");
    read.drain(5..8);
    for piece in [1, 2, 7, 9, 10, 1000, 10_000] {
        let outcome = follow(&frames, piece);
        assert_eq!(outcome.refused, [FRAGMENT, FRAGMENT], "{piece}");
        assert!(outcome.goes_on && outcome.read == read.concat(), "{piece}");
    }
}

#[test]
fn what_is_malformed_is_the_error_of_its_stream() {
    let head = |block: &[u8]| vec![frame(HEADERS, END_HEADERS, 1, block)];
    let more = |block: &[u8]| head(&[b"\x82\x86\x84", block].concat());
    let trailers = |block: &[u8]| {
        [head(b"\x82\x86\x84"), vec![frame(HEADERS, END_HEADERS, 1, block)]].concat()
    };
    for (frames, refused) in [
        (trailers(b"\x82"), vec![PSEUDO]),
        (trailers(b"\x00\x07:status\x03200"), vec![FOREIGN]),
        (trailers(b"\x00\x01A\x01b"), vec![NAME]),
        (trailers(b"\x00\x01a\x01b"), vec![]),
        // A scheme that is not ours, without an authority and with one: then it shows.
        (head(b"\x82\x06\x03ftp\x84"), vec![SCHEME]),
        (head(b"\x82\x06\x03ftp\x84\x01\x01a"), vec![]),
        (head(b"\x82\x06\x04HTTP\x84"), vec![]),
        (head(b"\x86\x84"), vec!["there is no method"]),
        (head(b"\x82\x84"), vec!["there is no scheme or no path"]),
        (head(b"\x02\x07CONNECT\x01\x01a"), vec![]),
        (head(b"\x82\x86\x04\x00"), vec!["the method or the path is empty"]),
        (head(b"\x02\x03G T\x86\x84"), vec!["the method is not a token"]),
        (head(b"\x82\x86\x04\x03/\xc3\xa9"), vec![]),
        (head(b"\x82\x86\x04\x02/\xc3"), vec!["a pseudo-header field is not UTF-8"]),
        (more(b"\x82"), vec![TWICE]),
        (more(b"\x00\x01a\x01b\x01\x01a"), vec![LATE]),
        (more(b"\x00\x02:x\x01b"), vec![FOREIGN]),
        (more(b"\x00\x01A\x01b"), vec![NAME]),
        (more(b"\x00\x03a:b\x01b"), vec![NAME]),
        (more(b"\x00\x00\x01b"), vec!["a field has no name"]),
        (more(b"\x00\x01a\x03b\nc"), vec![VALUE]),
        (more(b"\x00\x01a\x03b\tc"), vec![]),
        // The codes of LF and of NUL.
        (more(b"\x00\x01a\x84\xff\xff\xff\xf3"), vec![VALUE]),
        (more(b"\x00\x01a\x82\xff\xc7"), vec![VALUE]),
        (more(b"\xb9"), vec![HOP]),
        (more(b"\x00\x0akeep-alive\x011"), vec![HOP]),
        (more(b"\x00\x02te\x04gzip"), vec!["TE is not `trailers`"]),
        (more(b"\x00\x02te\x08trailers"), vec![]),
    ] {
        for piece in [1, 1000] {
            let outcome = follow(&frames, piece);
            assert_eq!(outcome.refused, refused, "{}", frames.concat().escape_ascii());
            assert!(outcome.goes_on);
            if refused.is_empty() {
                assert_eq!(outcome.read, frames.concat());
            } else {
                assert!(outcome.read.ends_with(&reset(0, 1)), "{:?}", outcome.read);
            }
        }
    }
}

#[test]
fn a_malformed_block_does_to_the_table_what_it_would_have_done() {
    let frames = |blocks: &[&[u8]]| -> Vec<Vec<u8>> {
        let streams = (0..).map(|number| 2 * number + 1);
        let block = |(stream, block): (u32, &&[u8])| frame(HEADERS, END_HEADERS, stream, block);
        streams.zip(blocks).map(block).collect()
    };
    // A value that is malformed: the name is good, and stays what it is.
    let path = frames(&[b"\x82\x86\x44\x03/#f", b"\x82\x86\xbe", b"\x82\x86\x7e\x01/"]);
    let outcome = follow(&path, 1000);
    assert_eq!(outcome.refused, [FRAGMENT, FRAGMENT]);
    let other_value = [&b"\x44\x03xxx"[..], FIELD_OF_CONNECTION].concat();
    let first = frame(HEADERS, END_HEADERS, 1, &other_value);
    assert_eq!(outcome.read, [first, reset(0, 3), path[2].clone()].concat());
    // A name that is, or a value that h2 has no other one of: the entry's name is malformed while it stays.
    for (name, stand_in) in [
        (&b"\x40\x03A:b\x01v"[..], &b"\x40\x03xxx\x01x"[..]),
        (b"\x42\x00", b"\x40\x07xxxxxxx\x00"),
    ] {
        let [first, third] = [&[b"\x86\x84", name].concat()[..], b"\x86\x84\x0f\x2f\x03GET"];
        let outcome = follow(&frames(&[first, b"\xbe", third]), 1000);
        assert!(outcome.goes_on && outcome.refused.len() == 3, "{:?}", outcome.refused);
        let instead = [stand_in, FIELD_OF_CONNECTION].concat();
        let first = frame(HEADERS, END_HEADERS, 1, &instead);
        assert_eq!(outcome.read, [first, reset(0, 3), reset(0, 5)].concat());
    }
    // Well-formed ones and changes of its size stay as they are.
    let bad = b"\x20\x3f\xe1\x01\x82\x86\x84\x40\x01a\x01b\x40\x01A\x01b\x40\x01c\x82\xff\xc7";
    let outcome = follow(&frames(&[bad]), 3);
    let instead = b"\x20\x3f\xe1\x01\x40\x01a\x01b\x40\x01x\x01x\x40\x01c\x01x";
    let instead = [&instead[..], FIELD_OF_CONNECTION].concat();
    assert_eq!(outcome.refused, [NAME]);
    assert_eq!(outcome.read, frame(HEADERS, END_HEADERS, 1, &instead));
    // One that is larger than the table.
    let large = [&b"\x40\x01A\x7f\x81\x27"[..], &[b'v'; 5120]].concat();
    let outcome = follow(&frames(&[&large]), 1000);
    assert!(outcome.goes_on && outcome.read.len() < 4200 && outcome.read.len() > 4096);
}

#[test]
fn a_stream_that_depends_on_itself_is_malformed() {
    let payload = |stream: u32| [&stream.to_be_bytes()[..], b"\x0f\x82\x86\x44\x01/"].concat();
    for (stream, refused) in [(3, vec![]), (0x8000_0005, vec!["the stream depends on itself"])] {
        for piece in [1, 1000] {
            let frames = [frame(HEADERS, END_HEADERS | PRIORITY, 5, &payload(stream))];
            let outcome = follow(&frames, piece);
            assert!(outcome.goes_on);
            assert_eq!(outcome.refused, refused);
        }
    }
}

#[test]
fn a_stream_that_is_used_again_ends_the_connection() {
    let head = |stream| frame(HEADERS, END_HEADERS, stream, b"\x82\x86\x84");
    for again in [3, 1, 2] {
        let outcome = follow(&[head(3), head(again)], 1000);
        assert!(!outcome.goes_on && outcome.read == [head(3), end()].concat());
    }
}

/// What h2 forgets when a frame ends within a field.
#[test]
fn what_is_malformed_is_not_forgotten_at_the_end_of_a_frame() {
    for block in [
        &b"\x82\x86\x84\xb9\x00\x01a\x01b"[..],
        b"\x82\x86\x84\x82\x00\x01a\x01b",
        b"\x82\x86\x84\x00\x00\x84aaaa\x00\x01a\x01b",
    ] {
        let (first, rest) = block.split_at(block.len() - 2);
        let frames = [frame(HEADERS, 0, 1, first), frame(CONTINUATION, END_HEADERS, 1, rest)];
        let outcome = follow(&frames, 1000);
        assert_eq!((outcome.refused.len(), outcome.read), (1, reset(0, 1)));
    }
}

#[test]
fn what_is_no_block_ends_the_connection() {
    let good = || frame(HEADERS, END_HEADERS, 1, b"\x82\x86\x84");
    let next = || frame(HEADERS, END_HEADERS, 3, b"\x82\x86\x84");
    for frames in [
        vec![frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\x0f")],
        vec![frame(HEADERS, END_HEADERS, 1, b"\x82\x86\x84\x20")],
        vec![frame(HEADERS, END_HEADERS, 1, b"\x82\x86\x84\x00\x01")],
        vec![frame(HEADERS, END_HEADERS, 1, b"\x82\x86\x84\x40\x00\x01a")],
        vec![frame(HEADERS, END_HEADERS | PADDED, 1, b"\x09\x82\x86\x84")],
        vec![frame(HEADERS, 0, 1, b"\x82"), frame(0x6, 0, 0, &[0; 8])],
        vec![frame(HEADERS, 0, 1, b"\x82"), frame(CONTINUATION, END_HEADERS, 3, b"\x84")],
        vec![frame(CONTINUATION, END_HEADERS, 1, b"\x84")],
        // It would change the table, too.
        vec![frame(PUSH_PROMISE, END_HEADERS, 1, b"\x00\x00\x00\x02\x40\x01a\x01b\xb9")],
    ] {
        for piece in [1, 1000] {
            let outcome = follow(&[frames.clone(), vec![next()]].concat(), piece);
            assert_eq!(outcome.read, end(), "{frames:?}");
            assert!(!outcome.goes_on && outcome.refused.is_empty());
        }
    }
    let large = frame(HEADERS, END_HEADERS, 3, &vec![0; MAX_FRAME + 1]);
    let outcome = follow(&[good(), large.clone()], 1000);
    assert_eq!(outcome.read, [&good(), &large[..HEADER]].concat(), "h2 knows by its head");
    // 3 bytes that stand for 4000 each.
    let name = [&b"\x40\x7f\xa1\x1e"[..], &[b'N'; 4000], b"\x00"].concat();
    let block = [name, b"\x7e\x01v".repeat(100)].concat();
    let outcome = follow(&[frame(HEADERS, END_HEADERS, 1, &block)], 1000);
    assert!(!outcome.goes_on);
}

/// The block that these frames have, each of which says so.
fn block_of(mut frames: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    while let [high, mid, low, kind, flags, 0, 0, 0, 1, rest @ ..] = frames {
        assert_eq!(*kind == HEADERS, block.is_empty());
        let length = usize::from(*high) << 16 | usize::from(*mid) << 8 | usize::from(*low);
        let (fragment, rest) = rest.split_at(length);
        assert_eq!(flags & END_HEADERS != 0, rest.is_empty());
        block.extend_from_slice(fragment);
        frames = rest;
    }
    assert!(frames.is_empty());
    block
}

/// h2 refuses what is that large.
#[test]
fn large_blocks_are_not_held() {
    let field = [&b"\x00\x01a\x7f\x81\x07"[..], &[b'v'; 1024]].concat();
    let frames = |last: &[u8]| {
        let first = [b"\x82\x86\x84", &field[..]].concat();
        let last = frame(CONTINUATION, END_HEADERS, 1, last);
        [frame(HEADERS, 0, 1, &first), frame(CONTINUATION, 0, 1, &field), last]
    };
    for piece in [1, 100, 10_000] {
        let good = frames(b"\x00\x01a\x01b");
        let outcome = follow_held(&good, piece, 1500);
        assert!(outcome.goes_on && outcome.refused.is_empty());
        assert!(outcome.read.len() < good.concat().len() + 2 * HEADER);
        assert_eq!(block_of(&outcome.read), block_of(&good.concat()));
        let outcome = follow_held(&frames(b"\x00\x01A\x01b"), piece, 1500);
        assert!(!outcome.goes_on && outcome.refused == [NAME]);
    }
}

#[test]
fn a_connection_ends_when_malformed_requests_come_too_fast() {
    let bad = |n: u32| frame(HEADERS, END_HEADERS, 2 * n + 1, b"\x82\x86\x04\x02/#");
    let frames: Vec<_> = (0..100).map(bad).collect();
    let outcome = follow(&frames, 1000);
    assert!(!outcome.goes_on && outcome.refused.len() < 70, "{}", outcome.refused.len());
}

/// HEADERS and CONTINUATION without an end, of so many bytes.
fn without_end(bytes: usize) -> Vec<u8> {
    let field = [&b"\x00\x01a\x7f\x81\x07"[..], &[b'v'; 1024]].concat();
    let block: Vec<u8> = field.iter().copied().cycle().take(bytes).collect();
    let mut frames = vec![b'P'; PREFACE];
    push_frames(&mut frames, 1, true, &block, false);
    frames
}

fn blocks_with(max_held: usize, memory: &Arc<Budget>) -> (HeaderBlocks, Arc<Mutex<Vec<Reason>>>) {
    let refused = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&refused);
    let refuse = Box::new(move |reason, _| noted.lock().unwrap().push(reason));
    let rate = Arc::new(MalformedRate::new(false));
    (HeaderBlocks::new(max_held, rate, Arc::clone(memory), refuse), refused)
}

#[test]
fn what_is_held_of_a_block_that_is_not_whole_is_counted_and_bounded() {
    let (budgets, metrics) = (Budgets::default(), Metrics::default());
    let open = || budgets.open("192.0.2.1".parse().ok(), LIMITS, &metrics);
    let mut all = Vec::new();
    // Held by us, and by h2.
    for max_held in [200_000, 100_000] {
        let memory = open();
        let (mut blocks, _) = blocks_with(max_held, &memory);
        blocks.follow(&without_end(120_000)).unwrap();
        assert!(metrics.buffered.used() >= 100_000, "{}", metrics.buffered.used());
        let end = [frame(CONTINUATION, END_HEADERS, 1, &[b'v'; 510]), frame(0x6, 0, 0, &[0; 8])];
        let _ = blocks.follow(&end.concat());
        assert_eq!(metrics.buffered.used(), 0);
    }
    // One client's: each that comes once its limit is reached has its guaranteed part and no more.
    let refused = loop {
        let memory = open();
        let (mut blocks, refused) = blocks_with(200_000, &memory);
        let followed = blocks.follow(&without_end(120_000));
        all.push(blocks);
        if followed.is_err() {
            break refused;
        }
    };
    assert_eq!(*refused.lock().unwrap(), [Reason::H2Flood]);
    assert!(metrics.buffered.used() <= LIMITS.per_client + 130_000);
    let (mut small, refused) = blocks_with(200_000, &open());
    small.follow(&without_end(60_000)).unwrap();
    assert!(refused.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_block_that_is_not_finished_in_time_is_seen() {
    use futures_util::FutureExt;
    let (mut blocks, _) = blocks_with(2000, &memory());
    let unfinished = blocks.unfinished();
    let time = std::time::Duration::from_millis(1);
    blocks.follow(&without_end(1030)).unwrap();
    assert!(blocks.is_unfinished());
    unfinished.lasts(time).await;
    blocks.follow(&frame(CONTINUATION, END_HEADERS, 1, b"\x82\x86\x84")).unwrap();
    assert!(!blocks.is_unfinished());
    assert!(unfinished.lasts(std::time::Duration::ZERO).now_or_never().is_none());
}

mod with_h2;
