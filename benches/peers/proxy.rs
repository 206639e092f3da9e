//! Who is measured, and what clients ask them for.

/// The name that clients ask for. It is resolved everywhere, so that it can be asked for over TLS.
pub(crate) const HOST: &str = "localhost";

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxy {
    Vhost,
    /// Another build of vhost.
    Other,
    Nginx,
    Haproxy,
    H2o,
    Envoy,
    /// Bytes, and nothing else: the floor.
    Relay,
}

impl Proxy {
    pub(crate) const ALL: [Self; 7] =
        [Self::Vhost, Self::Other, Self::Nginx, Self::Haproxy, Self::H2o, Self::Envoy, Self::Relay];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vhost => "vhost",
            Self::Other => "other build",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::H2o => "h2o",
            Self::Envoy => "envoy",
            Self::Relay => "bare relay",
        }
    }

    /// Whether it is somebody that people could run in the place of vhost.
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Self::Nginx | Self::Haproxy | Self::H2o | Self::Envoy)
    }
}
