//! Sockets from systemd (`sd_listen_fds(3)`): those of its socket units, which listen also while no server runs.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use socket2::SockRef;

use super::sockets::{ADMIN, Held, IPV6_ONLY, Serves};
use crate::hand_over::HeldSocket;

/// The names of sockets (`FileDescriptorName=`), and the keys that they are for.
const NAMES: [(&str, &str); 5] = [
    ("http", "proxy.listen_addr_http"),
    ("https", "proxy.listen_addr"),
    ("management", "proxy.management_api_addr"),
    ("metrics", "metrics.listen_addr"),
    ("admin", ADMIN),
];

/// The sockets that were passed to this process. One whose name is none of ours is for whatever has its address.
pub(super) fn sockets() -> io::Result<Vec<Held>> {
    // It takes the variables away.
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = ListenFd::from_env();
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    (0..passed.len()).zip(names).map(|(place, name)| held(&mut passed, place, &name)).collect()
}

fn held(passed: &mut ListenFd, place: usize, name: &str) -> io::Result<Held> {
    let key = NAMES.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
    let (address, socket): (String, OwnedFd) = match passed.take_tcp_listener(place) {
        Ok(Some(listener)) => {
            let listener: TcpListener = listener;
            let address = listener.local_addr()?;
            let any = address.is_ipv6() && address.ip().is_unspecified();
            let only = if any && SockRef::from(&listener).only_v6()? { IPV6_ONLY } else { "" };
            (format!("{address}{only}"), listener.into())
        }
        Ok(None) => return Err(io::ErrorKind::NotFound.into()),
        Err(_) => {
            let listener: Option<UnixListener> = passed.take_unix_listener(place)?;
            let listener = listener.ok_or(io::ErrorKind::NotFound)?;
            let address = listener.local_addr()?;
            let path = address.as_pathname().ok_or(io::ErrorKind::AddrNotAvailable)?;
            (path.display().to_string(), listener.into())
        }
    };
    // A program that this one starts is to have none of them.
    fcntl(socket.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    let serves = if key.is_some() { Serves::Key } else { Serves::Address };
    let key = key.unwrap_or_default().to_owned();
    Ok(Held { is: HeldSocket { key, address }, serves, socket })
}
