//! Each exit status that a command can end with, by a command that does.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// `example.com` on `a`, with `b` ready to take over and `dead` that never will be.
fn server() -> (Vhost, Backend, Backend) {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
        .backend("dead1", refusing_address(), &["dead"])
        .start();
    vhost.wait_until_healthy(2);
    vhost.wait_for_health("dead1", "unhealthy");
    (vhost, a, b)
}

/// The statuses that `vhost ctl --help` lists.
fn listed() -> Vec<i32> {
    let mut command = Command::new(vhost_binary());
    command.args(["ctl", "--help"]);
    let help = RunningCtl::of(command).wait().stdout;
    let (_, statuses) = help.split_once("Exit status:").expect("the help has them");
    statuses.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

#[test]
fn each_exit_status_has_a_command_that_ends_with_it() {
    let (vhost, a, _b) = server();
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request is held", SOON, || a.held() == 1);
    let mut seen = Vec::new();
    let mut ends = |code: i32, output: &CtlOutput| {
        assert_eq!(output.code, code, "{output:?}");
        let is_error = output.stderr.lines().any(|line| line.starts_with("error: "));
        assert_eq!(is_error, code != 0, "an error is told, and nothing else is one: {output:?}");
        seen.push(code);
    };
    for (code, args) in [
        (0, &["status"][..]),
        (0, &["explain", "example.com"]),
        (1, &["undo", "example.com"]),
        (1, &["backend", "drain", "a1"]),
        (1, &["call", "no.method"]),
        (2, &["frobnicate"]),
        (2, &["domain", "show", "exa mple"]),
        (2, &["switch", "example.com", "--", "-b"]),
        (2, &["explain", "ftp://example.com"]),
        (2, &["call", "domain.show", "{not json"]),
        (4, &["domain", "show", "unknown.test"]),
        (4, &["switch", "example.com", "nobody"]),
        (4, &["call", "backend.show", "{\"id\": \"nobody\"}"]),
        (5, &["domain", "add", "example.com", "--tag", "a"]),
        (5, &["backend", "add", "a1", "127.0.0.1:9"]),
        (6, &["switch", "example.com", "dead", "--timeout", "300ms"]),
        (6, &["backend", "ready", "dead1", "--wait", "--timeout", "300ms"]),
        (
            8,
            &[
                "switch",
                "example.com",
                "b",
                "--no-drain",
                "--guard",
                "300ms",
                "--inconclusive",
                "rollback",
            ],
        ),
        (9, &["switch", "example.com", "b", "--no-drain", "--guard", "300ms"]),
        (0, &["switch", "example.com", "a", "--no-drain"]),
        (7, &["switch", "example.com", "b", "--drain-timeout", "300ms"]),
        (7, &["backend", "drain", "a1", "--wait", "--timeout", "300ms"]),
        (7, &["wait", "example.com", "--until", "drained", "--timeout", "300ms"]),
    ] {
        ends(code, &vhost.ctl(args));
    }
    let mut nowhere = Command::new(vhost_binary());
    nowhere.args(["ctl", "status", "--socket", "/nonexistent/admin.sock"]);
    ends(3, &RunningCtl::of(nowhere).wait());
    // What is printed is an answer; only the status says what to make of it.
    for (code, args) in [(1, &["status", "--check"]), (4, &["explain", "unknown.test"])] {
        let output = vhost.ctl(args);
        assert_eq!((output.code, output.stderr.as_str()), (code, ""), "{output:?}");
    }
    let waiting = vhost.ctl_in_background(&["wait", "example.com", "--until", "drained"]);
    ends(130, &interrupt(waiting));
    a.release();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, listed(), "every status that the help lists");
}

#[test]
fn an_answer_is_no_error_whatever_its_status() {
    let (vhost, _a, _b) = server();
    vhost.ctl_ok(&["domain", "add", "dead.test", "--tag", "dead"]);
    for (code, url) in [(4, "unknown.test"), (1, "dead.test"), (1, "exa_mple!")] {
        let output = vhost.ctl(&["explain", url]);
        assert_eq!((output.code, output.stderr.as_str()), (code, ""), "{output:?}");
        assert!(output.stdout.starts_with("answer "), "{output:?}");
    }
}

#[test]
fn an_interrupted_switch_goes_on_and_its_command_says_so() {
    let (vhost, a, _b) = server();
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request is held", SOON, || a.held() == 1);
    let switch = vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("it drains", SOON, || vhost.newest_event()["outcome"]["state"] == "draining");
    let output = interrupt(switch);
    assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{output:?}");
    assert!(output.stderr.contains("the server goes on to switch"), "{output:?}");
    a.release();
    eventually("the switch ends", SOON, || vhost.newest_event()["outcome"]["state"] == "done");
}

/// Presses Ctrl-C as soon as the command handles it, and again until it has: between its first step
/// towards that and its last, one is lost.
fn interrupt(mut command: RunningCtl) -> CtlOutput {
    eventually("it handles Ctrl-C", SOON, || catches_interrupts(&command));
    eventually("it ends", SOON, || {
        command.has_ended() || {
            kill(command.pid(), Signal::SIGINT).unwrap();
            false
        }
    });
    command.wait()
}

/// Whether the process handles SIGINT by now, so that one doesn't just end it.
fn catches_interrupts(process: &RunningCtl) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()));
    let status = status.unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & (1 << (Signal::SIGINT as u64 - 1)) != 0)
}
