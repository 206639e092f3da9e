//! Connections with backends: one that is kept, or a new one.

use std::time::Instant;

use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::ALPN;
use pingora::protocols::l4::ext;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::upstreams::peer::Peer;
use pingora::{Error, ErrorType, OrErr, Result};
use tokio::io::AsyncWriteExt;

use crate::link::{Link, Slot, Transport};
use crate::model::SendProxyProtocol;
use crate::proxy::carry::target::Target;
use crate::proxy::client::downstream::Downstream;
use crate::state::Endpoints;
use crate::upstream;

/// Makes connections with backends.
pub(super) struct Connector(TransportConnector);

impl Connector {
    pub(super) fn new(options: ConnectorOptions) -> Self {
        Self(TransportConnector::new(Some(options)))
    }

    /// A connection with the backend that a request goes to.
    ///
    /// # Errors
    /// When there can be none.
    pub(super) async fn link(
        &self,
        target: &Target,
        client: &impl Downstream,
        announced: &Slot,
    ) -> Result<Box<Link>> {
        if let Some(link) = kept(target, announced) {
            return Ok(link);
        }
        // Boxed: most requests find one that is kept.
        Box::pin(self.connect(target, client)).await
    }

    async fn connect(&self, target: &Target, client: &impl Downstream) -> Result<Box<Link>> {
        let node = &target.node;
        let mut peer = upstream::peer(node, &node.live.endpoints(), target.pick)?;
        let address = peer.address().as_inet().copied();
        let transport = if peer.is_tls() {
            peer.options.alpn = ALPN::H1;
            let announced = node.backend.options.send_proxy_protocol;
            upstream::announce(&mut peer, announced, || client.ends());
            peer.options.connection_timeout = Some(target.connect_timeout);
            peer.options.total_connection_timeout = Some(target.connect_timeout);
            Transport::Other(self.0.new_stream(&peer).await.map_err(Error::into_up)?)
        } else {
            let connecting = plain(target, peer.address(), client);
            match pingora::time::timeout(target.connect_timeout, connecting).await {
                Ok(connected) => connected.map_err(Error::into_up)?,
                Err(_) => {
                    return Err(Error::explain(ErrorType::ConnectTimedout, "connecting").into_up());
                }
            }
        };
        Ok(Box::new(Link::new(transport, node.connection_group(), address)))
    }
}

/// A connection that is kept: of those with the backend, or, where it was announced to the backend whose
/// it is, the client's own.
fn kept(target: &Target, announced: &Slot) -> Option<Box<Link>> {
    if target.is_fresh || target.pick > 0 {
        return None;
    }
    let node = &target.node;
    let (group, endpoints, now) = (node.connection_group(), node.live.endpoints(), Instant::now());
    let fits = |link: &Link| {
        link.group == group
            && match (&**endpoints, link.address) {
                (Endpoints::Tcp(addresses), Some(address)) => addresses.contains(&address),
                (Endpoints::Unix(_), None) => true,
                _ => false,
            }
    };
    if is_announced(target) {
        return announced.take().filter(|link| fits(link)).and_then(|link| link.if_good(now));
    }
    node.live.kept().take(now, fits)
}

fn is_announced(target: &Target) -> bool {
    target.node.backend.options.send_proxy_protocol != SendProxyProtocol::Off
}

/// Keeps a connection that has carried a request, unless its backend takes none any more.
pub(super) fn keep(mut link: Box<Link>, target: &Target, announced: &Slot) {
    link.rest(target.idle_timeout, Instant::now());
    if is_announced(target) {
        announced.put(link);
    } else {
        target.node.live.keep(link);
    }
}

async fn plain(target: &Target, address: &PeerAddr, client: &impl Downstream) -> Result<Transport> {
    let mut transport = match address {
        PeerAddr::Inet(address) => {
            let stream = ext::connect(address, None).await?;
            stream.set_nodelay(true).or_err(ErrorType::SocketError, "TCP_NODELAY")?;
            Transport::Tcp(stream)
        }
        PeerAddr::Unix(address) => {
            let path = address.as_pathname();
            let path = path.ok_or_else(|| Error::explain(ErrorType::ConnectError, "no path"))?;
            Transport::Unix(ext::connect_uds(path).await?)
        }
    };
    let how = target.node.backend.options.send_proxy_protocol;
    if how != SendProxyProtocol::Off
        && let Some(header) = client.ends().write(how)
    {
        let sending = transport.write_all(&header).await;
        sending.or_err(ErrorType::ConnectError, "sending the PROXY header")?;
    }
    Ok(transport)
}
