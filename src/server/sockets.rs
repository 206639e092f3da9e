//! The listening sockets of the process: those that were handed to it, and those that it can hand on.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::ListenAddr;
use crate::hand_over::HeldSocket;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 65_535;

/// Bytes that the kernel takes for a connection before it has sent any of them (`TCP_NOTSENT_LOWAT`).
/// Without it a client that stops reading leaves its whole send buffer full, which may be megabytes;
/// what is on its way is not limited, so throughput is not either.
const MAX_UNSENT: u32 = 128 * 1024;

/// The key of the admin socket.
pub(super) const ADMIN: &str = "proxy.admin_socket";

/// Stands behind an address that takes no connections over IPv4.
pub(super) const IPV6_ONLY: &str = " only";

/// A socket, and what it is for.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) is: HeldSocket,
    pub(super) serves: Serves,
    pub(super) socket: OwnedFd,
}

/// What an inherited socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    /// Its key at its address.
    KeyAtAddress,
    /// Its key, wherever the config would have it.
    Key,
    /// Whatever has its address.
    Address,
}

impl Held {
    fn is_for(&self, wanted: &HeldSocket) -> bool {
        match self.serves {
            Serves::KeyAtAddress => self.is == *wanted,
            Serves::Key => self.is.key == wanted.key,
            Serves::Address => is_same_address(&self.is.address, &wanted.address),
        }
    }
}

/// `[::]` of a socket unit that takes IPv4 as well stands for `0.0.0.0` too.
fn is_same_address(held: &str, wanted: &str) -> bool {
    let parsed = |text: &str| {
        let only = text.ends_with(IPV6_ONLY);
        let address = text.trim_end_matches(IPV6_ONLY).parse::<SocketAddr>().ok()?;
        Some((address, only))
    };
    match (parsed(held), parsed(wanted)) {
        (Some((held, only)), Some((wanted, _))) if wanted.is_ipv4() => {
            let is_dual = held.is_ipv6() && held.ip().is_unspecified() && !only;
            let is_any = wanted.ip().is_unspecified() && held.port() == wanted.port();
            held == wanted || (is_dual && is_any)
        }
        _ => held == wanted,
    }
}

/// The listening sockets of the process.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Handed to it, and not in use yet.
    inherited: Mutex<Vec<Held>>,
    has_inherited_admin: AtomicBool,
    /// Handed to it, and closed.
    unused: Mutex<Vec<HeldSocket>>,
    /// Those in use, to be handed on.
    held: Mutex<Vec<Held>>,
}

impl Sockets {
    /// With sockets that were handed to the process.
    pub(super) fn inheriting(inherited: Vec<Held>) -> Self {
        Self { inherited: Mutex::new(inherited), ..Self::default() }
    }

    /// Listens at an address, in the runtime that this is called in: at the socket that was handed over for it,
    /// or at a new one.
    pub(super) fn listen(&self, key: &str, wanted: ListenAddr) -> io::Result<TcpListener> {
        let is = HeldSocket { key: key.to_owned(), address: text_of(wanted) };
        let socket = match self.take(&is) {
            Some(socket) => listening(StdListener::from(socket))?,
            None => bound(wanted)?.listen(BACKLOG)?.into_std()?,
        };
        socket.set_nonblocking(true)?;
        // Also of one that others have made. Connections inherit it.
        SockRef::from(&socket).set_tcp_notsent_lowat(MAX_UNSENT)?;
        let again = socket.as_fd().try_clone_to_owned()?;
        self.held.lock().push(Held { is, serves: Serves::KeyAtAddress, socket: again });
        TcpListener::from_std(socket)
    }

    /// The admin socket at `path` that was handed over.
    pub(super) fn inherited_admin(&self, path: &std::path::Path) -> Option<UnixListener> {
        let socket = self.take(&admin(path))?;
        self.has_inherited_admin.store(true, Ordering::Relaxed);
        Some(UnixListener::from(socket))
    }

