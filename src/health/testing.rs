//! Real backends on the loopback for the tests of this room.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::ejection::EjectionCap;
use crate::model::{Backend, BackendState, HealthCheckOptions, Scheme, Seconds};
use crate::state::{Snapshot, publication};

/// Polls `condition` until it holds.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(super) fn backend(id: &str, address: &str, scheme: Scheme) -> Backend {
    Backend {
        id: id.parse().unwrap(),
        address: address.parse().unwrap(),
        tags: ["a".parse().unwrap()].into(),
        options: crate::model::BackendOptions { scheme, ..Default::default() },
        state: BackendState::Ready,
    }
}

/// Traffic may put out whatever it wants.
pub(super) fn no_cap() -> Arc<EjectionCap> {
    let (_, reader) = publication(Snapshot::default());
    Arc::new(EjectionCap::new(reader, 100))
}

/// A check that decides within a test's patience.
pub(super) fn quick_check() -> HealthCheckOptions {
    HealthCheckOptions {
        interval_secs: Some(secs(0.02)),
        timeout_secs: Some(secs(5.0)),
        ..Default::default()
    }
}

pub(super) fn secs(seconds: f64) -> Seconds {
    seconds.try_into().unwrap()
}

/// An address at which nobody listens.
pub(super) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// An HTTP/1 backend whose status can be changed; 0 makes it silent.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) status: Arc<AtomicU16>,
    pub(super) requests: Arc<AtomicUsize>,
    pub(super) last_request: Arc<Mutex<String>>,
    task: tokio::task::AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(AtomicU16::new(status));
        let requests = Arc::new(AtomicUsize::new(0));
        let last_request = Arc::<Mutex<String>>::default();
        let (answer, count, last) = (status.clone(), requests.clone(), last_request.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, count, last) = (answer.clone(), count.clone(), last.clone());
                tokio::spawn(async move {
                    let (mut stream, head) = read_head(stream).await;
                    *last.lock() = head;
                    count.fetch_add(1, Ordering::SeqCst);
                    match answer.load(Ordering::SeqCst) {
                        0 => std::future::pending().await,
                        status => {
                            let text =
                                format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok");
                            let _ = stream.write_all(text.as_bytes()).await;
                        }
                    }
                });
            }
        })
        .abort_handle();
        Self { address, status, requests, last_request, task }
    }

    pub(super) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Serves one connection after the other with `serve`.
pub(super) async fn serve_tcp<F, S>(serve: F) -> SocketAddr
where
    F: Fn(tokio::net::TcpStream) -> S + Send + 'static,
    S: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream).await;
        }
    });
    address
}

/// Reads a request head and answers it with `text`.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: S, text: &str) {
    let (mut stream, _) = read_head(stream).await;
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn read_head<S: AsyncRead + Unpin>(mut stream: S) -> (S, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    (stream, String::from_utf8_lossy(&head).into_owned())
}
