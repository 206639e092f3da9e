//! A connection of HTTP/1: one request after the other, each carried by us, or by Pingora where its backend
//! speaks HTTP/2.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWriteExt};

use super::arrival::as_pingora;
use super::entry::Front;
use crate::counters::InFlightGuard;
use crate::link::Transport;
use crate::model::Reason;
use crate::proxy::carry::phases::DECIDED;
use crate::proxy::carry::stages::RequestContext;
use crate::proxy::client::connection::{ARRIVAL, Arrival, Connection};
use crate::proxy::client::framed::Framed;
use crate::proxy::client::given_up::Ending;
use crate::proxy::exchange::{Carried, Carrier, Clock, Http1};
use crate::proxy::limits::check_measures;
use crate::proxy::wire::head::{Head, NoHead, Whole, first_bytes, rest_of_head};
use crate::proxy::wire::request::Wire;

/// How long what a client still sends is read behind an answer that closes the connection: one that is
/// closed over bytes that nobody has read is reset, and the client may never see the answer.
const LINGER: Duration = Duration::from_secs(5);

/// The head of a request, and what keeps the server from stopping before it is answered.
pub(super) struct BusyHead {
    pub(super) whole: Whole,
    pub(super) busy: InFlightGuard,
}

/// What comes after a request that we were to carry.
enum After {
    Ended,
    /// The connection goes on; of the next request these bytes have come.
    Next((Transport, Clock), BytesMut, InFlightGuard),
    /// Its backend speaks HTTP/2, so Pingora carries it.
    Pingora(Transport, BusyHead, Box<RequestContext>),
}

impl Front {
    /// One HTTP/1 request after the other, until either side closes.
    pub(super) async fn http1(
        &self,
        stream: Transport,
        head: BusyHead,
        connection: Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        let mut next = Some((stream, Clock::default(), head));
        while let Some((stream, clock, head)) = next {
            // Boxed: what a request needs must not stay with the connection for its life.
            let (stream, head, decided) = match &self.carrier {
                None => (stream, head, None),
                Some(carrier) => {
                    match Box::pin(self.carry(carrier, stream, clock, head, &connection)).await {
                        After::Ended => return,
                        After::Next(stream, first, busy) => {
                            next = self.following(stream, first, busy, connection.client).await;
                            continue;
                        }
                        After::Pingora(stream, head, decided) => (stream, head, Some(decided)),
                    }
                }
            };
            let left = self.leave_to_pingora(stream, head, decided, &connection, shutdown);
            next = Box::pin(left).await;
        }
    }

    /// The next request on a connection that goes on, of which these bytes have come already.
    async fn following(
        &self,
        (mut stream, clock): (Transport, Clock),
        first: BytesMut,
        busy: InFlightGuard,
        client: IpAddr,
    ) -> Option<(Transport, Clock, BusyHead)> {
        match self.next_or_first(&mut stream, first, busy).await {
            Ok(head) => Some((stream, clock, head)),
            Err(none) => {
                self.turn_away(&mut stream, none, client).await;
                None
            }
        }
    }

    /// One request that we carry ourselves, unless its backend speaks HTTP/2.
    async fn carry(
        &self,
        carrier: &Carrier,
        mut stream: Transport,
        clock: Clock,
        head: BusyHead,
        connection: &Arc<Connection>,
    ) -> After {
        let BusyHead { whole, busy } = head;
        let (limits, write_timeout, half_close_timeout) = {
            let options = self.options.load();
            (options.limits, options.write_timeout, options.half_close_timeout)
        };
        if let Some(reason) = check_measures(&whole.head, limits) {
            let status = reason.row().answer.map(|(status, _)| status.as_u16());
            self.answer(&mut stream, (reason, None), status, connection.client).await;
            return After::Ended;
        }
        let wire = Wire::Http1 { head: whole.head.came() };
        let mut client =
            Http1::new(stream, clock, Arc::clone(connection), whole, half_close_timeout);
        let arrival = Arrival { connection: Arc::clone(connection), wire };
        match carrier.carry(&mut client, arrival).await {
            Carried::HandOver(decided) => {
                let (stream, whole) = client.into_parts();
                After::Pingora(stream, BusyHead { whole, busy }, decided)
            }
            Carried::Ended => match client.finish() {
                Ok((stream, clock, first)) => After::Next((stream, clock), first, busy),
                Err(client) => {
                    client.close(write_timeout, busy).await;
                    After::Ended
                }
            },
        }
    }

    /// One request that Pingora carries, with what was `decided` about it already. Answers with the
    /// connection and the next head, where there is one.
    async fn leave_to_pingora(
        &self,
        stream: Transport,
        head: BusyHead,
        decided: Option<Box<RequestContext>>,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) -> Option<(Transport, Clock, BusyHead)> {
        let stream = match stream {
            Transport::Tcp(stream) => Box::new(as_pingora(stream)),
            Transport::Other(stream) => stream,
            // No client comes by one.
            Transport::Unix(_) => return None,
        };
        let mut framed = Box::new(Framed::new(stream, Arc::clone(connection)));
        let BusyHead { whole, busy } = head;
        if let Some(reason) = check_measures(&whole.head, self.options.load().limits) {
            let status = reason.row().answer.map(|(status, _)| status.as_u16());
            self.answer(framed.stream(), (reason, None), status, connection.client).await;
            return None;
        }
        let request = self.request(framed, whole, connection, shutdown);
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
        match self.next_or_first(framed.stream(), first, busy).await {
            Ok(next) => Some((Transport::Other(framed.into_stream()), Clock::default(), next)),
            Err(none) => {
                self.turn_away(framed.stream(), none, connection.client).await;
                None
            }
        }
    }

    /// The head of the next request, of which these bytes have come already.
    async fn next_or_first<S>(
        &self,
        stream: &mut S,
        first: BytesMut,
        busy: InFlightGuard,
    ) -> Result<BusyHead, NoHead>
    where
        S: AsyncRead + Unpin,
    {
        if first.is_empty() {
            drop(busy);
            return self.next_head(stream).await;
        }
        self.head_from(stream, first, busy).await
    }

    /// One request whose head was read. Answers with its connection, when that can be used again.
    ///
    /// Not an `async fn`: its future would keep room for the session as long as the connection lives.
    fn request<'a>(
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

    /// The head of the next request on a connection that is idle.
    pub(super) async fn next_head<S>(&self, stream: &mut S) -> Result<BusyHead, NoHead>
    where
        S: AsyncRead + Unpin,
    {
        let first = first_bytes(stream, self.limits().idle).await?;
        let busy = self.metrics.busy.enter();
        self.head_from(stream, first, busy).await
    }

    /// The head that begins with these bytes.
    async fn head_from<S>(
        &self,
        stream: &mut S,
        first: BytesMut,
        busy: InFlightGuard,
    ) -> Result<BusyHead, NoHead>
    where
        S: AsyncRead + Unpin,
    {
        match rest_of_head(stream, first, false, self.limits()).await? {
            Head::Http1(whole) => Ok(BusyHead { whole, busy }),
            // Not asked for.
            Head::Http2(_) => Err(NoHead::NotHttp),
        }
    }
}
