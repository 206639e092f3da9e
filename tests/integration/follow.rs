//! The history as it grows.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A `vhost ctl events --follow` that writes to a file.
struct Follower {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Follower {
    fn start(vhost: &Vhost, name: &str, args: &[&str]) -> Self {
        let (out, err) =
            (vhost.directory().join(name), vhost.directory().join(format!("{name}.err")));
        let child = Command::new(vhost_binary())
            .args(["ctl", "events", "--follow"])
            .args(args)
            .env("VHOST_SOCKET", vhost.socket())
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .expect("vhost ctl starts");
        Self { child, out, err }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap()
    }

    fn events(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn wait_for(&self, what: &str, found: impl Fn(&[Value]) -> bool) {
        eventually(what, PATIENCE, || found(&self.events()));
    }

    fn end(&mut self) -> Option<i32> {
        eventually("it ends", PATIENCE, || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve() -> (Vhost, Vec<Backend>) {
    let backends: Vec<_> = ["a1", "b1"].iter().map(|id| Backend::start(id)).collect();
    let vhost = Setup::new()
        .domain("example.com", "a")
        .domain("other.test", "a")
        .backend("a1", backends[0].address(), &["a"])
        .backend("b1", backends[1].address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    (vhost, backends)
}

#[test]
fn each_event_is_told_as_it_happens_and_a_switch_again_when_it_has_ended() {
    let (vhost, backends) = serve();
    let mut follower = Follower::start(&vhost, "all", &["--output", "json"]);
    let mut lines = Follower::start(&vhost, "lines", &["example.com"]);
    follower.wait_for("what was", |events| events.len() == 1);
    assert_eq!(follower.events()[0]["kind"], "file_applied");
    // A request that is held keeps the switch draining.
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("it is held", PATIENCE, || backends[0].held() == 1);
    let switching = vhost.ctl_in_background(&["switch", "example.com", "b"]);
    follower.wait_for("the switch", |events| events.len() == 2);
    assert_eq!(follower.events()[1]["outcome"]["state"], "draining");
    backends[0].release();
    assert_eq!(switching.wait().code, 0);
    follower.wait_for("its end", |events| events.len() == 3);
    let events = follower.events();
    assert_eq!(events[2]["outcome"]["state"], "done");
    assert_eq!(events[1]["id"], events[2]["id"]);
    vhost.ctl_ok(&["switch", "other.test", "b"]);
    follower.wait_for("the other domain's", |events| events.len() >= 4);
    eventually("the lines", PATIENCE, || lines.text().contains("example.com a → b, done"));
    assert!(!lines.text().contains("other.test a → b"), "{}", lines.text());
    for follower in [&mut follower, &mut lines] {
        let pid = Pid::from_raw(follower.child.id().try_into().unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        assert_eq!(follower.end(), Some(0));
    }
}

#[test]
fn nothing_is_lost_and_nothing_told_twice() {
    let (vhost, _backends) = serve();
    let changes = 300;
    let socket = vhost.socket();
    let changing = std::thread::spawn(move || {
        let mut connection = RpcConnection::connect(&socket);
        for number in 0..changes {
            let params = json!({"domain": format!("d{number}.test"), "tag": "a"});
            connection.call("domain.add", &params).expect("it is added");
        }
    });
    let followers: Vec<_> = (0..4)
        .map(|number| {
            Follower::start(&vhost, &format!("f{number}"), &["--limit", "1", "-o", "json"])
        })
        .collect();
    changing.join().unwrap();
    let last = vhost.newest_event()["id"].as_u64().unwrap();
    for follower in &followers {
        follower.wait_for("the last", |events| events.last().is_some_and(|e| e["id"] == last));
        let ids: Vec<_> = follower.events().iter().map(|e| e["id"].as_u64().unwrap()).collect();
        let first = ids[0];
        assert_eq!(ids, (first..=last).collect::<Vec<_>>());
    }
}

#[test]
fn a_slow_watcher_holds_up_nobody_and_misses_nothing() {
    let (vhost, _backends) = serve();
    let mut slow = BufReader::new(UnixStream::connect(vhost.socket()).unwrap());
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "event.watch", "params": {}});
    slow.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
    // Far more than the socket and the server's queue hold.
    let reason = "x".repeat(10_000);
    let start = Instant::now();
    for turn in 0..200 {
        let tag = ["b", "a"][turn % 2];
        let params = json!({"domains": ["example.com"], "tag": tag,
            "options": {"force": true, "no_drain": true, "reason": reason}});
        vhost.rpc("switch.start", params).unwrap();
    }
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let newest = vhost.newest_event()["id"].as_u64().unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&newest) {
        let mut line = String::new();
        slow.read_line(&mut line).unwrap();
        let message: Value = serde_json::from_str(&line).unwrap();
        let id = message["params"]["progress"]["id"].as_u64();
        seen.push(id.unwrap_or_else(|| panic!("{line}")));
    }
    assert_eq!(seen, (1..=newest).collect::<Vec<_>>());
}

#[test]
fn a_stop_of_the_server_is_a_clean_end() {
    let (mut vhost, _backends) = serve();
    let mut followers: Vec<_> =
        (0..5).map(|number| Follower::start(&vhost, &format!("f{number}"), &[])).collect();
    for follower in &followers {
        eventually("it follows", PATIENCE, || follower.text().contains("applied"));
    }
    vhost.signal(Signal::SIGTERM);
    for follower in &mut followers {
        assert_eq!(follower.end(), Some(0));
        let words = std::fs::read_to_string(&follower.err).unwrap();
        assert_eq!(words, "the server is stopping\n");
    }
    assert!(vhost.wait_for_exit(PATIENCE).success());
}

#[test]
fn it_ends_with_the_server_and_says_so() {
    let (mut vhost, _backends) = serve();
    let mut follower = Follower::start(&vhost, "out", &[]);
    eventually("it follows", PATIENCE, || follower.text().contains("applied"));
    vhost.kill();
    assert_eq!(follower.end(), Some(1));
    let words = std::fs::read_to_string(&follower.err).unwrap();
    assert!(words.contains("error: lost the connection to the server"), "{words}");
}

#[test]
fn without_follow_it_shows_what_happened_the_newest_last() {
    let (vhost, _backends) = serve();
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    let shown = vhost.ctl_ok(&["events", "--limit", "2"]).stdout;
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].contains("applied") && lines[1].contains("a → b, done"), "{shown}");
}
