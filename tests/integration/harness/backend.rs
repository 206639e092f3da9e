//! Real backends in this process: HTTP/1, h2c and TLS servers that say who they are.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::orders::Orders;

type Body = BoxBody<Bytes, Infallible>;

/// FNV-1a, to see that what arrives is what was sent.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    checksum_from(0xcbf2_9ce4_8422_2325, bytes)
}

fn checksum_from(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Checks a body of `/stream?chunks=…`: every chunk there, in order and whole.
pub(crate) fn check_stream(body: &[u8], chunks: usize) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let end = text.rfind("checksum=").ok_or_else(|| format!("cut at {} bytes", body.len()))?;
    let (data, trailer) = text.split_at(end);
    let lines = data.lines().count();
    let expected = format!("checksum={:016x}\n", checksum(data.as_bytes()));
    if lines != chunks {
        Err(format!("{lines} chunks instead of {chunks}"))
    } else if trailer != expected {
        Err(format!("{trailer:?} instead of {expected:?}"))
    } else {
        Ok(())
    }
}

/// A backend to be.
pub(crate) struct BackendBuilder {
    id: String,
    at: Place,
    protocol: Protocol,
}

/// What is spoken on a connection.
#[derive(Clone)]
enum Protocol {
    Http1,
    Http2,
    /// HTTP/2 or HTTP/1, as ALPN has it.
    Tls(TlsAcceptor),
}

enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl BackendBuilder {
    /// HTTP/2 with prior knowledge instead of HTTP/1.
    pub(crate) fn h2c(mut self) -> Self {
        self.protocol = Protocol::Http2;
        self
    }

    /// Behind TLS; over HTTP/2 if the peer wants the `h2` that `config` offers.
    pub(crate) fn tls(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.protocol = Protocol::Tls(config.into());
        self
    }

    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.at = Place::Tcp(address);
        self
    }

    pub(crate) fn at_socket(mut self, path: PathBuf) -> Self {
        self.at = Place::Unix(path);
        self
    }

    pub(crate) fn start(self) -> Backend {
        let shared = Arc::new(Shared {
            id: self.id,
            health: AtomicU16::new(200),
            failing: AtomicU16::new(0),
            slow_ms: AtomicU16::new(0),
            requests: AtomicUsize::new(0),
            orders: Orders::default(),
            probes: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            sockets: AtomicUsize::new(0),
            release: watch::channel(0).0,
            hang_up: Notify::new(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (address, socket) = match self.at {
            Place::Tcp(address) => {
                let listener =
                    runtime.block_on(TcpListener::bind(address)).unwrap_or_else(|error| {
                        panic!("a backend cannot listen at {address}: {error}")
                    });
                let address = listener.local_addr().expect("a bound listener has an address");
                runtime.spawn(accept_tcp(listener, Arc::clone(&shared), self.protocol));
                (Some(address), None)
            }
            Place::Unix(path) => {
                let _ = std::fs::remove_file(&path);
                let _context = runtime.enter();
                let listener = UnixListener::bind(&path).expect("a backend listens at its socket");
                runtime.spawn(accept_unix(listener, Arc::clone(&shared), self.protocol));
                (None, Some(path))
            }
        };
        Backend { shared, runtime: Some(runtime), address, socket }
    }
}

/// A backend that runs until it is dropped.
pub(crate) struct Backend {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    address: Option<SocketAddr>,
    socket: Option<PathBuf>,
}

struct Shared {
    id: String,
    health: AtomicU16,
    failing: AtomicU16,
    slow_ms: AtomicU16,
    requests: AtomicUsize,
    orders: Orders,
    probes: AtomicUsize,
    connections: AtomicUsize,
    held: AtomicUsize,
    sockets: AtomicUsize,
    release: watch::Sender<u64>,
    hang_up: Notify,
}

impl Backend {
    pub(crate) fn builder(id: &str) -> BackendBuilder {
        BackendBuilder {
            id: id.to_owned(),
            at: Place::Tcp((super::free_ip(), 0).into()),
            protocol: Protocol::Http1,
        }
    }

    /// An HTTP/1 backend at a free address.
    pub(crate) fn start(id: &str) -> Self {
        Self::builder(id).start()
    }

    pub(crate) fn id(&self) -> &str {
        &self.shared.id
    }

    /// Where it listens, as a config file says it.
    pub(crate) fn address(&self) -> String {
        match (&self.address, &self.socket) {
            (Some(address), _) => address.to_string(),
            (None, Some(path)) => format!("unix:{}", path.display()),
            (None, None) => unreachable!("a backend listens somewhere"),
        }
    }

    pub(crate) fn socket_addr(&self) -> SocketAddr {
        self.address.expect("a TCP backend")
    }

    /// What `/health` answers from now on.
    pub(crate) fn set_health(&self, status: u16) {
        self.shared.health.store(status, Ordering::SeqCst);
    }

    /// So many of a hundred requests get a 500 from now on, spread evenly; probes don't.
    pub(crate) fn set_failing(&self, percent: u16) {
        self.shared.failing.store(percent, Ordering::SeqCst);
    }

    /// Each request takes so much longer from now on; probes don't.
    pub(crate) fn set_slow(&self, millis: u16) {
        self.shared.slow_ms.store(millis, Ordering::SeqCst);
    }

    /// Requests other than probes that have arrived.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How often each numbered request has arrived.
    pub(crate) fn orders(&self) -> HashMap<String, usize> {
        self.shared.orders.seen()
    }

    pub(crate) fn probes(&self) -> usize {
        self.shared.probes.load(Ordering::SeqCst)
    }

    /// Connections accepted so far, those of probes included.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Requests that `/hold` is holding.
    pub(crate) fn held(&self) -> usize {
        self.shared.held.load(Ordering::SeqCst)
    }

    /// Open `WebSockets`.
    pub(crate) fn web_sockets(&self) -> usize {
        self.shared.sockets.load(Ordering::SeqCst)
    }

    /// Answers everything that `/hold` holds.
    pub(crate) fn release(&self) {
        self.shared.release.send_modify(|round| *round += 1);
    }

    /// Closes every open connection; new ones are accepted.
    pub(crate) fn hang_up(&self) {
        self.shared.hang_up.notify_waiters();
    }

    /// Ends it; afterwards its address refuses connections.
    pub(crate) fn stop(mut self) -> SocketAddr {
        self.end();
        self.socket_addr()
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.end();
    }
}

async fn accept_tcp(listener: TcpListener, shared: Arc<Shared>, protocol: Protocol) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(greet(stream, Arc::clone(&shared), protocol.clone()));
    }
}

