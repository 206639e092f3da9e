//! A backend that answers with its id.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use async_trait::async_trait;
use http::{Response, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use crate::server::Listener;

struct Backend {
    words: String,
}

/// Starts a backend on a free local port, on the current runtime.
pub(super) fn start(id: &str, tag: &str, stopped: ShutdownWatch) -> io::Result<SocketAddr> {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = listener.address();
    let backend = Backend { words: format!("{id}, version {tag}\n") };
    tokio::spawn(listener.serve(backend, stopped));
    Ok(address)
}

#[async_trait]
impl ServeHttp for Backend {
    async fn response(&self, _session: &mut ServerSession) -> Response<Vec<u8>> {
        let body = self.words.clone().into_bytes();
        let mut response = Response::new(body);
        let length = response.body().len().into();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
        response
    }
}
