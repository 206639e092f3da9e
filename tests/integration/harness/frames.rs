//! An HTTP/2 client (prior knowledge, or over TLS) that shows and sends frames.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test's asynchronous part.
pub(crate) fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// One HTTP/2 connection.
pub(crate) struct H2 {
    scheme: &'static str,
    requests: SendRequest<Bytes>,
    /// Ends when the connection does, with its error.
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A response, whole.
#[derive(Debug)]
pub(crate) struct H2Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl H2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the proxy accepts");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        Self::over(stream, "http").await
    }

    /// The same on a connection that something was said on already.
    pub(crate) async fn over_socket(socket: std::net::TcpStream) -> Self {
        Self::over(asynchronous(socket), "http").await
    }

    pub(super) async fn over<S>(stream: S, scheme: &'static str) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) =
            timeout(PATIENCE, h2::client::handshake(stream)).await.expect("in time").expect("h2");
        Self { scheme, requests, connection: tokio::spawn(connection) }
    }

    /// Waits until the server has said that streams may be tunnels (RFC 8441 §3).
    pub(crate) async fn wait_for_connect_protocol(&mut self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.requests.is_extended_connect_protocol_enabled() {
            assert!(tokio::time::Instant::now() < deadline, "it says so in time");
            tokio::task::yield_now().await;
        }
    }

    /// Starts a request; `end` when it has no body.
    pub(crate) async fn start(
        &mut self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut ready =
            timeout(PATIENCE, self.requests.clone().ready()).await.expect("ready in time")?;
        ready.send_request(request, end)
    }

    pub(crate) async fn get(&mut self, host: &str, path: &str) -> Result<H2Response, h2::Error> {
        let uri = format!("{}://{host}{path}", self.scheme);
        let request = Request::get(uri).body(()).expect("a request");
        let (response, _) = self.start(request, true).await?;
        read(response).await
    }

    /// Waits until the connection ends; nothing when it doesn't in time.
    pub(crate) async fn closed_within(
        &mut self,
        deadline: Duration,
    ) -> Option<Result<(), h2::Error>> {
        let ended = timeout(deadline, &mut self.connection).await.ok()?;
        Some(ended.expect("the connection task runs"))
    }
}

/// The same socket, for asynchronous use.
pub(super) fn asynchronous(socket: std::net::TcpStream) -> TcpStream {
    socket.set_nonblocking(true).expect("can be set");
    TcpStream::from_std(socket).expect("a runtime runs")
}

/// Reads a response to its end.
pub(crate) async fn read(response: ResponseFuture) -> Result<H2Response, h2::Error> {
    let response = timeout(PATIENCE, response).await.expect("the proxy answers in time")?;
    let (head, body) = response.into_parts();
    let body = timeout(PATIENCE, read_body(body)).await.expect("a body in time")?;
    Ok(H2Response { status: head.status, headers: head.headers, body })
}

async fn read_body(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
