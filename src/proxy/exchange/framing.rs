//! How the body of a message that is written is delimited (RFC 9112 §6).

use http::HeaderMap;

/// How the body of a message that is written is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none, whatever its head says.
    None,
    /// So many bytes are left.
    Length(u64),
    Chunked,
    UntilClose,
}

/// Room for the size of a chunk.
pub(super) type SizeLine = [u8; 18];

impl Framing {
    /// What of `content` goes out: no more than the head has promised.
    pub(super) fn fit<'c>(&mut self, content: &'c [u8]) -> &'c [u8] {
        match self {
            Self::None => &[],
            Self::Length(left) => {
                let count =
                    usize::try_from(*left).map_or(content.len(), |left| left.min(content.len()));
                *left -= count as u64;
                &content[..count]
            }
            Self::Chunked | Self::UntilClose => content,
        }
    }

    /// Whether all is written that the head has promised, once its content has ended.
    pub(super) fn is_kept(self) -> bool {
        matches!(self, Self::None | Self::Length(0) | Self::Chunked | Self::UntilClose)
    }
}

/// The line before a chunk of `length` bytes.
pub(super) fn size_line(line: &mut SizeLine, length: usize) -> &[u8] {
    let mut at = line.len() - 2;
    line[at..].copy_from_slice(b"\r\n");
    let mut left = length;
    loop {
        at -= 1;
        line[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
        if left == 0 {
            return &line[at..];
        }
    }
}

/// The end of a chunked body.
pub(super) fn last_chunk(trailers: Option<&HeaderMap>) -> Vec<u8> {
    let mut end = b"0\r\n".to_vec();
    for (name, value) in trailers.into_iter().flatten() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            end.extend_from_slice(part);
        }
    }
    end.extend_from_slice(b"\r\n");
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_hexadecimal() {
        for length in [0, 1, 15, 16, 255, 65_536, usize::MAX] {
            let mut line = SizeLine::default();
            assert_eq!(size_line(&mut line, length), format!("{length:x}\r\n").as_bytes());
        }
    }

    #[test]
    fn no_more_goes_out_than_was_promised() {
        let mut framing = Framing::Length(3);
        assert_eq!(framing.fit(b"ab"), b"ab");
        assert!(!framing.is_kept());
        assert_eq!(framing.fit(b"cd"), b"c");
        assert!(framing.is_kept());
        assert_eq!(Framing::None.fit(b"ab"), b"");
    }

    #[test]
    fn trailers_stand_behind_the_last_chunk() {
        let mut trailers = HeaderMap::new();
        trailers.append("x-sum", "1".parse().unwrap());
        assert_eq!(last_chunk(Some(&trailers)), b"0\r\nx-sum: 1\r\n\r\n");
        assert_eq!(last_chunk(None), b"0\r\n\r\n");
    }
}
