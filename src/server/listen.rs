//! Listening sockets, bound here so that a failure has a clear error, and handed to Pingora.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::listeners::ListenerConfig;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::Fds;
use pingora::server::ShutdownWatch;
use pingora::services::Service as _;
use pingora::services::listening::Service;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use super::ServerError;
use crate::config::ProxySettings;
use crate::counters::InFlight;
use crate::rest;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 65_535;

/// Bytes that the kernel takes for a connection before it has sent any of them (`TCP_NOTSENT_LOWAT`).
/// Without it a client that stops reading leaves its whole send buffer full, which may be megabytes;
/// what is on its way is not limited, so throughput is not either.
const MAX_UNSENT: u32 = 128 * 1024;

/// A bound address.
pub(crate) struct Listener {
    address: SocketAddr,
    /// Open connections.
    open: Arc<InFlight>,
    /// Where Pingora finds the socket: its table, keyed by the address as text.
    fds: Arc<Mutex<Fds>>,
}

/// The addresses that are served.
pub(super) struct Listeners {
    pub(super) http: Vec<Listener>,
    pub(super) https: Vec<Listener>,
}

/// Binds every address that is served.
pub(super) fn bind(settings: &ProxySettings) -> Result<Listeners, ServerError> {
    let bind = |key: &'static str, address: Option<SocketAddr>| {
        let bind = |address: SocketAddr| {
            Listener::bind(address).map_err(|source| ServerError::Listen { key, address, source })
        };
        address.into_iter().map(bind).collect::<Result<Vec<_>, ServerError>>()
    };
    Ok(Listeners {
        http: bind("proxy.listen_addr_http", settings.listen_addr_http)?,
        https: bind("proxy.listen_addr", settings.listen_addr)?,
    })
}

/// Binds the address of the REST API, in the runtime that serves it.
pub(super) fn bind_management(
    settings: &ProxySettings,
) -> Result<Option<rest::Listener>, ServerError> {
    let bind = |address| {
        let listening = listen(address).and_then(TcpListener::into_std);
        listening.and_then(rest::Listener::new).map_err(|source| ServerError::Listen {
            key: "proxy.management_api_addr",
            address,
            source,
        })
    };
    settings.management_api_addr.map(bind).transpose()
}

/// Binds `address`, to be served by the runtime that this is called in.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections inherit it.
    SockRef::from(&socket).set_tcp_notsent_lowat(MAX_UNSENT)?;
    // Lets a restart bind while connections of the one before still linger in the kernel.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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
    /// Binds `address`; of port 0 the kernel makes a free one.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let mut fds = Fds::new();
        fds.add(address.to_string(), listener.into_std()?.into_raw_fd());
        Ok(Self { address, open: Arc::default(), fds: Arc::new(Mutex::new(fds)) })
    }

    /// The address, its port as the kernel chose it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its open connections.
    pub(super) fn open(&self) -> &Arc<InFlight> {
        &self.open
    }

    /// Accepts until `stopping` says so; connections go on on their own.
    pub(crate) fn serve<A>(
        &self,
        app: A,
        stopping: ShutdownWatch,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        A: ServerApp + Send + Sync + 'static,
    {
        let mut service = Service::new("http".to_owned(), OwnTask(Arc::new(app)));
        // What is read goes into buffers of its own, and what is written is gathered above; buffers
        // below would only be memory of idle connections.
        let config =
            ListenerConfig::tcp(self.address.to_string()).l4_buffer(L4BufferSettings::unbuffered());
        service.add_listener(config);
        let fds = Arc::clone(&self.fds);
        async move { service.start_service(Some(fds), stopping, 1).await }
    }
}

/// Serves each connection in a task of its own. That of Pingora's accept loop has room for a handshake,
/// which it would keep for as long as the connection lives.
struct OwnTask<A>(Arc<A>);

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for OwnTask<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let (app, shutdown) = (Arc::clone(&self.0), shutdown.clone());
        tokio::spawn(async move {
            let mut next = Some(stream);
            while let Some(stream) = next {
                next = app.process_new(stream, &shutdown).await;
            }
        });
        None
    }

    async fn cleanup(&self) {
        self.0.cleanup().await;
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)
    }
}
