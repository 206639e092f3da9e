//! What tests of several files need: a server that answers as it is told, and a CA to talk to it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Ca, Challenges, Listeners, Storage};
use crate::config::IssuerSettings;
use crate::model::{ChallengeKind, KeyType};

/// An HTTP server whose answers are scripted; it ends when it is dropped.
pub(crate) struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn start<F>(script: F) -> Self
    where
        F: Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, noted) = (Arc::new(script), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, noted) = (Arc::clone(&script), Arc::clone(&noted));
                let service = service_fn(move |request: Request<Incoming>| {
                    noted.lock().push(format!("{} {}", request.method(), request.uri()));
                    let answer = script(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(async move {
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
        Self { address, seen, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked for, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Full<Bytes>> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

/// The settings of a CA that is trusted by the system's roots.
pub(crate) fn issuer(directory_url: &str) -> IssuerSettings {
    IssuerSettings {
        directory_url: directory_url.to_owned(),
        written_url: None,
        written_email: None,
        email: "someone@example.com".to_owned(),
        ca_root: None,
        profile: None,
        key_type: KeyType::P256,
        eab: None,
        challenges: ChallengeKind::ALL[..3].to_vec(),
    }
}

/// A CA of these settings, with its files in a directory.
pub(super) fn ca(
    issuer: IssuerSettings,
    dns_hook: Option<PathBuf>,
    listeners: Listeners,
    cache_dir: &Path,
) -> Ca {
    let storage = Storage::new(cache_dir.to_owned());
    Ca::new(issuer, dns_hook, listeners, storage, Challenges::default())
}