async fn accept_unix(listener: UnixListener, shared: Arc<Shared>, protocol: Protocol) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(greet(stream, Arc::clone(&shared), protocol.clone()));
    }
}

/// Serves what has come, once it is known how. A handshake that fails is no connection.
async fn greet<S>(stream: S, shared: Arc<Shared>, protocol: Protocol)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    match protocol {
        Protocol::Http1 => serve(stream, shared, false).await,
        Protocol::Http2 => serve(stream, shared, true).await,
        Protocol::Tls(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                serve(stream, shared, http2).await;
            }
        }
    }
}

async fn serve<S>(stream: S, shared: Arc<Shared>, http2: bool)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let for_requests = Arc::clone(&shared);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&for_requests);
        async move { Ok::<_, Infallible>(handle(request, &shared).await) }
    });
    let io = TokioIo::new(stream);
    let connection: Pin<Box<dyn Future<Output = ()> + Send>> = if http2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        Box::pin(async move { drop(builder.serve_connection(io, service).await) })
    } else {
        let builder = hyper::server::conn::http1::Builder::new();
        Box::pin(async move {
            drop(builder.serve_connection(io, service).with_upgrades().await);
        })
    };
    tokio::select! {
        () = connection => {}
        () = shared.hang_up.notified() => {}
    }
}

async fn handle(request: Request<Incoming>, shared: &Arc<Shared>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/health" {
        shared.probes.fetch_add(1, Ordering::SeqCst);
        let status = StatusCode::from_u16(shared.health.load(Ordering::SeqCst));
        return respond(shared, status.expect("a status"), full("health"));
    }
    let number = shared.requests.fetch_add(1, Ordering::SeqCst);
    shared.orders.note(request.headers());
    let slow = shared.slow_ms.load(Ordering::SeqCst);
    if slow > 0 {
        tokio::time::sleep(Duration::from_millis(slow.into())).await;
    }
    // A step of a size that has no common divisor with a hundred goes through all of them.
    if number.wrapping_mul(37) % 100 < usize::from(shared.failing.load(Ordering::SeqCst)) {
        return echo(request, shared, StatusCode::INTERNAL_SERVER_ERROR).await;
    }
    match path.as_str() {
        "/ws" => web_socket(request, shared),
        "/stream" => stream(&request, shared),
        "/events" => events(shared),
        "/hold" => {
            hold(shared).await;
            echo(request, shared, StatusCode::OK).await
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(parameter(&request, "ms", 100))).await;
            echo(request, shared, StatusCode::OK).await
        }
        _ => {
            let status = path.strip_prefix("/status/").and_then(|status| status.parse().ok());
            echo(request, shared, status.unwrap_or(StatusCode::OK)).await
        }
    }
}

