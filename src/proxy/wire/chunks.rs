//! Where a chunked body ends, and whether it is one: RFC 9112 §7.1 to the letter.
//!
//! Pingora takes no size for a size of zero, lets extensions hold line feeds, and skips whatever comes
//! behind the last chunk. Each has been used to smuggle requests past others.

use super::strict::is_token_byte;

/// The most bytes of the extension of one chunk; more than anybody sends.
const MAX_EXTENSION: u16 = 1024;

/// The most bytes of all trailers.
const MAX_TRAILERS: u16 = 16 * 1024;

/// More digits than any size needs that fits into memory.
const MAX_DIGITS: u8 = 15;

/// What is wrong with a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("a chunk has no size")]
    Size,
    #[error("the extension of a chunk is malformed or too long")]
    Extension,
    #[error("a line of the chunked body does not end in CRLF")]
    LineEnd,
    #[error("a chunk is longer than its size")]
    Data,
    #[error("the trailers are malformed or too long")]
    Trailers,
}

/// A chunked body that is followed as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunks {
    place: Place,
    /// Whether white space may stand behind a size.
    is_lenient: bool,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size {
        digits: u8,
        size: u64,
    },
    /// White space behind a size, which only an extension may follow.
    Padding {
        size: u64,
    },
    Extension {
        size: u64,
        length: u16,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataEnd,
    DataEndFeed,
    Trailer {
        length: u16,
    },
    TrailerName {
        length: u16,
    },
    TrailerValue {
        length: u16,
    },
    TrailerEnd {
        length: u16,
    },
    LastFeed,
    Done,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self { place: Place::begin(), is_lenient: false }
    }

    /// The same, where white space may stand behind a size, as some servers write it.
    pub(crate) fn lenient(self) -> Self {
        Self { is_lenient: true, ..self }
    }

    /// Whether the body is at its end.
    pub(crate) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// Follows `bytes`; how many of them are the body's.
    ///
    /// # Errors
    /// When they are no body.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            at += self.take(&bytes[at..], &mut Nowhere)?.0;
        }
        Ok(at)
    }

    /// Follows `bytes` to the end of the next data: how many of them are the body's, and which are data.
    /// The lines of trailers go into `trailers`.
    ///
    /// # Errors
    /// When they are no body.
    pub(crate) fn take<'b>(
        &mut self,
        bytes: &'b [u8],
        trailers: &mut impl Extend<u8>,
    ) -> Result<(usize, &'b [u8]), Broken> {
        let mut at = 0;
        while at < bytes.len() {
            match self.place {
                Place::Done => break,
                Place::Data { left } => {
                    let here = bytes.len() - at;
                    let step = usize::try_from(left).map_or(here, |left| left.min(here));
                    let left = left - step as u64;
                    self.place = if left == 0 { Place::DataEnd } else { Place::Data { left } };
                    return Ok((at + step, &bytes[at..at + step]));
                }
                Place::Padding { size } if self.is_lenient && bytes[at] == b'\r' => {
                    self.place = Place::SizeEnd { size };
                }
                place => {
                    let next = place.after(bytes[at])?;
                    if next.is_in_trailer() || matches!(place, Place::TrailerEnd { .. }) {
                        trailers.extend([bytes[at]]);
                    }
                    self.place = next;
                }
            }
            at += 1;
        }
        Ok((at, &[]))
    }
}

/// Takes what nobody wants.
struct Nowhere;

impl Extend<u8> for Nowhere {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, _: T) {}
}

impl Place {
    fn begin() -> Self {
        Self::Size { digits: 0, size: 0 }
    }

    /// Whether it stands within the line of a trailer.
    fn is_in_trailer(self) -> bool {
        matches!(
            self,
            Self::TrailerName { .. } | Self::TrailerValue { .. } | Self::TrailerEnd { .. }
        )
    }

