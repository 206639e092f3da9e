//! The addresses that are listened on: each is one listener's.

use std::net::SocketAddr;

use crate::config::reader::Section;

/// The addresses that are listened on, with the keys that say so.
#[derive(Default)]
pub(in crate::config) struct Listeners(Vec<(SocketAddr, String)>);

impl Listeners {
    /// Notes an address, and reports a listener that is there already.
    pub(super) fn claim(&mut self, section: &Section<'_, '_>, key: &str, address: SocketAddr) {
        if let Some((_, other)) = self.0.iter().find(|(other, _)| collide(address, *other)) {
            section.problem(key, format!("`{other}` listens there; choose another port"));
        }
        self.0.push((address, section.path_of(key)));
    }
}

/// Whether the kernel would refuse the second of the two. Port 0 is another port each time.
pub(in crate::config) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let either_is_any =
        a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified());
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || either_is_any)
}
