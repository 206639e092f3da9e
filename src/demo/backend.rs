//! A backend that answers with its id.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{StatusCode, Uri};
use pingora::server::ShutdownWatch;
use tokio::net::TcpListener;

/// A backend to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    /// So many of a hundred requests fail, but for probes.
    pub(super) failing: usize,
}

/// Starts a backend on a free local port, on the current runtime.
pub(super) async fn start(plan: Plan, mut stopped: ShutdownWatch) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let words = format!("{}, version {}\n", plan.id, plan.tag);
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = move |uri: Uri| {
        let (words, asked) = (words.clone(), Arc::clone(&asked));
        async move {
            if uri.path() != "/" {
                return (StatusCode::OK, words);
            }
            // A step that has no common divisor with a hundred spreads them evenly.
            let turn = asked.fetch_add(1, Ordering::Relaxed).wrapping_mul(37) % 100;
            let failed = turn < plan.failing;
            (if failed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }, words)
        }
    };
    let app = Router::new().fallback(answer);
    tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, app).into_future() => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
    Ok(address)
}
