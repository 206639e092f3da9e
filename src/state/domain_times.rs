//! How long the requests of a domain may take, where that is given for it.

use std::time::Duration;

use crate::model::{AppOptions, CloseAfter, OptionSet, Seconds};

/// How long the requests of a domain may take. What is not given for it has the general time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainTimes {
    /// To connect to a backend; a backend's own time-out wins.
    pub connect: Option<Duration>,
    /// For a backend that has a request to begin its answer.
    pub first_byte: Option<Duration>,
    /// Of a backend's silence within its answer.
    pub between_bytes: Option<Duration>,
    /// In which a backend takes nothing of a request.
    pub unread: Option<Duration>,
    /// Of silence on a WebSocket.
    pub websocket_idle: Option<Duration>,
    /// Until WebSockets and event streams are ended whose tag, or backend, was left; `None` where they are kept.
    pub close_left: Option<CloseAfter>,
}

impl DomainTimes {
    /// A domain of which nothing is given.
    pub const NONE: Self = Self {
        connect: None,
        first_byte: None,
        between_bytes: None,
        unread: None,
        websocket_idle: None,
        close_left: None,
    };

    /// Of these options over those of the domain's app, the defaults among each other resolved.
    pub(super) fn of(options: &OptionSet, app: Option<&AppOptions>) -> Self {
        let given = match app {
            Some(app) => &options.timeouts.over(&app.timeouts),
            None => &options.timeouts,
        };
        let time = |time: Option<Seconds>| time.map(Seconds::get);
        Self {
            connect: time(given.connect_secs),
            first_byte: time(given.first_byte_secs.or(given.response_secs)),
            between_bytes: time(given.between_bytes_secs.or(given.response_secs)),
            unread: time(given.between_bytes_secs),
            websocket_idle: time(given.websocket_idle_secs),
            close_left: options.drain.close_after_over(app.map(|app| &app.drain)),
        }
    }
}
