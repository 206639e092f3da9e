//! Certificates for tests of other rooms: none are stored, and none are ordered.

use std::path::Path;
use std::sync::Arc;

use super::{CertSettings, Certificates};
use crate::acme::Storage;
use crate::state::Reader;
use crate::tls::{CertStore, Serving};

/// The handle on certificates that nobody keeps.
pub(crate) fn certificates(folder: &Path, reader: Reader) -> Certificates {
    let settings = CertSettings {
        cas: Vec::new(),
        on_demand: None,
        storage: Storage::new(folder.join("certs")),
        authority_dir: folder.join("ca"),
        default_certificate: None,
    };
    let serving = Serving::new().expect("random numbers");
    let journal = Arc::new(|_, _, _| Box::pin(std::future::ready(())) as _);
    Certificates::open(settings, reader, CertStore::new(), serving, journal).0
}
