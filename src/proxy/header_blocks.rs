//! Finds the header blocks in the frames of an HTTP/2 connection, and refuses those that are malformed
//! (RFC 9113 §8.1.1) in a way that shows no more once the h2 crate has parsed them: it cuts fragments
//! off, ignores pseudo-header fields in trailers, and drops a `:scheme` that no `:authority` is beside.

use std::fmt;
use std::io;

use super::hpack::{Fields, Seen};

const HEADER: usize = 9;
const PREFACE: usize = 24;

/// Types of frames (RFC 9113 §6), and flags.
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_LENGTH: usize = 5;

/// Malformed requests after which a connection is closed: answering them is work.
pub(super) const MAX_MALFORMED: usize = 32;

/// Counts and logs a request that is refused, and why.
pub(super) type Refuse = Box<dyn Fn(&'static str) + Send + Sync>;

/// The header blocks of one connection.
pub(super) struct HeaderBlocks {
    place: Place,
    head: [u8; HEADER],
    fields: Fields,
    seen: Seen,
    /// Whether the block is not the first of its stream.
    is_trailers: bool,
    /// The last stream that was opened.
    last_stream: u32,
    malformed: usize,
    /// How many the connection may bring.
    max_malformed: usize,
    /// Set once a block could not be followed: then the h2 crate ends the connection.
    is_broken: bool,
    refuse: Refuse,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// So many bytes that are of no interest.
    Skip(usize),
    /// The head of a frame, of which so many bytes are there.
    Head(usize),
    /// The length of the padding of a frame whose payload has so many bytes.
    PadLength(usize),
    Priority {
        left: usize,
        fragment: usize,
        padding: usize,
    },
    Fragment {
        left: usize,
        padding: usize,
    },
}

impl HeaderBlocks {
    pub(super) fn new(max_malformed: usize, refuse: Refuse) -> Self {
        Self {
            place: Place::Skip(PREFACE),
            head: [0; HEADER],
            fields: Fields::default(),
            seen: Seen::default(),
            is_trailers: false,
            last_stream: 0,
            malformed: 0,
            max_malformed,
            is_broken: false,
            refuse,
        }
    }

    /// Follows what was read.
    ///
    /// # Errors
    /// When the connection has to end for it.
    pub(super) fn follow(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("a header block can't be decoded"));
        }
        while !bytes.is_empty() && !self.is_broken {
            let taken = match self.place {
                Place::Skip(left) => {
                    let taken = left.min(bytes.len());
                    self.place =
                        if taken == left { Place::Head(0) } else { Place::Skip(left - taken) };
                    taken
                }
                Place::Head(have) => {
                    let taken = (HEADER - have).min(bytes.len());
                    self.head[have..have + taken].copy_from_slice(&bytes[..taken]);
                    self.place = Place::Head(have + taken);
                    if have + taken == HEADER {
                        self.begin_frame()?;
                    }
                    taken
                }
                Place::PadLength(length) => {
                    self.begin_payload(length, bytes[0].into())?;
                    1
                }
                Place::Priority { left, fragment, padding } => {
                    let taken = left.min(bytes.len());
                    if taken == left {
                        self.begin_fragment(fragment, padding)?;
                    } else {
                        self.place = Place::Priority { left: left - taken, fragment, padding };
                    }
                    taken
                }
                Place::Fragment { left, padding } => {
                    let taken = left.min(bytes.len());
                    let followed = self.fields.follow(&mut bytes[..taken], &mut self.seen);
                    self.is_broken = followed.is_err();
                    if taken == left {
                        self.end_fragment(padding)?;
                    } else {
                        self.place = Place::Fragment { left: left - taken, padding };
                    }
                    taken
                }
            };
            bytes = &mut bytes[taken..];
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        self.head[4]
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        let [high, mid, low, kind, flags, stream @ ..] = self.head;
        let length = usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low);
        match kind {
            HEADERS => {
                let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
                self.is_trailers = stream <= self.last_stream;
                self.last_stream = self.last_stream.max(stream);
                self.seen = Seen::default();
                if flags & PADDED == 0 {
                    self.begin_payload(length, 0)
                } else {
                    self.place = Place::PadLength(length.saturating_sub(1));
                    Ok(())
                }
            }
            CONTINUATION => self.begin_fragment(length, 0),
            _ => {
                self.place = Place::Skip(length);
                Ok(())
            }
        }
    }

    fn begin_payload(&mut self, length: usize, padding: usize) -> io::Result<()> {
        let left = if self.flags() & PRIORITY == 0 { 0 } else { PRIORITY_LENGTH };
        let Some(fragment) = length.checked_sub(left + padding) else {
            // The h2 crate refuses the frame, and the connection.
            self.is_broken = true;
            return Ok(());
        };
        if left == 0 {
            return self.begin_fragment(fragment, padding);
        }
        self.place = Place::Priority { left, fragment, padding };
        Ok(())
    }

    fn begin_fragment(&mut self, left: usize, padding: usize) -> io::Result<()> {
        if left == 0 {
            return self.end_fragment(padding);
        }
        self.place = Place::Fragment { left, padding };
        Ok(())
    }

    fn end_fragment(&mut self, padding: usize) -> io::Result<()> {
        self.place = if padding == 0 { Place::Head(0) } else { Place::Skip(padding) };
        if self.flags() & END_HEADERS == 0 || self.is_broken {
            return Ok(());
        }
        self.is_broken = !self.fields.is_between_fields();
        self.judge(self.seen)
    }

    /// Judges a block that has ended.
    fn judge(&mut self, seen: Seen) -> io::Result<()> {
        if self.is_trailers {
            if seen.pseudo {
                return self.end_for("there is a pseudo-header field in trailers");
            }
        } else if seen.fragment {
            // The h2 crate resets the stream: its path was made one that it does not take.
            (self.refuse)("there is a fragment in the target");
            self.malformed += 1;
            if self.malformed == self.max_malformed {
                return Err(io::Error::other("too many malformed requests"));
            }
        } else if seen.foreign_scheme && !seen.authority {
            return self.end_for("the scheme is neither `http` nor `https`");
        }
        Ok(())
    }

    /// Ends the connection, as RFC 9113 §5.4.1 allows for the error of a stream. The stream alone can't
    /// be reset from here.
    fn end_for(&self, why: &'static str) -> io::Result<()> {
        (self.refuse)(why);
        Err(io::Error::other(why))
    }
}

