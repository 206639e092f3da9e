//! TLS handshakes: reads the hello, chooses a certificate or waits for one, and hands on a stream.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pingora::listeners::tls::Acceptor as PingoraAcceptor;
use pingora::protocols::GetSocketDigest;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::tls::TlsStream;
use pingora::time::timeout;
use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::entry::Front;
use crate::counters::InFlightGuard;
use crate::counters::Metrics;
use crate::model::Reason;
use crate::model::{MatchedBy, TlsMode, normalise_host};
use crate::places::ClientKey;
use crate::proxy::client::connection::Agreed;
use crate::proxy::options::{HandshakeLimits, Https};
use crate::proxy::wire::head::read_some;
use crate::state::Reader;
use crate::tls::{Served, Slot};

/// The largest hello that is read: several times what the largest post-quantum ones take. It is held for
/// each connection that does not finish its own.
const MAX_HELLO: usize = 16 * 1024;

/// How long a handshake waits for a certificate that is being obtained.
const HOLD: Duration = Duration::from_secs(10);

/// The protocol of the challenge tls-alpn-01 (RFC 8737 §6.2).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// Makes handshakes on one listener.
pub(crate) struct Handshakes {
    https: Arc<Https>,
    reader: Reader,
    metrics: Arc<Metrics>,
}

/// What comes of a handshake.
pub(crate) enum Shaken {
    /// A client that speaks HTTP now. The guard keeps the server from stopping under it.
    Ready(Box<TlsStream<L4Stream>>, Agreed, InFlightGuard),
    /// A CA that has seen what it wanted.
    Proven,
    /// The client went away before it said anything.
    Ended,
    /// No handshake.
    Refused(Reason),
    /// The client spoke HTTP without TLS; it can still be answered.
    Plain(Box<L4Stream>),
}

/// What of a hello decides.
struct Hello {
    server_name: Option<String>,
    proves: bool,
}

/// What is done with a hello.
enum Choice {
    /// The certificate is shown, to a client that asked for this name.
    Serve(Arc<Served>, Option<Box<str>>),
    /// A CA is shown what it set as a challenge.
    Prove(Arc<ServerConfig>),
}

/// Who asks for a certificate.
#[derive(Debug, Clone, Copy)]
struct Asking {
    key: ClientKey,
    /// Whether it stands for many.
    is_many: bool,
}

/// Why there is no hello.
enum NoHello {
    Ended,
    Plain,
    Refused(Reason),
}

impl Handshakes {
    pub(crate) fn new(https: Arc<Https>, reader: Reader, metrics: Arc<Metrics>) -> Self {
        Self { https, reader, metrics }
    }

    /// Makes the handshake of one connection. Until its hello is whole it is a silent one, and costs
    /// nothing.
    pub(crate) async fn shake(
        &self,
        mut stream: L4Stream,
        (client, is_many): (IpAddr, bool),
        front: &Front,
        limits: HandshakeLimits,
    ) -> Shaken {
        let mut silent = front.connections.silent(client, front.connection_limits());
        let mut seen = BytesMut::new();
        let read = tokio::select! {
            biased;
            read = timeout(limits.total, hello(&mut stream, &mut seen)) => read,
            () = silent.lost() => return Shaken::Refused(Reason::TooManySilentConnections),
        };
        drop(silent);
        let hello = match read {
            Ok(Ok(hello)) => hello,
            Ok(Err(NoHello::Ended)) => return Shaken::Ended,
            Ok(Err(NoHello::Plain)) => {
                return Shaken::Plain(Box::new(stream));
            }
            Ok(Err(NoHello::Refused(reason))) => return Shaken::Refused(reason),
            Err(_) if seen.is_empty() => return Shaken::Ended,
            Err(_) => return Shaken::Refused(Reason::HandshakeTimeout),
        };
        let mut place = front.connections.shaking(client, limits.at_once);
        let asking = Asking { key: ClientKey::of(client), is_many };
        stream.rewind(&seen);
        drop(seen);
        tokio::select! {
            biased;
            shaken = self.answer(stream, &hello, asking, limits) => shaken,
            () = place.lost() => Shaken::Refused(Reason::TooManyHandshakes),
        }
    }

