//! Telling others: events by HTTP and to programs.

mod delivery;
mod hooks;
mod program;
mod receiver;
mod restarts;

use serde_json::{Value, json};

use crate::harness::*;
use receiver::Receiver;

/// A `[[notify]]` by HTTP, with more keys as lines of TOML.
fn notified(name: &str, receiver: &Receiver, more: &str) -> String {
    format!("[[notify]]\nname = \"{name}\"\nurl = \"{}\"\n{more}\n", receiver.url())
}

/// `example.com` on tag `a`, with `b` ready to take over.
struct Site {
    vhost: Vhost,
    setup: Setup,
    _backends: [Backend; 2],
}

impl Site {
    fn start(entries: &str) -> Self {
        Self::start_with(entries, |setup| setup)
    }

    fn start_with(entries: &str, more: impl FnOnce(Setup) -> Setup) -> Self {
        let backends = [Backend::start("a1"), Backend::start("b1")];
        let setup = Setup::new()
            .entries(entries)
            .domain("example.com", "a")
            .backend("a1", backends[0].address(), &["a"])
            .backend("b1", backends[1].address(), &["b"]);
        let setup = more(setup);
        let vhost = setup.start();
        for id in ["a1", "b1"] {
            vhost.wait_for_health(id, "healthy");
        }
        Self { vhost, setup, _backends: backends }
    }

    #[track_caller]
    fn switch(&self, tag: &str) {
        self.vhost.ctl_ok(&["switch", "example.com", tag]);
    }

    fn target(&self, name: &str) -> Value {
        let list = self.vhost.rpc("notify.list", json!({})).expect("a list");
        let targets = list["targets"].as_array().expect("targets").iter();
        targets.into_iter().find(|target| target["name"] == name).expect("the target").clone()
    }
}
