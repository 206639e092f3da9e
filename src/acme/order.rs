//! An order: the request, its progress and its result.

use std::fmt;

use instant_acme::{Error, Order};
use rustls::pki_types::CertificateDer;

use super::order_file::OrderFile;
use crate::model::{ChallengeKind, DomainName};

/// A request for a certificate.
#[derive(Debug, Clone)]
pub(crate) struct OrderRequest {
    /// The name to be signed.
    pub name: DomainName,
    /// The certificate that it replaces, if this CA signed it.
    pub replaces: Option<CertificateDer<'static>>,
    /// The challenge to begin with, such as the one that worked last.
    pub prefer: Option<ChallengeKind>,
    /// The challenge to use only when there is no other, such as the one that failed last.
    pub avoid: Option<ChallengeKind>,
}

/// What a CA has signed.
#[derive(Clone)]
pub(crate) struct Issued {
    /// The private key (PKCS#8), the certificate and its chain, PEM.
    pub bundle: String,
    /// The challenge that proved the name; `None` if the CA accepted an earlier proof.
    pub challenge: Option<ChallengeKind>,
    /// The account of the order.
    pub account: String,
}

impl fmt::Debug for Issued {
    /// The key stays out of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("challenge", &self.challenge)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// An order in progress.
pub(super) struct OrderRun {
    pub(super) order: Order,
    pub(super) file: OrderFile,
    /// Whether an earlier process began it.
    pub(super) resumed: bool,
}

/// Retries a step while the CA only rejects its nonce. instant-acme gives up after three tries.
macro_rules! retried {
    ($step:expr) => {{
        let mut left = 5;
        loop {
            match $step.await {
                Err(error) if left > 0 && $crate::acme::error::is_bad_nonce(&error) => left -= 1,
                done => break done,
            }
        }
    }};
}
pub(super) use retried;

/// Fetches what is missing, so that iterating does not fail half-way.
pub(super) async fn fetch_authorizations(order: &mut Order) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        authorization?;
    }
    Ok(())
}
