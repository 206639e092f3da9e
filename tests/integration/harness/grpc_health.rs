//! A gRPC server of `grpc.health.v1`, made of the h2 crate alone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// `ServingStatus` of `grpc.health.v1`.
pub(crate) const SERVING: u8 = 1;
pub(crate) const NOT_SERVING: u8 = 2;

/// A server that says of each of its services what it was told; a call about another gets `NOT_FOUND`.
pub(crate) struct GrpcHealth {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Shared {
    services: Mutex<HashMap<String, u8>>,
    calls: AtomicUsize,
}

impl GrpcHealth {
    /// In the clear, with prior knowledge; or over TLS.
    pub(crate) fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((super::free_ip(), 0)));
        let listener = listener.expect("a free address");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::<Shared>::default();
        let accepting = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&accepting), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, shared).await,
                        Some(tls) => {
                            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                                serve(stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, shared, runtime: Some(runtime) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is said of a service from now on; the empty name is the server as a whole.
    pub(crate) fn set(&self, service: &str, status: u8) {
        let mut services = self.shared.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.insert(service.to_owned(), status);
    }

    pub(crate) fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }
}

impl Drop for GrpcHealth {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, shared: Arc<Shared>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let (head, service) = read(request).await;
            shared.calls.fetch_add(1, Ordering::SeqCst);
            let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
            let is_call = head.method == "POST"
                && header("content-type") == Some("application/grpc")
                && header("te") == Some("trailers");
            let answer = Response::builder().header("content-type", "application/grpc");
            let known = service.and_then(|service| {
                let services = shared.services.lock().unwrap_or_else(PoisonError::into_inner);
                services.get(&service).copied()
            });
            let refuse = match (is_call, head.uri.path(), known) {
                (true, "/grpc.health.v1.Health/Check", Some(_)) => None,
                (true, "/grpc.health.v1.Health/Check", None) => Some(("5", "unknown service")),
                _ => Some(("12", "unknown method")),
            };
            if let Some((code, message)) = refuse {
                let answer = answer.header("grpc-status", code).header("grpc-message", message);
                let _ = respond.send_response(answer.body(()).expect("a head"), true);
                return;
            }
            let Ok(mut stream) = respond.send_response(answer.body(()).expect("a head"), false)
            else {
                return;
            };
            let _ =
                stream.send_data(vec![0, 0, 0, 0, 2, 8, known.unwrap_or_default()].into(), false);
            let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
            let _ = stream.send_trailers(HeaderMap::from_iter([status]));
        });
    }
}

/// The head of a call, and the service that its message names; none where it is no message.
async fn read(request: Request<h2::RecvStream>) -> (http::request::Parts, Option<String>) {
    let (head, mut body) = request.into_parts();
    let mut message = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        message.extend_from_slice(&data);
    }
    let service = match message.as_slice() {
        [0, 0, 0, 0, 0] => Some(String::new()),
        [0, 0, 0, 0, length, 0x0a, of, name @ ..]
            if usize::from(*of) == name.len() && usize::from(*length) == name.len() + 2 =>
        {
            String::from_utf8(name.to_vec()).ok()
        }
        _ => None,
    };
    (head, service)
}
