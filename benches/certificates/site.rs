//! A server that serves some domains over HTTPS, each with its certificate.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::bundles::{DIRECTORY_URL, store};
use crate::common::authority::Bundle;
use crate::common::server::{Prepared, free_address};

/// A domain whose certificate nobody trusts: its requests are asked about, and not redirected.
pub(crate) const UNTRUSTED: &str = "shop.localhost";

/// Where the domains have their certificates from.
#[derive(Clone, Copy)]
pub(crate) enum Tls {
    Auto,
    Off,
}

/// A server that has not started yet.
pub(crate) struct Site {
    pub(crate) prepared: Prepared,
    pub(crate) https: SocketAddr,
    /// The files of its certificates.
    pub(crate) files: Vec<PathBuf>,
}

pub(crate) fn domain(index: usize) -> String {
    format!("shop-{index}.example.com")
}

impl Site {
    /// A server of this many domains.
    pub(crate) fn new(binary: &Path, domains: usize, tls: Tls, backend: SocketAddr) -> Self {
        let https = free_address();
        let prepared = Prepared::new(binary, |directory, http| {
            config(directory, (http, https), domains, tls, backend)
        });
        Self { prepared, https, files: Vec::new() }
    }

    /// The same with their certificates, which were ordered long ago.
    pub(crate) fn with(binary: &Path, bundles: &[Bundle], backend: SocketAddr) -> Self {
        let mut site = Self::new(binary, bundles.len(), Tls::Auto, backend);
        site.files = store(&site.prepared.directory().join("certs"), bundles);
        site
    }
}

fn config(
    directory: &Path,
    (http, https): (SocketAddr, SocketAddr),
    domains: usize,
    tls: Tls,
    backend: SocketAddr,
) -> String {
    let directory = directory.display();
    let tls = match tls {
        Tls::Auto => "auto",
        Tls::Off => "off",
    };
    let mut text = format!(
        "[proxy]\nlisten_addr = \"{https}\"\nlisten_addr_http = \"{http}\"\n\
         admin_socket = \"{directory}/admin.sock\"\nstate_dir = \"{directory}/state\"\n\n\
         [health_check]\ninterval_secs = 600\n\n\
         [lets_encrypt]\nemail = \"admin@example.com\"\ndirectory_url = \"{DIRECTORY_URL}\"\n\
         cache_dir = \"{directory}/certs\"\n\n\
         [[backends]]\nid = \"web\"\naddress = \"{backend}\"\ntags = [\"a\"]\n\n\
         [[virtual_hosts]]\ndomain = \"{UNTRUSTED}\"\nenabled_backends_tag = \"a\"\n"
    );
    for index in 0..domains {
        let domain = domain(index);
        let _ = write!(
            text,
            "\n[[virtual_hosts]]\ndomain = \"{domain}\"\nenabled_backends_tag = \"a\"\n\
             tls = \"{tls}\"\n"
        );
    }
    text
}
