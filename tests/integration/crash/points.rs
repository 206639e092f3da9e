//! SIGKILL before and after each step of every commit: the state is the one before or the one after, whole, and what was
//! acknowledged is the one after.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::image::Image;
use crate::harness::*;

/// What a change of the state passes, in order.
const COMMIT: [&str; 6] =
    ["commit", "commit.change", "commit.revision", "commit.event", "commit.done", "published"];

/// The same where several things change: the second of them, too.
const SEVERAL: [&str; 7] = [
    "commit",
    "commit.change",
    "1*off->commit.change",
    "commit.revision",
    "commit.event",
    "commit.done",
    "published",
];

/// What the end of a drain passes when it is written to the history.
const OUTCOME: [&str; 3] = ["outcome", "outcome.event", "outcome.done"];

/// What a file passes that is replaced.
const FILE: [&str; 5] = ["file", "file.written", "file.synced", "file.renamed", "file.done"];

/// What a file passes that is removed.
const REMOVAL: [&str; 2] = ["file.remove", "file.removed"];

/// What the database passes when it is made.
const SCHEMA: [&str; 4] = ["schema", "schema.tables", "schema.version", "schema.done"];

/// A server whose state is put back before each try.
struct Walk {
    vhost: Vhost,
    start: Saved,
}

/// A state directory and a config file, as they were.
struct Saved {
    state: tempfile::TempDir,
    config: Vec<u8>,
}

impl Saved {
    fn of(vhost: &Vhost) -> Self {
        let state = tempfile::tempdir().expect("temporary directory");
        copy(&vhost.state_dir(), state.path());
        Self { state, config: std::fs::read(vhost.config_file()).expect("the file is there") }
    }

    fn put_back(&self, vhost: &Vhost) {
        std::fs::remove_dir_all(vhost.state_dir()).expect("the server has ended");
        std::fs::create_dir(vhost.state_dir()).expect("a directory");
        copy(self.state.path(), &vhost.state_dir());
        self.put_config_back(vhost);
    }

    fn put_config_back(&self, vhost: &Vhost) {
        std::fs::write(vhost.config_file(), &self.config).expect("the file is written");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&to).expect("a directory");
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a file is copied");
        }
    }
}

impl Walk {
    fn start() -> Self {
        let mut vhost = setup().start();
        vhost.kill();
        let start = Saved::of(&vhost);
        Self { vhost, start }
    }

    fn image(&self) -> Image {
        Image::of(&self.vhost.state_dir())
    }

    /// Starts the server, which removes what the one before has left half-written.
    fn restart(&mut self, point: Option<&str>) {
        self.vhost.crash_at(point);
        self.vhost.restart();
        let left = unfinished(&self.vhost);
        assert!(left.is_empty(), "{left:?} is left behind");
    }

    /// Kills the server at each of `points` while it carries `method` out, and checks what is found after each. `between` are
    /// states on the way that are states of their own, such as a switch that drains.
    fn call(
        &mut self,
        method: &str,
        params: &Value,
        points: &[&str],
        between: impl Fn(&Image) -> Vec<Image>,
    ) {
        self.try_each(method, points, between, |vhost| {
            let mut connection = vhost.rpc_connection();
            match connection.try_call(method, params, |_| {}) {
                Ok(answer) => Some(answer.is_ok()),
                Err(_) => None,
            }
        });
    }

    /// The same with any operation, which says whether it was acknowledged; `None` when nobody answered.
    fn try_each(
        &mut self,
        what: &str,
        points: &[&str],
        between: impl Fn(&Image) -> Vec<Image>,
        operate: impl Fn(&Vhost) -> Option<bool>,
    ) {
        self.restart(None);
        let before = self.image();
        assert_eq!(operate(&self.vhost), Some(true), "{what}: done when nothing goes wrong");
        let after = self.image();
        assert_ne!(before, after, "{what} changes something");
        let config_after = std::fs::read(self.vhost.config_file()).expect("the file is there");
        self.vhost.kill();
        let next = Saved::of(&self.vhost);
        let between = between(&after);

        self.start.put_back(&self.vhost);
        for point in points {
            let context = format!("{what}, killed at `{point}`");
            self.restart(Some(point));
            assert_eq!(self.image(), before, "{context}: a restart changes nothing");
            let answer = operate(&self.vhost);
            assert!(answer.is_none(), "{context}: it was answered, so the point was not reached");
            self.vhost.wait_for_exit(SOON);
            let found = self.image();
            let is_whole = found == before || found == after || between.contains(&found);
            assert!(is_whole, "{context}\nfound {found:#?}\nbefore {before:#?}\nafter {after:#?}");
            if found == before {
                self.start.put_config_back(&self.vhost);
                continue;
            }
            // With the file that it was asked for by.
            std::fs::write(self.vhost.config_file(), &config_after).expect("it is written");
            self.restart(None);
            let again = self.image();
            assert_eq!(again, found.after_a_restart(), "{context}: a restart changes nothing");
            self.vhost.kill();
            self.start.put_back(&self.vhost);
        }
        next.put_back(&self.vhost);
        self.start = next;
    }
}

