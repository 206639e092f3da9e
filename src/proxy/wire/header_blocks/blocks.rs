//! The blocks of one connection as their frames come.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::ReadBuf;

use crate::model::Reason;
use crate::proxy::memory::Budget;

use super::open_block::OpenBlock;
use super::unfinished::Unfinished;
use crate::proxy::wire::frame::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADER, HEADERS, MAX_FRAME, PADDED, PRIORITY,
    PRIORITY_LENGTH, PUSH_PROMISE, Place, push_block, push_frames, push_head,
};
use crate::proxy::wire::hpack::Fields;
use crate::proxy::wire::malformed::MalformedRate;

const PREFACE: usize = 24;

/// A field for which h2 resets a stream: `connection: x`.
const FIELD_OF_CONNECTION: &[u8] = b"\x00\x0aconnection\x01x";

/// A block for which h2 ends a connection: the field with the index 0.
const NO_BLOCK: &[u8] = b"\x80";

/// What is malformed and can't be shown to h2.
const NO_TELLING: &str = "a header block can't be decoded";

/// Counts and logs what is refused, and why.
pub(crate) type Refuse = Box<dyn Fn(Reason, &'static str) + Send + Sync>;

/// The header blocks of one connection.
pub(crate) struct HeaderBlocks {
    place: Place,
    head: [u8; HEADER],
    fields: Fields,
    open: Option<OpenBlock>,
    /// Up to this size blocks are held. What is larger h2 refuses for its size.
    max_held: usize,
    /// What h2 has yet to read, and how much of it it has read.
    ready: Vec<u8>,
    read: usize,
    /// The last stream that was opened.
    last_stream: u32,
    /// Set once what has come ends the connection: nothing more of it is read.
    has_ended: bool,
    rate: Arc<MalformedRate>,
    memory: Arc<Budget>,
    unfinished: Arc<Unfinished>,
    /// Whether that says that a block is.
    is_unfinished: bool,
    refuse: Refuse,
}

/// The connection can't go on.
#[derive(Debug)]
enum Stop {
    /// h2 is shown why.
    Told,
    /// There is no telling it any more.
    Cut(&'static str),
}

impl HeaderBlocks {
    pub(crate) fn new(
        max_held: usize,
        rate: Arc<MalformedRate>,
        memory: Arc<Budget>,
        refuse: Refuse,
    ) -> Self {
        Self {
            place: Place::Skip(PREFACE),
            head: [0; HEADER],
            fields: Fields::default(),
            open: None,
            max_held,
            ready: Vec::new(),
            read: 0,
            last_stream: 0,
            has_ended: false,
            rate,
            memory,
            unfinished: Arc::default(),
            is_unfinished: false,
            refuse,
        }
    }

    /// For how long a block is unfinished.
    pub(crate) fn unfinished(&self) -> Arc<Unfinished> {
        Arc::clone(&self.unfinished)
    }

    /// Whether a block is.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }

    /// What h2 has yet to read goes into `buffer`, as far as there is room.
    pub(crate) fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) {
        let left = &self.ready[self.read..];
        let part = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..part]);
        self.read += part;
        if self.read == self.ready.len() {
            (self.ready, self.read) = (Vec::new(), 0);
        }
    }

    /// Follows what was read, when all from before was handed over. How many bytes at its beginning are
    /// for h2 as they are; what else is for it can be handed over.
    ///
    /// # Errors
    /// When the connection has to end for it.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_ended {
            return Err(io::Error::other("the connection has ended"));
        }
        let (mut at, mut passed) = (0, 0);
        while at < bytes.len() {
            let is_first = at == passed && self.ready.is_empty();
            match self.step(&bytes[at..], is_first) {
                Ok((taken, as_it_is)) => {
                    at += taken;
                    passed += as_it_is;
                }
                Err(stop) => {
                    self.has_ended = true;
                    if let Stop::Cut(why) = stop {
                        return Err(io::Error::other(why));
                    }
                    break;
                }
            }
        }
        self.wait_for_more()?;
        Ok(passed)
    }

    /// Until more has come, an open block is counted, and its time runs.
    fn wait_for_more(&mut self) -> io::Result<()> {
        match &mut self.open {
            Some(open) if !self.has_ended => {
                if !open.charge(&self.memory, self.max_held) {
                    self.has_ended = true;
                    let why = "its client holds too much for a header block that is not whole";
                    (self.refuse)(Reason::H2Flood, why);
                    return Err(io::Error::other(why));
                }
                if open.since.is_none() {
                    open.since = Some(Instant::now());
                    self.unfinished.set(open.since);
                    self.is_unfinished = true;
                }
            }
            _ if self.is_unfinished => {
                self.unfinished.set(None);
                self.is_unfinished = false;
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes some bytes: how many, and how many of them pass as they are. With `may_pass`, those that may
    /// need not be copied.
    fn step(&mut self, bytes: &[u8], may_pass: bool) -> Result<(usize, usize), Stop> {
        match self.place {
            Place::Skip(left) => {
                let taken = left.min(bytes.len());
                self.place = if taken == left { Place::Head(0) } else { Place::Skip(left - taken) };
                if may_pass {
                    return Ok((taken, taken));
                }
                self.ready.extend_from_slice(&bytes[..taken]);
                Ok((taken, 0))
            }
            Place::Head(have) => {
                let taken = (HEADER - have).min(bytes.len());
                self.head[have..have + taken].copy_from_slice(&bytes[..taken]);
                self.place = Place::Head(have + taken);
                if have + taken < HEADER {
                    return Ok((taken, 0));
                }
                let is_of_block = self.begin_frame()?;
                if !is_of_block && may_pass && have == 0 {
                    return Ok((taken, taken));
                }
                if !is_of_block {
                    self.ready.extend_from_slice(&self.head);
                }
                Ok((taken, 0))
            }
            Place::PadLength(length) => {
                self.begin_payload(length, bytes[0].into())?;
                Ok((1, 0))
            }
            Place::Priority { have, stream, fragment, padding } => {
                let stream = if have < 4 { stream << 8 | u32::from(bytes[0]) } else { stream };
                if have + 1 < PRIORITY_LENGTH {
                    self.place = Place::Priority { have: have + 1, stream, fragment, padding };
                } else {
                    let block = self.open.get_or_insert_default();
                    block.depends_on_itself = stream & 0x7fff_ffff == block.stream;
                    self.begin_fragment(fragment, padding)?;
                }
                Ok((1, 0))
            }
            Place::Fragment { left, padding } => {
                let taken = left.min(bytes.len());
                self.follow_fragment(&bytes[..taken], left)?;
                if taken == left {
                    self.end_fragment(padding)?;
                } else {
                    self.place = Place::Fragment { left: left - taken, padding };
                }
                Ok((taken, 0))
            }
            Place::Padding(left) => {
                let taken = left.min(bytes.len());
                self.place = Place::Padding(left - taken);
                if taken == left {
                    self.end_frame()?;
                }
                Ok((taken, 0))
            }
        }
    }

    fn flags(&self) -> u8 {
        self.head[4]
    }

    /// A frame begins; whether it is one of a header block.
    fn begin_frame(&mut self) -> Result<bool, Stop> {
        let [high, mid, low, kind, flags, stream @ ..] = self.head;
        let length = usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low);
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        let is_next = self.open.as_ref().is_some_and(|block| block.stream == stream);
        match kind {
            CONTINUATION if is_next => {}
            HEADERS if self.open.is_none() => {
                let is_trailers = stream <= self.last_stream;
                self.last_stream = self.last_stream.max(stream);
                self.fields.begin();
                let is_last = flags & END_STREAM != 0;
                self.open = Some(OpenBlock::new(stream, is_last, is_trailers));
            }
            // A client's promise would change the table too (RFC 9113 §8.4).
            CONTINUATION | HEADERS | PUSH_PROMISE => return Err(self.break_off()),
            _ if self.open.is_some() => return Err(self.break_off()),
            _ => {
                self.place = Place::Skip(length);
                if length == 0 {
                    self.place = Place::Head(0);
                }
                return Ok(false);
            }
        }
        if length > MAX_FRAME {
            // h2 looks no further than at this.
            self.ready.extend_from_slice(&self.head);
            return Err(Stop::Told);
        }
        if self.has_passed() {
            self.ready.extend_from_slice(&self.head);
        }
        if kind == HEADERS && flags & PADDED != 0 {
            let Some(length) = length.checked_sub(1) else { return Err(self.break_off()) };
            self.place = Place::PadLength(length);
        } else if kind == HEADERS {
            self.begin_payload(length, 0)?;
        } else {
            self.begin_fragment(length, 0)?;
        }
        Ok(true)
    }

    fn begin_payload(&mut self, length: usize, padding: usize) -> Result<(), Stop> {
        let priority = if self.flags() & PRIORITY == 0 { 0 } else { PRIORITY_LENGTH };
        let Some(fragment) = length.checked_sub(priority + padding) else {
            return Err(self.break_off());
        };
        if priority == 0 {
            return self.begin_fragment(fragment, padding);
        }
        self.place = Place::Priority { have: 0, stream: 0, fragment, padding };
        Ok(())
    }

    fn begin_fragment(&mut self, left: usize, padding: usize) -> Result<(), Stop> {
        if left == 0 {
            return self.end_fragment(padding);
        }
        self.place = Place::Fragment { left, padding };
        Ok(())
    }

    /// Takes a piece of a frame's fragment, of which so much is left with it.
    fn follow_fragment(&mut self, bytes: &[u8], left: usize) -> Result<(), Stop> {
        let (flags, max) = (self.flags(), self.max_held);
        let Some(block) = &mut self.open else { return Ok(()) };
        match &mut block.fragments {
            Some(held) if held.len() + bytes.len() <= max => held.extend_from_slice(bytes),
            // What was held is the beginning, and the rest of this frame one of its own.
            Some(held) => {
                push_frames(&mut self.ready, block.stream, block.is_last, held, false);
                let flags = flags & END_HEADERS;
                push_head(&mut self.ready, left, CONTINUATION, flags, block.stream);
                self.ready.extend_from_slice(bytes);
                block.fragments = None;
            }
            None => self.ready.extend_from_slice(bytes),
        }
        self.fields.follow(bytes, &mut block.seen).map_err(|_| self.break_off())
    }

    /// Whether h2 has what has come of the open block.
    fn has_passed(&self) -> bool {
        self.open.as_ref().is_some_and(|block| block.fragments.is_none())
    }

    fn end_fragment(&mut self, padding: usize) -> Result<(), Stop> {
        if padding > 0 {
            self.place = Place::Padding(padding);
            return Ok(());
        }
        self.end_frame()
    }

    fn end_frame(&mut self) -> Result<(), Stop> {
        self.place = Place::Head(0);
        if self.flags() & END_HEADERS == 0 {
            return Ok(());
        }
        if !self.fields.is_between_fields() {
            return Err(self.break_off());
        }
        let Some(block) = self.open.take() else { return Ok(()) };
        let fault = block.fault();
        let Some(fragments) = &block.fragments else {
            self.fields.end();
            let Some(why) = fault else { return Ok(()) };
            (self.refuse)(Reason::BadRequest, why);
            return Err(Stop::Cut(why));
        };
        // Trailers have no head of a request: a stream is used again (RFC 9113 §5.1.1).
        if block.is_trailers && block.seen.method && block.seen.path {
            return Err(self.break_off());
        }
        let Some(why) = fault else {
            self.fields.end();
            push_block(&mut self.ready, block.stream, block.is_last, fragments);
            return Ok(());
        };
        let Ok(mut instead) = self.fields.effect_of(fragments) else {
            return Err(self.break_off());
        };
        (self.refuse)(Reason::BadRequest, why);
        if self.rate.note(Instant::now()) {
            return Err(Stop::Cut(why));
        }
        instead.extend_from_slice(FIELD_OF_CONNECTION);
        push_block(&mut self.ready, block.stream, block.is_last, &instead);
        Ok(())
    }

    /// Has h2 end the connection.
    fn break_off(&mut self) -> Stop {
        // In the middle of a frame it can be shown none.
        if self.has_passed() {
            (self.refuse)(Reason::BadRequest, NO_TELLING);
            return Stop::Cut(NO_TELLING);
        }
        push_block(&mut self.ready, 1, true, NO_BLOCK);
        Stop::Told
    }
}

impl fmt::Debug for HeaderBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderBlocks").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
