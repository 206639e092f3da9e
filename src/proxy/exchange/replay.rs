//! What is kept of a request's body, so that it can be sent once more.

use std::task::Context;

use bytes::BytesMut;

use super::downstream::Take;

/// What is kept of a body; one that is larger is sent once.
const MAX_KEPT: usize = 64 * 1024;

/// What was read of a body.
#[derive(Debug, Default)]
pub(super) struct Replay {
    body: BytesMut,
    /// How much of it was given on.
    at: usize,
    is_truncated: bool,
}

impl Replay {
    /// Keeps content that was just read and given on.
    pub(super) fn note(&mut self, content: &[u8]) {
        if self.is_truncated || self.body.len() + content.len() > MAX_KEPT {
            self.is_truncated = true;
            self.body = BytesMut::new();
        } else {
            self.body.extend_from_slice(content);
        }
        self.at = self.body.len();
    }

    /// Whether all that was read is here.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_truncated
    }

    /// All that was read.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Begins to give on once more.
    pub(super) fn rewind(&mut self) {
        self.at = 0;
    }

    /// Gives on what is to be given on once more; whether there was any.
    pub(super) fn take(&mut self, cx: &mut Context<'_>, take: Take<'_>) -> bool {
        let has_more = self.at < self.body.len();
        if has_more {
            take(cx, &self.body[self.at..]);
            self.at = self.body.len();
        }
        has_more
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn taken(replay: &mut Replay) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        replay.take(&mut cx, &mut |_, content| all.extend_from_slice(content)).then_some(all)
    }

    #[test]
    fn what_was_read_is_given_on_once_more_and_then_the_rest() {
        let mut replay = Replay::default();
        replay.note(b"ab");
        assert_eq!(taken(&mut replay), None, "it was given on already");
        replay.note(b"c");
        replay.rewind();
        assert_eq!(taken(&mut replay), Some(b"abc".to_vec()));
        replay.note(b"d");
        assert_eq!(taken(&mut replay), None);
        replay.note(&vec![0; MAX_KEPT]);
        assert!(!replay.is_whole());
    }
}
