//! Connections: accepted, bounded, and served with HTTP/1.1.

use std::net::SocketAddr;
use std::sync::Arc;
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
use tokio::sync::Semaphore;

use super::Door;
use super::guard::Peer;
use crate::model::Actor;

/// Connections over TCP at once; more wait until one ends.
const CONNECTIONS: usize = 512;

/// How long a client may take to send a head, or nothing between two requests.
const SLOWEST_HEAD: Duration = Duration::from_secs(10);

/// The longest head, in bytes.
const LONGEST_HEAD: usize = 32 * 1024;

/// A bound address.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes over a socket that listens. Must be called in the runtime that serves it.
    ///
    /// # Errors
    /// When the system can't hand it over.
    pub fn new(listener: std::net::TcpListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener: TcpListener::from_std(listener)?, address })
    }

    /// Where it is, the port as the kernel chose it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the runtime ends.
    pub async fn serve(self, door: Door) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match self.listener.accept().await {
                Ok((stream, client)) => {
                    let door = door.clone();
                    tokio::spawn(async move {
                        door.serve_tcp(stream, client).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely; they come back as connections end.
                    tracing::warn!(%error, "cannot accept at the management API");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Door {
    async fn serve_tcp(&self, stream: TcpStream, client: SocketAddr) {
        let Ok(own) = stream.local_addr() else { return };
        // Answers are small and somebody waits for each.
        let _ = stream.set_nodelay(true);
        self.serve(stream, Peer::Tcp { client, own: own.ip() }).await;
    }

    /// Serves a process that was let in at the admin socket.
    pub async fn serve_local<S>(&self, stream: S, actor: Actor)
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
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(SLOWEST_HEAD)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), answer);
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection to the management API ended");
        }
    }
}
