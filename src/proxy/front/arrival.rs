//! Connections as they come: each is counted, and it is found out whose it is. A proxy may say so in
//! a header of the PROXY protocol, before anything else.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use bytes::BytesMut;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{GetSocketDigest, SocketDigest};
use pingora::time::timeout;
use tokio::net::TcpStream;

use super::entry::Front;
use crate::counters::InFlightGuard;
use crate::link::Transport;
use crate::model::ProxyHeader;
use crate::model::Reason;
use crate::places::{Share, Uses};
use crate::proxy::wire::head::read_some;

/// A client that may go on.
pub(crate) struct Admitted {
    /// The address at the other end of its connection.
    pub(crate) peer: IpAddr,
    /// Its address: the same, or what a header of the PROXY protocol names.
    pub(crate) client: IpAddr,
    /// Whether that is known: a proxy may pass on the connection of somebody whom it can't name.
    pub(crate) is_known: bool,
    /// Whether its forwarded headers are believed.
    pub(crate) trusted: bool,
    /// Whether it stands for many, whose requests are not its own and for whom no limit of a client is.
    is_many: bool,
    /// Keeps its connection counted.
    counted: (Open, Share),
}

impl Admitted {
    /// Whether it stands for many.
    pub(crate) fn is_many(&self) -> bool {
        self.is_many
    }

    /// The requests at once of its client, on all of its connections; none where it stands for many.
    pub(crate) fn uses(&self) -> Option<Uses> {
        (!self.is_many).then(|| self.counted.1.uses())
    }
}

/// Keeps a connection counted: among all, and among those of its listener.
type Open = [InFlightGuard; 2];

/// Why there is no header.
enum NoHeader {
    /// The proxy closed before it said anything: it only looked whether we are there.
    Ended,
    /// There is none, or none that is right.
    Bad(&'static str),
}

impl Front {
    /// Counts a connection in, and finds out whose it is; `None` when it may not go on. What it runs on is
    /// given where proxies say on its listener for whom they connect.
    pub(crate) async fn admit(
        &self,
        peer: SocketAddr,
        announced: Option<&mut L4Stream>,
    ) -> Option<Admitted> {
        let peer = peer.ip().to_canonical();
        let open = [self.metrics.connections.enter(), self.open.enter()];
        // One that says nothing goes before one that may.
        if self.metrics.connections.count() > self.connection_limits().in_all
            && !self.connections.close_silent()
        {
            self.refuse(Reason::TooManyConnections, None, None, peer);
            return None;
        }
        if let Some(stream) = announced {
            // Boxed: what reading the header needs must not stay with the connection for its life.
            return Box::pin(self.announced(stream, peer, open)).await;
        }
        let trusted = self.trusts(peer);
        self.admit_as(peer, peer, trusted, trusted, open)
    }

    /// Counts a connection in among those of its client. One that stands for many may have more.
    fn admit_as(
        &self,
        peer: IpAddr,
        client: IpAddr,
        trusted: bool,
        is_many: bool,
        open: Open,
    ) -> Option<Admitted> {
        match self.connections.enter(client, is_many, self.connection_limits()) {
            Ok(share) => Some(Admitted {
                peer,
                client,
                is_known: true,
                trusted,
                is_many,
                counted: (open, share),
            }),
            Err(reason) => {
                self.refuse(reason, None, None, client);
                None
            }
        }
    }

    /// Reads for whom the proxy `peer` connects; `None` when the connection may not go on. What
    /// follows the header is put back.
    async fn announced(&self, stream: &mut L4Stream, peer: IpAddr, open: Open) -> Option<Admitted> {
        if !self.trusts(peer) {
            // Neither can it be believed, nor is it meant to be here.
            self.refuse(Reason::UntrustedProxy, None, None, peer);
            return None;
        }
        let mut silent = self.connections.silent(peer, self.connection_limits());
        // From the first moment on, and not from the first byte: the header is due at once.
        let header = tokio::select! {
            biased;
            header = timeout(self.limits().total, header(stream)) => header,
            () = silent.lost() => {
                self.refuse(Reason::TooManySilentConnections, None, None, peer);
                return None;
            }
        };
        drop(silent);
        match header {
            Ok(Ok(ProxyHeader::Proxied { client, server })) => {
                set_ends(stream, client, server);
                let client = client.ip().to_canonical();
                let trusted = self.trusts(client);
                self.admit_as(peer, client, trusted, trusted, open)
            }
            // The proxy's own connection: it passes on bytes, and what comes are not its own headers.
            Ok(Ok(ProxyHeader::Local)) => self.admit_as(peer, peer, false, true, open),
            // That of somebody whom it can't name stands for any number of clients.
            Ok(Ok(ProxyHeader::Unnamed)) => {
                let admitted = self.admit_as(peer, peer, false, true, open)?;
                Some(Admitted { is_known: false, ..admitted })
            }
            Ok(Err(NoHeader::Ended)) => None,
            Ok(Err(NoHeader::Bad(error))) => {
                self.refuse(Reason::BadProxyHeader, None, Some(error), peer);
                None
            }
            Err(_) => {
                self.refuse(Reason::ProxyHeaderTimeout, None, None, peer);
                None
            }
        }
    }
}

/// Reads the header, and puts back what was read behind it.
async fn header(stream: &mut L4Stream) -> Result<ProxyHeader, NoHeader> {
    let mut seen = BytesMut::new();
    loop {
        match read_some(stream, &mut seen).await {
            Ok(1..) => {}
            Ok(0) | Err(_) if seen.is_empty() => return Err(NoHeader::Ended),
            Ok(0) | Err(_) => return Err(NoHeader::Bad("it ended within the PROXY header")),
        }
        match ProxyHeader::read(&seen) {
            Ok(None) => {}
            Ok(Some((header, length))) => {
                stream.rewind(&seen[length..]);
                return Ok(header);
            }
            Err(bad) => return Err(NoHeader::Bad(bad.as_str())),
        }
    }
}

/// Makes the two the ends of the connection for all who ask from now on.
fn set_ends(stream: &mut L4Stream, client: SocketAddr, server: SocketAddr) {
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    // Both are unset in what is new.
    let _ = digest.peer_addr.set(Some(PeerAddr::Inet(client)));
    let _ = digest.local_addr.set(Some(PeerAddr::Inet(server)));
    stream.set_socket_digest(digest);
}

/// A connection as Pingora has them. It has no buffers: what is read goes into buffers of its own, and
/// what is written is gathered above.
pub(super) fn as_pingora(stream: TcpStream) -> L4Stream {
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    let mut stream = L4Stream::from(stream);
    stream.set_socket_digest(digest);
    stream
}

/// The same of one without TLS, whatever it runs on.
pub(super) fn into_pingora(stream: Transport) -> Option<Box<L4Stream>> {
    match stream {
        Transport::Tcp(stream) => Some(Box::new(as_pingora(stream))),
        Transport::Unix(_) => None,
        Transport::Other(stream) => stream.into_any().downcast().ok(),
    }
}
