//! Listening sockets, bound here so that a failure has a clear error, and what they accept.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use tokio::net::TcpListener;

use super::ServerError;
use super::sockets::Sockets;
use crate::accept::{Accepting, is_of_one_connection};
use crate::config::{Config, ListenAddr};
use crate::counters::InFlight;
use crate::proxy::Serve;
use crate::rest;

/// A bound address.
pub(crate) struct Listener {
    address: SocketAddr,
    /// Open connections.
    open: Arc<InFlight>,
    /// Until it is served.
    socket: Mutex<Option<TcpListener>>,
}

/// The addresses that are served.
pub(super) struct Listeners {
    pub(super) http: Vec<Listener>,
    pub(super) https: Vec<Listener>,
}

/// Binds every address that is served.
pub(super) fn bind(config: &Config, sockets: &Sockets) -> Result<Listeners, ServerError> {
    Ok(Listeners {
        http: bind_all(config, "proxy.listen_addr_http", sockets, Listener::new)?,
        https: bind_all(config, "proxy.listen_addr", sockets, Listener::new)?,
    })
}

/// Binds the addresses of the REST API, in the runtime that serves it.
pub(super) fn bind_management(
    config: &Config,
    sockets: &Sockets,
) -> Result<Vec<rest::Listener>, ServerError> {
    let listener = |listener: TcpListener| listener.into_std().and_then(rest::Listener::new);
    bind_all(config, "proxy.management_api_addr", sockets, listener)
}

/// Binds the addresses of the metrics, in the runtime that serves them.
pub(super) fn bind_metrics(
    config: &Config,
    sockets: &Sockets,
) -> Result<Vec<TcpListener>, ServerError> {
    bind_all(config, "metrics.listen_addr", sockets, Ok)
}

/// Binds all addresses of a key, or none.
fn bind_all<L>(
    config: &Config,
    key: &'static str,
    sockets: &Sockets,
    listener: impl Fn(TcpListener) -> io::Result<L>,
) -> Result<Vec<L>, ServerError> {
    let addresses = config.listeners().filter(|(of, _)| *of == key).map(|(_, address)| address);
    let bind = |wanted: ListenAddr| {
        let socket = sockets.listen(key, wanted).and_then(&listener);
        socket.map_err(|source| {
            let address = wanted.address;
            match sockets.held_by_predecessor(address.port()) {
                Some(held) if source.kind() == io::ErrorKind::AddrInUse => {
                    ServerError::Overlaps { key, address, held }
                }
                _ => ServerError::Listen { key, address, source },
            }
        })
    };
    addresses.map(bind).collect()
}

impl Listeners {
    /// The open connections of each, by its address with what it serves.
    pub(super) fn open(&self) -> Vec<(String, Arc<InFlight>)> {
        let of = |scheme, listeners: &[Listener]| {
            let open = |of: &Listener| (format!("{scheme}://{of}"), Arc::clone(&of.open));
            listeners.iter().map(open).collect::<Vec<_>>()
        };
        [of("http", &self.http), of("https", &self.https)].concat()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Listener> {
        self.http.iter().chain(&self.https)
    }
}

impl Listener {
    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { address, open: Arc::default(), socket: Mutex::new(Some(listener)) })
    }

    /// The address, its port as the kernel chose it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its open connections.
    pub(super) fn open(&self) -> &Arc<InFlight> {
        &self.open
    }

    /// Accepts until `stopping` says so; connections go on on their own. It is served once.
    pub(crate) fn serve<A: Serve>(
        &self,
        app: A,
        stopping: ShutdownWatch,
    ) -> impl Future<Output = ()> + Send + 'static {
        let listener = self.socket.lock().take();
        let app = Arc::new(app);
        async move {
            let Some(listener) = listener else { return };
            let mut stopped = stopping.clone();
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopping| *stopping) => {}
                () = accept(&listener, &app, &stopping) => {}
            }
        }
    }
}

/// Accepts one connection after the other, as many at once as the runtime gives a task its turn for.
async fn accept<A: Serve>(listener: &TcpListener, app: &Arc<A>, stopping: &ShutdownWatch) {
    let mut accepting = Accepting::new("proxy");
    loop {
        let accept = async || {
            let accepted = listener.accept().await;
            // One that its client has aborted costs nobody else's.
            if accepted.as_ref().is_err_and(|error| !is_of_one_connection(error)) {
                app.make_room();
            }
            accepted
        };
        let (stream, peer) = accepting.next(accept).await;
        // A client that is gone already is no failure of the listener.
        if stream.set_nodelay(true).is_ok() {
            tokio::spawn(Arc::clone(app).serve(stream, peer, stopping.clone()));
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)
    }
}
