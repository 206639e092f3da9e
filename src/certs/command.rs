//! The commands of the keeper.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::error::CertError;
use crate::model::{Actor, CertificateReport, DomainName, RevocationReason};
use crate::tls::Served;

/// The channel for the answer.
pub(super) type Reply = oneshot::Sender<Result<CertificateReport, CertError>>;

/// A command, with the channel for its answer.
pub(super) enum Command {
    /// Order a certificate now.
    Renew { name: DomainName, force: bool, reply: Reply },
    /// Serve an imported certificate, which is already stored.
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
