//! Connections that begin with a header of the PROXY protocol.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::ext;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorType, OrErr, Result};
use tokio::io::AsyncWriteExt;

use super::peer::path_of;
use crate::model::{ProxyHeader, SendProxyProtocol};

/// Makes new connections of a peer begin with the header. A kept one is only used again for an
/// identical header, which means the same client connection.
pub(crate) fn announce(
    peer: &mut HttpPeer,
    how: SendProxyProtocol,
    header: impl FnOnce() -> ProxyHeader,
) {
    /// Secret: with two headers of the same hash, a client could get another's connection.
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    if how == SendProxyProtocol::Off {
        return;
    }
    let header = header();
    peer.group_key ^= KEYS.hash_one(header);
    let connect = peer.options.custom_l4.take();
    peer.options.custom_l4 = Some(Arc::new(Announcing { header, how, connect }));
}

/// Connects, and sends the header before anything else.
#[derive(Debug)]
struct Announcing {
    header: ProxyHeader,
    how: SendProxyProtocol,
    /// The inner connector, if any.
    connect: Option<Arc<dyn L4Connect + Send + Sync>>,
}

#[async_trait]
impl L4Connect for Announcing {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let mut stream: Stream = match (&self.connect, address) {
            (Some(connect), address) => connect.connect(address).await?,
            (None, SocketAddr::Inet(address)) => ext::connect(address, None).await?.into(),
            (None, SocketAddr::Unix(address)) => ext::connect_uds(path_of(address)?).await?.into(),
        };
        let sending = async {
            stream.write_all(&self.header.write(self.how).unwrap_or_default()).await?;
            stream.flush().await
        };
        sending.await.or_err(ErrorType::ConnectError, "sending the PROXY header")?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use pingora::upstreams::peer::Peer;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    fn header(client: &str) -> ProxyHeader {
        let server = "198.51.100.1:443".parse().unwrap();
        ProxyHeader::Proxied { client: client.parse().unwrap(), server }
    }

    fn reuse(how: SendProxyProtocol, client: &str) -> u64 {
        let address: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
        let mut peer = HttpPeer::new(address, false, String::new());
        announce(&mut peer, how, || header(client));
        peer.reuse_hash()
    }

    #[test]
    fn a_kept_connection_is_for_one_clients_connection() {
        use SendProxyProtocol::{Off, V2};
        assert_eq!(reuse(V2, "192.0.2.1:1"), reuse(V2, "192.0.2.1:1"));
        assert_ne!(reuse(V2, "192.0.2.1:1"), reuse(V2, "192.0.2.1:2"));
        assert_ne!(reuse(V2, "192.0.2.1:1"), reuse(V2, "192.0.2.2:1"));
        assert_ne!(reuse(V2, "192.0.2.1:1"), reuse(Off, "192.0.2.1:1"));
        assert_eq!(reuse(Off, "192.0.2.1:1"), reuse(Off, "192.0.2.2:1"), "they share");
    }

    #[tokio::test]
    async fn the_header_goes_before_all_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for patient in [false, true] {
            let mut peer = HttpPeer::new(address, false, String::new());
            if patient {
                let (silent, agreed) =
                    (std::time::Duration::from_secs(1), std::sync::Arc::new(|| false));
                super::super::for_upgrade(&mut peer, silent, agreed);
            }
            announce(&mut peer, SendProxyProtocol::V1, || header("192.0.2.1:1"));
            let connect = peer.options.custom_l4.expect("it was set");
            let mut stream = connect.connect(&SocketAddr::Inet(address)).await.unwrap();
            stream.write_all(b"GET").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut received = String::new();
            let (mut accepted, _) = listener.accept().await.unwrap();
            accepted.read_to_string(&mut received).await.unwrap();
            assert_eq!(received, "PROXY TCP4 192.0.2.1 198.51.100.1 1 443\r\nGET");
        }
    }
}
