//! The client's end of a request, whichever carrier has it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version};
use pingora::Result;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::protocols::tls::SslDigest;
use pingora::proxy::Session;

use super::pingora_head::{attached, attached_mut, pingora_response};
use crate::heads::names::EXPECT;
use crate::heads::{RequestHead, ResponseHead};
use crate::model::ProxyHeader;
use crate::telemetry::{KeptHeaders, LoggedHeader};

/// How long the rest of a request body that nobody wants may take, so that its connection can be
/// used again.
pub(crate) const DRAIN_BODY: Duration = Duration::from_secs(5);

/// What is seen of a request before its head was attached.
static UNREAD: LazyLock<RequestHead> = LazyLock::new(|| RequestHead::new(Method::GET, b"/"));

/// The client's end of a request: what it has asked, and how it is answered.
pub(crate) trait Downstream: Send {
    fn request(&self) -> &RequestHead;

    fn request_mut(&mut self) -> &mut RequestHead;

    /// The status of the head that was sent last.
    fn status(&self) -> Option<StatusCode>;

    /// Whether the client has sent its whole body.
    fn is_body_read(&mut self) -> bool;

    /// How many bytes of the body have come.
    fn received(&self) -> u64;

    /// How many bytes of an answer's body have gone.
    fn sent(&self) -> u64;

    /// Whether the connection carries a further request.
    fn keeps(&self) -> bool;

    /// The connection carries no further request.
    fn close_after(&mut self);

    /// The version of TLS, as others write it.
    fn tls(&self) -> Option<&'static str>;

    /// Whether trailers reach the client.
    fn passes_trailers(&self) -> bool;

    /// Whose connection the request came over.
    fn ends(&self) -> ProxyHeader;

    /// How long the client may say nothing within its body, and take nothing of an answer.
    fn set_timeouts(&mut self, read: Duration, write: Duration);

    /// How long the client may say nothing within its body.
    fn set_read_timeout(&mut self, read: Duration);

    /// Whether what was read of the body can be sent once more.
    fn can_replay(&self) -> bool;

    /// From now on these headers of answers are kept.
    fn keep_headers(&mut self, wanted: &Arc<[LoggedHeader]>);

    /// What was kept of the answer; `wanted` is what [`Self::keep_headers`] was given.
    fn kept_headers(&self, wanted: &[LoggedHeader]) -> Option<Arc<KeptHeaders>>;

    /// Sends an answer whole; without a body its head ends it.
    ///
    /// # Errors
    /// When the client takes no answer any more.
    fn answer(
        &mut self,
        head: ResponseHead,
        body: Option<Bytes>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Reads the rest of the body, and forgets it.
    fn drain(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends when the client is gone, once it has sent its body.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
}

impl Downstream for Session {
    fn request(&self) -> &RequestHead {
        attached(self.req_header()).unwrap_or(&UNREAD)
    }

    fn request_mut(&mut self) -> &mut RequestHead {
        attached_mut(self.req_header_mut())
    }

    fn status(&self) -> Option<StatusCode> {
        self.response_written().map(|response| response.status)
    }

    fn is_body_read(&mut self) -> bool {
        self.as_mut().is_body_done()
    }

    fn received(&self) -> u64 {
        self.as_downstream().body_bytes_read() as u64
    }

    fn sent(&self) -> u64 {
        self.as_downstream().body_bytes_sent() as u64
    }

    fn keeps(&self) -> bool {
        self.as_downstream().get_keepalive().is_some()
    }

    fn close_after(&mut self) {
        self.set_keepalive(None);
    }

    fn tls(&self) -> Option<&'static str> {
        self.digest()?.ssl_digest.as_deref().map(tls_version)
    }

    fn passes_trailers(&self) -> bool {
        self.req_header().version == Version::HTTP_2
    }

    fn ends(&self) -> ProxyHeader {
        let end = |address: Option<&PeerAddr>| address.and_then(PeerAddr::as_inet).copied();
        match (end(self.client_addr()), end(self.server_addr())) {
            (Some(client), Some(server)) => ProxyHeader::Proxied { client, server },
            _ => ProxyHeader::Local,
        }
    }

    fn set_timeouts(&mut self, read: Duration, write: Duration) {
        self.as_downstream_mut().set_read_timeout(Some(read));
        self.as_downstream_mut().set_write_timeout(Some(write));
        self.set_total_drain_timeout(Some(DRAIN_BODY));
        // HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
        if self.req_header().version == Version::HTTP_10 {
            self.set_ignore_info_resp(true);
        }
        // Pingora would close the connection after each `Expect: 100-continue`, because the body is
        // not read yet when the backend's 100 passes.
        if self.request().headers.has(EXPECT) {
            self.set_close_on_response_before_downstream_finish(false);
        }
    }

    fn set_read_timeout(&mut self, read: Duration) {
        self.as_downstream_mut().set_read_timeout(Some(read));
    }

    fn can_replay(&self) -> bool {
        !self.as_ref().retry_buffer_truncated()
    }

    /// The session keeps the whole head itself.
    fn keep_headers(&mut self, _: &Arc<[LoggedHeader]>) {}

    fn kept_headers(&self, wanted: &[LoggedHeader]) -> Option<Arc<KeptHeaders>> {
        let head = self.response_written()?;
        let visit = |header: &LoggedHeader, visit: &mut dyn FnMut(&[u8])| {
            head.headers.get_all(header.name()).iter().map(HeaderValue::as_bytes).for_each(visit);
        };
        Some(Arc::new(KeptHeaders::of(wanted, visit)))
    }

    async fn answer(&mut self, head: ResponseHead, body: Option<Bytes>) -> Result<()> {
        let head = pingora_response(&head)?;
        let Some(body) = body else {
            return match self.as_mut() {
                // Pingora's own ways to write a head never end the stream with it.
                ServerSession::H2(stream) => stream.write_response_header(Box::new(head), true),
                ServerSession::Custom(stream) => {
                    stream.write_response_header(Box::new(head), true).await
                }
                _ => self.write_response_header(Box::new(head), true).await,
            };
        };
        self.write_response_header(Box::new(head), false).await?;
        self.write_response_body(Some(body), true).await
    }

    async fn drain(&mut self) {
        let _ = self.as_mut().drain_request_body().await;
    }

    async fn gone(&mut self) {
        let _ = self.as_downstream_mut().read_body_or_idle(true).await;
    }
}

/// The version as others write it; there are no more.
pub(crate) fn tls_version(digest: &SslDigest) -> &'static str {
    if digest.version.ends_with('2') { "TLSv1.2" } else { "TLSv1.3" }
}
