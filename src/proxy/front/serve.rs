//! Owns each connection's beginning: distinguishes HTTP/2 from HTTP/1, reads heads under our time-outs, and
//! hands ready sessions to Pingora's `HttpProxy`.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWriteExt};

use super::arrival::Admitted;
use super::entry::Front;
use super::handshake::{Handshakes, Shaken};
use crate::counters::{InFlight, InFlightGuard};
use crate::link::{Slot, Transport};
use crate::model::Reason;
use crate::proxy::carry::failure::raw_response;
use crate::proxy::carry::phases::DECIDED;
use crate::proxy::carry::stages::RequestContext;
use crate::proxy::client::connection::{ARRIVAL, Agreed, Arrival, Connection};
use crate::proxy::client::framed::Framed;
use crate::proxy::client::given_up::{Ending, GivenUp};
use crate::proxy::exchange::{Carried, Carrier, Clock, Http1};
use crate::proxy::limits::check_measures;
use crate::proxy::wire::head::{Head, NoHead, Whole, first_bytes, rest_of_head};
use crate::proxy::wire::request::Wire;

/// How long a client may refuse to hear that its connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long what a client still sends is read behind an answer that closes the connection: one that is
/// closed over bytes that nobody has read is reset, and the client may never see the answer.
const LINGER: Duration = Duration::from_secs(5);

/// The head of a request, and what keeps the server from stopping before it is answered.
struct BusyHead {
    whole: Whole,
    busy: InFlightGuard,
}

/// What comes after a request that we were to carry.
enum After {
    Ended,
    /// The connection goes on; of the next request these bytes have come.
    Next((Transport, Clock), BytesMut, InFlightGuard),
    /// Its backend speaks HTTP/2, so Pingora carries it.
    Pingora(Transport, BusyHead, Box<RequestContext>),
}

/// What listeners of HTTPS hand their connections to.
#[derive(Clone)]
pub(crate) struct TlsFront {
    front: Front,
    handshakes: Arc<Handshakes>,
}

impl TlsFront {
    pub(crate) fn new(front: Front, handshakes: Handshakes) -> Self {
        Self { front, handshakes: Arc::new(handshakes) }
    }

    /// The same for a listener whose connections are counted in `open`, besides those of all.
    #[must_use]
    pub(crate) fn counting(&self, open: &Arc<InFlight>) -> Self {
        Self { front: self.front.counting(open), handshakes: Arc::clone(&self.handshakes) }
    }
}

impl Front {
    /// A connection that is known to speak HTTP/1.
    #[cfg(test)]
    pub(crate) async fn serve_http1(
        &self,
        mut stream: Stream,
        connection: Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        match self.next_head(&mut stream).await {
            Ok(head) => self.http1(stream, head, connection, shutdown).await,
            Err(none) => self.turn_away(&mut stream, none, connection.client).await,
        }
    }

    /// One HTTP/1 request after the other, until either side closes.
    async fn http1(
        &self,
        stream: Stream,
        head: BusyHead,
        connection: Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        let mut next = Some((Transport::Other(stream), Clock::default(), head));
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
        if let Some(reason) = check_measures(whole.measures, limits) {
            let status = reason.row().answer.map(|(status, _)| status.as_u16());
            self.answer(&mut stream, (reason, None), status, connection.client).await;
            return After::Ended;
        }
        let wire = Wire::Http1 { head: whole.head.len() };
        let client = Http1::new(stream, clock, Arc::clone(connection), whole, half_close_timeout);
        let mut client = match client {
            Ok(client) => client,
            Err(mut stream) => {
                let why = (Reason::BadRequest, Some("refused by the parser"));
                self.answer(&mut stream, why, Some(400), connection.client).await;
                return After::Ended;
            }
        };
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
        // Sockets of clients are Pingora's from the beginning.
        let Transport::Other(stream) = stream else { return None };
        let mut framed = Box::new(Framed::new(stream, Arc::clone(connection)));
        let BusyHead { whole, busy } = head;
        if let Some(reason) = check_measures(whole.measures, self.options.load().limits) {
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
        let wire = Wire::Http1 { head: whole.head.len() };
        session.set_pipelined_prefix(whole.head);
        session.set_keepalive(Some(self.limits().idle.as_secs().max(1)));
        connection.accepted.store(false, Ordering::Relaxed);
        let arrival = Arrival { connection: Arc::clone(connection), wire };
        ARRIVAL.scope(arrival, self.proxy.process_new_http(session, shutdown))
    }

    /// The head of the next request on a connection that is idle.
    async fn next_head<S>(&self, stream: &mut S) -> Result<BusyHead, NoHead>
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

    /// What is known of a client before its first request.
    fn connection(&self, admitted: &Admitted, tls: Option<Agreed>) -> Arc<Connection> {
        let client = (!admitted.is_many()).then_some(admitted.client);
        let memory = self.options.load().memory;
        Arc::new(Connection {
            peer: admitted.peer,
            client: admitted.client,
            is_known: admitted.is_known,
            trusted: admitted.trusted,
            uses: admitted.uses(),
            requests: AtomicU32::new(0),
            tls,
            accepted: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            given_up: GivenUp::default(),
            announced: Slot::default(),
            budget: self.budgets.open(client, memory, &self.metrics),
        })
    }

    /// Answers what cannot become a request, where there is somebody to answer.
    async fn turn_away<S>(&self, stream: &mut S, none: NoHead, client: IpAddr)
    where
        S: tokio::io::AsyncWrite + Unpin + ?Sized,
    {
        let why = match none {
            NoHead::Ended => {
                // Over TLS the end is announced, so that nobody else can fake it (RFC 8446 §6.1).
                let _ = pingora::time::timeout(FAREWELL, stream.shutdown()).await;
                return;
            }
            NoHead::Cut => (Reason::ClientGone, None),
            NoHead::TimedOut => (Reason::HeadTimeout, None),
            NoHead::TooLarge => (Reason::HeadTooLarge, None),
            NoHead::NotHttp => (Reason::BadRequest, Some("it is not HTTP")),
            NoHead::Faulty(fault) => {
                let why = (fault.reason(), Some(fault.as_str()));
                return self.answer(stream, why, Some(fault.status()), client).await;
            }
        };
        let status = why.0.row().answer.map(|(status, _)| status.as_u16());
        self.answer(stream, why, status, client).await;
    }

    /// Answers a client whose request does not get as far as a session, and leaves it. `error` says
    /// more than the reason does.
    async fn answer<S>(
        &self,
        stream: &mut S,
        (reason, error): (Reason, Option<&str>),
        status: Option<u16>,
        client: IpAddr,
    ) where
        S: tokio::io::AsyncWrite + Unpin + ?Sized,
    {
        self.refuse(reason, status, error, client);
        if let Some(status) = status {
            let answering = async {
                stream.write_all(&raw_response(status)).await?;
                stream.shutdown().await
            };
            // Whoever doesn't take these few bytes is gone, and that is counted already.
            let _ = pingora::time::timeout(self.options.load().write_timeout, answering).await;
        }
    }
}

/// Serves connections that were accepted.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Serves one to its end.
    fn serve(
        self: Arc<Self>,
        stream: L4Stream,
        shutdown: ShutdownWatch,
    ) -> impl Future<Output = ()> + Send;

