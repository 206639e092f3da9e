//! Backends that show every byte they get, and answer every byte they are told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, getsockname,
    listen, socket,
};

/// How long a script waits for bytes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A minimal answer with a length.
pub(crate) fn answer(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A backend that runs a script on each connection.
pub(crate) struct RawBackend {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    stopped: AtomicBool,
    connections: AtomicUsize,
    /// What arrived, one entry a connection, in the order in which they were accepted.
    received: Mutex<Vec<Vec<u8>>>,
    open: Mutex<Vec<TcpStream>>,
    listener: OnceLock<TcpListener>,
}

impl RawBackend {
    /// Runs `script` on each connection that sends something. The connection closes at its end.
    pub(crate) fn start(script: impl Fn(&mut RawConnection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((super::free_ip(), 0)).expect("a free address");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State::default());
        let _ = state.listener.set(listener.try_clone().expect("a handle"));
        let script = Arc::new(script);
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let index = accepting.connections.fetch_add(1, Ordering::SeqCst);
                lock(&accepting.received).push(Vec::new());
                if let Ok(clone) = stream.try_clone() {
                    lock(&accepting.open).push(clone);
                }
                let (script, state) = (Arc::clone(&script), Arc::clone(&accepting));
                std::thread::spawn(move || {
                    let mut connection =
                        RawConnection { stream, index, unread: Vec::new(), state, is_reset: false };
                    if connection.wait_for_bytes(PATIENCE) {
                        script(&mut connection);
                    }
                    // A connection in good order ends with a close that is told.
                    if !connection.is_reset {
                        let _ = connection.stream.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Self { address, state }
    }

    /// An application that serves its own name only, as those made with Django or Rails do.
    pub(crate) fn strict(host: &'static str) -> Self {
        Self::start(move |connection| {
            while let Some(head) = connection.read_request() {
                let own = format!("host: {host}");
                let is_own = head.lines().any(|line| line.eq_ignore_ascii_case(&own));
                let status = if is_own { "200 OK" } else { "400 Bad Request" };
                let text = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
                connection.send(text.as_bytes());
            }
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that sent something, and what they sent.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.record().into_iter().filter(|bytes| !bytes.is_empty()).collect()
    }

    /// What each connection sent, in the order in which they were accepted.
    pub(crate) fn record(&self) -> Vec<Vec<u8>> {
        lock(&self.state.received).clone()
    }

    /// What all connections sent, as text.
    pub(crate) fn received_text(&self) -> String {
        self.received().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}

impl Drop for RawBackend {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        for stream in lock(&self.state.open).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A connection in the hands of a script.
pub(crate) struct RawConnection {
    stream: TcpStream,
    /// Its number among the backend's connections, probes included.
    pub(crate) index: usize,
    unread: Vec<u8>,
    state: Arc<State>,
    is_reset: bool,
}

impl RawConnection {
    /// Reads up to and including the blank line that ends a head. `None` when the peer closed.
    pub(crate) fn read_head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.wait_for_bytes(PATIENCE) {
                return None;
            }
        }
    }

    /// Reads a head and its body by `Content-Length`.
    pub(crate) fn read_request(&mut self) -> Option<String> {
        let head = self.read_head()?;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        self.read_exactly(length).then_some(head)
    }

    /// Reads so many bytes, as of a body; false when they don't come.
    pub(crate) fn read_exactly(&mut self, length: usize) -> bool {
        while self.unread.len() < length {
            if !self.wait_for_bytes(PATIENCE) {
                return false;
            }
        }
        self.unread.drain(..length);
        true
    }

    /// The next bytes; `None` when they don't come.
    pub(crate) fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            if !self.wait_for_bytes(PATIENCE) {
                return None;
            }
        }
        Some(self.unread.drain(..length).collect())
    }

    /// Reads whatever comes until nothing has come for `quiet`; whether the peer is still there.
    pub(crate) fn read_until_quiet(&mut self, quiet: Duration) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.read_some(quiet) {
                Some(true) => {}
                Some(false) => return false,
                None => return true,
            }
        }
        true
    }

    /// Ends the backend's listening: connections to it are refused from now on.
    pub(crate) fn stop_listening(&self) {
        let listener = self.state.listener.get().expect("it was set");
        socket2::SockRef::from(listener).shutdown(Shutdown::Both).expect("it listens");
    }

    /// Takes what was read and not used as used; the record keeps it.
    pub(crate) fn forget_unread(&mut self) {
        self.unread.clear();
    }

    /// Sends back what comes next. As [`Self::read_until_quiet`], it tells the end from silence.
    pub(crate) fn echo_what_comes(&mut self) -> Option<bool> {
        let came = self.read_some(PATIENCE);
        let bytes = std::mem::take(&mut self.unread);
        self.send(&bytes);
        came
    }

    /// Reads nothing more, and waits for the peer to close.
    pub(crate) fn wait_for_close(&mut self) {
        while self.wait_for_bytes(PATIENCE) {}
    }

    /// Holds the connection without reading from it, until the peer has closed or the backend
    /// is dropped.
    pub(crate) fn stall(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !self.state.stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Closes so that the peer sees a reset, as when a process dies.
    pub(crate) fn reset(&mut self) {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        let _ =
            nix::sys::socket::setsockopt(&self.stream, nix::sys::socket::sockopt::Linger, &linger);
        // The last descriptor to be closed resets, and the list of open ones holds another.
        let mut open = lock(&self.state.open);
        let own = self.stream.local_addr().ok().zip(self.stream.peer_addr().ok());
        open.retain(|one| one.local_addr().ok().zip(one.peer_addr().ok()) != own);
        self.is_reset = true;
    }

    /// Closes in good order, before the script has ended.
    pub(crate) fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Ends this side; what comes from the other is still read.
    pub(crate) fn end_side(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Waits for at least one more byte; false when the peer closed or none came in time.
    fn wait_for_bytes(&mut self, patience: Duration) -> bool {
        self.read_some(patience) == Some(true)
    }

    /// Whether bytes came (`true`) or the end (`false`); nothing in time is `None`.
    fn read_some(&mut self, patience: Duration) -> Option<bool> {
        self.stream.set_read_timeout(Some(patience)).expect("a timeout can be set");
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(false),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                lock(&self.state.received)[self.index].extend_from_slice(&buffer[..count]);
                Some(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(_) => Some(false),
        }
    }
}

/// A listener whose backlog is full: connecting to it neither succeeds nor fails.
pub(crate) struct FullBacklog {
    address: SocketAddr,
    _listener: OwnedFd,
    _fill: Vec<TcpStream>,
}

impl FullBacklog {
    pub(crate) fn start() -> Self {
        let std::net::IpAddr::V4(ip) = super::free_ip() else { unreachable!("loopback is IPv4") };
        let flags = SockFlag::SOCK_CLOEXEC;
        let listener = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("socket");
        let address = SockaddrIn::from(std::net::SocketAddrV4::new(ip, 0));
        bind(listener.as_raw_fd(), &address).expect("a free address");
        listen(&listener, Backlog::new(0).expect("zero is a backlog")).expect("listens");
        let bound: SockaddrStorage = getsockname(listener.as_raw_fd()).expect("bound");
        let bound = bound.as_sockaddr_in().expect("IPv4");
        let address = SocketAddr::from((bound.ip(), bound.port()));
        let mut fill = Vec::new();
        // Linux lets one more in than the backlog says.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            fill.push(stream);
            assert!(fill.len() < 16, "the backlog does not fill");
        }
        Self { address, _listener: listener, _fill: fill }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
