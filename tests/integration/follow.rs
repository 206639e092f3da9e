//! `vhost ctl events`: the history as it is, and as it goes on.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// `vhost ctl events --follow`, its output in files.
struct Follow {
    child: Child,
    folder: tempfile::TempDir,
}

impl Follow {
    fn start(vhost: &Vhost, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name| File::create(folder.path().join(name)).unwrap();
        let child = Command::new(vhost_binary())
            .args(["ctl", "--socket"])
            .arg(vhost.socket())
            .args(["events", "--follow"])
            .args(args)
            .env_remove("VHOST_SOCKET")
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("vhost ctl starts");
        Self { child, folder }
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn events(&self) -> Vec<Value> {
        let text = self.text("stdout");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn wait(&mut self) -> i32 {
        let status = eventually_some("it ends", SOON, || self.child.try_wait().unwrap());
        status.code().unwrap_or(-1)
    }

    fn interrupt(&mut self) -> i32 {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        self.wait()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pair() -> (Vhost, Backend, Backend) {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .domain("shop.test", "a")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    (vhost, a, b)
}

fn ids(events: &[Value]) -> Vec<u64> {
    events
        .iter()
        .filter(|event| event["ended"] != true)
        .map(|e| e["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn who_follows_sees_each_event_once_whenever_they_come() {
    let (vhost, _a, _b) = pair();
    let set = |weight: u64| {
        vhost.rpc("backend.set", json!({"id": "a1", "weight": weight})).unwrap();
    };
    let mut followers = Vec::new();
    for round in 0..6 {
        followers.push(Follow::start(&vhost, &["-o", "json", "--limit", "1000"]));
        for weight in 0..30 {
            set(2 + round * 30 + weight);
        }
    }
    let newest = vhost.newest_event()["id"].as_u64().unwrap();
    let expected: Vec<u64> = (1..=newest).collect();
    for mut follower in followers {
        eventually("it has them all", SOON, || ids(&follower.events()).last() == Some(&newest));
        assert_eq!(ids(&follower.events()), expected, "in order, none missed, none twice");
        assert_eq!(follower.interrupt(), 0, "Ctrl-C is how it ends: {}", follower.text("stderr"));
        assert_eq!(follower.text("stderr"), "");
    }
}

#[test]
fn it_begins_with_the_last_events_of_the_domain_and_goes_on_with_them() {
    let (vhost, _a, b) = pair();
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    vhost.ctl_ok(&["switch", "example.com", "a"]);
    let follower = Follow::start(&vhost, &["example.com", "-o", "json", "--limit", "1"]);
    eventually("the last one is told", SOON, || follower.events().len() == 1);
    assert_eq!(follower.events()[0]["steps"][0]["to"], "a");
    vhost.ctl_ok(&["switch", "shop.test", "b"]);
    vhost.ctl_ok(&["backend", "set", "a1", "--weight", "9"]);
    let mut held = vhost.connect();
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    eventually("its own are told", SOON, || follower.events().len() >= 2);
    // A switch that drains is told at once, and again when it has ended.
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request is held", SOON, || b.held() == 1);
    let switch = vhost.ctl_in_background(&["switch", "example.com", "a"]);
    let last = || follower.events().pop().unwrap();
    eventually("the switch is told", SOON, || last()["outcome"]["state"] == "draining");
    b.release();
    assert_eq!(switch.wait().code, 0);
    eventually("its end is told", SOON, || {
        last()["ended"] == true && last()["outcome"]["state"] == "done"
    });
    let steps: Vec<_> =
        follower.events().iter().map(|event| event["steps"][0]["domain"].clone()).collect();
    assert!(steps.iter().all(|domain| domain == "example.com"), "{steps:?}");
}

#[test]
fn a_stop_of_the_server_ends_it_with_a_word() {
    let (mut vhost, _a, _b) = pair();
    let mut followers: Vec<_> = (0..5).map(|_| Follow::start(&vhost, &[])).collect();
    for follower in &followers {
        eventually("it follows", SOON, || follower.text("stdout").contains("applied"));
    }
    vhost.signal(Signal::SIGTERM);
    for follower in &mut followers {
        assert_eq!(follower.wait(), 0, "{}", follower.text("stderr"));
        assert_eq!(follower.text("stderr"), "the server is stopping\n");
    }
    assert!(vhost.wait_for_exit(SOON).success());
    let gone = Follow::start(&vhost, &[]).wait();
    assert_eq!(gone, 3);
}

#[test]
fn a_server_that_dies_is_no_clean_end() {
    let (mut vhost, _a, _b) = pair();
    let mut follower = Follow::start(&vhost, &[]);
    eventually("it follows", SOON, || follower.text("stdout").contains("applied"));
    vhost.kill();
    assert_eq!(follower.wait(), 1);
    assert!(follower.text("stderr").starts_with("error: lost the server"));
}

#[test]
fn a_slow_watcher_holds_up_nobody_and_misses_nothing() {
    let (vhost, _a, _b) = pair();
    let mut slow = BufReader::new(UnixStream::connect(vhost.socket()).unwrap());
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "event.watch", "params": {}});
    slow.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
    // Far more than the socket and the server's queue hold.
    let reason = "x".repeat(30_000);
    let start = Instant::now();
    for turn in 0..80 {
        let tag = ["b", "a"][turn % 2];
        let params = json!({"domains": ["example.com"], "tag": tag,
            "options": {"force": true, "no_drain": true, "reason": reason}});
        vhost.rpc("switch.start", params).unwrap();
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let newest = vhost.newest_event()["id"].as_u64().unwrap();
    let (mut seen, mut behind) = (Vec::new(), 0);
    while seen.last() != Some(&newest) {
        let mut line = String::new();
        slow.read_line(&mut line).unwrap();
        let mut message: Value = serde_json::from_str(&line).unwrap();
        let told = message["params"]["progress"].take();
        seen.push(told["id"].as_u64().unwrap_or_else(|| panic!("{line}")));
        behind = told["behind"].as_u64().unwrap().max(behind);
    }
    assert_eq!(seen, (1..=newest).collect::<Vec<_>>());
    assert!(behind > 0, "it was told that it is behind");
}

#[test]
fn a_watcher_that_has_gone_leaves_nothing_behind() {
    let (vhost, _a, _b) = pair();
    // The server's ends carry the path that the socket was made at; 03 is connected.
    let folder = vhost.directory().display().to_string();
    let connections = || {
        let table = std::fs::read_to_string("/proc/net/unix").unwrap();
        let is_its =
            |line: &&str| line.contains(&folder) && line.split_whitespace().nth(5) == Some("03");
        table.lines().filter(is_its).count()
    };
    let followers: Vec<_> = (0..20).map(|_| Follow::start(&vhost, &[])).collect();
    for follower in &followers {
        eventually("it follows", SOON, || follower.text("stdout").contains("applied"));
    }
    assert_eq!(connections(), 20);
    drop(followers);
    eventually("their connections are closed", SOON, || connections() == 0);
}

#[test]
fn without_follow_it_is_the_history_with_the_newest_last() {
    let (vhost, _a, _b) = pair();
    for weight in ["2", "3", "4"] {
        vhost.ctl_ok(&["backend", "set", "a1", "--weight", weight]);
    }
    let lines = vhost.ctl_ok(&["events", "--limit", "2", "-o", "json"]).stdout;
    let events: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut listed = vhost.ctl_json(&["history", "--limit", "2"])["events"].take();
    listed.as_array_mut().unwrap().reverse();
    assert_eq!(json!(events), listed);
    let table = vhost.ctl_ok(&["events"]).stdout;
    assert!(table.starts_with("TIME "), "{table}");
    assert!(table.lines().last().unwrap().contains("weight: 3 → 4"), "{table}");
    let bare = vhost.ctl_ok(&["events", "--no-headers"]).stdout;
    assert_eq!(bare.lines().count() + 1, table.lines().count());
}
