//! Why a server could not start.

use std::net::SocketAddr;

use crate::control::ControlError;
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
    /// The system gives no threads.
    #[error("cannot start threads")]
    Runtime(#[source] std::io::Error),
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
                _ => format!("change `{key}`"),
            }),
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
            Self::Serve(_) | Self::Tls(_) => None,
            Self::Runtime(_) => Some("raise the limit of threads (`ulimit -u`)".into()),
        }
    }
}
