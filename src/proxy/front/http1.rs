//! A connection of HTTP/1: one request after the other, each carried by us, or by Pingora where its backend
//! speaks HTTP/2.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;

use super::arrival::{as_pingora, into_pingora};
use super::entry::Front;
use crate::counters::InFlightGuard;
use crate::link::Transport;
use crate::model::Reason;
use crate::proxy::carry::phases::DECIDED;
use crate::proxy::carry::stages::RequestContext;
use crate::proxy::client::connection::{ARRIVAL, Arrival, Connection};
use crate::proxy::client::framed::Framed;
use crate::proxy::client::given_up::Ending;
use crate::proxy::exchange::{Carried, Carrier, Http1};
use crate::proxy::limits::check_measures;
use crate::proxy::wire::clock::Clock;
use crate::proxy::wire::head::{Head, Whole, first_bytes, rest_of_head};
use crate::proxy::wire::request::Wire;

/// How long what a client still sends is read behind an answer that closes the connection: one that is
/// closed over bytes that nobody has read is reset, and the client may never see the answer.
const LINGER: Duration = Duration::from_secs(5);

/// The head of a request, and what keeps the server from stopping before it is answered.
struct BusyHead {
    whole: Whole,
    busy: InFlightGuard,
}

/// A connection on which a request has begun.
pub(super) struct Begun {
    pub(super) stream: Transport,
    pub(super) clock: Clock,
    /// What of the request has come.
    pub(super) first: BytesMut,
    /// Keeps the server from stopping before it is answered.
    pub(super) busy: InFlightGuard,
}

/// What comes after a request.
enum After {
    Ended,
    /// The connection goes on; where nothing of the next request has come, it is idle now.
    Next(Begun),
    /// The client speaks HTTP/2, as these bytes say.
    Http2(Transport, BytesMut),
}

/// What comes after a request that we were to carry.
enum Carry {
    Done(After),
    /// Its backend speaks HTTP/2, so Pingora carries it.
    Pingora(Transport, BusyHead, Box<RequestContext>),
}

impl Front {
    /// One request after the other, until either side closes. Of the first one something may have come; it
    /// `may_be_http2`.
    pub(super) async fn requests(
        &self,
        mut begun: Begun,
        mut may_be_http2: bool,
        connection: Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        loop {
            if begun.first.is_empty() {
                let Begun { stream, clock, busy, first } = begun;
                // What is empty may hold what it had.
                drop((busy, first));
                let Some(next) = self.idle(stream, clock, &connection).await else { return };
                begun = next;
            }
            // Boxed: what a request needs must not stay with the connection for its life.
            let request = Box::pin(self.request(begun, may_be_http2, &connection, shutdown));
            match request.await {
                After::Ended => return,
                After::Next(next) => begun = next,
                After::Http2(stream, preface) => {
                    let Some(mut stream) = into_pingora(stream) else { return };
                    stream.rewind(&preface);
                    return Box::pin(self.http2(stream, connection, shutdown)).await;
                }
            }
            may_be_http2 = false;
        }
    }

    /// Waits until the next request begins.
    async fn idle(
        &self,
        mut stream: Transport,
        mut clock: Clock,
        connection: &Connection,
    ) -> Option<Begun> {
        match first_bytes(&mut stream, &mut clock, self.limits().idle).await {
            Ok(first) => Some(Begun { stream, clock, first, busy: self.metrics.busy.enter() }),
            Err(none) => {
                Box::pin(self.turn_away(&mut stream, none, connection.client)).await;
                None
            }
        }
    }

    /// One request, of which something has come.
    async fn request(
        &self,
        begun: Begun,
        may_be_http2: bool,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) -> After {
        let Begun { mut stream, clock, first, busy } = begun;
        let whole = match rest_of_head(&mut stream, first, may_be_http2, self.limits()).await {
            Ok(Head::Http1(whole)) => whole,
            // From here on each stream counts itself.
            Ok(Head::Http2(preface)) => return After::Http2(stream, preface),
            Err(none) => {
                self.turn_away(&mut stream, none, connection.client).await;
                return After::Ended;
            }
        };
        let head = BusyHead { whole, busy };
        let (stream, head, decided) = match &self.carrier {
            None => (stream, head, None),
            Some(carrier) => match self.carry(carrier, stream, clock, head, connection).await {
                Carry::Done(after) => return after,
                Carry::Pingora(stream, head, decided) => (stream, head, Some(decided)),
            },
        };
        // Boxed: few requests go this way, and all would carry what it needs.
        let left = Box::pin(self.leave_to_pingora(stream, head, decided, connection, shutdown));
        left.await.map_or(After::Ended, After::Next)
    }

