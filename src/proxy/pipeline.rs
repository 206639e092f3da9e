//! Whether a client has sent its next request before the answer to its last.

use std::fmt::{self, Write};

use pingora::apps::HttpPersistentSettings;

/// Whether the settings that a finished session hands on hold the beginning of the next request.
///
/// Pingora gives them to its own sessions only, and tells nobody else whether there are any. But its
/// `Debug` does, so that is asked; a test holds the answer.
pub(super) fn holds_next_request(settings: &HttpPersistentSettings) -> bool {
    let mut search = Search::Field;
    // Ends with an error as soon as the answer is known.
    let _ = write!(search, "{settings:?}");
    matches!(search, Search::Found)
}

/// Where in the derived text the search is; the pieces come one by one.
enum Search {
    Field,
    Value,
    Found,
    Missing,
}

impl Write for Search {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        match (&self, piece) {
            (Self::Field, "pipelined_prefix") => *self = Self::Value,
            (Self::Value, "Some") => *self = Self::Found,
            (Self::Value, "None") => *self = Self::Missing,
            (Self::Field | Self::Value, _) => {}
            (Self::Found | Self::Missing, _) => return Err(fmt::Error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use pingora::protocols::http::ServerSession;

    use super::*;

    #[test]
    fn what_pingora_keeps_to_itself_is_known() {
        let (_client, server) = tokio::io::duplex(1);
        let session = ServerSession::new_http1(Box::new(server));
        let mut settings = HttpPersistentSettings::for_session(&session);
        settings.set_user_context(Box::new("pipelined_prefix: Some"));
        assert!(!holds_next_request(&settings));
        settings.set_pipelined_prefix(BytesMut::from("G"));
        assert!(holds_next_request(&settings));
    }
}