    /// Whether the admin socket is one that was handed over.
    pub(super) fn has_inherited_admin(&self) -> bool {
        self.has_inherited_admin.load(Ordering::Relaxed)
    }

    /// Holds the admin socket, to be handed on.
    pub(super) fn hold_admin(&self, path: &std::path::Path, socket: OwnedFd) {
        let serves = Serves::KeyAtAddress;
        self.held.lock().push(Held { is: admin(path), serves, socket });
    }

    fn take(&self, wanted: &HeldSocket) -> Option<OwnedFd> {
        let mut inherited = self.inherited.lock();
        let exact = inherited
            .iter()
            .position(|held| held.is.address == wanted.address && held.is_for(wanted));
        // An address that the config has for another thing now is the same address.
        let moved = |held: &Held| held.is.address == wanted.address && !has_free_port(wanted);
        let place = exact
            .or_else(|| inherited.iter().position(|held| held.is_for(wanted)))
            .or_else(|| inherited.iter().position(moved))?;
        Some(inherited.remove(place).socket)
    }

    /// Where a socket listens that was handed over for this port, and that nothing has taken yet.
    pub(super) fn held_by_predecessor(&self, port: u16) -> Option<String> {
        let inherited = self.inherited.lock();
        let mut addresses = inherited.iter().map(|held| &held.is.address);
        let is_at = |address: &&String| {
            let address = address.trim_end_matches(IPV6_ONLY).parse::<SocketAddr>();
            address.is_ok_and(|address| address.port() == port)
        };
        addresses.find(is_at).cloned()
    }

    /// Closes what was handed over and is not wanted.
    pub(super) fn close_unused(&self) {
        for Held { is, .. } in self.inherited.lock().drain(..) {
            let HeldSocket { key, address: listen_addr } = &is;
            tracing::warn!(
                key,
                listen_addr,
                "nothing is served at this socket: the config has no address for it"
            );
            self.unused.lock().push(is);
        }
    }

    /// What was handed over and is not wanted, for whoever asks how the server is.
    pub(super) fn warnings(&self) -> Vec<String> {
        let warning = |HeldSocket { key, address }: &HeldSocket| {
            format!(
                "the socket `{address}` (`{key}`) was handed to this server, and the config has no address for it: \
                 nothing is served there"
            )
        };
        self.unused.lock().iter().map(warning).collect()
    }

    /// Calls `with` with those in use.
    pub(super) fn with_held<T>(&self, with: impl FnOnce(&[Held]) -> T) -> T {
        with(&self.held.lock())
    }

    /// Lets go of those in use: they are closed when nobody accepts there any more.
    pub(super) fn close(&self) {
        self.held.lock().clear();
    }
}

/// A socket that was handed over, if it is one that listens: only then does accepting work.
fn listening(socket: StdListener) -> io::Result<StdListener> {
    if SockRef::from(&socket).is_listener()? {
        return Ok(socket);
    }
    Err(io::Error::other("the socket that was handed over does not listen"))
}

/// Binds an address.
pub(super) fn bound(ListenAddr { address, ipv6_only }: ListenAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Lets a restart bind while connections of the one before still linger in the kernel.
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // The same on each machine, whatever its `net.ipv6.bindv6only`.
        SockRef::from(&socket).set_only_v6(ipv6_only)?;
    }
    socket.bind(address)?;
    Ok(socket)
}

/// Whether the kernel chooses the port.
fn has_free_port(wanted: &HeldSocket) -> bool {
    let address = wanted.address.trim_end_matches(IPV6_ONLY);
    address.parse::<SocketAddr>().is_ok_and(|address| address.port() == 0)
}

fn admin(path: &std::path::Path) -> HeldSocket {
    HeldSocket { key: ADMIN.to_owned(), address: path.display().to_string() }
}

fn text_of(ListenAddr { address, ipv6_only }: ListenAddr) -> String {
    let only = if ipv6_only { IPV6_ONLY } else { "" };
    format!("{address}{only}")
}
