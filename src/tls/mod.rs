//! Certificates for handshakes: read from PEM, made by the server's own CA, and published. `certs`
//! decides which name gets which, and when. Also the TLS of connections to backends.

mod authority;
mod cert_store;
mod certificate;
mod demands;
mod pair;
mod peer;
mod serving;
#[cfg(test)]
pub(crate) mod testing;
mod tickets;

pub use authority::{Authority, AuthorityError};
pub use cert_store::{CertStore, Slot};
pub use certificate::{Certificate, CertificateError};
pub use demands::{Demand, Demands};
pub(crate) use pair::listed;
pub use pair::{PairError, expiry_error, read_fitting_pair, read_pair};
pub use peer::{PeerFiles, PeerKeys, PeerTls, TlsFileError};
pub use serving::{Served, Serving, TlsVersion, Trust};
pub(crate) use tickets::Tickets;
