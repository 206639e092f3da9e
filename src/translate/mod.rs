//! Configs of other proxies, as one of ours: what can be said in it, and a list of what can't.
//!
//! Nothing is guessed. What limits who may reach what is either translated in full, or closes its domain
//! and heads the list. `docs/from/` has the tables that this follows.

mod blocks;
mod caddy;
mod draft;
mod finding;
mod kamal;
mod limiting;
mod nginx;
mod pools;
mod run;
mod scan;
mod source;
mod traefik;
mod tree;
mod tree_file;
mod units;

pub(crate) use finding::{Finding, Severity};
pub(crate) use source::{Hints, Read, Source, Translation};
