//! What the keeper can be told to do.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::error::CertError;
use crate::model::{Actor, CertificateReport, DomainName, RevocationReason};
use crate::tls::Served;

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Result<CertificateReport, CertError>>;

/// A command, and where its answer goes.
pub(super) enum Command {
    /// Order a certificate now.
    Renew { name: DomainName, force: bool, reply: Reply },
    /// Serve a certificate that was given, and stored, from now on.
    Import { actor: Actor, name: DomainName, served: Arc<Served>, bundle: String, reply: Reply },
    /// A certificate was revoked.
    Revoked {
        actor: Actor,
        name: DomainName,
        serial: String,
        reason: RevocationReason,
        reply: Reply,
    },
}