    /// One request that we carry ourselves, unless its backend speaks HTTP/2.
    async fn carry(
        &self,
        carrier: &Carrier,
        mut stream: Transport,
        clock: Clock,
        head: BusyHead,
        connection: &Arc<Connection>,
    ) -> Carry {
        let BusyHead { whole, busy } = head;
        let (limits, write_timeout, half_close_timeout) = {
            let options = self.options.load();
            (options.limits, options.write_timeout, options.half_close_timeout)
        };
        if let Some(reason) = check_measures(&whole.head, limits) {
            let status = reason.row().answer.map(|(status, _)| status.as_u16());
            self.answer(&mut stream, (reason, None), status, connection.client).await;
            return Carry::Done(After::Ended);
        }
        let wire = Wire::Http1 { head: whole.head.came() };
        let mut client =
            Http1::new(stream, clock, Arc::clone(connection), whole, half_close_timeout);
        let arrival = Arrival { connection: Arc::clone(connection), wire };
        match carrier.carry(&mut client, arrival).await {
            Carried::HandOver(decided) => {
                let (stream, whole) = client.into_parts();
                Carry::Pingora(stream, BusyHead { whole, busy }, decided)
            }
            Carried::Ended => Carry::Done(match client.finish() {
                Ok((stream, clock, first)) => After::Next(Begun { stream, clock, first, busy }),
                Err(client) => {
                    client.close(write_timeout, busy).await;
                    After::Ended
                }
            }),
        }
    }

    /// One request that Pingora carries, with what was `decided` about it already. Answers with the
    /// connection, where that goes on.
    async fn leave_to_pingora(
        &self,
        stream: Transport,
        head: BusyHead,
        decided: Option<Box<RequestContext>>,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) -> Option<Begun> {
        let stream = match stream {
            Transport::Tcp(stream) => Box::new(as_pingora(stream)),
            Transport::Other(stream) => stream,
            // No client comes by one.
            Transport::Unix(_) => return None,
        };
        let mut framed = Box::new(Framed::new(stream, Arc::clone(connection)));
        let BusyHead { whole, busy } = head;
        // What was put right after it was decided about may be larger.
        let limits = decided.is_none().then(|| self.options.load().limits);
        if let Some(reason) = limits.and_then(|limits| check_measures(&whole.head, limits)) {
            let status = reason.row().answer.map(|(status, _)| status.as_u16());
            self.answer(framed.stream(), (reason, None), status, connection.client).await;
            return None;
        }
        let request = self.by_pingora(framed, whole, connection, shutdown);
        let reusable = DECIDED.scope(Cell::new(decided), request).await;
        if !connection.accepted.load(Ordering::Relaxed) {
            // The parser has answered 400 already and closed.
            let words = Some("refused by the parser");
            self.refuse(Reason::BadRequest, Some(400), words, connection.client);
        }
        let back = reusable.and_then(|reusable| Framed::of(reusable.consume().0));
        framed = if let Some(back) = back {
            back
        } else {
            let parts = connection.given_up.take()?;
            let ending = parts.ending;
            let mut framed = Box::new(Framed::again(parts, Arc::clone(connection)));
            match ending {
                Ending::Keep => framed,
                Ending::Linger => {
                    drop(busy);
                    let _ = pingora::time::timeout(LINGER, framed.linger()).await;
                    return None;
                }
                Ending::Flush => {
                    // And no more: the end of what was broken off must not look like one.
                    let limit = self.options.load().write_timeout;
                    let _ = pingora::time::timeout(limit, framed.flush()).await;
                    return None;
                }
            }
        };
        let first = framed.end()?;
        let stream = Transport::Other(framed.into_stream());
        Some(Begun { stream, clock: Clock::default(), first, busy })
    }

    /// One request whose head was read. Answers with its connection, when that can be used again.
    ///
    /// Not an `async fn`: its future would keep room for the session as long as the connection lives.
    fn by_pingora<'a>(
        &'a self,
        mut framed: Box<Framed>,
        whole: Whole,
        connection: &Arc<Connection>,
        shutdown: &'a ShutdownWatch,
    ) -> impl Future<Output = Option<ReusedHttpStream>> + Send + use<'a> {
        framed.begin(whole.body, whole.rest, self.options.load().half_close_timeout);
        let mut session = ServerSession::new_http1(framed);
        let wire = Wire::Http1 { head: whole.head.came() };
        session.set_pipelined_prefix(whole.head.into_text());
        session.set_keepalive(Some(self.limits().idle.as_secs().max(1)));
        connection.accepted.store(false, Ordering::Relaxed);
        let arrival = Arrival { connection: Arc::clone(connection), wire };
        ARRIVAL.scope(arrival, self.proxy.process_new_http(session, shutdown))
    }
}
