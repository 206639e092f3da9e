//! Connections: accepted, bounded, and served with HTTP/1.1.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::Door;
use super::guard::Peer;
use crate::accept::{Closing, serve_at_most, until_closed};
use crate::model::Actor;
use crate::slow_reader::{Rule, SlowReader};

/// Connections at once to one address; with more, the oldest of the client that has the most is closed.
const MAX_CONNECTIONS: usize = 512;

/// How long a client may take to send a head, and how long a connection may idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest head, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// How long a client may take nothing of what waits for it.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

/// A bound address.
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes over a socket that listens. Must be called in the runtime that serves it.
    ///
    /// # Errors
    /// When the system can't hand it over.
    pub(crate) fn new(listener: std::net::TcpListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener: TcpListener::from_std(listener)?, address })
    }

    /// Where it is, the port as the kernel chose it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `closing` says so.
    pub(crate) async fn serve(self, door: Door, closing: Closing) {
        let serve = |stream, client| {
            let door = door.clone();
            async move { door.serve_tcp(stream, client).await }
        };
        let accepting = serve_at_most(MAX_CONNECTIONS, self.listener, "management API", serve);
        until_closed(closing, accepting).await;
    }
}

impl Door {
    async fn serve_tcp(&self, stream: TcpStream, client: SocketAddr) {
        let Ok(own) = stream.local_addr() else { return };
        // Answers are small and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let _open = self.open.enter();
        self.serve(stream, Peer::Tcp { client, own: own.ip() }).await;
    }

    /// Serves a process that was let in at the admin socket.
    pub(crate) async fn serve_local<S>(&self, stream: S, actor: Actor)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve(stream, Peer::Socket(actor)).await;
    }

    async fn serve<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answer = service_fn(|request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            TowerToHyperService::new(self.router()).call(request)
        });
        let stream = SlowReader::new(stream, WRITE_TIMEOUT, Rule::EachPiece);
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), answer);
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection to the management API ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const REQUEST: &[u8] = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_for_a_minute_is_ended() {
        let (mut client, server) = duplex(100);
        client.write_all(REQUEST).await.unwrap();
        let start = Instant::now();
        // Its answer is longer than what the pipe holds.
        Door::new(std::sync::Arc::default()).serve_local(server, Actor::Unknown).await;
        let ended = start.elapsed();
        assert!(ended >= WRITE_TIMEOUT && ended < 2 * WRITE_TIMEOUT, "{ended:?}");
    }
}
