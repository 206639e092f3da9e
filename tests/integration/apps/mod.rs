//! Apps: tags of their own, options of their own, and a release in one verb.

pub(crate) mod crash;
mod deploy;
mod options;
mod standby;
mod tags;
mod traffic;

use std::time::Duration;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// A server that has no app yet.
fn empty() -> Vhost {
    Setup::new().start()
}

/// All that is in the state, as a config file has it.
fn exported(vhost: &Vhost) -> String {
    let export = vhost.ctl_json(&["config", "export"]);
    let text = export["text"].as_str().expect("a text");
    let entries = text.find("[[").unwrap_or(text.len());
    text[entries..].to_owned()
}

/// The ids of all backends.
fn backends(vhost: &Vhost) -> Vec<String> {
    let list = vhost.ctl_json(&["backend", "list"]);
    let list = list["backends"].as_array().expect("a list");
    list.iter().map(|of| of["id"].as_str().expect("a text").to_owned()).collect()
}

/// Who answers for a host.
#[track_caller]
fn served_by(vhost: &Vhost, host: &str) -> String {
    let response = vhost.get(host, "/");
    response.backend().unwrap_or_else(|| panic!("{response:?}")).to_owned()
}
