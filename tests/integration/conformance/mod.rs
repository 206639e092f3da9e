//! HTTP/2 and HPACK to the letter: the cases of h2spec's sections `generic`, `http2` and `hpack`,
//! over TLS and with prior knowledge. h2spec itself is a program in Go that no package has.

mod generic;
mod hpack;
mod http2;
mod malformed;

use peer::{DATA, END_HEADERS, END_STREAM, HEADERS, Peer, WHOLE, block, frame};

use crate::harness::*;

// The errors of RFC 9113 §7.
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// One connection's worth.
struct Case {
    /// The section of RFC 9113 or RFC 7541, and what is done.
    name: &'static str,
    /// The settings that are sent first.
    settings: Vec<u8>,
    steps: Vec<Step>,
}

enum Step {
    Send(Vec<u8>),
    /// The connection ends, with one of these errors.
    Ends(&'static [u32]),
    /// The stream ends, or the connection, with one of these errors.
    Resets(&'static [u32]),
    /// The request is refused as malformed.
    Refused,
    /// The request on this stream is answered with 200.
    Answered(u32),
    /// The answer is at its end.
    Finished,
    /// The connection is alive.
    Alive,
    /// A frame comes of this kind, with these flags at least, and so many bytes.
    Comes {
        kind: u8,
        flags: u8,
        length: usize,
    },
}

impl Case {
    #[expect(clippy::needless_pass_by_value, reason = "tables read better without borrows")]
    fn new(name: &'static str, sends: Vec<Vec<u8>>, then: Step) -> Self {
        Self { name, settings: Vec::new(), steps: vec![Step::Send(sends.concat()), then] }
    }

    fn settings(self, settings: &[(u16, u32)]) -> Self {
        Self { settings: self::settings(settings), ..self }
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn run<S: Channel>(&self, mut peer: Peer<S>) -> Result<(), String> {
        peer.shake_hands(&self.settings).map_err(|error| format!("handshake: {error}"))?;
        for step in &self.steps {
            match step {
                Step::Send(bytes) => peer.send(bytes),
                Step::Ends(errors) => peer.wait_for_end(errors)?,
                Step::Resets(errors) => peer.wait_for_reset(errors)?,
                Step::Refused => peer.wait_for_refusal()?,
                Step::Answered(stream) => peer.wait_for_answer(*stream)?,
                Step::Finished => peer.wait(|frame| {
                    let is_part = matches!(frame.kind, DATA | HEADERS);
                    (is_part && frame.flags & END_STREAM != 0).then_some(())
                })?,
                Step::Alive => peer.ping()?,
                Step::Comes { kind, flags, length } => peer.wait(|frame| {
                    let is = frame.kind == *kind && frame.flags & flags == *flags;
                    (is && frame.payload.len() == *length).then_some(())
                })?,
            }
        }
        Ok(())
    }
}

/// The payload of SETTINGS.
fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    settings
        .iter()
        .flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect()
}

/// The pseudo-headers of a request.
fn pseudo<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":authority", "example.com"), (":path", path)]
}

/// The header block of a request.
fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&pseudo(method, path)[..], more].concat())
}

/// A whole GET.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &request("GET", "/", &[]))
}

/// A GET that is not answered before the test ends.
fn get_held(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &request("GET", "/hold", &[]))
}

/// The head of a POST, whose body follows.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request("POST", "/", &[]))
}

/// Runs cases over TLS and in the clear. `reach` is whether their requests may get to the backend.
fn run(cases: &[Case], reach: bool) {
    let (backend, authority) = (Backend::start("web"), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let files = authority.issue(&["example.com"]).write_to(directory.path(), "example");
    let vhost = Setup::new()
        .lifetime(std::time::Duration::from_mins(5))
        .domain_with("example.com", "a", &format!("http_to_https = false\n{}", files.tls_line()))
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let tls = TlsClient::trusting(&authority.pem()).alpn(&["h2"]);
    let mut wrong = Vec::new();
    for case in cases {
        let clear = Peer::over(vhost.connect().into_stream());
        let secret = tls.connect(vhost.https(), Some("example.com")).expect("a handshake");
        let results =
            [("h2c", case.run(clear)), ("TLS", case.run(Peer::over(secret.into_stream())))];
        for (over, result) in results {
            if let Err(error) = result {
                wrong.push(format!("{} over {over}: {error}\n", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 2 * cases.len(), wrong.concat());
    assert!(reach || backend.requests() == 0, "{} reached the backend", backend.requests());
}
