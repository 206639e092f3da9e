//! Certificates, and what a handshake needs of them: read from PEM, made by the server's own CA, and
//! published to whoever serves. Who gets which, and when, is decided in `certs`. Also what handshakes
//! with backends need.

mod authority;
mod cert_store;
mod certificate;
mod demands;
mod pair;
mod peer;
mod serving;
#[cfg(test)]
pub(crate) mod testing;

pub use authority::{Authority, AuthorityError};
pub use cert_store::{CertStore, Slot};
pub use certificate::{Certificate, CertificateError};
pub use demands::{Demand, Demands};
pub use pair::{PairError, ran_out, read_fitting_pair, read_pair};
pub use peer::{PeerFiles, PeerKeys, PeerTls, TlsFileError};
pub use serving::{Served, Serving, Trust};
