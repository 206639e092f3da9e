//! What the server is loaded with: how much of it, and what it is called.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// Backends that carry one tag. Each application has two tags.
const POOL: usize = 10;

/// Parts of names, so that they differ early and late, as real ones do.
const WORDS: [&str; 16] = [
    "amber", "bakery", "cedar", "delta", "ember", "fjord", "garden", "harbour", "indigo",
    "juniper", "kiosk", "lantern", "meadow", "north", "orchard", "pixel",
];

/// How many domains and backends there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) domains: usize,
    pub(crate) backends: usize,
}

impl Shape {
    /// Applications, each with the tags `app-N-a` and `app-N-b`.
    pub(crate) fn applications(self) -> usize {
        (self.backends / (2 * POOL)).max(1)
    }

    /// The tag that serves a domain at first.
    pub(crate) fn live(self, index: usize) -> String {
        format!("app-{}-a", index % self.applications())
    }

    /// The tag that it can be switched to.
    pub(crate) fn other(self, index: usize) -> String {
        format!("app-{}-b", index % self.applications())
    }

    pub(crate) fn backend(self, index: usize) -> String {
        format!("{}-{}", self.tag(index), index / (2 * self.applications()))
    }

    /// The tag of a backend.
    pub(crate) fn tag(self, index: usize) -> String {
        let application = index / 2 % self.applications();
        format!("app-{application}-{}", if index.is_multiple_of(2) { "a" } else { "b" })
    }

    /// The config file of a server in `directory` whose backends all listen at `backend`.
    pub(crate) fn file(self, directory: &Path, listen: SocketAddr, backend: SocketAddr) -> String {
        let directory = directory.display();
        let mut text = format!(
            "[proxy]\nlisten_addr_http = \"{listen}\"\nadmin_socket = \"{directory}/admin.sock\"\n\
             state_dir = \"{directory}/state\"\n\n[health_check]\ninterval_secs = 600\n"
        );
        for index in 0..self.backends {
            let (id, tag) = (self.backend(index), self.tag(index));
            let _ = write!(
                text,
                "\n[[backends]]\nid = \"{id}\"\naddress = \"{backend}\"\ntags = [\"{tag}\"]\n"
            );
        }
        for index in 0..self.domains {
            let (domain, live) = (domain(index), self.live(index));
            let _ = write!(
                text,
                "\n[[virtual_hosts]]\ndomain = \"{domain}\"\nenabled_backends_tag = \"{live}\"\n"
            );
            if let Some(alias) = alias(index) {
                let _ = writeln!(text, "aliases = [\"{alias}\"]");
            }
        }
        text
    }
}

pub(crate) fn domain(index: usize) -> String {
    let (first, second) = (WORDS[index % 16], WORDS[index / 16 % 16]);
    format!("{first}-{second}-{index}.example.com")
}

/// Every tenth domain has one.
pub(crate) fn alias(index: usize) -> Option<String> {
    index.is_multiple_of(10).then(|| format!("www.{}", domain(index)))
}
