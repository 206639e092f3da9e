//! Answers as backends may send them: nothing panics, however their bytes are cut the same is read of them,
//! and what is written of a head is read as the same head.

#![no_main]

#[path = "../../src/heads/mod.rs"]
#[allow(dead_code, missing_docs, unused_imports)]
mod heads;
#[path = "../../src/model/mod.rs"]
#[allow(dead_code, missing_docs, unused_imports)]
mod model;
#[path = "../../src/proxy/wire"]
#[allow(dead_code, missing_docs, unused_imports)]
mod wire {
    pub(crate) mod body;
    pub(crate) mod chunks;
    pub(crate) mod strict;
}

use bytes::BytesMut;
use heads::ResponseHead;
use heads::names::{CONTENT_LENGTH, TRANSFER_ENCODING};
use libfuzzer_sys::fuzz_target;
use wire::body::Incoming;

/// What was read of an answer.
#[derive(Debug, PartialEq)]
struct Read {
    head: BytesMut,
    content: Vec<u8>,
    is_whole: bool,
    trailers: Vec<(String, Vec<u8>)>,
    /// What comes behind it.
    left: usize,
}

/// A fault may be seen the earlier the smaller the pieces are.
enum Outcome {
    Read(Read),
    NoHead,
    Broken,
}

fn read(bytes: &[u8], size: usize) -> Outcome {
    let mut came = 0;
    let (head, length) = loop {
        if came == bytes.len() {
            return Outcome::NoHead;
        }
        came = (came + size).min(bytes.len());
        match ResponseHead::read(&bytes[..came]) {
            Ok(Some(read)) => break read,
            Ok(None) => {}
            Err(_) => return Outcome::Broken,
        }
    };
    assert!(length <= came);
    let mut body = if head.headers.has(TRANSFER_ENCODING) {
        Incoming::chunked_by_backend()
    } else if let Some(length) = head.headers.text(CONTENT_LENGTH) {
        length.parse().map_or(Incoming::UntilClose, Incoming::Length)
    } else {
        Incoming::UntilClose
    };
    let (mut content, mut at) = (Vec::new(), length);
    while at < bytes.len() && !body.is_whole() {
        // The rest of what came with the head, then one piece after the other.
        let end = if at < came { came } else { (at + size).min(bytes.len()) };
        let Ok((own, part)) = body.take(&bytes[at..end]) else { return Outcome::Broken };
        content.extend_from_slice(part);
        assert!(own > 0 || body.is_whole(), "it goes on");
        at += own;
    }
    let is_whole = body.is_whole();
    let trailers = if is_whole { body.trailers() } else { None };
    let trailers = trailers.into_iter().flatten();
    let trailers = trailers
        .map(|(name, value)| {
            (name.map_or(String::new(), |name| name.to_string()), value.as_bytes().to_vec())
        })
        .collect();
    let mut written = BytesMut::new();
    head.write(&mut written);
    Outcome::Read(Read { head: written, content, is_whole, trailers, left: bytes.len() - at })
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = (usize::from(input.0) + 1, input.1);
    match (read(bytes, usize::MAX / 2), read(bytes, size)) {
        (Outcome::Read(one), Outcome::Read(other)) => {
            assert_eq!(one, other);
            // Nothing in it could begin a line of its own.
            let (again, length) = ResponseHead::read(&one.head).expect("a head").expect("whole");
            assert_eq!(length, one.head.len());
            let mut written = BytesMut::new();
            again.write(&mut written);
            assert_eq!(written, one.head);
        }
        (Outcome::Read(_), _) => panic!("in pieces it is none"),
        (_, Outcome::Read(_)) => panic!("at once it is none"),
        (Outcome::NoHead, Outcome::Broken) => panic!("a fault that only pieces have"),
        _ => {}
    }
});
