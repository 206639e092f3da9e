//! An HTTP/2 client that sends whatever frames it is told to.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::harness::Channel;

/// How long a verdict may take.
const PATIENCE: Duration = Duration::from_secs(5);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;
/// A whole request in one frame.
pub(crate) const WHOLE: u8 = END_STREAM | END_HEADERS;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error of a GOAWAY or `RST_STREAM`.
    pub(crate) fn error(&self) -> Option<u32> {
        let at = match self.kind {
            GOAWAY => 4,
            RST_STREAM => 0,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }

    /// The status of an answer, if it stands first as it should: an entry of the static table, or a
    /// literal with the name of one.
    pub(crate) fn status(&self) -> Option<u16> {
        match self.payload.as_slice() {
            _ if self.kind != HEADERS => None,
            [byte @ 0x88..=0x8e, ..] => {
                [200, 204, 206, 304, 400, 404, 500].get(usize::from(*byte - 0x88)).copied()
            }
            // Digits have Huffman codes of five or six bits; three take two or three bytes.
            [0x48..=0x4e | 0x08..=0x0e, _, ..] => Some(0),
            _ => None,
        }
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// A header block, each field a literal that is not indexed.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // Each character is one byte.
            let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).expect("a byte")).collect();
            let mut length = bytes.len();
            if length < 127 {
                block.push(u8::try_from(length).expect("small"));
            } else {
                block.push(127);
                length -= 127;
                while length >= 128 {
                    block.push(u8::try_from(length % 128).expect("seven bits") | 128);
                    length /= 128;
                }
                block.push(u8::try_from(length).expect("seven bits"));
            }
            block.extend(bytes);
        }
    }
    block
}

/// A connection.
pub(crate) struct Peer<S> {
    stream: S,
    unread: Vec<u8>,
}

impl<S: Channel> Peer<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Exchanges prefaces and settings.
    pub(crate) fn shake_hands(&mut self, settings: &[u8]) -> Result<(), String> {
        self.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat());
        self.wait(|frame| (frame.kind == SETTINGS && frame.flags & ACK == 0).then_some(()))?;
        self.send(&frame(SETTINGS, ACK, 0, &[]));
        self.wait(|frame| (frame.kind == SETTINGS && frame.flags & ACK != 0).then_some(()))
    }

    /// Sends bytes; a server that has closed already is no error yet.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// The next frame, if all of it has come.
    fn take_frame(&mut self) -> Option<Frame> {
        let (head, rest) = self.unread.split_first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload: rest.get(..length)?.to_vec(),
        };
        self.unread.drain(..9 + length);
        Some(frame)
    }

    /// The next frame; nothing at the end of the connection.
    pub(crate) fn read(&mut self, deadline: Instant) -> Result<Option<Frame>, String> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("nothing more came".to_owned());
            }
            self.stream.socket().set_read_timeout(Some(left)).expect("a timeout can be set");
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                // A reset, or TLS without a farewell.
                Err(_) => return Ok(None),
            }
        }
    }

    /// Waits for a frame that decides; the end of the connection is an error.
    pub(crate) fn wait<T>(&mut self, decide: impl Fn(&Frame) -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self.read(deadline) {
                Ok(Some(frame)) => {
                    if let Some(decision) = decide(&frame) {
                        return Ok(decision);
                    }
                    seen.push((frame.kind, frame.error()));
                }
                Ok(None) => return Err(format!("closed after {seen:?}")),
                Err(error) => return Err(format!("{error} after {seen:?}")),
            }
        }
    }

    /// Waits for one of these errors of the connection, or for its end whatever the error was: as
    /// h2spec does.
    pub(crate) fn wait_for_end(&mut self, errors: &[u32]) -> Result<(), String> {
        self.wait_for_error(|frame| frame.kind == GOAWAY, errors)
    }

    /// The same, or one of these errors of a stream.
    pub(crate) fn wait_for_reset(&mut self, errors: &[u32]) -> Result<(), String> {
        self.wait_for_error(|frame| matches!(frame.kind, RST_STREAM | GOAWAY), errors)
    }

    fn wait_for_error(
        &mut self,
        is_end: impl Fn(&Frame) -> bool,
        errors: &[u32],
    ) -> Result<(), String> {
        let is_error = |frame: &Frame| frame.error().is_some_and(|error| errors.contains(&error));
        match self.wait(|frame| (is_end(frame) && is_error(frame)).then_some(())) {
            Err(error) if !error.starts_with("closed") => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until a malformed request is refused: reset, or answered with 400 (RFC 9113 §8.1.1).
    pub(crate) fn wait_for_refusal(&mut self) -> Result<(), String> {
        let refused = self.wait(|frame| match frame.kind {
            RST_STREAM | GOAWAY => Some(frame.error() == Some(1)),
            HEADERS => Some(frame.status() == Some(400)),
            _ => None,
        });
        match refused {
            Ok(true) => Ok(()),
            Ok(false) => Err("it was answered".to_owned()),
            Err(error) if error.starts_with("closed") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits for an answer with 200.
    pub(crate) fn wait_for_answer(&mut self, stream: u32) -> Result<(), String> {
        let status = self.wait(|frame| match frame.kind {
            HEADERS if frame.stream == stream => Some(frame.status().ok_or(None)),
            GOAWAY | RST_STREAM if frame.error() != Some(0) => Some(Err(frame.error())),
            _ => None,
        })?;
        match status {
            Ok(200) => Ok(()),
            other => Err(format!("{other:?} instead of an answer")),
        }
    }

    /// Whether the connection is alive still.
    pub(crate) fn ping(&mut self) -> Result<(), String> {
        self.send(&frame(PING, 0, 0, b"pingpong"));
        self.wait(|frame| match frame.kind {
            PING if frame.flags & ACK != 0 && frame.payload == b"pingpong" => Some(Ok(())),
            GOAWAY if frame.error() != Some(0) => Some(Err(format!("GOAWAY {:?}", frame.error()))),
            _ => None,
        })?
    }
}
