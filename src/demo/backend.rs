//! A backend that answers with its id.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use pingora::server::ShutdownWatch;
use tokio::net::TcpListener;

/// Starts a backend on a free local port, on the current runtime.
pub(super) async fn start(
    id: &str,
    tag: &str,
    mut stopped: ShutdownWatch,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let words = format!("{id}, version {tag}\n");
    let app = Router::new().fallback(async move || words.clone());
    tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, app).into_future() => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
    Ok(address)
}
