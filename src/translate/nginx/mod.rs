//! nginx: servers become domains, upstreams tags, locations paths.

mod access;
mod headers;
mod options;
mod redirects;
mod routes;
mod scope;
mod server;
mod sites;
mod translate;
mod upstreams;
mod whole;

pub(super) use translate::{DIALECT, translate};
