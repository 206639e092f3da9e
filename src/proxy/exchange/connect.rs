//! Connections with backends: one that is kept, or a new one.

use std::sync::Arc;
use std::time::Instant;

use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::ALPN;
use pingora::protocols::l4::ext;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::upstreams::peer::Peer;
use pingora::{Error, ErrorType, OrErr, Result};
use tokio::io::AsyncWriteExt;

use crate::link::{Link, Owner, Transport};
use crate::model::SendProxyProtocol;
use crate::proxy::carry::target::Target;
use crate::proxy::client::downstream::Downstream;
use crate::proxy::memory::Budget;
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
        budget: &Arc<Budget>,
    ) -> Result<Box<Link>> {
        let how = target.node.backend.options.send_proxy_protocol;
        // Each client connection has a budget of its own.
        let owner =
            (how != SendProxyProtocol::Off).then(|| -> Owner { Arc::<Budget>::downgrade(budget) });
        if let Some(link) = kept(target, owner.as_ref()) {
            return Ok(link);
        }
        // Boxed: most requests find one that is kept.
        let mut link = Box::pin(self.connect(target, client)).await?;
        link.owner = owner;
        Ok(link)
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

/// A connection that is kept; where it was announced to the backend, the client's own.
fn kept(target: &Target, owner: Option<&Owner>) -> Option<Box<Link>> {
    if target.is_fresh || target.pick > 0 {
        return None;
    }
    let node = &target.node;
    let (group, endpoints) = (node.connection_group(), node.live.endpoints());
    let fits = |link: &Link| {
        link.group == group
            && link.belongs_to(owner)
            && match (&**endpoints, link.address) {
                (Endpoints::Tcp(addresses), Some(address)) => addresses.contains(&address),
                (Endpoints::Unix(_), None) => true,
                _ => false,
            }
    };
    node.live.kept().take(Instant::now(), fits)
}

/// Keeps a connection that has carried a request, unless its backend takes none any more.
pub(super) fn keep(mut link: Box<Link>, target: &Target) {
    link.rest(target.idle_timeout, Instant::now());
    target.node.live.keep(link);
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
