//! Backends over HTTP/2 that end connections and streams, frame by frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::*;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head[..], payload].concat()
}

fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// `:status: 200` and a body.
fn ok(stream: u32, body: &[u8]) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &[0x88]);
    [head, frame(DATA, END_STREAM, stream, body)].concat()
}

/// The backend's end of a connection.
struct Peer<'a>(&'a mut RawConnection);

impl<'a> Peer<'a> {
    /// `None` when what comes is not HTTP/2.
    fn accept(connection: &'a mut RawConnection) -> Option<Self> {
        connection.take(24).filter(|preface| preface.starts_with(b"PRI * HTTP/2.0"))?;
        connection.send(&frame(SETTINGS, 0, 0, &[]));
        Some(Self(connection))
    }

    /// The next frame of a stream: its kind, whether the stream ends with it, its number and what is in it.
    fn next(&mut self) -> Option<(u8, bool, u32, Vec<u8>)> {
        loop {
            let head = self.0.take(9)?;
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let payload = self.0.take(length)?;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes(head[5..9].try_into().expect("four bytes"));
            match kind {
                SETTINGS if flags & ACK == 0 => self.0.send(&frame(SETTINGS, ACK, 0, &[])),
                DATA | HEADERS => return Some((kind, flags & END_STREAM != 0, stream, payload)),
                _ => {}
            }
        }
    }

    /// Reads a request to its end: its stream, and the length of its body.
    fn request(&mut self) -> Option<(u32, usize)> {
        let mut body = 0;
        loop {
            let (kind, is_end, stream, payload) = self.next()?;
            body += if kind == DATA { payload.len() } else { 0 };
            if is_end {
                return Some((stream, body));
            }
        }
    }

    fn send(&mut self, frames: &[Vec<u8>]) {
        self.0.send(&frames.concat());
    }
}

/// A backend that serves one request of its first connection, and does with the next what `refuse` says of
/// its stream. Each further connection answers everything with the length of the body. Counts requests
/// that were not refused.
fn refusing_once(
    refuse: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) -> (RawBackend, Arc<AtomicUsize>) {
    let (answered, refused) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let counted = Arc::clone(&answered);
    let backend = RawBackend::start(move |connection| {
        let Some(mut peer) = Peer::accept(connection) else { return };
        while let Some((stream, length)) = peer.request() {
            if stream > 1 && refused.fetch_add(1, Ordering::SeqCst) == 0 {
                peer.send(&[refuse(stream)]);
                // Until the proxy has seen it and closed, or goes on.
                continue;
            }
            counted.fetch_add(1, Ordering::SeqCst);
            peer.send(&[ok(stream, length.to_string().as_bytes())]);
        }
    });
    (backend, answered)
}

fn serve(backends: &[&RawBackend]) -> Vhost {
    let mut setup = Setup::new()
        .tcp_probes()
        .set("health_check.unhealthy_threshold", 1000)
        .domain("example.com", "a");
    for (index, backend) in backends.iter().enumerate() {
        let id = format!("w{index}");
        setup = setup.backend_with(&id, backend.address(), &["a"], "scheme = \"h2c\"");
    }
    let vhost = setup.start();
    vhost.wait_until_healthy(backends.len());
    vhost
}

#[test]
fn a_request_that_the_backend_has_not_processed_is_sent_again_whatever_its_method() {
    type Refuse = fn(u32) -> Vec<u8>;
    let refusals: [(&str, Refuse); 4] = [
        ("GOAWAY", |stream| goaway(stream - 2, NO_ERROR)),
        ("GOAWAY with an error", |stream| goaway(stream - 2, ENHANCE_YOUR_CALM)),
        ("GOAWAY in two steps", |stream| {
            [goaway((1 << 31) - 1, NO_ERROR), goaway(stream - 2, NO_ERROR)].concat()
        }),
        ("REFUSED_STREAM", |stream| reset(stream, REFUSED_STREAM)),
    ];
    for (what, refuse) in refusals {
        for method in ["GET", "POST", "PATCH"] {
            let (backend, answered) = refusing_once(refuse);
            let vhost = serve(&[&backend]);
            let mut client = vhost.connect();
            let body = "x".repeat(20_000);
            for number in 1..=3 {
                client.send(format!(
                    "{method} / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 20000\r\n\r\n{body}"
                ));
                let response = client.read_response();
                let got = (response.status, response.text());
                assert_eq!(got, (200, "20000".to_owned()), "{what}, {method} {number}");
            }
            assert_eq!(answered.load(Ordering::SeqCst), 3, "{what}, {method}");
            assert_eq!(vhost.backend("w0")["failures"], 0, "{what}: it is not the backend's fault");
        }
    }
}

#[test]
fn a_post_that_the_backend_may_have_processed_is_not_sent_again() {
    type Refuse = fn(u32) -> Vec<u8>;
    let ends: [(&str, Refuse); 3] = [
        ("RST_STREAM", |stream| reset(stream, INTERNAL_ERROR)),
        ("CANCEL", |stream| reset(stream, 8)),
        ("a stream below the GOAWAY", |stream| {
            [goaway(stream, NO_ERROR), reset(stream, INTERNAL_ERROR)].concat()
        }),
    ];
    for (what, end) in ends {
        let (backend, answered) = refusing_once(end);
        let vhost = serve(&[&backend]);
        let mut client = vhost.connect();
        assert_eq!(client.post("example.com", "/", b"one").status, 200);
        assert_eq!(client.post("example.com", "/", b"two").status, 502, "{what}");
        assert_eq!(answered.load(Ordering::SeqCst), 1, "{what}");
    }
}

