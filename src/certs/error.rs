//! Why a command on certificates can't be carried out.

use std::time::Duration;

use crate::model::DomainName;
use crate::tls::{AuthorityError, CertificateError};

/// Why a command on certificates can't be carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// Nobody serves the name.
    #[error("unknown domain `{name}`")]
    UnknownName {
        /// The name.
        name: DomainName,
        /// One that is like it.
        near: Option<DomainName>,
    },
    /// There is no certificate for the name.
    #[error("there is no certificate for `{name}`")]
    NoCertificate {
        /// The name.
        name: DomainName,
        /// What would change that.
        hint: Option<String>,
    },
    /// The key of the certificate is not kept.
    #[error("the key of the certificate of `{name}` is in the server's memory alone")]
    KeyNotKept {
        /// The name.
        name: DomainName,
    },
    /// The name's certificate doesn't come from an ACME CA.
    #[error("the certificate of `{name}` comes from {source_word}, not from an ACME CA")]
    NotAcme {
        /// The name.
        name: DomainName,
        /// Where it comes from.
        source_word: String,
        /// What would change that.
        hint: String,
    },
    /// What is served is still good.
    #[error("the certificate of `{name}` is good until {until}")]
    StillGood {
        /// The name.
        name: DomainName,
        /// Until when.
        until: String,
    },
    /// Orders for the name are made too often.
    #[error("{count} certificates for `{name}` were issued within 7 days; the CA's limit is 5")]
    TooOften {
        /// The name.
        name: DomainName,
        /// How many.
        count: usize,
    },
    /// A certificate that was given can't be taken.
    #[error("the certificate can't be used")]
    Unusable(#[source] CertificateError),
    /// A certificate that was given is for other names.
    #[error("the certificate is for {}, not for `{name}`", list(names))]
    OtherName {
        /// The name.
        name: DomainName,
        /// Those that it is for.
        names: Vec<String>,
    },
    /// A certificate that was given has run out.
    #[error("the certificate ran out on {until}")]
    RanOut {
        /// When.
        until: String,
    },
    /// The domain wants its certificate from elsewhere.
    #[error("`{name}` wants its certificate from elsewhere: `tls = {wants}`")]
    WantsOther {
        /// The name.
        name: DomainName,
        /// What its domain says.
        wants: String,
    },
    /// No ACME CA is configured.
    #[error("no ACME CA is configured")]
    NoCa,
    /// The CA refused.
    #[error("the CA refused: {message}")]
    Refused {
        /// Its words.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The wait was over.
    #[error("no certificate for `{name}` within {timeout:?}: {step}")]
    TimedOut {
        /// The name.
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
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownName { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::UnknownName { near: None, .. } => {
                Some("`vhost ctl cert list` shows the names that there are".into())
            }
            Self::NoCertificate { hint, .. } | Self::Refused { hint, .. } => hint.clone(),
            Self::NotAcme { hint, .. } => Some(hint.clone()),
            Self::KeyNotKept { .. } => {
                Some("another one is made at each start: there is nothing to back up".into())
            }
            Self::StillGood { .. } => Some("it renews by itself; pass `--force` to renew it now".into()),
            Self::TooOften { .. } => {
                Some("wait, or pass `--force`, which may have the CA refuse the name for a week".into())
            }
            Self::Unusable(_) => Some(
                "give the leaf first and then its chain as one PEM file, and the leaf's key as another"
                    .into(),
            ),
            Self::OtherName { names, .. } => names
                .first()
                .map(|name| format!("import it for `{name}`, or get one that has the name")),
            Self::RanOut { .. } => Some("get a new one".into()),
            Self::WantsOther { name, .. } => {
                Some(format!("first `vhost ctl domain set {name} --tls auto`"))
            }
            Self::NoCa => Some("add a section `[lets_encrypt]` to the config file".into()),
            Self::TimedOut { name, .. } => {
                Some(format!("it goes on; `vhost ctl cert show {name}` says how it stands"))
            }
            Self::Authority(_) | Self::File(_) => {
                Some("the server's log and the permissions of its directories tell more".into())
            }
            Self::Stopping => None,
        }
    }

    /// The error with all that led to it.
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

fn list(names: &[String]) -> String {
    const MOST: usize = 5;
    let mut words: Vec<_> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    if names.len() > MOST {
        words.push(format!("{} more", names.len() - MOST));
    }
    if words.is_empty() { "no name at all".to_owned() } else { words.join(", ") }
}
