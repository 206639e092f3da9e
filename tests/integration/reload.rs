//! The config file, read again while the server runs: what changes, what stays, what is refused.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

/// `example.com` on `a`, with a backend for each of `a`, `b` and `c`.
struct Site {
    setup: Setup,
    vhost: Vhost,
    backends: [Backend; 3],
}

impl Site {
    fn start() -> Self {
        Self::start_with(|setup| setup)
    }

    fn start_with(more: impl FnOnce(Setup) -> Setup) -> Self {
        let backends = ["a1", "b1", "c1"].map(Backend::start);
        let setup = more(
            Setup::new()
                .domain("example.com", "a")
                .backend_with("a1", backends[0].address(), &["a"], "weight = 2")
                .backend("b1", backends[1].address(), &["b"])
                .backend("c1", backends[2].address(), &["c"]),
        );
        let vhost = setup.start();
        vhost.wait_until_healthy(3);
        Self { setup, vhost, backends }
    }

    /// Edits the file.
    fn edit(&mut self, edit: impl FnOnce(Setup) -> Setup) {
        self.setup = edit(self.setup.clone());
        self.vhost.write_config(&self.setup);
    }

    fn reload(&self) -> Value {
        self.vhost.ctl_json(&["reload"])
    }

    fn revision(&self) -> Value {
        self.vhost.rpc("state.get", json!({})).expect("state.get answers")["revision"].take()
    }

    /// A reload that is refused changes nothing, and says so in three parts.
    #[track_caller]
    fn assert_refused(&self, code: i32, parts: &[&str]) {
        let (revision, exported) = (self.revision(), self.vhost.ctl_ok(&["config", "export"]));
        let output = self.vhost.ctl(&["reload"]);
        assert_eq!(output.code, code, "{output:#?}");
        for part in parts.iter().chain(&["error:", "cause:", "hint:"]) {
            assert!(output.stderr.contains(part), "no `{part}` in:\n{}", output.stderr);
        }
        assert_eq!(self.revision(), revision);
        assert_eq!(self.vhost.ctl_ok(&["config", "export"]).stdout, exported.stdout);
    }

    fn hold(&self, backend: &Backend) -> Client {
        let before = backend.held();
        let mut client = self.vhost.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
        eventually("the request is held", SOON, || backend.held() == before + 1);
        client
    }
}

