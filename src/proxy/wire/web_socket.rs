//! Where the frames of a WebSocket begin and end (RFC 6455 §5.2). Payloads are counted, and not looked at.

/// The frame that ends a WebSocket whose client may connect again: 1012, Service Restart (RFC 6455 §7.4, the
/// IANA registry). A server masks nothing.
pub(crate) const SERVICE_RESTART: [u8; 4] = [0x88, 0x02, 0x03, 0xf4];

/// The opcode of a close frame.
const CLOSE: u8 = 0x8;

/// The longest head: two bytes, eight of a length, four of a mask.
const MAX_HEAD: usize = 14;

/// How far a stream of frames has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    /// What has come of a head.
    head: [u8; MAX_HEAD],
    in_head: usize,
    /// What is still to come of the payload behind it.
    payload: u64,
    has_closed: bool,
}

impl Frames {
    /// Whether a frame has ended and none has begun, so that another one may stand here: a control frame
    /// even between the fragments of a message (RFC 6455 §5.4).
    pub(crate) fn is_between(&self) -> bool {
        self.in_head == 0 && self.payload == 0
    }

    /// Whether a close frame has begun: behind it there are no others (§5.5.1).
    pub(crate) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Follows bytes that came.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// Follows bytes up to the first place between two frames; how many those are, all where there is none.
    pub(crate) fn pass_to_end(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.is_between() {
            at += self.step(&bytes[at..]);
        }
        at
    }

    /// Follows the next bytes, one at least, up to the end of a frame at most.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.payload > 0 {
            let count =
                usize::try_from(self.payload).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.payload -= count as u64;
            return count;
        }
        let before = self.in_head;
        loop {
            let length = self.head_length();
            if self.in_head == length {
                break;
            }
            let came = self.in_head - before;
            let count = (length - self.in_head).min(bytes.len() - came);
            if count == 0 {
                return came;
            }
            self.head[self.in_head..self.in_head + count]
                .copy_from_slice(&bytes[came..came + count]);
            self.in_head += count;
        }
        self.payload = self.payload_length();
        self.has_closed |= self.head[0] & 0x0f == CLOSE;
        let came = self.in_head - before;
        self.in_head = 0;
        came
    }

    /// How long the head is, as far as it can be known.
    fn head_length(&self) -> usize {
        if self.in_head < 2 {
            return 2;
        }
        let length = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn payload_length(&self) -> u64 {
        let [_, length, rest @ ..] = &self.head;
        match length & 0x7f {
            126 => u64::from(u16::from_be_bytes([rest[0], rest[1]])),
            127 => rest[..8].iter().fold(0, |length, byte| (length << 8) | u64::from(*byte)),
            length => u64::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with this payload, and a mask where there is to be one.
    fn frame(first: u8, length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![first];
        match u16::try_from(length) {
            Ok(length @ 0..126) => frame.push(mask + length.to_be_bytes()[1]),
            Ok(length) => {
                frame.push(mask + 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(mask + 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if is_masked {
            frame.extend([1, 2, 3, 4]);
        }
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    #[test]
    fn frames_end_where_they_end_however_reads_are_cut() {
        let frames: Vec<_> =
            [(0x81, 0), (0x01, 5), (0x89, 125), (0x00, 126), (0x80, 65_535), (0x82, 65_536)]
                .into_iter()
                .flat_map(|(first, length)| {
                    [frame(first, length, false), frame(first, length, true)]
                })
                .collect();
        let all = frames.concat();
        let mut ends: Vec<usize> = Vec::new();
        for one in &frames {
            ends.push(ends.last().unwrap_or(&0) + one.len());
        }
        for size in (1..16).chain([100, 4096, 65_536, all.len()]) {
            let (mut passing, mut stopping) = (Frames::default(), Frames::default());
            let (mut at, mut found) = (0, Vec::new());
            for piece in all.chunks(size) {
                passing.pass(piece);
                let mut rest = piece;
                while !rest.is_empty() {
                    // From between two frames it goes on with the next one.
                    let mut own = stopping.pass_to_end(rest);
                    if own == 0 {
                        own = stopping.step(rest);
                    }
                    (at, rest) = (at + own, &rest[own..]);
                    if stopping.is_between() {
                        found.push(at);
                    }
                }
                assert_eq!(passing.is_between(), stopping.is_between(), "{size}");
            }
            assert_eq!(found, ends, "{size}");
            assert!(!passing.has_closed());
        }
    }

    #[test]
    fn a_close_frame_is_seen() {
        let mut frames = Frames::default();
        frames.pass(&[frame(0x81, 5, false), SERVICE_RESTART[..3].to_vec()].concat());
        assert!(frames.has_closed() && !frames.is_between());
        assert_eq!(frames.pass_to_end(&[SERVICE_RESTART[3], 0x81]), 1);
        assert!(frames.is_between());
    }
}
