//! An HTTP/2 connection: its streams, each a request of its own, and its end.
//!
//! Pingora's own loop does the same, but answers malformed requests without telling anyone, and closes
//! idle connections without a GOAWAY, in the face of a client that is just sending.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::SendResponse;
use http::{Response, StatusCode, header};
use pingora::apps::HttpServerApp as _;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::date::get_cached_date;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options, handshake};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;
use pingora::time::{sleep, timeout};
use tokio::sync::Notify;

use super::entry::Front;
use super::websocket;
use crate::counters::{InFlight, InFlightGuard};
use crate::heads::RequestHead;
use crate::model::Reason;
use crate::proxy::carry::phases::DECIDED;
use crate::proxy::client::connection::{ARRIVAL, Arrival, Connection};
use crate::proxy::exchange::{Carried, Http2, Http2Session};
use crate::proxy::limits::{HeadRefused, Heads};
use crate::proxy::wire::frames::Metered;
use crate::proxy::wire::header_blocks::{HeaderBlocks, Refuse};
use crate::proxy::wire::malformed::{self, MalformedRate};
use crate::proxy::wire::request::Wire;

/// How many times the control frames of a client a trusted proxy may send.
const PROXY_FACTOR: u32 = 100;

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
    /// Counts and logs malformed requests of `client` that no session is made of.
    fn header_blocks(
        &self,
        connection: &Connection,
        malformed: &Arc<MalformedRate>,
    ) -> HeaderBlocks {
        let (front, client) = (self.clone(), connection.client);
        let refuse: Refuse =
            Box::new(move |reason, error| front.refuse(reason, None, Some(error), client));
        // As large as h2 takes one.
        let max_held = self.limits().bytes.saturating_mul(2);
        HeaderBlocks::new(max_held, Arc::clone(malformed), Arc::clone(&connection.budget), refuse)
    }

    /// What the protocol allows on one connection.
    fn h2_options(&self) -> H2Options {
        let (limits, most) = (self.connection_limits(), self.limits().bytes);
        let memory = self.options.load().memory;
        let window = memory.receive_window();
        let mut options = default_h2_options();
        options
            // The protocol's default of 64 KiB makes uploads crawl over real round trips.
            .initial_window_size(window.min(256 * 1024))
            .initial_connection_window_size(window)
            // What a stream can't send is held by h2; the streams' accounts bound the sum.
            .max_send_buffer_size(memory.h2_send_buffer)
            .max_concurrent_streams(limits.h2_streams)
            // Twice our own limit: what is beyond that one is refused, logged and counted by us, and what
            // is beyond this one by h2, which reports it to nobody.
            .max_header_list_size(u32::try_from(most.saturating_mul(2)).unwrap_or(u32::MAX))
            // WebSockets begin as a request of their own (RFC 8441).
            .enable_connect_protocol()
            // Those that clients provoke cost control frames, and malformed requests have a rate.
            .max_local_error_reset_streams(None);
        options
    }

    /// Ends a request whose head is too much, and leaves its connection alone: whoever goes on pays for
    /// the resets.
    fn refuse_head(
        &self,
        refused: HeadRefused,
        respond: &mut SendResponse<Bytes>,
        connection: &Connection,
    ) {
        let (code, words) = match refused {
            HeadRefused::TooFast => {
                (h2::Reason::ENHANCE_YOUR_CALM, "its large heads came too fast")
            }
            // It was not looked at, and may come again (RFC 9113 §8.7).
            HeadRefused::NoRoom => {
                (h2::Reason::REFUSED_STREAM, "its connection holds too much for its head")
            }
        };
        self.refuse(Reason::H2Flood, None, Some(words), connection.client);
        respond.send_reset(code);
    }

    /// Counts a connection that was ended for what its client sent.
    fn refuse_connection(&self, error: &h2::Error, is_flood: bool, connection: &Connection) {
        match ended_by_h2(error) {
            reason if is_flood || reason == Some(h2::Reason::ENHANCE_YOUR_CALM) => {
                self.refuse(Reason::H2Flood, None, None, connection.client);
            }
            Some(reason) => {
                self.refuse(
                    Reason::BadRequest,
                    None,
                    Some(reason.description()),
                    connection.client,
                );
            }
            // The client did, or its network.
            None => {}
        }
    }

    /// Notes that a client did not begin as HTTP/2 begins.
    fn refuse_preface(&self, connection: &Connection) {
        // In the clear the preface was seen already. Over TLS a client may go without it: when it does not
        // trust the certificate.
        let reason = if connection.tls.is_some() { Reason::ClientGone } else { Reason::BadRequest };
        self.refuse(reason, None, None, connection.client);
    }

    /// One request.
    async fn stream(self, mut stream: Http2, arrival: Arrival, shutdown: &ShutdownWatch) {
        let decided = match &self.carrier {
            None => None,
            Some(carrier) => match carrier.carry(&mut stream, arrival.clone()).await {
                Carried::Ended => return,
                Carried::HandOver(decided) => Some(decided),
            },
        };
        let Ok(session) = Http2Session::new(stream) else { return };
        let session = ServerSession::new_custom(Box::new(session));
        let carried = self.proxy.process_new_http(session, shutdown);
        let carried = DECIDED.scope(Cell::new(decided), carried);
        // Boxed: few requests go this way, and all would carry what it needs.
        Box::pin(ARRIVAL.scope(arrival, carried)).await;
    }

    /// Requests side by side, until either side closes. Each counts itself as busy.
    pub(crate) async fn http2(
        &self,
        stream: Stream,
        connection: Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        let digest = digest_of(&stream);
        let limits = self.connection_limits();
        // A proxy's connection is that of many, and would end for all of them.
        let is_many = connection.uses.is_none();
        let malformed = Arc::new(MalformedRate::new(is_many));
        let blocks = self.header_blocks(&connection, &malformed);
        let unfinished = blocks.unfinished();
        let frames = if is_many { PROXY_FACTOR } else { 1 } * limits.h2_control_frames_per_sec;
        let budget = Arc::clone(&connection.budget);
        let (stream, flooded) = Metered::new(stream, frames, blocks, budget);
        let shaking = handshake(Box::new(stream), Some(self.h2_options()));
        let Ok(Ok(mut conn)) = timeout(self.limits().total, shaking).await else {
            self.refuse_preface(&connection);
            return;
        };
        let mut stopping = shutdown.clone();
        let mut closing = *stopping.borrow();
        if closing {
            conn.graceful_shutdown();
        }
        let (streams, mut heads) = (Streams::default(), Heads::new());
        let mut requests = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.changed(), if !closing => {
                    closing = true;
                    conn.graceful_shutdown();
                    continue;
                }
                () = malformed.too_fast(), if !closing => {
                    closing = true;
                    conn.graceful_shutdown();
                    continue;
                }
                () = unfinished.lasts(self.limits().total) => {
                    self.refuse(Reason::HeadTimeout, None, None, connection.client);
                    return;
                }
                accepted = conn.accept() => accepted,
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
                Some(Ok((request, mut respond))) => {
                    let (parts, body) = request.into_parts();
                    let mut request = RequestHead::of_http2(&parts);
                    if let Some(protocol) = parts.extensions.get::<Protocol>() {
                        websocket::accept(&mut request, protocol);
                    }
                    if let Err(fault) = malformed::check(&request) {
                        let (status, error) = (fault.status(), Some(fault.as_str()));
                        self.refuse(fault.reason(), Some(status), error, connection.client);
                        answer_malformed(&mut respond, status);
                        if malformed.note(Instant::now()) {
                            return;
                        }
                        continue;
                    }
                    let wire = Wire::http2(&request);
                    let head = match heads.take(wire.head(), &connection.budget) {
                        Ok(head) => head,
                        Err(refused) => {
                            self.refuse_head(refused, &mut respond, &connection);
                            continue;
                        }
                    };
                    let (front, shutdown) = (self.clone(), shutdown.clone());
                    let open = streams.open();
                    requests += 1;
                    if requests == limits.requests && !closing {
                        closing = true;
                        conn.graceful_shutdown();
                    }
                    let arrival = Arrival { connection: Arc::clone(&connection), wire };
                    let (digest, budget) = (Arc::clone(&digest), Arc::clone(&connection.budget));
                    let stream = Http2::new(request, body, respond, digest, budget);
                    tokio::spawn(async move {
                        let _counted = (open, head);
                        front.stream(stream, arrival, &shutdown).await;
                    });
                }
                // The client closed, one way or the other. Each request logs its own end.
                None => return,
                Some(Err(error)) => {
                    let is_flood = flooded.load(Ordering::Relaxed);
                    return self.refuse_connection(&error, is_flood, &connection);
                }
            }
        }
    }
}

/// What Pingora knows of a connection.
fn digest_of(stream: &Stream) -> Arc<Digest> {
    Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    })
}

/// Answers a malformed request (RFC 9113 §8.1.1). Its body is not waited for: the session goes, and with
/// it the stream.
fn answer_malformed(respond: &mut SendResponse<Bytes>, status: u16) {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    response.headers_mut().insert(header::DATE, get_cached_date());
    // Whoever has reset the stream hears nothing, and that is all that can fail.
    let _ = respond.send_response(response, true);
}

/// Why h2 itself has ended a connection, if it did (RFC 9113 §5.4.1, §10.5).
fn ended_by_h2(error: &h2::Error) -> Option<h2::Reason> {
    error.reason().filter(|reason| !error.is_remote() && *reason != h2::Reason::NO_ERROR)
}