/// The lines that a person reads about the changes.
fn told(report: &Value) -> Vec<String> {
    let changed = report["changed"].as_array().expect("`changed` is a list");
    let text = |change: &Value, key: &str| change[key].as_str().expect(key).to_owned();
    changed
        .iter()
        .map(|change| {
            let what: Vec<_> =
                change["changes"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
            let (kind, name) = (text(change, "kind"), text(change, "name"));
            format!("{kind} {name} {} {}", text(change, "action"), what.join("; "))
                .trim_end()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_reload_applies_what_changed_in_the_file_and_nothing_else() {
    let mut site = Site::start();
    let vhost = &site.vhost;
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    vhost.ctl_ok(&["backend", "set", "b1", "--weight", "3"]);
    vhost.ctl_ok(&["backend", "drain", "c1"]);
    vhost.ctl_ok(&["domain", "add", "made.test", "--tag", "b"]);
    let revision = site.revision().as_u64().unwrap();
    assert!(told(&site.reload()).is_empty(), "the file has not changed");
    assert_eq!(site.revision(), revision);

    site.edit(|setup| setup.replace("weight = 2", "weight = 3").domain("new.test", "c"));
    let report = site.reload();
    assert_eq!(
        told(&report),
        ["backend a1 changed weight: 2 → 3", "domain new.test added"],
        "{report:#}"
    );
    let vhost = &site.vhost;
    assert_eq!(report["revision"], revision + 1);
    assert_eq!(vhost.backend("a1")["weight"], 3);
    assert_eq!(vhost.live("new.test"), "c");
    assert_eq!(vhost.live("example.com"), "b", "the switch is not undone");
    assert_eq!(vhost.backend("b1")["weight"], 3, "what the file doesn't say is not touched");
    assert_eq!(vhost.backend("c1")["state"], "draining");
    assert_eq!(vhost.live("made.test"), "b", "what a command made stays");
    let event = vhost.newest_event();
    assert_eq!(
        (&event["kind"], &event["actor"]["via"]),
        (&json!("file_applied"), &json!("socket"))
    );
    assert!(told(&site.reload()).is_empty(), "applied twice is applied once");
}

#[test]
fn a_reload_survives_kill_9() {
    let mut site = Site::start();
    site.vhost.ctl_ok(&["switch", "example.com", "b"]);
    site.edit(|setup| setup.replace("weight = 2", "weight = 3").domain("new.test", "c"));
    let report = site.reload();
    let exported = site.vhost.ctl_ok(&["config", "export"]).stdout;
    site.vhost.kill();
    site.vhost.restart();
    assert_eq!(site.revision(), report["revision"], "there is nothing left to apply");
    assert_eq!(site.vhost.ctl_ok(&["config", "export"]).stdout, exported);
    assert_eq!(site.vhost.live("example.com"), "b");
    assert!(told(&site.reload()).is_empty());
}

#[test]
fn a_dry_run_shows_what_a_reload_would_do_and_does_nothing() {
    let mut site = Site::start();
    let revision = site.revision();
    site.edit(|setup| {
        setup
            .replace("enabled_backends_tag = \"a\"", "enabled_backends_tag = \"b\"")
            .set("proxy.threads", 3)
            .set("switch.drain_timeout_secs", 7)
    });
    let dry = site.vhost.ctl_json(&["reload", "--dry-run"]);
    assert_eq!((&dry["dry_run"], &dry["revision"]), (&json!(true), &revision));
    assert_eq!(
        told(&dry),
        [
            "domain example.com changed live: a → b",
            "setting switch.drain_timeout_secs changed 10 → 7"
        ]
    );
    assert_eq!(dry["needs_restart"][0]["key"], "proxy.threads");
    assert_eq!(site.vhost.live("example.com"), "a");
    let words = site.vhost.ctl_ok(&["reload", "--dry-run"]).stderr;
    assert!(words.contains("would     domain `example.com`: live: a → b"), "{words}");
    assert_eq!(site.revision(), revision);
    let real = site.reload();
    assert_eq!((told(&real), &real["needs_restart"]), (told(&dry), &dry["needs_restart"]));
    assert_eq!(site.vhost.live("example.com"), "b");
}

#[test]
fn a_bad_file_changes_nothing_and_every_mistake_is_told() {
    let site = Site::start();
    let bad = "[proxy]\nlisten_addr_http = \"nowhere\"\n\n[logging]\nlevel = \"loud\"\n";
    std::fs::write(site.vhost.config_file(), bad).unwrap();
    site.assert_refused(2, &["is invalid", "vhost check"]);
    let revision = site.revision();
    let output = site.vhost.ctl(&["reload"]);
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    let file = site.vhost.config_file().display().to_string();
    for part in [format!("{file}:2: proxy.listen_addr_http"), format!("{file}:5: logging.level")] {
        assert!(output.stderr.contains(&part), "no `{part}` in:\n{}", output.stderr);
    }
    let fault = site.vhost.rpc("config.reload", json!({})).expect_err("the file is bad");
    assert_eq!(fault.kind, "invalid");
    site.vhost.signal(Signal::SIGHUP);
    site.vhost.wait_for_log("config not reloaded");
    site.vhost.wait_for_log("logging.level");
    std::fs::remove_file(site.vhost.config_file()).unwrap();
    let output = site.vhost.ctl(&["reload"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("cannot read") && output.stderr.contains(&file), "{output:?}");
    assert_eq!(site.revision(), revision);
    assert_eq!(site.vhost.get("example.com", "/").backend(), Some("a1"));
}

#[test]
fn what_a_command_made_otherwise_is_a_conflict_that_names_both() {
    let mut site = Site::start();
    site.vhost.ctl_ok(&["backend", "add", "made", "127.0.0.1:9", "--tag", "m"]);
    site.vhost.ctl_ok(&["domain", "add", "made.test", "--tag", "b", "--alias", "www.made.test"]);
    let before = site.setup.clone();
    site.edit(|setup| setup.backend_with("made", "127.0.0.1:9", &["m"], "weight = 2"));
    let uid = nix::unistd::geteuid().to_string();
    site.assert_refused(
        5,
        &["the backend `made`", &format!("uid {uid}"), "weight: 1 → 2", "backend remove made"],
    );
    site.setup = before.clone();
    site.edit(|setup| setup.domain("made.test", "c"));
    site.assert_refused(5, &["the domain `made.test`", "live: b → c", "config export"]);
    site.setup = before.clone();
    site.edit(|setup| setup.domain("www.made.test", "c"));
    site.assert_refused(5, &["`www.made.test`", "`made.test` has it", &format!("uid {uid}")]);
    // The same as it is made is none; from then on the entry is the file's.
    site.setup = before.clone();
    site.edit(|setup| setup.backend("made", "127.0.0.1:9", &["m"]));
    assert!(told(&site.reload()).is_empty());
    site.setup = before;
    site.edit(|setup| setup);
    assert_eq!(told(&site.reload()), ["backend made removed"]);
}

#[test]
fn a_domain_does_not_lose_its_last_backend_to_a_file() {
    let mut site = Site::start();
    site.vhost.ctl_ok(&["switch", "example.com", "b"]);
    let [a, _, c] = &site.backends;
    let smaller = Setup::new()
        .at(site.setup.http_address())
        .domain("example.com", "a")
        .backend("a1", a.address(), &["a"])
        .backend("c1", c.address(), &["c"]);
    site.vhost.write_config(&smaller);
    site.assert_refused(5, &["`example.com`", "`b`", "`b1`", "switch example.com"]);
    assert_eq!(site.vhost.get("example.com", "/").backend(), Some("b1"));
    // At a start too.
    site.vhost.signal(Signal::SIGTERM);
    assert!(site.vhost.wait_for_exit(SOON).success());
    let output = serve_once(&site.vhost.config_file());
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("`b`") && output.stderr.contains("hint:"), "{output:?}");
    site.vhost.write_config(&site.setup);
    site.vhost.restart();
    site.vhost.write_config(&smaller);
    let report = site.vhost.ctl_json(&["reload", "--force"]);
    assert!(told(&report).contains(&"backend b1 removed".to_owned()), "{report:#}");
    assert_eq!(site.vhost.get("example.com", "/").status, 503);
}

#[test]
fn a_tag_that_the_file_moves_is_proven_first() {
    let mut site = Site::start();
    let fresh = Backend::start("d1");
    fresh.set_health(500);
    site.edit(|setup| {
        setup
            .replace("enabled_backends_tag = \"a\"", "enabled_backends_tag = \"d\"")
            .backend("d1", fresh.address(), &["d"])
            .set("switch.gate_timeout_secs", 0.5)
    });
    // The gate's time is the one in effect, not the one of the file that is refused.
    site.assert_refused(6, &["0 of 1 backend", "`d`"]);
    assert_eq!(site.vhost.get("example.com", "/").backend(), Some("a1"));
    assert!(site.vhost.ctl(&["backend", "show", "d1"]).code == 4, "all or nothing");
    fresh.set_health(200);
    let report = site.reload();
    assert_eq!(report["steps"], json!([{"domain": "example.com", "from": "a", "to": "d"}]));
    assert_eq!(site.vhost.backend("d1")["health"]["status"], "healthy", "what was proven counts");
    assert_eq!(site.vhost.get("example.com", "/").backend(), Some("d1"));
    site.vhost.ctl_ok(&["undo", "example.com"]);

    fresh.set_health(500);
    site.vhost.wait_for_health("d1", "unhealthy");
    site.edit(|setup| {
        setup
            .replace("enabled_backends_tag = \"d\"", "enabled_backends_tag = \"c\"")
            .domain("more.test", "d")
    });
    assert_eq!(site.reload()["steps"][0]["to"], "c", "a new domain has nothing to lose");
    site.edit(|setup| {
        setup.replace("enabled_backends_tag = \"c\"", "enabled_backends_tag = \"d\"")
    });
    assert_eq!(site.vhost.ctl(&["reload"]).code, 6);
    assert_eq!(site.vhost.ctl(&["reload", "--force"]).code, 0);
    assert_eq!(site.vhost.live("example.com"), "d");
}

#[test]
fn what_the_file_drops_is_drained() {
    let mut site = Site::start();
    let held = site.hold(&site.backends[0]);
    let mut socket = WebSocket::open(site.vhost.http(), "example.com");
    assert_eq!(socket.backend, "a1");
    let [_, b, c] = &site.backends;
    let smaller = Setup::new()
        .at(site.setup.http_address())
        .domain("example.com", "b")
        .backend("b1", b.address(), &["b"])
        .backend("c1", c.address(), &["c"]);
    site.vhost.write_config(&smaller);
    let mut reload = site.vhost.ctl_in_background(&["reload"]);
    eventually("new requests go to the new tag", SOON, || {
        site.vhost.get("example.com", "/").backend() == Some("b1")
    });
    assert_eq!(site.vhost.ctl(&["backend", "show", "a1"]).code, 4, "it is gone");
    socket.echo("still here").expect("an open WebSocket goes on");
    assert!(!reload.has_ended(), "it waits for the drain");
    socket.close().expect("it closes");
    site.backends[0].release();
    let mut held = held;
    assert_eq!(held.read_response().status, 200, "a running request finishes");
    let output = reload.wait();
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("requests left"), "{output:?}");
    site.setup = smaller;
}

#[test]
fn a_drain_that_does_not_end_is_status_7_and_the_reload_stands() {
    let mut site = Site::start();
    let held = site.hold(&site.backends[0]);
    site.edit(|setup| {
        setup
            .replace("enabled_backends_tag = \"a\"", "enabled_backends_tag = \"b\"")
            .domain("other.test", "c")
    });
    let output = site.vhost.ctl(&["reload", "--drain-timeout", "200ms"]);
    assert_eq!(output.code, 7, "{output:?}");
    assert!(output.stderr.contains("1 request of removed entries"), "{output:?}");
    assert_eq!(site.vhost.live("example.com"), "b");
    let mut again = site.hold(&site.backends[1]);
    site.edit(|setup| {
        setup.replace("enabled_backends_tag = \"b\"", "enabled_backends_tag = \"c\"")
    });
    let output = site.vhost.ctl_ok(&["reload", "--no-drain"]);
    assert!(output.stderr.contains("drain not waited for"), "{output:?}");
    site.backends[0].release();
    site.backends[1].release();
    let mut held = held;
    assert_eq!(held.read_response().status, 200);
    assert_eq!(again.read_response().status, 200);
}

#[test]
fn a_switch_under_way_and_a_file_that_moves_the_same_domain_are_a_conflict() {
    let mut site = Site::start();
    let _held = site.hold(&site.backends[0]);
    let mut switch = site.vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("switched", SOON, || site.vhost.live("example.com") == "b");
    site.edit(|setup| {
        setup.replace("enabled_backends_tag = \"a\"", "enabled_backends_tag = \"c\"")
    });
    site.assert_refused(5, &["another switch of `example.com`"]);
    site.edit(|setup| {
        setup
            .replace("enabled_backends_tag = \"c\"", "enabled_backends_tag = \"a\"")
            .replace("weight = 2", "weight = 3")
    });
    assert_eq!(told(&site.reload()), ["backend a1 changed weight: 2 → 3"], "this is none");
    assert!(!switch.has_ended());
    site.backends[0].release();
    assert_eq!(switch.wait().code, 0);
}

#[test]
fn settings_take_effect_at_a_reload() {
    let mut site = Site::start_with(|setup| {
        setup
            .set("health_check.interval_secs", 600)
            .set("logging.level", "\"info\"")
            .set("proxy.trusted_proxies", "[]")
    });
    let kept = site.vhost.get("example.com", "/").sent("x-forwarded-for");
    assert_eq!(kept, ["127.0.0.1"]);
    let probes = site.backends[0].probes();
    assert!(site.vhost.log_lines("backend was probed").is_empty());
    site.edit(|setup| {
        setup
            .set("health_check.interval_secs", 0.1)
            .set("health_check.unhealthy_threshold", 4)
            .set("logging.level", "\"debug\"")
            .set("proxy.trusted_proxies", "[\"127.0.0.0/8\"]")
            .set("upstream.read_timeout_secs", 0.3)
            .set("proxy.max_header_bytes", 1024)
    });
    let report = site.reload();
    assert_eq!(told(&report).len(), 6, "{report:#}");
    assert_eq!(site.revision(), report["revision"], "settings are no state");
    eventually("probes come at the new interval", SOON, || site.backends[0].probes() > probes + 3);
    site.vhost.wait_for_log("backend was probed");
    let mut client = site.vhost.connect();
    let sent = client.get_with("example.com", "/", "X-Forwarded-For: 192.0.2.7\r\n");
    assert_eq!(sent.sent("x-forwarded-for"), ["192.0.2.7, 127.0.0.1"], "now it is believed");
    assert_eq!(site.vhost.get("example.com", "/hold").status, 504, "a backend may be silent less");
    let long = format!("X-Long: {}\r\n", "x".repeat(2000));
    assert_eq!(site.vhost.connect().get_with("example.com", "/", &long).status, 431);
    let shown = site.vhost.ctl_ok(&["config", "show"]).stdout;
    let line = shown.lines().find(|line| line.contains("read_timeout_secs")).expect("it is set");
    assert!(line.contains("0.3"), "{line}");
    let event = site.vhost.newest_event();
    assert!(event["changed"].to_string().contains("upstream.read_timeout_secs"), "{event:#}");
    site.edit(|setup| setup.set("logging.level", "\"off\""));
    site.reload();
    eventually("nothing more is logged", SOON, || {
        let before = site.vhost.log().len();
        site.vhost.get("example.com", "/");
        site.vhost.log().len() == before
    });
}

#[test]
fn what_needs_a_restart_is_told_until_it_had_one() {
    let mut site = Site::start();
    let elsewhere = free_address();
    let before = site.setup.clone();
    site.edit(|setup| {
        setup.set("proxy.threads", 3).set("proxy.listen_addr_http", format!("\"{elsewhere}\""))
    });
    for _ in 0..2 {
        let report = site.reload();
        assert!(told(&report).is_empty());
        let waiting = report["needs_restart"].as_array().unwrap();
        let find = |key: &str| waiting.iter().find(|w| w["key"] == key).expect(key);
        let (threads, listen) = (find("proxy.threads"), find("proxy.listen_addr_http"));
        assert_eq!((&threads["running"], &threads["file"]), (&json!("2"), &json!("3")));
        assert_eq!(listen["running"], site.vhost.http().to_string());
        assert!(listen["hint"].as_str().unwrap().contains("vhost ctl reload --upgrade"));
    }
    let words = site.vhost.ctl_ok(&["reload"]).stderr;
    assert!(
        words.contains("`proxy.threads` is 2, the file says 3: `vhost ctl reload --upgrade`"),
        "{words}"
    );
    assert_eq!(site.vhost.get("example.com", "/").status, 200, "it serves where it did");
    site.setup = before;
    site.edit(|setup| setup);
    assert_eq!(site.reload()["needs_restart"], json!([]), "the old value needs none");
}

#[test]
fn sighup_reloads_under_traffic_and_loses_nothing() {
    let mut site = Site::start();
    let stop = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    let http = site.vhost.http();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(http);
                while !stop.load(Ordering::Relaxed) {
                    let response = client.get("example.com", "/");
                    assert_eq!(response.status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                    if response.closes() {
                        client = Client::connect(http);
                    }
                }
            });
        }
        for (turn, tag) in ["b", "c", "a", "b"].into_iter().enumerate() {
            let before = ["a", "b", "c", "a"][turn];
            let from = format!("enabled_backends_tag = \"{before}\"");
            site.edit(|setup| {
                setup
                    .replace(&from, &format!("enabled_backends_tag = \"{tag}\""))
                    .set("upstream.max_tries", turn + 1)
            });
            site.vhost.signal(Signal::SIGHUP);
            eventually("the reload is done", SOON, || site.vhost.live("example.com") == tag);
            let seen = served.load(Ordering::Relaxed);
            eventually("traffic goes on", SOON, || served.load(Ordering::Relaxed) > seen + 50);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(site.vhost.wait_for_log("config reloaded").len(), 4);
    assert_eq!(site.vhost.newest_event()["actor"]["via"], "file");
}

#[test]
fn two_reloads_at_once_apply_the_file_once() {
    let mut site = Site::start();
    site.edit(|setup| setup.replace("weight = 2", "weight = 3"));
    let revision = site.revision().as_u64().unwrap();
    let reloads: Vec<_> =
        (0..4).map(|_| site.vhost.ctl_in_background(&["--output", "json", "reload"])).collect();
    let outputs: Vec<_> = reloads.into_iter().map(RunningCtl::wait).collect();
    let changes: usize = outputs
        .iter()
        .map(|output| {
            assert_eq!(output.code, 0, "{output:?}");
            told(&serde_json::from_str(&output.stdout).unwrap()).len()
        })
        .sum();
    assert_eq!(changes, 1, "{outputs:#?}");
    assert_eq!(site.revision(), revision + 1);
}

#[test]
fn diff_says_what_was_done_since_the_file_and_by_whom() {
    let mut site = Site::start();
    let clean = site.vhost.ctl_ok(&["config", "diff", "--check"]);
    assert_eq!(clean.stdout, "");
    assert!(clean.stderr.contains("nothing differs"), "{clean:?}");
    let vhost = &site.vhost;
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    vhost.ctl_ok(&["backend", "set", "a1", "--weight", "9"]);
    vhost.ctl_ok(&["backend", "remove", "c1"]);
    vhost.ctl_ok(&["domain", "add", "made.test", "--tag", "b"]);
    let diff = vhost.ctl_json(&["config", "diff"]);
    let found: Vec<_> = diff["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| {
            assert_eq!(d["made"]["actor"]["uid"], nix::unistd::geteuid().as_raw(), "{d:#}");
            [&d["kind"], &d["name"], &d["field"], &d["file"], &d["live"]]
                .map(|value| value.as_str().unwrap_or("-").to_owned())
        })
        .collect();
    let c1 = site.backends[2].address();
    assert_eq!(
        found,
        [
            ["domain", "example.com", "live", "a", "b"],
            ["domain", "made.test", "-", "-", "live b"],
            ["backend", "a1", "weight", "2", "9"],
            ["backend", "c1", "-", &c1, "-"],
        ]
        .map(|row| row.map(str::to_owned))
    );
    let output = vhost.ctl(&["config", "diff", "--check"]);
    assert_eq!((output.code, output.stderr.as_str()), (1, ""), "{output:?}");
    assert_eq!(output.stdout.lines().count(), 5, "{}", output.stdout);

    site.edit(|setup| setup.replace("weight = 2", "weight = 3").set("switch.gate_timeout_secs", 9));
    let output = site.vhost.ctl_ok(&["config", "diff"]);
    assert!(output.stderr.contains("has 2 changes not applied yet"), "{output:?}");
    site.reload();
    let words = site.vhost.ctl_ok(&["config", "diff"]);
    assert!(!words.stdout.contains("a1") && words.stderr.is_empty(), "{words:?}");
    std::fs::write(site.vhost.config_file(), "nonsense").unwrap();
    let words = site.vhost.ctl_ok(&["config", "diff"]).stderr;
    assert!(words.contains("a reload would fail"), "{words}");
}

#[test]
fn a_reload_that_waits_for_its_gate_keeps_nobody_else_waiting() {
    let mut site = Site::start_with(|setup| setup.set("switch.gate_timeout_secs", 30));
    let fresh = Backend::start("d1");
    fresh.set_health(500);
    site.edit(|setup| {
        setup.replace("enabled_backends_tag = \"a\"", "enabled_backends_tag = \"d\"").backend(
            "d1",
            fresh.address(),
            &["d"],
        )
    });
    let mut reload = site.vhost.ctl_in_background(&["reload"]);
    eventually("the gate is open", SOON, || fresh.probes() > 0);
    site.vhost.ctl_ok(&["config", "export"]);
    site.vhost.ctl_ok(&["config", "diff"]);
    site.vhost.ctl_ok(&["reload", "--dry-run"]);
    site.vhost.ctl_ok(&["domain", "add", "made.test", "--tag", "b"]);
    let refused = site.vhost.ctl(&["switch", "example.com", "b"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(!reload.has_ended());
    // The state has changed since the plan was made, so it is made and proven anew.
    fresh.set_health(200);
    let output = reload.wait();
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(site.vhost.live("example.com"), "d");
    assert_eq!(site.vhost.live("made.test"), "b");
}

/// Starts another server, with nothing but this text.
fn fresh_server(vhost: &mut Vhost, text: &str) {
    vhost.signal(Signal::SIGTERM);
    assert!(vhost.wait_for_exit(SOON).success());
    std::fs::remove_dir_all(vhost.state_dir()).unwrap();
    std::fs::write(vhost.config_file(), text).unwrap();
    vhost.restart();
}

#[test]
fn an_export_makes_a_server_that_exports_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    let mut site = Site::start_with(|setup| {
        setup
            .env("VHOST_TEST_GROUP_LEVEL", "debug".into())
            .set("logging.level", "\"${VHOST_TEST_GROUP_LEVEL}\"")
            .set("health_check.expected_status", "\"200,204\"")
            .set("proxy.trusted_proxies", "[\"10.0.0.0/8\", \"::1\"]")
    });
    let socket = format!("unix:{}", secret.display());
    let vhost = &site.vhost;
    let calls: &[&[&str]] = &[
        &["backend", "add", "unix", &socket, "--tag", "u", "--tag", "b"],
        &["backend", "add", "six", "[::1]:3000", "--tag", "u", "--weight", "7", "--scheme", "h2c"],
        &["backend", "add", "named", "localhost:3001", "--tag", "u", "--scheme", "https"],
        &["backend", "disable", "six"],
        &["backend", "drain", "named"],
        &[
            "domain",
            "add",
            "*.wild.test",
            "--tag",
            "u",
            "--alias",
            "wild.test",
            "--alias",
            "w.test",
        ],
        &["domain", "add", "*", "--tag", "c", "--balance", "least-connections"],
        &["domain", "set", "example.com", "--http-to-https", "false"],
        &["switch", "example.com", "c", "--force"],
    ];
    for call in calls {
        vhost.ctl_ok(call);
    }
    let exported = vhost.ctl_ok(&["config", "export"]);
    assert_eq!(exported.stderr, "");
    let text = exported.stdout;
    for part in [
        "level = \"${VHOST_TEST_GROUP_LEVEL}\"\n",
        "trusted_proxies = [\"10.0.0.0/8\", \"::1/128\"]\n",
        "aliases = [\"wild.test\", \"w.test\"]\n",
        "state = \"disabled\"\n",
        "address = \"[::1]:3000\"\n",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(!text.contains("gate_timeout_secs = 30"), "defaults are not written:\n{text}");
    fresh_server(&mut site.vhost, &text);
    assert_eq!(site.vhost.ctl_ok(&["config", "export"]).stdout, text);
    assert_eq!(site.vhost.live("example.com"), "c");
    assert_eq!(site.vhost.backend("six")["state"], "disabled");
    assert!(told(&site.reload()).is_empty(), "and its own file changes nothing");
}

#[test]
fn an_export_that_no_server_would_take_says_so() {
    let site = Site::start();
    site.vhost.ctl_ok(&["domain", "add", "empty.test", "--tag", "none", "--force"]);
    let output = site.vhost.ctl_ok(&["config", "export"]);
    assert!(output.stderr.contains("no backend carries `none`"), "{output:?}");
    assert!(output.stdout.contains("empty.test"));
}

#[test]
fn included_files_are_read_again_too() {
    let mut site = Site::start();
    let apps = site.vhost.directory().join("apps");
    std::fs::create_dir(&apps).unwrap();
    let shop = "[[virtual_hosts]]\ndomain = \"shop.test\"\nenabled_backends_tag = \"c\"\n";
    std::fs::write(apps.join("shop.toml"), shop).unwrap();
    let include = |site: &Site| {
        let file = site.vhost.config_file();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("include = [\"apps/*.toml\"]\n{text}")).unwrap();
    };
    site.edit(|setup| setup);
    include(&site);
    assert_eq!(told(&site.reload()), ["domain shop.test added"]);
    std::fs::write(apps.join("shop.toml"), shop.replace("\"c\"", "\"none\"")).unwrap();
    let output = site.vhost.ctl(&["reload"]);
    assert_eq!(output.code, 2, "{output:?}");
    let place = format!("{}:3:", Path::new("apps/shop.toml").display());
    assert!(output.stderr.contains(&place), "{output:?}");
    std::fs::remove_file(apps.join("shop.toml")).unwrap();
    assert_eq!(told(&site.reload()), ["domain shop.test removed"]);
}
