//! Heads of requests as clients may send them: nothing panics, however they are cut the same is read of them,
//! and what our rules let through another parser reads as we do: httparse, on which Pingora's is built.

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
    pub(crate) mod chunks;
    pub(crate) mod strict;
}

use heads::RequestHead;
use libfuzzer_sys::fuzz_target;
use wire::strict::{Check, Fault};

/// The head, with its length; nothing while it is not whole.
fn read(bytes: &[u8], size: usize) -> Result<Option<(RequestHead, usize)>, Fault> {
    let mut check = Check::default();
    let mut came = 0;
    while came < bytes.len() {
        came = (came + size).min(bytes.len());
        if let Some(empty) = check.advance(&bytes[..came])? {
            return Ok(Some((check.into_head(bytes[..empty + 2].into()), empty + 2)));
        }
    }
    Ok(None)
}

fn fields(head: &RequestHead) -> Vec<(&str, &[u8])> {
    head.headers.iter().collect()
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = (usize::from(input.0) + 1, input.1);
    let (one, other) = (read(bytes, usize::MAX / 2), read(bytes, size));
    match (one, other) {
        (Ok(Some((one, length))), Ok(Some((other, other_length)))) => {
            assert_eq!(length, other_length);
            assert_eq!(fields(&one), fields(&other));
            assert_eq!(one.target(), other.target());
            let mut parsed = [httparse::EMPTY_HEADER; 300];
            let mut request = httparse::Request::new(&mut parsed);
            let status = request.parse(&bytes[..length]).expect("a head to others too");
            assert_eq!(status, httparse::Status::Complete(length));
            assert_eq!(request.method, Some(one.method.as_str()));
            assert_eq!(request.path.map(str::as_bytes), Some(one.target()));
            let read: Vec<_> =
                request.headers.iter().map(|field| (field.name, field.value)).collect();
            assert_eq!(read, fields(&one));
        }
        (one, other) => {
            assert!(!matches!(one, Ok(Some(_))) && !matches!(other, Ok(Some(_))));
            assert_eq!(one.is_err(), other.is_err());
        }
    }
});
