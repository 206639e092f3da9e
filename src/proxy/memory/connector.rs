//! Makes the connections with HTTP/1 backends, so that they have a gate.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::http::custom::{Connection, Connector};
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::tls::CustomALPN;
use pingora::protocols::{ALPN, Digest};
use pingora::upstreams::peer::{HttpPeer, Peer};

use super::gate::{Gate, Gated};

/// Keeps the connections apart from those of the same backend that have no gate.
const GATED: u64 = 0x6761_7465_6420_6831;

/// Makes Pingora ask our connector for new connections of a peer. It is for HTTP/1 alone.
pub(crate) fn gated(peer: &mut HttpPeer) {
    // A protocol that is no other's: it is not what the backend is offered.
    static PROTOCOL: LazyLock<ALPN> =
        LazyLock::new(|| ALPN::Custom(CustomALPN::new(b"gated".to_vec())));
    peer.options.alpn = PROTOCOL.clone();
    peer.group_key ^= GATED;
}

/// The gate of a connection, where it has one.
pub(crate) fn gate_of(digest: Option<&Digest>) -> Option<Arc<Gate>> {
    let digest = digest?.proxy_digest.as_ref()?;
    digest.user_data.as_ref()?.downcast_ref::<Arc<Gate>>().map(Arc::clone)
}

/// Makes connections with a gate. Kept ones are in Pingora's own pool for HTTP/1.
pub(crate) struct GatedConnector(TransportConnector);

impl GatedConnector {
    pub(crate) fn new(options: ConnectorOptions) -> Self {
        Self(TransportConnector::new(Some(options)))
    }
}

#[async_trait]
impl Connector for GatedConnector {
    /// There is no protocol of ours.
    type Session = ();

    async fn get_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        peer: &P,
    ) -> pingora::Result<(Connection<()>, bool)> {
        let mut peer = peer.clone();
        if let Some(options) = peer.get_mut_peer_options() {
            options.alpn = ALPN::H1;
        }
        let stream = self.0.new_stream(&peer).await?;
        Ok((Connection::Stream(Box::new(Gated::new(stream)?)), false))
    }

    async fn reused_http_session<P: Peer + Send + Sync + 'static>(&self, _: &P) -> Option<()> {
        None
    }

    async fn release_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        (): (),
        _: &P,
        _: Option<Duration>,
    ) {
    }
}
