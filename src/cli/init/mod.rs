//! `vhost init`: a first config.

mod answers;
mod args;
mod checks;
mod listeners;
mod report;
mod run;
mod text;

pub(in crate::cli) use args::InitArgs;
pub(in crate::cli) use run::run;
