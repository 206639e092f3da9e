//! Traefik: routers become domains and paths, services tags, middlewares options.

mod labels;
mod middlewares;
mod routers;
mod rule;
mod services;
mod settings;
mod translate;
mod whole;

pub(super) use translate::translate;