    /// Makes a handshake whose hello was read.
    async fn answer(
        &self,
        stream: L4Stream,
        hello: &Hello,
        client: Asking,
        limits: HandshakeLimits,
    ) -> Shaken {
        let busy = self.metrics.busy.enter();
        let choice = self.choose(hello, &stream, client).await;
        let config = match &choice {
            Ok(Choice::Serve(served, _)) => {
                served.touch();
                served.config()
            }
            Ok(Choice::Prove(config)) => config,
            Err(_) => self.https.serving.refusing(),
        };
        let acceptor = PingoraAcceptor::from_server_config(Arc::clone(config));
        let shaken = timeout(limits.total, Box::pin(acceptor.tls_handshake(stream))).await;
        match (shaken, choice) {
            (_, Err(reason)) => Shaken::Refused(reason),
            (Ok(Ok(_)), Ok(Choice::Prove(_))) => Shaken::Proven,
            (Ok(Ok(stream)), Ok(Choice::Serve(served, server_name))) => {
                let agreed = Agreed { server_name, certificate: served.certificate.clone() };
                Shaken::Ready(Box::new(stream), agreed, busy)
            }
            (Ok(Err(error)), Ok(_)) => {
                tracing::debug!(%error, "TLS handshake failed");
                Shaken::Refused(Reason::HandshakeFailed)
            }
            (Err(_), Ok(_)) => Shaken::Refused(Reason::HandshakeTimeout),
        }
    }

    /// What the client should see.
    async fn choose(
        &self,
        hello: &Hello,
        stream: &L4Stream,
        client: Asking,
    ) -> Result<Choice, Reason> {
        let mut buffer = [0; 256];
        let mut own_ip = String::new();
        let name = match &hello.server_name {
            Some(name) => normalise_host(name, &mut buffer).map_err(|_| Reason::UnknownServerName),
            // RFC 6066 §3 has no names for addresses: who asks for one names none.
            None => local_ip(stream)
                .map(|ip| {
                    own_ip = ip;
                    own_ip.as_str()
                })
                .ok_or(Reason::UnknownServerName),
        }?;
        if hello.proves {
            let challenge = self.https.challenges.tls_alpn01(name);
            return challenge.map(Choice::Prove).ok_or(Reason::UnknownChallenge);
        }
        let served = match self.certificate(name, hello.server_name.is_some(), client).await {
            Err(Reason::UnknownServerName) => {
                let default = self.https.certificates.default_certificate();
                default.ok_or(Reason::UnknownServerName)
            }
            served => served,
        }?;
        Ok(Choice::Serve(served, hello.server_name.is_some().then(|| name.into())))
    }

    /// The certificate for a name, where its domain has one or is about to.
    async fn certificate(
        &self,
        name: &str,
        is_named: bool,
        client: Asking,
    ) -> Result<Arc<Served>, Reason> {
        let certificates = &self.https.certificates;
        let mut changes = None;
        let waiting = async {
            let (mut has_demanded, mut is_refused) = (false, None);
            loop {
                // The domain first: the certificates of one that has just gone are still there.
                let (by_default, revision) = self.served_by_default(name, is_named)?;
                // Before the look at what there is: after it, that could have come in between.
                let is_known = certificates.has_caught_up(revision);
                let own = certificates.find(name);
                match own.or_else(|| by_default.then(|| certificates.any()).flatten()) {
                    Some(Slot::Ready(served)) => return Ok(served),
                    Some(Slot::Unavailable) => return Err(Reason::NoCertificate),
                    Some(Slot::OnDemand) if !has_demanded => {
                        has_demanded = true;
                        let demanded = certificates.demand(name, client.key, client.is_many);
                        is_refused = Some(demanded.ok_or(Reason::NoCertificate)?);
                    }
                    None if is_known => return Err(Reason::NoCertificate),
                    Some(Slot::Pending | Slot::OnDemand) | None => {}
                }
                match &mut changes {
                    // Looks once more: what came before the watch began is not reported.
                    none @ None => *none = Some(certificates.watch()),
                    Some(changes) => tokio::select! {
                        news = changes.changed() => news.map_err(|_| Reason::NoCertificate)?,
                        () = refused(&mut is_refused) => return Err(Reason::NoCertificate),
                    },
                }
            }
        };
        timeout(HOLD, waiting).await.unwrap_or(Err(Reason::NoCertificate))
    }

