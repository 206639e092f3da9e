//! Caddy: sites become domains, `reverse_proxy` tags and backends.

mod access;
mod address;
mod global;
mod headers;
mod matchers;
mod options;
mod proxy;
mod routes;
mod site;
mod snippets;
mod tls;
mod translate;
mod transport;
mod whole;

pub(super) use translate::{DIALECT, translate};