const SOON: std::time::Duration = std::time::Duration::from_secs(30);

fn setup() -> Setup {
    Setup::new()
        .set("logging.level", "\"warn\"")
        .set("health_check.interval_secs", 600)
        .set("switch.gate_timeout_secs", 0.05)
        .set("proxy.management_api_addr", format!("\"{}\"", free_address()))
        .lifetime(std::time::Duration::from_mins(2))
        .domain("one.test", "a")
        .domain("two.test", "a")
        .backend("a1", refusing_address(), &["a"])
        .backend("b1", refusing_address(), &["b"])
}

/// Files that were being written.
fn unfinished(vhost: &Vhost) -> Vec<PathBuf> {
    let files = std::fs::read_dir(vhost.state_dir()).expect("a directory").flatten();
    let files = files.filter(|file| file.file_name().to_string_lossy().starts_with(".unfinished-"));
    files.map(|file| file.path()).collect()
}

fn nothing(_: &Image) -> Vec<Image> {
    Vec::new()
}

#[test]
fn a_switch_is_whole_whenever_the_server_dies() {
    let mut walk = Walk::start();
    let both = json!(["one.test", "two.test"]);
    let switch = |options: Value| json!({ "domains": both, "tag": "b", "options": options });
    // The gate fails: only the history grows.
    let points = ["commit", "commit.revision", "commit.event", "commit.done"];
    let refused = switch(json!({}));
    walk.try_each("a switch that is refused", &points, nothing, |vhost| {
        let answer = vhost.rpc_connection().try_call("switch.start", &refused, |_| {});
        answer.ok().map(|answer| answer.is_err_and(|fault| fault.kind == "unhealthy"))
    });
    walk.call(
        "switch.start",
        &switch(json!({ "force": true, "no_drain": true })),
        &SEVERAL,
        nothing,
    );
    let draining = |after: &Image| vec![after.while_it_drains()];
    let undo = json!({ "domain": "one.test", "options": { "force": true } });
    let points = [&COMMIT[..], &OUTCOME].concat();
    walk.call("switch.undo", &undo, &points, draining);
}

#[test]
fn a_change_of_a_domain_or_a_backend_is_whole_whenever_the_server_dies() {
    let mut walk = Walk::start();
    let domain = json!({ "domain": "three.test", "tag": "a", "aliases": ["www.three.test"] });
    walk.call("domain.add", &domain, &COMMIT, nothing);
    let edit = json!({ "domain": "three.test", "aliases": ["web.three.test"] });
    walk.call("domain.set", &edit, &COMMIT[1..], nothing);
    walk.call("domain.remove", &json!({ "domain": "three.test" }), &COMMIT[1..], nothing);
    let backend = json!({ "id": "c1", "address": "127.0.0.1:9", "tags": ["c"] });
    walk.call("backend.add", &backend, &COMMIT[1..], nothing);
    let points = &COMMIT[3..];
    walk.call("backend.tag", &json!({ "id": "c1", "tags": ["d"] }), points, nothing);
    walk.call("backend.set", &json!({ "id": "c1", "weight": 7 }), points, nothing);
    walk.call("backend.disable", &json!({ "id": "c1" }), points, nothing);
    walk.call("backend.remove", &json!({ "id": "c1" }), points, nothing);
}