/// A backend that refuses every request.
fn refusing_all() -> (RawBackend, Arc<AtomicUsize>) {
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let backend = RawBackend::start(move |connection| {
        let Some(mut peer) = Peer::accept(connection) else { return };
        while let Some((stream, _)) = peer.request() {
            counted.fetch_add(1, Ordering::SeqCst);
            peer.send(&[reset(stream, REFUSED_STREAM)]);
        }
    });
    (backend, refused)
}

#[test]
fn a_request_that_is_refused_always_goes_to_another_backend() {
    let (busy, refused) = refusing_all();
    let (idle, answered) = refusing_once(|_| Vec::new());
    let vhost = serve(&[&busy, &idle]);
    for _ in 0..6 {
        let response = vhost.connect().post("example.com", "/", b"body");
        assert_eq!((response.status, response.text().as_str()), (200, "4"));
    }
    assert!(refused.load(Ordering::SeqCst) > 0, "it was never tried");
    assert!(answered.load(Ordering::SeqCst) >= 6);
}

#[test]
fn a_request_that_every_backend_refuses_is_not_sent_for_ever() {
    for method in ["GET", "POST"] {
        let (backend, refused) = refusing_all();
        let vhost = serve(&[&backend]);
        let mut client = vhost.connect();
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody"
        ));
        assert_eq!(client.read_response().status, 502, "{method}");
        assert_eq!(refused.load(Ordering::SeqCst), 2, "{method}: and once over a fresh connection");
    }
}

/// The backend answers as soon as it has the head, and wants no more of the body (RFC 9113 §8.1).
#[test]
fn an_answer_that_comes_before_the_body_is_through_is_whole_and_costs_no_request() {
    let backend = RawBackend::start(move |connection| {
        let Some(mut peer) = Peer::accept(connection) else { return };
        while let Some((kind, is_end, stream, _)) = peer.next() {
            if kind == HEADERS {
                let rest = if is_end { Vec::new() } else { reset(stream, NO_ERROR) };
                peer.send(&[ok(stream, b"early"), rest]);
            }
        }
    });
    let vhost = serve(&[&backend]);
    let (mut kept, mut closed) = (0, 0);
    for size in [5, 100_000, 1_000_000] {
        let body = vec![b'x'; size];
        let head =
            format!("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: {size}\r\n\r\n");
        let mut client = vhost.connect();
        for round in 0..60 {
            // The proxy may close when it has answered.
            client.send(&head);
            let _ = client.try_send(&body);
            let response = client.read_response();
            assert_eq!(
                (response.status, response.text().as_str()),
                (200, "early"),
                "{size} {round}"
            );
            if response.closes() {
                closed += 1;
                client = vhost.connect();
            } else {
                kept += 1;
            }
        }
    }
    assert!(kept + closed == 180, "{kept} kept, {closed} closed");
}

fn get(stream: u32, scheme: &str) -> Vec<u8> {
    let fields =
        [(":method", "GET"), (":scheme", scheme), (":authority", "example.com"), (":path", "/")];
    frame(HEADERS, peer::WHOLE, stream, &peer::block(&fields))
}

fn http2_client(vhost: &Vhost) -> peer::Peer<std::net::TcpStream> {
    let mut client = peer::Peer::over(vhost.connect().into_stream());
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(&frame(SETTINGS, 0, 0, &[]));
    client
}

#[test]
fn a_body_that_an_answer_cannot_have_goes_no_further() {
    // `:status: 204` and `:status: 304`.
    let backend = RawBackend::start(move |connection| {
        let Some(mut peer) = Peer::accept(connection) else { return };
        while let Some((stream, _)) = peer.request() {
            let status = if stream == 1 { 0x89 } else { 0x8b };
            let head = frame(HEADERS, END_HEADERS, stream, &[status]);
            peer.send(&[head, frame(DATA, END_STREAM, stream, b"stray")]);
        }
    });
    let vhost = serve(&[&backend]);
    let mut client = http2_client(&vhost);
    for stream in [1, 3] {
        client.send(&get(stream, "http"));
        let mut is_end = false;
        while !is_end {
            let frame = client.read(Instant::now() + PATIENCE).unwrap().expect("an answer");
            is_end = frame.stream == stream && frame.flags & END_STREAM != 0;
            assert!(frame.kind != DATA || frame.payload.is_empty(), "{frame:?}");
        }
    }
}

#[test]
fn the_scheme_is_that_of_the_connection() {
    let backend = RawBackend::start(move |connection| {
        let Some(mut peer) = Peer::accept(connection) else { return };
        while let Some((_, _, stream, head)) = peer.next() {
            // Indexed: 6 is `http`, 7 is `https`.
            let schemes = head.iter().filter(|byte| matches!(byte, 0x86 | 0x87));
            let schemes: Vec<_> = schemes.map(|byte| byte & 0x7f).take(1).collect();
            peer.send(&[ok(stream, &schemes)]);
        }
    });
    let vhost = serve(&[&backend]);
    let mut client = http2_client(&vhost);
    client.send(&get(1, "https"));
    let body = loop {
        let frame = client.read(Instant::now() + PATIENCE).unwrap().expect("an answer");
        if frame.kind == DATA && !frame.payload.is_empty() {
            break frame.payload;
        }
    };
    assert_eq!(body, [6]);
}
