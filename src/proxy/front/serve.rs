//! Owns each connection's beginning: distinguishes HTTP/2 from HTTP/1, reads heads under our time-outs, and
//! hands ready sessions to Pingora's `HttpProxy`.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::arrival::{Admitted, as_pingora};
use super::entry::Front;
use super::handshake::{Handshakes, Shaken};
use super::http1::Begun;
use crate::counters::InFlight;
use crate::link::Transport;
use crate::model::Reason;
use crate::proxy::carry::failure::raw_response;
use crate::proxy::client::connection::{Agreed, Connection};
use crate::proxy::client::given_up::GivenUp;
use crate::proxy::wire::clock::Clock;
use crate::proxy::wire::head::{NoHead, first_bytes};

/// How long a client may refuse to hear that its connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

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
        stream: Transport,
        connection: Arc<Connection>,
        shutdown: &ShutdownWatch,
    ) {
        self.requests(self.not_begun(stream), false, connection, shutdown).await;
    }

    /// A connection of which nothing has come.
    fn not_begun(&self, stream: Transport) -> Begun {
        let busy = self.metrics.busy.enter();
        Begun { stream, clock: Clock::default(), first: BytesMut::new(), busy }
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
            port: OnceLock::new(),
            accepted: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            given_up: GivenUp::default(),
            budget: self.budgets.open(client, memory, &self.metrics),
        })
    }

    /// Answers what cannot become a request, where there is somebody to answer.
    pub(super) async fn turn_away<S>(&self, stream: &mut S, none: NoHead, client: IpAddr)
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
    pub(super) async fn answer<S>(
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
        stream: TcpStream,
        peer: SocketAddr,
        shutdown: ShutdownWatch,
    ) -> impl Future<Output = ()> + Send;

    /// Closes one that has sent nothing yet, where none can be accepted.
    fn make_room(&self);
}

impl Serve for Front {
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, shutdown: ShutdownWatch) {
        let shutdown = &shutdown;
        let (mut stream, admitted) = if self.options.load().proxy_protocol_http {
            let mut stream = Box::new(as_pingora(stream));
            let admitted = self.admit(peer, Some(&mut stream)).await;
            (Transport::Other(stream), admitted)
        } else {
            (Transport::Tcp(stream), self.admit(peer, None).await)
        };
        let Some(admitted) = admitted else { return };
        let mut clock = Clock::default();
        let mut silent = self.connections.silent(admitted.client, self.connection_limits());
        let first = tokio::select! {
            biased;
            first = first_bytes(&mut stream, &mut clock, self.limits().idle) => first,
            () = silent.lost() => {
                self.refuse(Reason::TooManySilentConnections, None, None, admitted.client);
                return;
            }
        };
        let Ok(first) = first else { return };
        drop(silent);
        let busy = self.metrics.busy.enter();
        let begun = Begun { stream, clock, first, busy };
        let connection = self.connection(&admitted, None);
        Box::pin(self.requests(begun, true, connection, shutdown)).await;
    }

    fn make_room(&self) {
        self.connections.close_silent();
    }
}

impl Serve for TlsFront {
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, shutdown: ShutdownWatch) {
        let (front, shutdown) = (&self.front, &shutdown);
        let mut stream = as_pingora(stream);
        let announced = front.options.load().proxy_protocol.then_some(&mut stream);
        let Some(admitted) = front.admit(peer, announced).await else { return };
        let client = admitted.client;
        let asked_by = (client, admitted.is_many());
        let limits = front.options.load().handshakes;
        // Boxed: what a handshake needs must not stay with the connection for its life.
        let (stream, agreed, busy) =
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
        let stream = Transport::Other(stream);
        Box::pin(front.requests(front.not_begun(stream), false, connection, shutdown)).await;
    }

    fn make_room(&self) {
        self.front.make_room();
    }
}
