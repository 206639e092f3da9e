//! The hop by which a request came.

use std::net::IpAddr;

use crate::proxy::client::forwarded::Sources;
use crate::proxy::client::sender::Client;

/// What is known of a request's last hop, from its client or a proxy to here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'a> {
    pub(crate) client: Client,
    /// Whose word is believed, and the header that names clients where the operator has said so.
    pub(crate) sources: Sources<'a>,
    /// The host that it asked for.
    pub(crate) host: Option<&'a [u8]>,
    /// The port that it came to.
    pub(crate) port: Option<u16>,
}

impl Hop<'_> {
    pub(super) fn is_trusted(&self, ip: IpAddr) -> bool {
        self.sources.trusted.iter().any(|network| network.contains(&ip))
    }
}