/// Waits until the test releases it. A request that goes away is held no more.
async fn hold(shared: &Arc<Shared>) {
    struct Held<'a>(&'a AtomicUsize);
    impl Drop for Held<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let mut released = shared.release.subscribe();
    released.mark_unchanged();
    shared.held.fetch_add(1, Ordering::SeqCst);
    let _held = Held(&shared.held);
    let _ = released.changed().await;
}

/// Reads the whole body and says what arrived.
async fn echo(
    request: Request<Incoming>,
    shared: &Arc<Shared>,
    status: StatusCode,
) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    let (mut length, mut sum) = (0_usize, checksum(b""));
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { break };
        if let Some(data) = frame.data_ref() {
            length += data.len();
            sum = checksum_from(sum, data);
        }
    }
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let text = json!({
        "id": shared.id,
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "version": format!("{:?}", head.version),
        "headers": headers,
        "length": length,
        "checksum": sum,
    });
    let mut response = respond(shared, status, full(&text.to_string()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// A body in chunks, the last of which is a line with the checksum of those before.
fn stream(request: &Request<Incoming>, shared: &Arc<Shared>) -> Response<Body> {
    let chunks = parameter(request, "chunks", 10);
    let pause = Duration::from_millis(parameter(request, "ms", 5));
    let start = (0, checksum(b""));
    let frames = futures_util::stream::unfold(start, move |(index, sum)| async move {
        if index > chunks {
            return None;
        }
        if index > 0 && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let chunk = if index == chunks {
            format!("checksum={sum:016x}\n")
        } else {
            format!("{index:08} {}\n", "x".repeat(1015))
        };
        let sum = checksum_from(sum, chunk.as_bytes());
        Some((Ok(Frame::data(Bytes::from(chunk))), (index + 1, sum)))
    });
    respond(shared, StatusCode::OK, BodyExt::boxed(StreamBody::new(frames)))
}

/// An event stream: one event with the backend's id, then silence until the test releases it.
fn events(shared: &Arc<Shared>) -> Response<Body> {
    let server = Arc::clone(shared);
    let frames = futures_util::stream::unfold(false, move |has_sent| {
        let server = Arc::clone(&server);
        async move {
            if has_sent {
                hold(&server).await;
                return None;
            }
            Some((Ok(Frame::data(Bytes::from(format!("data: {}\n\n", server.id)))), true))
        }
    });
    let mut response = respond(shared, StatusCode::OK, BodyExt::boxed(StreamBody::new(frames)));
    let kind = header::HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Says hello with the backend's id, then echoes.
fn web_socket(mut request: Request<Incoming>, shared: &Arc<Shared>) -> Response<Body> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return respond(shared, StatusCode::BAD_REQUEST, full("no Sec-WebSocket-Key\n"));
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    let server = Arc::clone(shared);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        server.sockets.fetch_add(1, Ordering::SeqCst);
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        let hello = server.id.clone();
        if socket.send(hello.into()).await.is_ok() {
            while let Some(Ok(message)) = socket.next().await {
                let is_data = message.is_text() || message.is_binary();
                if is_data && socket.send(message).await.is_err() {
                    break;
                }
            }
        }
        server.sockets.fetch_sub(1, Ordering::SeqCst);
    });
    let mut response = respond(shared, StatusCode::SWITCHING_PROTOCOLS, full(""));
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.parse().expect("base64 is a header value"));
    response
}

fn respond(shared: &Shared, status: StatusCode, body: Body) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("x-backend", &shared.id)
        .body(body)
        .expect("a response")
}

fn full(text: &str) -> Body {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed()
}

/// A number in the query.
fn parameter(request: &Request<Incoming>, name: &str, default: u64) -> u64 {
    let query = request.uri().query().unwrap_or_default();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(default)
}
