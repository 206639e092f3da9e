//! Streams that wrap another one, their field `stream`: each says what it does otherwise, and leaves the
//! rest as it is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What came of an attempt to read or write.
pub(crate) type Polled<T = ()> = Poll<io::Result<T>>;

/// A stream that wraps another one. [`wraps`] makes one of Tokio of it.
pub(crate) trait Wraps: Over<Stream: AsyncRead + AsyncWrite + Unpin> {
    fn receive(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Polled {
        Pin::new(self.stream_mut()).poll_read(cx, buffer)
    }

    fn send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Polled<usize> {
        send_to(self.stream_mut(), cx, slices)
    }

    /// Writes what is held back.
    fn drain(&mut self, _: &mut Context<'_>) -> Polled {
        Poll::Ready(Ok(()))
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Polled {
        ready!(self.drain(cx))?;
        Pin::new(self.stream_mut()).poll_flush(cx)
    }

    fn close(&mut self, cx: &mut Context<'_>) -> Polled {
        ready!(self.drain(cx))?;
        Pin::new(self.stream_mut()).poll_shutdown(cx)
    }
}

/// What is above a stream.
pub(crate) trait Over {
    type Stream;

    fn stream_mut(&mut self) -> &mut Self::Stream;
}

/// Writes to a stream.
pub(crate) fn send_to<S>(
    stream: &mut S,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Polled<usize>
where
    S: AsyncWrite + Unpin + ?Sized,
{
    match slices {
        [bytes] => Pin::new(stream).poll_write(cx, bytes),
        slices => Pin::new(stream).poll_write_vectored(cx, slices),
    }
}

/// Reading and writing, as [`Wraps`] says.
macro_rules! wraps {
    ($wrapper:ty $([$($generic:tt)+])?: $stream:ty) => {
        impl $(<$($generic)+>)? crate::wrapped::Over for $wrapper {
            type Stream = $stream;

            fn stream_mut(&mut self) -> &mut $stream {
                &mut self.stream
            }
        }

        impl $(<$($generic)+>)? tokio::io::AsyncRead for $wrapper {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> crate::wrapped::Polled {
                crate::wrapped::Wraps::receive(self.get_mut(), cx, buffer)
            }
        }

        impl $(<$($generic)+>)? tokio::io::AsyncWrite for $wrapper {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> crate::wrapped::Polled<usize> {
                let slices = [std::io::IoSlice::new(bytes)];
                crate::wrapped::Wraps::send(self.get_mut(), cx, &slices)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> crate::wrapped::Polled<usize> {
                crate::wrapped::Wraps::send(self.get_mut(), cx, slices)
            }

            fn is_write_vectored(&self) -> bool {
                self.stream.is_write_vectored()
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> crate::wrapped::Polled {
                crate::wrapped::Wraps::flush(self.get_mut(), cx)
            }

            fn poll_shutdown(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> crate::wrapped::Polled {
                crate::wrapped::Wraps::close(self.get_mut(), cx)
            }
        }
    };
}

/// What a connection is and says of itself, but for its `ProxyDigest`.
macro_rules! pass_through {
    ($wrapper:ty) => {
        #[async_trait::async_trait]
        impl pingora::protocols::Shutdown for $wrapper {
            async fn shutdown(&mut self) {
                // Whoever doesn't take it is gone.
                let drained = std::future::poll_fn(|cx| crate::wrapped::Wraps::drain(self, cx));
                let _ = drained.await;
                pingora::protocols::Shutdown::shutdown(&mut *self.stream).await;
            }
        }

        impl pingora::protocols::UniqueID for $wrapper {
            fn id(&self) -> pingora::protocols::UniqueIDType {
                self.stream.id()
            }
        }

        impl pingora::protocols::Ssl for $wrapper {
            fn get_ssl_digest(&self) -> Option<std::sync::Arc<pingora::protocols::tls::SslDigest>> {
                self.stream.get_ssl_digest()
            }

            fn selected_alpn_proto(&self) -> Option<pingora::protocols::ALPN> {
                self.stream.selected_alpn_proto()
            }
        }

        impl pingora::protocols::Peek for $wrapper {}

        impl pingora::protocols::GetTimingDigest for $wrapper {
            fn get_timing_digest(&self) -> Vec<Option<pingora::protocols::TimingDigest>> {
                self.stream.get_timing_digest()
            }

            fn get_read_pending_time(&self) -> std::time::Duration {
                self.stream.get_read_pending_time()
            }

            fn get_write_pending_time(&self) -> std::time::Duration {
                self.stream.get_write_pending_time()
            }
        }

        impl pingora::protocols::GetSocketDigest for $wrapper {
            fn get_socket_digest(
                &self,
            ) -> Option<std::sync::Arc<pingora::protocols::SocketDigest>> {
                self.stream.get_socket_digest()
            }
        }
    };
}

pub(crate) use {pass_through, wraps};
