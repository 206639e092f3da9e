//! What the first version has stored is served unchanged: its database, beside the file that it applied.
//!
//! `first_version/state.sql` is the database of the build dd9fc85 after `declared.toml` and a few commands;
//! `exported.toml` is what it exported then. `oldest.sql` is the same of the build 2fad445, which had no texts as
//! error pages and stored the values of references to the environment.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::json;
use toml::Table;

use crate::harness::*;

const DECLARED: &str = include_str!("first_version/declared.toml");
const EXPORTED: &str = include_str!("first_version/exported.toml");
const STATE: &str = include_str!("first_version/state.sql");
const OLDEST_STATE: &str = include_str!("first_version/oldest.sql");
const PAGES: [&str; 2] = [
    "error_pages = { 503 = { text = \"back soon\" }, 404 = { text = \"not here\" } }",
    "error_pages = { 404 = { text = \"not here\" }, 503 = { text = \"back soon\" } }",
];
const OLDEST_PAGES: &str = "error_pages = { 404 = \"/nonexistent/404.html\" }";

/// The hash of a password, which the file takes from the environment.
const HASH: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

fn store(path: &Path, state: &str) {
    let _ = std::fs::remove_file(path);
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(state).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    connection.pragma_update(None, "application_id", 1_986_556_788).unwrap();
}

fn stop(vhost: &mut Vhost) {
    vhost.signal(Signal::SIGTERM);
    vhost.wait_for_exit(Duration::from_secs(20));
}

/// The domains and backends of a file.
fn entries(text: &str) -> (toml::Value, toml::Value) {
    let mut file: Table = text.parse().unwrap();
    (file.remove("virtual_hosts").unwrap(), file.remove("backends").unwrap())
}

#[test]
fn a_state_directory_and_a_file_of_the_first_version_work_unchanged() {
    works_unchanged(DECLARED, EXPORTED, STATE, 8);
}

#[test]
fn so_do_those_of_the_oldest_build() {
    let [declared, exported] = PAGES;
    let declared = DECLARED.replace(declared, OLDEST_PAGES);
    // The reference of the file takes the place of the value that was stored.
    works_unchanged(&declared, &EXPORTED.replace(exported, OLDEST_PAGES), OLDEST_STATE, 9);
}

fn works_unchanged(declared: &str, exported: &str, state: &str, revision: u64) {
    let setup = Setup::new().env("FIRST_VERSION_HASH", HASH.into());
    let mut vhost = setup.start();
    stop(&mut vhost);
    store(&vhost.state_dir().join("state.db"), state);
    vhost.write_config(&setup.clone().entries(declared));
    vhost.restart();

    let state = vhost.rpc("state.get", json!({})).unwrap();
    assert_eq!(state["revision"], revision, "the file changes nothing: {state}");
    let text = vhost.ctl_ok(&["config", "export"]).stdout;
    assert_eq!(entries(&text), entries(exported), "{text}");
    let history = vhost.ctl_ok(&["history"]).stdout;
    for event in ["by-hand added", "* a → c, done", "made.example.com removed"] {
        assert!(history.contains(event), "{history}");
    }
    let undone = vhost.rpc("domain.show", json!({ "domain": "*" })).unwrap();
    assert_eq!((&undone["live"], &undone["previous"]), (&json!("c"), &json!("a")));

    // What it writes from now on, it reads again.
    vhost.ctl_ok(&["backend", "set", "web-a", "--weight", "3"]);
    vhost.ctl_ok(&["domain", "set", "shop.example.com", "--option", "max_body_bytes=5"]);
    stop(&mut vhost);
    vhost.restart();
    assert_eq!(vhost.backend("web-a")["weight"], 3);
    let shop = vhost.rpc("domain.show", json!({ "domain": "shop.example.com" })).unwrap();
    assert_eq!(shop["options"]["max_body_bytes"], 5);
    assert_eq!(shop["options"]["basic_auth"]["users"]["ann"], "${FIRST_VERSION_HASH}");
}
