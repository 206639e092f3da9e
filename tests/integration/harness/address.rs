//! Addresses that nobody else has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// An IP of the loopback network that no other test uses.
///
/// A port that was found free on 127.0.0.1 can be taken, before it is used, as the source port of
/// some other test's connection. On an address of its own it can't: those all come from 127.0.0.1.
pub(crate) fn free_ip() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // The process id keeps two test runs on one machine apart.
    let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id() * 977);
    let [_, second, third, last] = number.to_be_bytes();
    Ipv4Addr::new(127, 16 + second % 200, third, 1 + last % 254).into()
}

/// An address at which nobody listens yet.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        if let Ok(listener) = TcpListener::bind((free_ip(), 0)) {
            return listener.local_addr().expect("a bound listener has an address");
        }
    }
}

/// Addresses of one IP at which nobody listens yet.
pub(crate) fn free_ports<const N: usize>(ip: IpAddr) -> [SocketAddr; N] {
    // All are held until all are found.
    let listeners: [_; N] =
        std::array::from_fn(|_| TcpListener::bind((ip, 0)).expect("a free address"));
    listeners.map(|listener| listener.local_addr().expect("a bound listener has an address"))
}

/// An address that refuses connections.
pub(crate) fn refusing_address() -> SocketAddr {
    free_address()
}
