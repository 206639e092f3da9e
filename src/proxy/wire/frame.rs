//! The frames that header blocks come in (RFC 9113 §6.2, §6.10).

pub(crate) const HEADER: usize = 9;

/// Types of frames (RFC 9113 §6), and flags.
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const PUSH_PROMISE: u8 = 0x5;
pub(crate) const CONTINUATION: u8 = 0x9;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITY: u8 = 0x20;
pub(crate) const PRIORITY_LENGTH: usize = 5;

/// The largest payload of a frame: the default, which we don't change. h2 ends the connection for more.
pub(crate) const MAX_FRAME: usize = 16 * 1024;

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// So many bytes that are of no interest.
    Skip(usize),
    /// The head of a frame, of which so many bytes are there.
    Head(usize),
    /// The length of the padding of a frame whose payload has so many bytes.
    PadLength(usize),
    Priority {
        have: usize,
        stream: u32,
        fragment: usize,
        padding: usize,
    },
    Fragment {
        left: usize,
        padding: usize,
    },
    /// So many bytes of padding behind a fragment.
    Padding(usize),
}

/// A whole block in its frames.
pub(crate) fn push_block(frames: &mut Vec<u8>, stream: u32, is_last: bool, block: &[u8]) {
    push_frames(frames, stream, is_last, block, true);
}

/// A block, or its beginning, in frames.
pub(crate) fn push_frames(
    frames: &mut Vec<u8>,
    stream: u32,
    is_last: bool,
    block: &[u8],
    is_whole: bool,
) {
    let mut parts = block.chunks(MAX_FRAME).peekable();
    let (mut kind, mut flags) = (HEADERS, if is_last { END_STREAM } else { 0 });
    loop {
        let part = parts.next().unwrap_or_default();
        let is_end = parts.peek().is_none();
        if is_end && is_whole {
            flags |= END_HEADERS;
        }
        push_head(frames, part.len(), kind, flags, stream);
        frames.extend_from_slice(part);
        if is_end {
            return;
        }
        (kind, flags) = (CONTINUATION, 0);
    }
}

/// The head of a frame.
pub(crate) fn push_head(frames: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [low, mid, high, ..] = length.to_le_bytes();
    frames.extend_from_slice(&[high, mid, low, kind, flags]);
    frames.extend_from_slice(&stream.to_be_bytes());
}
