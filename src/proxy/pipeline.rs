//! What a client has sent of its next request before the answer to its last.

use std::fmt::{self, Write};

use bytes::BytesMut;
use pingora::apps::HttpPersistentSettings;

/// The beginning of the next request, as far as a finished session has read it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Behind {
    Nothing,
    /// Up to its first empty line, and more behind that; or so much that it is too large.
    Whole(BytesMut),
    /// All that has been read.
    Part(BytesMut),
}

/// What the settings that a finished session hands on hold of the next request; `limit` bytes of it
/// and a few, at most.
///
/// Pingora gives them to its own sessions only, and shows them to nobody else. But its `Debug` does,
/// so that is read; tests hold that it says all. What is read ends at the head's end, however much
/// came behind it.
pub(super) fn behind(settings: &HttpPersistentSettings, limit: usize) -> Behind {
    let mut reader = Reader { limit, state: State::Field, bytes: BytesMut::new() };
    // Ends with an error as soon as enough is known.
    let _ = write!(reader, "{settings:?}");
    match reader.state {
        State::Enough => Behind::Whole(reader.bytes),
        _ if reader.bytes.is_empty() => Behind::Nothing,
        _ => Behind::Part(reader.bytes),
    }
}

/// Reads the derived text, whose pieces come one by one.
struct Reader {
    limit: usize,
    state: State,
    bytes: BytesMut,
}

#[derive(Clone, Copy)]
enum State {
    /// Before the field's name.
    Field,
    /// Before its value.
    Value,
    /// Before the opening quote.
    Opening,
    /// Between the quotes.
    Text,
    /// Behind a backslash.
    Escaped,
    /// In a number of two digits, of which the first may be known.
    Hexadecimal(Option<u8>),
    /// Behind all that there is.
    End,
    /// Behind all that is wanted.
    Enough,
}

impl Reader {
    fn push(&mut self, byte: u8) -> State {
        self.bytes.extend_from_slice(&[byte]);
        if self.bytes.ends_with(b"\r\n\r\n") || self.bytes.len() > self.limit + 4 {
            State::Enough
        } else {
            State::Text
        }
    }

    fn next(&mut self, byte: u8) -> State {
        match (self.state, byte) {
            (State::Opening, b'"') => State::Text,
            (State::Text, b'\\') => State::Escaped,
            (State::Text, b'"') => State::End,
            (State::Text, _) => self.push(byte),
            (State::Escaped, b'x') => State::Hexadecimal(None),
            (State::Escaped, b'n') => self.push(b'\n'),
            (State::Escaped, b'r') => self.push(b'\r'),
            (State::Escaped, b't') => self.push(b'\t'),
            (State::Escaped, b'0') => self.push(0),
            (State::Escaped, _) => self.push(byte),
            (State::Hexadecimal(first), _) => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0) as u8;
                match first {
                    None => State::Hexadecimal(Some(digit)),
                    Some(first) => self.push(first << 4 | digit),
                }
            }
            (state, _) => state,
        }
    }
}

impl Write for Reader {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        match (self.state, piece) {
            (State::Field, "pipelined_prefix") => self.state = State::Value,
            (State::Value, "Some") => self.state = State::Opening,
            (State::Value, "None") => self.state = State::End,
            (State::Field | State::Value, _) => {}
            _ => {
                for byte in piece.bytes() {
                    self.state = self.next(byte);
                }
            }
        }
        if matches!(self.state, State::End | State::Enough) { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use pingora::protocols::http::ServerSession;

    use super::*;

    fn settings(prefix: Option<&[u8]>) -> HttpPersistentSettings {
        let (_client, server) = tokio::io::duplex(1);
        let session = ServerSession::new_http1(Box::new(server));
        let mut settings = HttpPersistentSettings::for_session(&session);
        settings.set_user_context(Box::new("pipelined_prefix: Some(b\"no\")"));
        if let Some(prefix) = prefix {
            settings.set_pipelined_prefix(prefix.into());
        }
        settings
    }

    #[test]
    fn what_pingora_keeps_to_itself_is_known() {
        assert_eq!(behind(&settings(None), 100), Behind::Nothing);
        assert_eq!(behind(&settings(Some(b"")), 100), Behind::Nothing);
        assert_eq!(behind(&settings(Some(b"G")), 100), Behind::Part(b"G"[..].into()));
        let head = b"GET / HTTP/1.1\r\n\r\n";
        let more = [&head[..], b"GET /more"].concat();
        assert_eq!(behind(&settings(Some(head)), 100), Behind::Whole(head[..].into()));
        assert_eq!(behind(&settings(Some(&more)), 100), Behind::Whole(head[..].into()));
        assert_eq!(behind(&settings(Some(&more)), 10), Behind::Whole(head[..15].into()));
    }

    #[test]
    fn every_byte_is_read_as_it_is() {
        let bytes: Vec<u8> = (0..=255).chain(*b"\\x41\\\"").collect();
        assert_eq!(behind(&settings(Some(&bytes)), 1000), Behind::Part(bytes[..].into()));
    }
}