    /// What comes after a byte that is not data.
    #[expect(clippy::match_same_arms, reason = "they stand in the order of a body")]
    fn after(self, byte: u8) -> Result<Self, Broken> {
        Ok(match (self, byte) {
            (Self::Size { digits: 1.., size }, b'\r') => Self::SizeEnd { size },
            (Self::Size { digits: 1.., size }, b' ' | b'\t') => Self::Padding { size },
            (Self::Size { digits: 1.., size } | Self::Padding { size }, b';') => {
                Self::Extension { size, length: 0 }
            }
            (Self::Size { digits, size }, _) if digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).ok_or(Broken::Size)?;
                Self::Size { digits: digits + 1, size: size << 4 | u64::from(digit) }
            }
            (Self::Size { .. }, _) => return Err(Broken::Size),
            (Self::Padding { size }, b' ' | b'\t') => Self::Padding { size },
            (Self::Padding { .. }, _) => return Err(Broken::Size),
            (Self::Extension { size, .. }, b'\r') => Self::SizeEnd { size },
            (Self::Extension { size, length }, _) if length < MAX_EXTENSION && is_text(byte) => {
                Self::Extension { size, length: length + 1 }
            }
            (Self::Extension { .. }, _) => return Err(Broken::Extension),
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer { length: 0 },
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataEnd, b'\r') => Self::DataEndFeed,
            (Self::DataEnd, _) => return Err(Broken::Data),
            (Self::DataEndFeed, b'\n') => Self::begin(),
            (Self::Trailer { .. }, b'\r') => Self::LastFeed,
            (Self::LastFeed, b'\n') => Self::Done,
            (Self::Trailer { length } | Self::TrailerName { length }, _)
                if length < MAX_TRAILERS && is_token_byte(byte) =>
            {
                Self::TrailerName { length: length + 1 }
            }
            (Self::TrailerName { length }, b':') => Self::TrailerValue { length: length + 1 },
            (Self::TrailerValue { length }, b'\r') => Self::TrailerEnd { length },
            (Self::TrailerValue { length }, _) if length < MAX_TRAILERS && is_text(byte) => {
                Self::TrailerValue { length: length + 1 }
            }
            (Self::TrailerEnd { length }, b'\n') => Self::Trailer { length },
            (Self::Trailer { .. } | Self::TrailerName { .. } | Self::TrailerValue { .. }, _) => {
                return Err(Broken::Trailers);
            }
            _ => return Err(Broken::LineEnd),
        })
    }
}

fn is_text(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(text: &str) -> Result<(usize, bool), Broken> {
        let mut chunks = Chunks::new();
        let length = chunks.follow(text.as_bytes())?;
        Ok((length, chunks.is_done()))
    }

    #[test]
    fn a_body_ends_where_it_says() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "00A;a=b;c=\"d;e\"\r\n0123456789\r\n000 ;x\r\nA: b\r\nC:\r\n\r\n",
        ] {
            assert_eq!(
                follow(&format!("{body}GET / HTTP/1.1")),
                Ok((body.len(), true)),
                "{body:?}"
            );
            for cut in 0..body.len() {
                let mut chunks = Chunks::new();
                assert_eq!(chunks.follow(&body.as_bytes()[..cut]), Ok(cut));
                assert!(!chunks.is_done(), "{body:?} at {cut}");
                assert_eq!(chunks.follow(&body.as_bytes()[cut..]), Ok(body.len() - cut));
                assert!(chunks.is_done());
            }
        }
    }

    #[test]
    fn what_is_no_body_is_told() {
        let long = "x".repeat(20_000);
        for (body, broken) in [
            ("\r\n", Broken::Size),
            (" 5\r\n", Broken::Size),
            ("5 5\r\n", Broken::Size),
            ("0x5\r\n", Broken::Size),
            ("1000000000000000\r\n", Broken::Size),
            ("5\n", Broken::Size),
            ("5;a\nb\r\n", Broken::Extension),
            (&format!("5;{long}"), Broken::Extension),
            ("5\rhello", Broken::LineEnd),
            ("5\r\nhello0", Broken::Data),
            ("5\r\nhello\rx", Broken::LineEnd),
            ("0\r\nGET / HTTP/1.1\r\n", Broken::Trailers),
            ("0\r\nA: b\n", Broken::Trailers),
            (&format!("0\r\nA: {long}"), Broken::Trailers),
            ("0\r\n\rx", Broken::LineEnd),
        ] {
            assert_eq!(follow(body), Err(broken), "{body:?}");
        }
    }
}