#[test]
fn a_reload_is_whole_whenever_the_server_dies() {
    let mut walk = Walk::start();
    let text = std::fs::read_to_string(walk.vhost.config_file()).unwrap();
    let text = text.replacen("enabled_backends_tag = \"a\"", "enabled_backends_tag = \"b\"", 1)
        + "\n[[virtual_hosts]]\ndomain = \"three.test\"\nenabled_backends_tag = \"b\"\n\
           [[backends]]\nid = \"b2\"\naddress = \"127.0.0.1:9\"\ntags = [\"b\"]\n";
    let points = [&SEVERAL[..4], &["commit.applied_file"], &SEVERAL[4..]].concat();
    walk.try_each("config.reload", &points, nothing, |vhost| {
        std::fs::write(vhost.config_file(), &text).unwrap();
        let mut connection = vhost.rpc_connection();
        let answer = connection.try_call("config.reload", &json!({ "force": true }), |_| {});
        answer.ok().map(|answer| answer.is_ok())
    });
}

#[test]
fn a_token_is_there_or_not_whenever_the_server_dies() {
    let mut walk = Walk::start();
    let add = json!({ "name": "deploy", "access": "full" });
    walk.call("token.add", &add, &FILE, nothing);
    walk.call("token.remove", &json!({ "name": "deploy" }), &FILE, nothing);
}

#[test]
fn what_was_left_half_written_goes_also_when_that_is_cut_short() {
    let mut walk = Walk::start();
    let before = walk.image();
    for point in REMOVAL {
        let left = walk.vhost.state_dir().join(".unfinished-abc");
        std::fs::write(left, "the secret of a token").unwrap();
        walk.vhost.crash_at(Some(point));
        walk.vhost.start_until_it_ends(SOON);
        walk.restart(None);
        assert_eq!(walk.image(), before, "killed at `{point}`");
        walk.vhost.kill();
    }
}

#[test]
fn a_first_start_is_whole_whenever_the_server_dies() {
    let mut walk = Walk::start();
    let done = walk.image();
    let points =
        [&SCHEMA[..], &SEVERAL[..4], &["commit.applied_file"], &SEVERAL[4..], &FILE].concat();
    for point in points {
        std::fs::remove_dir_all(walk.vhost.state_dir()).unwrap();
        walk.vhost.crash_at(Some(point));
        walk.vhost.start_until_it_ends(SOON);
        walk.vhost.crash_at(None);
        walk.vhost.restart();
        assert_eq!(walk.image(), done, "killed at `{point}`");
        walk.vhost.kill();
    }
}

#[test]
fn a_start_with_another_file_is_whole_whenever_the_server_dies() {
    let mut walk = Walk::start();
    let text = std::fs::read_to_string(walk.vhost.config_file()).unwrap();
    let text = text.replacen("enabled_backends_tag = \"a\"", "enabled_backends_tag = \"b\"", 2);
    std::fs::write(walk.vhost.config_file(), text).unwrap();
    let before = walk.image();
    walk.vhost.crash_at(None);
    walk.vhost.restart();
    let after = walk.image();
    walk.vhost.kill();
    for point in [&SEVERAL[..4], &["commit.applied_file"], &SEVERAL[4..]].concat() {
        let config = std::fs::read(walk.vhost.config_file()).unwrap();
        walk.start.put_back(&walk.vhost);
        std::fs::write(walk.vhost.config_file(), config).unwrap();
        walk.vhost.crash_at(Some(point));
        walk.vhost.start_until_it_ends(SOON);
        let found = walk.image();
        assert!(found == before || found == after, "killed at `{point}`: {found:#?}");
        walk.vhost.crash_at(None);
        walk.vhost.restart();
        assert_eq!(walk.image(), after, "killed at `{point}`");
        walk.vhost.kill();
    }
}

#[test]
fn every_point_of_the_sources_is_tried() {
    let tried: BTreeSet<&str> =
        [&COMMIT[..], &OUTCOME, &FILE, &REMOVAL, &SCHEMA, &["commit.applied_file"]]
            .concat()
            .into_iter()
            // What a deploy passes besides.
            .chain(crate::apps::crash::POINTS.into_iter().filter(|point| !point.contains('*')))
            // What a restore passes.
            .chain(crate::state::crash::POINTS.into_iter().filter(|point| !point.contains('*')))
            .collect();
    let mut found = BTreeSet::new();
    let mut directories = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let calls = text.split("crash_point(\"").skip(1);
            found.extend(calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, tried);
}
