//! Connections for requests that want to upgrade, such as `WebSockets`.
//!
//! Pingora 0.9.1 hands "the request has no body" and "the answer is 101" to one `select!` in random
//! order. When a backend answers so fast that both are there at its first look, the end of the request
//! may be taken for the end of the tunnel, and the WebSocket is closed as soon as it is open. So reads
//! here wait one turn after a write: by then the end of the request has been dealt with.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::ext;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::upstreams::peer::{HttpPeer, PeerOptions};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::path_of;

/// Makes a peer one that a request with an upgrade can go to: over HTTP/1.1, which alone has upgrades
/// (RFC 9110 §7.8), and on a connection of its own.
pub fn for_upgrade(peer: &mut HttpPeer) {
    static CONNECT: LazyLock<Arc<PatientConnect>> = LazyLock::new(Arc::default);
    let options: &mut PeerOptions = &mut peer.options;
    options.set_http_version(1, 1);
    options.custom_l4 = Some(CONNECT.clone());
    // A key that no kept connection has, so that none is used for this, nor this one for others.
    peer.group_key ^= fastrand::u64(1..);
}

#[derive(Debug, Default)]
struct PatientConnect;

#[async_trait]
impl Connect for PatientConnect {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let socket: Box<dyn VirtualSocket> = match address {
            SocketAddr::Inet(address) => {
                let stream = ext::connect(address, None).await?;
                Box::new(Patient { stream, has_written: false })
            }
            SocketAddr::Unix(address) => {
                let stream = ext::connect_uds(path_of(address)?).await?;
                Box::new(Patient { stream, has_written: false })
            }
        };
        Ok(VirtualSocketStream::new(socket).into())
    }
}

/// A socket that is read from one turn after it was written to, at the earliest.
#[derive(Debug)]
struct Patient<S> {
    stream: S,
    has_written: bool,
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug {
    fn set_nodelay(&self) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn set_nodelay(&self) -> io::Result<()> {
        TcpStream::set_nodelay(self, true)
    }
}

impl Socket for UnixStream {
    fn set_nodelay(&self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Socket> VirtualSocket for Patient<S> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.stream.set_nodelay(),
            // Never asked for: peers here set nothing else.
            _ => Ok(()),
        }
    }
}

impl<S: Socket> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.has_written) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl<S: Socket> AsyncWrite for Patient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.has_written = true;
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    impl Socket for tokio::io::DuplexStream {
        fn set_nodelay(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_read_waits_one_turn_after_a_write_and_no_longer() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut socket = Patient { stream: near, has_written: false };
        far.write_all(b"ready").await.unwrap();
        socket.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 5];
        let first = {
            let mut read = Box::pin(socket.read_exact(&mut buffer));
            std::future::poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_ready())).await
        };
        assert!(!first, "the answer is there, and is not looked at yet");
        let second = tokio::time::timeout(Duration::from_secs(5), socket.read_exact(&mut buffer));
        second.await.expect("in time").unwrap();
        assert_eq!(&buffer, b"ready");
    }
}
