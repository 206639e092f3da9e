//! What a domain does about requests beyond sending them to its live tag: one file an option.

mod answering;
pub(super) mod auth;
pub(super) mod canonical;
pub(super) mod compression;
pub(super) mod content;
pub(super) mod headers;
pub(super) mod location;
pub(super) mod maintenance;
pub(super) mod pages;
pub(super) mod paths;
pub(super) mod pause;
pub(super) mod preview;
mod services;
pub(super) mod split;
pub(super) mod sticky;
pub(super) mod times;

pub(super) use answering::Host;

pub(crate) use pages::{PageKeeper, PageRules, Pages};
pub(crate) use services::HostServices;
