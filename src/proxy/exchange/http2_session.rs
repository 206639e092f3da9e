//! A client's stream of HTTP/2 as Pingora has it: for requests whose backend speaks HTTP/2 too.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::time::timeout;
use pingora::{Error, ErrorType, Result};

use super::downstream::{Received, Relayed};
use super::errors::{Late, late, reset_by_client, unwritten_answer};
use super::http2::{Ending, Http2, poll_capacity};
use super::replay::Replay;
use crate::heads::names::CONTENT_LENGTH;
use crate::proxy::client::downstream::{DRAIN_BODY, Downstream};
use crate::proxy::client::pingora_head::{pingora_request, response_of};

type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// A stream in Pingora's hands.
pub(crate) struct Http2Session {
    stream: Http2,
    request: RequestHeader,
    written: Option<Box<ResponseHeader>>,
}

impl Http2Session {
    /// # Errors
    /// Never: what was read can be held.
    pub(crate) fn new(stream: Http2) -> Result<Self> {
        let request = pingora_request(&stream.request)?;
        Ok(Self { stream, request, written: None })
    }

    /// The next piece of the body; none at its end. What was read stays read where this is dropped.
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        let stream = &mut self.stream;
        let mut piece = None;
        loop {
            let received = poll_fn(|cx| {
                stream.poll_receive(cx, usize::MAX, &mut |_, content| {
                    piece = Some(Bytes::copy_from_slice(content));
                })
            });
            match received.await? {
                Received::End(_) => return Ok(None),
                Received::Content if piece.is_some() => return Ok(piece),
                Received::Content => {}
            }
        }
    }

    /// Ends when the client has reset the stream.
    async fn reset(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.stream.poll_gone(cx)).await;
        Err(Error::explain(ErrorType::H2Error, "the client has reset the stream").into_down())
    }

    /// Gives a piece to h2, as it takes it.
    async fn give(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        if matches!(self.stream.ending, Ending::Sent) {
            return Ok(());
        }
        let Some(send) = &mut self.stream.send else {
            return Err(Error::explain(ErrorType::H2Error, "a body before its head"));
        };
        self.stream.sent += data.len() as u64;
        if data.is_empty() {
            send.send_data(data, end).map_err(unwritten_answer)?;
        } else {
            while !data.is_empty() {
                send.reserve_capacity(data.len());
                let room = poll_fn(|cx| poll_capacity(send, cx)).await;
                let room =
                    room.ok_or_else(reset_by_client)?.map_err(unwritten_answer)?.min(data.len());
                let piece = data.split_to(room);
                send.send_data(piece, end && data.is_empty()).map_err(unwritten_answer)?;
            }
        }
        if end {
            self.stream.ending = Ending::Sent;
        }
        Ok(())
    }
}

#[async_trait]
impl Session for Http2Session {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.piece().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.stream.drain().await;
        Ok(())
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        if head.status.is_informational() {
            return self.stream.begin(&mut response_of(&head));
        }
        if self.written.is_none() {
            self.stream.send_head(&mut response_of(&head), end)?;
            self.written = Some(head);
        }
        Ok(())
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.write_response_header(Box::new(head.clone()), end).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        match timeout(self.stream.write_timeout, self.give(data, end)).await {
            Ok(given) => given,
            Err(_) => Err(late(Late::ClientTakes)),
        }
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if !matches!(self.stream.ending, Ending::Sent)
            && let Some(send) = &mut self.stream.send
        {
            send.send_trailers(trailers).map_err(unwritten_answer)?;
            self.stream.ending = Ending::Sent;
        }
        Ok(())
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut is_end = false;
        for task in tasks {
            is_end = match task {
                HttpTask::Header(head, end) => {
                    self.write_response_header(head, end).await.map_err(Error::into_down)?;
                    end
                }
                HttpTask::Body(data, end) => {
                    match data {
                        Some(data) if end || !data.is_empty() => self.write_body(data, end).await?,
                        _ => {}
                    }
                    end
                }
                HttpTask::Trailer(Some(trailers)) => {
                    self.write_trailers(*trailers).await?;
                    true
                }
                HttpTask::Trailer(None) | HttpTask::Done => true,
                HttpTask::Failed(error) => return Err(error),
                // There are none without an upgrade, of which HTTP/2 knows nothing.
                HttpTask::UpgradedBody(..) => is_end,
            };
        }
        if is_end {
            self.finish().await.map_err(Error::into_down)?;
        }
        Ok(is_end)
    }

    fn set_read_timeout(&mut self, time: Option<Duration>) {
        self.stream.read_timeout = time.unwrap_or(Duration::MAX);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        Some(self.stream.read_timeout)
    }

    fn set_write_timeout(&mut self, time: Option<Duration>) {
        self.stream.write_timeout = time.unwrap_or(Duration::MAX);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        Some(self.stream.write_timeout)
    }

    fn set_total_drain_timeout(&mut self, _: Option<Duration>) {}

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        Some(DRAIN_BODY)
    }

    fn request_summary(&self) -> String {
        format!("{} {}", self.request.method, self.request.uri)
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.written.as_deref()
    }

    async fn shutdown(&mut self, code: u32, _: &str) {
        match &mut self.stream.send {
            Some(send) => send.send_reset(h2::Reason::from(code)),
            None => self.stream.respond.send_reset(h2::Reason::from(code)),
        }
    }

    /// What is dropped without its end h2 resets.
    async fn abandon(&mut self, _: &str) {}

    fn is_body_done(&mut self) -> bool {
        self.stream.is_body_read()
    }

    async fn finish(&mut self) -> Result<()> {
        if self.written.is_some() { self.give(Bytes::new(), true).await } else { Ok(()) }
    }

    fn is_body_empty(&mut self) -> bool {
        self.stream.is_body_read() || {
            self.stream.request.headers.get(CONTENT_LENGTH) == Some(b"0")
        }
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.stream.is_body_read() {
            self.reset().await
        } else {
            self.piece().await
        }
    }

    fn body_bytes_sent(&self) -> usize {
        usize::try_from(self.stream.sent).unwrap_or(usize::MAX)
    }

    fn body_bytes_read(&self) -> usize {
        usize::try_from(self.stream.received).unwrap_or(usize::MAX)
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.stream.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Arc::get_mut(&mut self.stream.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.stream.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.stream.digest.socket_digest.as_ref()?.local_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        http_req_header_to_wire(&self.request).unwrap_or_default().freeze()
    }

    fn enable_retry_buffering(&mut self) {
        self.stream.keep_body();
    }

    fn retry_buffer_truncated(&self) -> bool {
        !self.stream.can_replay()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        let body = self.stream.replay.as_ref().filter(|replay| replay.is_whole()).map(Replay::body);
        body.filter(|body| !body.is_empty()).map(Bytes::copy_from_slice)
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        None
    }

    fn restore_custom_message_reader(&mut self, _: Messages) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