    /// Whether it is only the domain `*` that answers for the name, at which revision; an error when
    /// nobody does over HTTPS.
    fn served_by_default(&self, name: &str, is_named: bool) -> Result<(bool, u64), Reason> {
        let snapshot = self.reader.load();
        let (by, node) = snapshot.route_by(name).ok_or(Reason::UnknownServerName)?;
        let by_default = by == MatchedBy::Default;
        let is_off = node.virtual_host.top.tls == TlsMode::Off;
        if is_off || (by_default && !is_named) {
            return Err(Reason::UnknownServerName);
        }
        Ok((by_default, snapshot.revision()))
    }
}

/// Ends when a certificate that was asked for will not come.
async fn refused(is_refused: &mut Option<oneshot::Receiver<()>>) {
    if let Some(refused) = is_refused {
        let answered = refused.await.is_ok();
        // Polled once more it would panic.
        *is_refused = None;
        if answered {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Reads until the hello is whole; what was read is in `seen`.
async fn hello(stream: &mut L4Stream, seen: &mut BytesMut) -> Result<Hello, NoHello> {
    let mut acceptor = Acceptor::default();
    loop {
        let before = seen.len();
        match read_some(stream, seen).await {
            Ok(1..) => {}
            Ok(0) | Err(_) if before == 0 => return Err(NoHello::Ended),
            Ok(0) | Err(_) => return Err(NoHello::Refused(Reason::HandshakeFailed)),
        }
        if before == 0 && seen[0].is_ascii_uppercase() {
            return Err(NoHello::Plain);
        }
        let mut fresh = &seen[before..];
        while !fresh.is_empty() {
            if acceptor.read_tls(&mut fresh).is_err() {
                return Err(NoHello::Refused(Reason::HandshakeFailed));
            }
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(Hello::of(&accepted.client_hello())),
            Ok(None) if seen.len() < MAX_HELLO => {}
            Ok(None) => return Err(NoHello::Refused(Reason::HandshakeFailed)),
            Err((error, mut alert)) => {
                tracing::debug!(%error, "TLS hello refused");
                let mut bytes = Vec::new();
                while alert.write(&mut bytes).is_ok_and(|written| written > 0) {}
                // Whoever doesn't take it is gone already.
                let _: io::Result<()> = stream.write_all(&bytes).await;
                let _: io::Result<()> = stream.shutdown().await;
                return Err(NoHello::Refused(Reason::HandshakeFailed));
            }
        }
    }
}

impl Hello {
    fn of(hello: &ClientHello<'_>) -> Self {
        // A client of RFC 8737 offers that protocol and no other.
        let mut protocols = hello.alpn().into_iter().flatten();
        let proves = protocols.next() == Some(ACME_TLS) && protocols.next().is_none();
        Self { server_name: hello.server_name().map(str::to_owned), proves }
    }
}

/// The address that the client connected to, as a domain would be named by it.
fn local_ip(stream: &L4Stream) -> Option<String> {
    let digest = stream.get_socket_digest()?;
    let ip = digest.local_addr()?.as_inet()?.ip().to_canonical();
    Some(if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() })
}
