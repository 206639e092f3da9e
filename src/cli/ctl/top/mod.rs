//! `vhost ctl top`: the live view.
//!
//! `model` is the state and the meaning of keys, `view` draws it; both are pure. `feed` talks to
//! the server, `run` owns the terminal.

mod feed;
mod look;
mod model;
mod run;
#[cfg(test)]
mod tests;
mod verb;
mod view;

pub(super) use verb::TopArgs;
