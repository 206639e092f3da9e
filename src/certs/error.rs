//! Errors of commands on certificates.

use std::time::Duration;

use crate::model::DomainName;
use crate::tls::{AuthorityError, CertificateError, listed};

/// Why a command on certificates failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertError {
    /// No domain has this name.
    #[error("unknown domain `{name}`")]
    UnknownName {
        name: DomainName,
        /// A similar name.
        near: Option<DomainName>,
    },
    /// There is no certificate for the name.
    #[error("there is no certificate for `{name}`")]
    NoCertificate {
        name: DomainName,
        /// How to get one.
        hint: Option<String>,
    },
    /// The key of the certificate is not stored.
    #[error("the key of the certificate of `{name}` is only in the server's memory")]
    KeyNotKept { name: DomainName },
    /// The name's certificate doesn't come from an ACME CA.
    #[error("the certificate of `{name}` comes from {source_word}, not from an ACME CA")]
    NotAcme {
        name: DomainName,
        /// Where it comes from.
        source_word: String,
        /// How to get one.
        hint: String,
    },
    /// The current certificate is still valid.
    #[error("the certificate of `{name}` is valid until {until}")]
    StillGood { name: DomainName, until: String },
    /// Too many orders for the name.
    #[error("{count} certificates for `{name}` were issued within 7 days; the CA's limit is 5")]
    TooOften { name: DomainName, count: usize },
    /// An imported certificate can't be used.
    #[error("the certificate can't be used")]
    Unusable(#[source] CertificateError),
    /// An imported certificate is for other names.
    #[error("the certificate is for {}, not for `{name}`", listed(names))]
    OtherName {
        name: DomainName,
        /// Those that it is for.
        names: Vec<String>,
    },
    /// An imported certificate has expired.
    #[error("the certificate expired on {until}")]
    RanOut { until: String },
    /// The domain gets its certificate from elsewhere.
    #[error("`{name}` gets its certificate from elsewhere: `tls = {wants}`")]
    WantsOther {
        name: DomainName,
        /// What its domain says.
        wants: String,
    },
    /// No ACME CA is configured.
    #[error("no ACME CA is configured")]
    NoCa,
    /// The CA refused.
    #[error("the CA refused: {message}")]
    Refused { message: String, hint: Option<String> },
    /// The wait timed out.
    #[error("no certificate for `{name}` within {timeout:?}: {step}")]
    TimedOut {
        name: DomainName,
        /// How long was waited.
        timeout: Duration,
        /// What was being done.
        step: String,
    },
    /// Our own CA can't be used.
    #[error("the server's own CA can't be used")]
    Authority(#[from] AuthorityError),
    /// A file can't be read or written.
    #[error("cannot use the file of the certificate")]
    File(#[from] std::io::Error),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl CertError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownName { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::UnknownName { near: None, .. } => {
                Some("`vhost ctl cert list` shows all names".into())
            }
            Self::NoCertificate { hint, .. } | Self::Refused { hint, .. } => hint.clone(),
            Self::NotAcme { hint, .. } => Some(hint.clone()),
            Self::KeyNotKept { .. } => {
                Some("each start makes a new one: there is nothing to back up".into())
            }
            Self::StillGood { .. } => Some("it is renewed automatically; use `--force` to renew it now".into()),
            Self::TooOften { .. } => {
                Some("wait, or use `--force`; the CA may then refuse the name for a week".into())
            }
            Self::Unusable(_) => Some(
                "give the leaf first and then its chain as one PEM file, and the leaf's key as another"
                    .into(),
            ),
            Self::OtherName { names, .. } => names
                .first()
                .map(|name| format!("import it under its own name, or get one for `{name}`")),
            Self::RanOut { .. } => Some("get a new one".into()),
            Self::WantsOther { name, .. } => {
                Some(format!("first `vhost ctl domain set {name} --tls auto`"))
            }
            Self::NoCa => Some("add a section `[lets_encrypt]` to the config file".into()),
            Self::TimedOut { name, .. } => {
                Some(format!("it goes on; see `vhost ctl cert show {name}`"))
            }
            Self::Authority(_) | Self::File(_) => {
                Some("see the server's log, and check the permissions of its directories".into())
            }
            Self::Stopping => None,
        }
    }
}