impl fmt::Debug for HeaderBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderBlocks").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// Why requests in these frames were refused, and whether the connection goes on.
    fn follow(frames: &[Vec<u8>], piece: usize) -> (Vec<&'static str>, bool) {
        let refused = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&refused);
        let mut blocks =
            HeaderBlocks::new(MAX_MALFORMED, Box::new(move |why| noted.lock().unwrap().push(why)));
        let mut bytes = [vec![b'P'; PREFACE], frames.concat()].concat();
        let goes_on = bytes.chunks_mut(piece).all(|piece| blocks.follow(piece).is_ok());
        let refused = refused.lock().unwrap().clone();
        (refused, goes_on)
    }

    const FRAGMENT: &str = "there is a fragment in the target";
    const PSEUDO: &str = "there is a pseudo-header field in trailers";
    const SCHEME: &str = "the scheme is neither `http` nor `https`";

    #[test]
    fn blocks_are_found_wherever_reads_are_cut() {
        let bad = b"\x82\x86\x04\x04/a#f";
        let padded = [&[3][..], &[0; 5], bad, &[9; 3]].concat();
        let frames = [
            frame(0x4, 0, 0, &[0; 12]),
            frame(HEADERS, END_HEADERS, 1, b"\x82\x86\x84"),
            frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 3, &padded),
            frame(0x0, 0, 3, b"\x82\x86\x04\x04/a#f"),
            frame(HEADERS, 0, 5, &bad[..3]),
            frame(CONTINUATION, 0, 5, b""),
            frame(CONTINUATION, 0, 5, &bad[3..6]),
            frame(CONTINUATION, END_HEADERS, 5, &bad[6..]),
            frame(HEADERS, END_HEADERS, 3, b"\x00\x01a\x01b"),
        ];
        for piece in [1, 2, 7, 9, 10, 1000] {
            assert_eq!(follow(&frames, piece), (vec![FRAGMENT, FRAGMENT], true), "{piece}");
        }
    }

    #[test]
    fn what_h2_forgets_is_malformed() {
        let head = |block: &[u8]| frame(HEADERS, END_HEADERS, 1, block);
        let good = head(b"\x82\x86\x84");
        for (frames, refused, goes_on) in [
            (vec![good.clone(), head(b"\x82")], vec![PSEUDO], false),
            (vec![good.clone(), head(b"\x00\x07:status\x03200")], vec![PSEUDO], false),
            (vec![good.clone(), head(b"\x00\x01a\x01b")], vec![], true),
            // A scheme that is not ours, without an authority and with one: then it shows.
            (vec![head(b"\x82\x06\x03ftp\x84")], vec![SCHEME], false),
            (vec![head(b"\x82\x06\x03ftp\x84\x01\x01a")], vec![], true),
            (vec![head(b"\x82\x06\x04HTTP\x84")], vec![], true),
            // Kept in the table, and taken from there; its name too.
            (
                vec![head(b"\x82\x44\x03/#f"), frame(HEADERS, END_HEADERS, 3, b"\x82\xbe")],
                vec![FRAGMENT, FRAGMENT],
                true,
            ),
            (
                vec![
                    head(b"\x40\x05:path\x02/a"),
                    frame(HEADERS, END_HEADERS, 3, b"\x0f\x2f\x02/#"),
                ],
                vec![FRAGMENT],
                true,
            ),
        ] {
            assert_eq!(follow(&frames, 1000), (refused, goes_on), "{frames:?}");
        }
    }

    #[test]
    fn a_connection_ends_after_some_malformed_requests_and_after_a_block_that_is_none() {
        let bad = |n: u32| frame(HEADERS, END_HEADERS, 2 * n + 1, b"\x82\x86\x04\x02/#");
        let frames: Vec<_> = (0..40).map(bad).collect();
        let (refused, goes_on) = follow(&frames, 1000);
        assert!(refused.len() == MAX_MALFORMED && !goes_on);
        let broken = [frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\x0f"), bad(3)];
        assert_eq!(follow(&broken, 5), (vec![], false));
    }
}
