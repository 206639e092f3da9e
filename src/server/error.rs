//! Why a server could not start.

use std::net::SocketAddr;

use crate::control::ControlError;
use crate::hand_over::ChannelError;
use crate::rpc::SocketError;
use crate::store::StoreError;
use crate::telemetry::TelemetryError;
use crate::tokens::TokenError;

/// Why a server could not start. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// An address can't be listened on.
    #[error("cannot listen on `{address}` (`{key}`)")]
    Listen {
        /// The key of the config file.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// This process doesn't answer itself.
    #[error("a request of the new process to itself got no answer ({of})")]
    SelfRequest {
        /// What was asked for.
        of: &'static str,
        /// What came of it.
        #[source]
        source: std::io::Error,
    },
    /// The server before listens at an address that this one would be part of, or the other way round.
    #[error("cannot listen on `{address}` (`{key}`): the running server listens on `{held}`")]
    Overlaps {
        /// The key of the config file.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Where the running server listens, as its config had it.
        held: String,
    },
    /// The access log can't be opened.
    #[error(transparent)]
    AccessLog(#[from] TelemetryError),
    /// The state can't be used.
    #[error("cannot use the state")]
    Store(#[from] StoreError),
    /// The admin socket can't be opened.
    #[error("cannot open the admin socket")]
    Socket(#[from] SocketError),
    /// The admin socket can't be served.
    #[error("cannot serve the admin socket")]
    Serve(#[source] std::io::Error),
    /// The config file can't be applied to the state.
    #[error("cannot apply the config file")]
    Apply(#[from] ControlError),
    /// The tokens of the management API can't be used.
    #[error("cannot use the tokens of the management API")]
    Tokens(#[from] TokenError),
    /// There are no root certificates.
    #[error("the system has no root certificates")]
    NoRootCertificates,
    /// Certificates can't be kept.
    #[error("cannot keep certificates in `{path}`")]
    CacheDir {
        /// The directory.
        path: std::path::PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// TLS can't be served.
    #[error("cannot serve TLS")]
    Tls(#[source] rustls::Error),
    /// The key of sticky cookies can't be had.
    #[error("cannot read or make the key of sticky cookies in the state directory")]
    HostServices(#[source] std::io::Error),
    /// The sockets that systemd passes can't be taken over.
    #[error("cannot take over the sockets that systemd passes")]
    Activation(#[source] std::io::Error),
    /// The server before can't be understood.
    #[error("cannot take over from the server before")]
    HandOver(#[from] ChannelError),
    /// The system gives no threads.
    #[error("cannot start threads")]
    Runtime(#[source] std::io::Error),
}

/// Whether this machine has no such addresses at all, as where IPv6 is disabled.
pub(super) fn lacks_family(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
}

/// What to do where it has none of the family of `address`.
pub(super) fn no_family(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    format!("this machine has no {family}; enable it, or take `{address}` out")
}

impl ServerError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
        match self {
            Self::Listen { key, address, source } => Some(match source.kind() {
                AddrInUse => format!(
                    "another process is listening on port {}; stop it, or change `{key}`",
                    address.port()
                ),
                PermissionDenied => format!(
                    "ports below 1024 want a privilege: start it by systemd with \
                     AmbientCapabilities=CAP_NET_BIND_SERVICE or as root, or set `{key}` to a port \
                     such as 8080"
                ),
                AddrNotAvailable => format!("set `{key}` to an address of this machine"),
                _ if lacks_family(source) => {
                    format!("{} of `{key}`", no_family(*address))
                }
                _ => format!("change `{key}`"),
            }),
            Self::Overlaps { address, .. } => Some(format!(
                "an upgrade can't exchange addresses that overlap: keep the old one, or restart the server, which \
                 refuses connections to port {} for a moment",
                address.port()
            )),
            Self::AccessLog(error) => error.hint(),
            Self::Store(error) => Some(error.hint()),
            Self::Tokens(error) => error.hint(),
            Self::Socket(error) => Some(error.hint()),
            // The server doesn't run, so a command is no way out of this one.
            Self::Apply(ControlError::FileConflict { kind, name, .. }) => Some(format!(
                "take the entry out of the file and start again; `vhost ctl {kind} show {name}` then \
                 shows how it is"
            )),
            Self::Apply(ControlError::FileNameTaken { owner, .. }) => Some(format!(
                "take the name out of the file and start again; `vhost ctl domain show {owner}` \
                 then shows who has it"
            )),
            Self::Apply(ControlError::FileUnserved { tag, .. }) => Some(format!(
                "keep a backend with the tag `{tag}` in the file; once the server runs, `vhost ctl \
                 switch` moves the domain, and the backend can go"
            )),
            Self::Apply(error) => error.hint(),
            Self::NoRootCertificates => {
                Some("install the package `ca-certificates`, or set SSL_CERT_FILE".into())
            }
            Self::CacheDir { .. } => Some(
                "make the directory writable for the server's user, or set \
                 `lets_encrypt.cache_dir` to another; certificates that can't be kept are not ordered"
                    .into(),
            ),
            Self::HostServices(_) => {
                Some("make `sticky.key` there readable for the server's user, or remove it".into())
            }
            Self::SelfRequest { .. } => {
                Some("its lines in the log may say why; the server goes on as it was".into())
            }
            Self::Serve(_) | Self::Tls(_) | Self::HandOver(_) => None,
            Self::Activation(_) => {
                Some("each `ListenStream=` of its socket units is an address or a path".into())
            },
            Self::Runtime(_) => Some("raise the limit of threads (`ulimit -u`)".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_is_told_which_address_to_take_out() {
        let error = ServerError::Listen {
            key: "proxy.listen_addr",
            address: "[::]:443".parse().unwrap(),
            source: std::io::Error::from_raw_os_error(nix::libc::EAFNOSUPPORT),
        };
        assert_eq!(error.to_string(), "cannot listen on `[::]:443` (`proxy.listen_addr`)");
        let hint =
            "this machine has no IPv6; enable it, or take `[::]:443` out of `proxy.listen_addr`";
        assert_eq!(error.hint().as_deref(), Some(hint));
    }
}
