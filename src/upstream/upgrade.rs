//! Connections for requests that want to upgrade, such as `WebSockets`.
//!
//! Pingora 0.9.1 handles "the request has no body" and "the answer is 101" in one `select!` in
//! random order. If a backend answers so fast that both are ready at its first poll, the end of the
//! request may be taken for the end of the tunnel, and the WebSocket is closed as soon as it is
//! open. So reads here wait one poll after a write: by then the end of the request has been
//! handled.
//!
//! Pingora also has one time-out for all reads of a connection. For a WebSocket it is long, and any
//! client can ask for one; so until the backend has agreed, reads here have the time-out of other
//! answers.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::ext;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::upstreams::peer::{HttpPeer, PeerOptions};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};

use super::peer::path_of;
use crate::wrapped::{Polled, Wraps, send_to, wraps};

/// Sets up a peer for a request with an upgrade: over HTTP/1.1, which alone has upgrades (RFC 9110
/// §7.8), and on a connection of its own. Until the backend `has_agreed` it may be silent for
/// `silent`.
pub(crate) fn for_upgrade(peer: &mut HttpPeer, silent: Duration, has_agreed: HasAgreed) {
    let options: &mut PeerOptions = &mut peer.options;
    options.set_http_version(1, 1);
    options.custom_l4 = Some(Arc::new(UpgradeConnect { silent, has_agreed }));
    // A key that no kept connection has, so that the connection is never shared.
    peer.group_key ^= fastrand::u64(1..);
}

/// Whether a backend has agreed to the upgrade.
pub(crate) type HasAgreed = Arc<dyn Fn() -> bool + Send + Sync>;

struct UpgradeConnect {
    silent: Duration,
    has_agreed: HasAgreed,
}

impl std::fmt::Debug for UpgradeConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpgradeConnect").field("silent", &self.silent).finish_non_exhaustive()
    }
}

#[async_trait]
impl Connect for UpgradeConnect {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let socket: Box<dyn VirtualSocket> = match address {
            SocketAddr::Inet(address) => {
                let stream = ext::connect(address, None).await?;
                Box::new(UpgradeStream::new(stream, self))
            }
            SocketAddr::Unix(address) => {
                let stream = ext::connect_uds(path_of(address)?).await?;
                Box::new(UpgradeStream::new(stream, self))
            }
        };
        Ok(VirtualSocketStream::new(socket).into())
    }
}

/// A socket that is read one poll after a write, at the earliest.
struct UpgradeStream<S> {
    stream: S,
    has_written: bool,
    silent: Duration,
    has_agreed: HasAgreed,
    /// Runs while it is silent and has not agreed.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<S> UpgradeStream<S> {
    fn new(stream: S, connect: &UpgradeConnect) -> Self {
        let (silent, has_agreed) = (connect.silent, Arc::clone(&connect.has_agreed));
        Self { stream, has_written: false, silent, has_agreed, silence: None }
    }

    /// Whether it has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Polled {
        if (self.has_agreed)() {
            self.silence = None;
            return Poll::Pending;
        }
        let silent = self.silent;
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(silent)));
        if silence.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.silence = None;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for UpgradeStream<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpgradeStream").field("stream", &self.stream).finish_non_exhaustive()
    }
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

impl<S: Socket> VirtualSocket for UpgradeStream<S> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.stream.set_nodelay(),
            // Never called: peers here set nothing else.
            _ => Ok(()),
        }
    }
}

impl<S: Socket> Wraps for UpgradeStream<S> {
    fn receive(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Polled {
        if std::mem::take(&mut self.has_written) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.silence = None;
            return read;
        }
        self.poll_silence(cx)
    }

    fn send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Polled<usize> {
        self.has_written = true;
        send_to(&mut self.stream, cx, slices)
    }
}

wraps!(UpgradeStream<S> [S: Socket]: S);

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

    fn connect(silent: Duration, agreed: bool) -> UpgradeConnect {
        UpgradeConnect { silent, has_agreed: Arc::new(move || agreed) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_may_be_silent_for_long_only_once_it_has_agreed() {
        let read = |agreed| async move {
            let (near, _far) = tokio::io::duplex(64);
            let mut socket = UpgradeStream::new(near, &connect(Duration::from_secs(5), agreed));
            let mut buffer = [0; 1];
            let read = socket.read_exact(&mut buffer);
            tokio::time::timeout(Duration::from_hours(1), read).await.map(|read| read.map(drop))
        };
        let error = read(false).await.expect("it ends").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        read(true).await.expect_err("it goes on");
    }

    #[tokio::test]
    async fn a_read_waits_one_turn_after_a_write_and_no_longer() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut socket = UpgradeStream::new(near, &connect(Duration::from_mins(1), false));
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
