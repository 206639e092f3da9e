//! `vhost ctl top`: the live view.
//!
//! `model` is what is known and what the keys mean, `view` is how it looks; both are pure. `feed` asks
//! the server, `run` holds the terminal.

mod feed;
mod look;
mod model;
mod run;
#[cfg(test)]
mod tests;
mod verb;
mod view;

pub(super) use verb::TopArgs;
