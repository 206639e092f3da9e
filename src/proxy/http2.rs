//! An HTTP/2 connection: its streams, each a request of its own, and its end.
//!
//! Pingora's own loop does the same, but answers malformed requests without telling anyone, and closes
//! idle connections without a GOAWAY, in the face of a client that is just sending.

use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp as _;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Accept, HttpSession, handshake};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;
use pingora::time::{sleep, timeout};
use tokio::sync::Notify;

use super::Front;
use super::client::{CONNECTION, Connection};
use crate::metrics::Reason;
use crate::state::{InFlight, InFlightGuard};

/// Malformed requests after which a connection is closed: answering them is work.
const MOST_MALFORMED: usize = 32;

/// The requests that run on one connection.
#[derive(Default)]
struct Streams {
    open: Arc<InFlight>,
    one_ended: Arc<Notify>,
}

impl Streams {
    fn open(&self) -> OpenStream {
        OpenStream { counted: Some(self.open.enter()), one_ended: Arc::clone(&self.one_ended) }
    }

    /// Ends once no request has run for `time`. A new one must begin the wait anew.
    async fn idle(&self, time: Duration) {
        while self.open.count() > 0 {
            self.one_ended.notified().await;
        }
        sleep(time).await;
    }
}

/// Keeps its connection from being idle.
struct OpenStream {
    counted: Option<InFlightGuard>,
    one_ended: Arc<Notify>,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        // Before the notice: whoever gets it looks at the count.
        self.counted = None;
        self.one_ended.notify_one();
    }
}

impl Front {
    /// Requests side by side, until either side closes. Each counts itself as busy.
    pub(super) async fn http2(
        &self,
        stream: Stream,
        connection: Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        let digest = Arc::new(Digest {
            ssl_digest: stream.get_ssl_digest(),
            timing_digest: stream.get_timing_digest(),
            proxy_digest: stream.get_proxy_digest(),
            socket_digest: stream.get_socket_digest(),
        });
        let shaking = handshake(stream, self.proxy.h2_options.clone());
        let Ok(Ok(mut conn)) = timeout(self.limits().total, shaking).await else {
            // In the clear the preface was seen already. Over TLS a client may go without it: when it
            // does not trust the certificate.
            let reason =
                if connection.tls.is_some() { Reason::ClientGone } else { Reason::BadRequest };
            self.refuse(reason, None, None, connection.client);
            return;
        };
        let mut stopping = shutdown.clone();
        let mut closing = *stopping.borrow();
        if closing {
            conn.graceful_shutdown();
        }
        let streams = Streams::default();
        let mut malformed = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.changed(), if !closing => {
                    closing = true;
                    conn.graceful_shutdown();
                    continue;
                }
                accepted = HttpSession::from_h2_conn(&mut conn, Arc::clone(&digest)) => accepted,
                () = streams.idle(self.limits().idle) => {
                    if closing {
                        // The client had all the time to close.
                        return;
                    }
                    closing = true;
                    conn.graceful_shutdown();
                    continue;
                }
            };
            match accepted {
                Ok(Some(H2Accept::Session(session))) => {
                    let (proxy, shutdown) = (Arc::clone(&self.proxy), shutdown.clone());
                    let open = streams.open();
                    tokio::spawn(CONNECTION.scope(Arc::clone(&connection), async move {
                        let _open = open;
                        let session = ServerSession::new_http2(session);
                        proxy.process_new_http(session, &shutdown).await;
                    }));
                }
                Ok(Some(H2Accept::Rejected)) => {
                    self.refuse(
                        Reason::BadRequest,
                        Some(400),
                        Some("refused by the parser"),
                        connection.client,
                    );
                    malformed += 1;
                    if malformed == MOST_MALFORMED {
                        return;
                    }
                }
                // The client closed, one way or the other. What ran is told by each request.
                Ok(None) | Err(_) => return,
            }
        }
    }
}