    /// Closes one that has sent nothing yet, where none can be accepted.
    fn make_room(&self);
}

impl Serve for Front {
    async fn serve(self: Arc<Self>, mut stream: L4Stream, shutdown: ShutdownWatch) {
        let shutdown = &shutdown;
        let is_announced = self.options.load().proxy_protocol_http;
        let Some(admitted) = self.admit(&mut stream, is_announced).await else { return };
        let mut silent = self.connections.silent(admitted.client, self.connection_limits());
        let first = tokio::select! {
            biased;
            first = first_bytes(&mut stream, self.limits().idle) => first,
            () = silent.lost() => {
                self.refuse(Reason::TooManySilentConnections, None, None, admitted.client);
                return;
            }
        };
        let Ok(first) = first else { return };
        drop(silent);
        let busy = self.metrics.busy.enter();
        // Boxed: what reading the head needs must not stay with the connection for its life.
        match Box::pin(rest_of_head(&mut stream, first, true, self.limits())).await {
            Ok(Head::Http1(whole)) => {
                let head = BusyHead { whole, busy };
                let connection = self.connection(&admitted, None);
                Box::pin(self.http1(Box::new(stream), head, connection, shutdown)).await;
            }
            Ok(Head::Http2(preface)) => {
                // From here on each stream counts itself.
                drop(busy);
                stream.rewind(&preface);
                let connection = self.connection(&admitted, None);
                Box::pin(self.http2(Box::new(stream), connection, shutdown)).await;
            }
            Err(none) => self.turn_away(&mut stream, none, admitted.client).await,
        }
    }

    fn make_room(&self) {
        self.connections.close_silent();
    }
}

impl Serve for TlsFront {
    async fn serve(self: Arc<Self>, mut stream: L4Stream, shutdown: ShutdownWatch) {
        let (front, shutdown) = (&self.front, &shutdown);
        let is_announced = front.options.load().proxy_protocol;
        let Some(admitted) = front.admit(&mut stream, is_announced).await else { return };
        let client = admitted.client;
        let asked_by = (client, admitted.is_many());
        let limits = front.options.load().handshakes;
        // Boxed: what a handshake needs must not stay with the connection for its life.
        let (mut stream, agreed, busy) =
            match Box::pin(self.handshakes.shake(stream, asked_by, front, limits)).await {
                Shaken::Ready(stream, agreed, busy) => (stream as Stream, agreed, busy),
                Shaken::Plain(mut stream) => {
                    front.turn_away(&mut *stream, NoHead::NotHttp, client).await;
                    return;
                }
                Shaken::Refused(reason) => {
                    front.refuse(reason, None, None, client);
                    return;
                }
                Shaken::Proven | Shaken::Ended => return,
            };
        // Its first request counts itself.
        drop(busy);
        let connection = front.connection(&admitted, Some(agreed));
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            Box::pin(front.http2(stream, connection, shutdown)).await;
            return;
        }
        match Box::pin(front.next_head(&mut stream)).await {
            Ok(head) => Box::pin(front.http1(stream, head, connection, shutdown)).await,
            Err(none) => front.turn_away(&mut stream, none, client).await,
        }
    }

    fn make_room(&self) {
        self.front.make_room();
    }
}
