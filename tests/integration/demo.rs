//! `vhost demo`: the first minute with the product.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::*;

#[test]
fn the_demo_shows_a_switch_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(vhost_binary());
    command.args(["demo", "--exit"]).env("HOME", home.path()).env("TMPDIR", home.path());
    let output = RunningCtl::of(command).wait();
    assert_eq!(output.code, 0, "{output:?}");
    let failed: Vec<_> =
        output.stdout.lines().filter(|line| line.to_lowercase().contains("failed")).collect();
    assert!(!failed.is_empty(), "{output:?}");
    for line in failed {
        let numbers: Vec<_> = line
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.chars().all(|c| c.is_ascii_digit()) && !word.is_empty())
            .collect();
        assert!(numbers.contains(&"0"), "{line}");
    }
    let number = |of: &str| -> u64 {
        let line = output.stdout.lines().find_map(|line| line.trim().strip_prefix(of));
        line.expect("it is counted").trim().parse().expect("a number")
    };
    let (all, over_https) = (number("requests sent"), number("over HTTPS"));
    assert!(0 < over_https && over_https < all, "{output:?}");
    let left = std::fs::read_dir(home.path()).unwrap().count();
    assert_eq!(left, 0, "its folder is removed");
}

#[test]
fn the_demo_of_rollouts_rolls_a_bad_version_back_and_nobody_sees_a_failure() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(vhost_binary());
    command
        .args(["demo", "--rollout", "--exit"])
        .env("HOME", home.path())
        .env("TMPDIR", home.path());
    let output = RunningCtl::of(command).wait();
    assert_eq!(output.code, 0, "{output:?}");
    for part in ["rolled back after", "promoted: it is live alone"] {
        assert!(output.stdout.contains(part), "no `{part}`: {output:?}");
    }
    let failed = output.stdout.lines().find_map(|line| line.trim().strip_prefix("failed "));
    assert_eq!(failed.map(str::trim), Some("0"), "{output:?}");
    let is_short =
        |line: &str| line.chars().count() <= 80 || line.contains(" requests failed, and ");
    assert!(output.stdout.lines().all(is_short), "{output:?}");
}

#[test]
fn the_demo_stays_up_for_ctl_and_curl_and_ends_cleanly() {
    let mut child = Command::new(vhost_binary())
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // So that nothing here waits for ever.
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if waiting.recv_timeout(Duration::from_mins(1)).is_err() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    let mut said = Vec::new();
    // Kept until the end: a demo whose reader has gone has nobody to show anything to.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.by_ref() {
        said.push(line.unwrap());
        if said.last().is_some_and(|line| line.starts_with("Ctrl-C")) {
            break;
        }
    }
    let commands: Vec<_> = said
        .iter()
        .map(|line| line.trim())
        .filter(|line| line.starts_with("curl ") || line.contains("vhost ctl --socket "))
        .collect();
    for part in ["curl http://", "curl --cacert ", " status", " cert list", " switch ", " undo "] {
        assert!(commands.iter().any(|line| line.contains(part)), "no `{part}`: {said:#?}");
    }
    for command in commands {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        let output = RunningCtl::of(shell).wait();
        assert_eq!(output.code, 0, "{command}: {output:?}");
        if command.starts_with("curl ") {
            assert!(output.stdout.contains(", version "), "{command}: {output:?}");
        }
        if command.ends_with(" cert list") {
            assert!(output.stdout.contains("demo.localhost  valid   internal"), "{output:?}");
        }
    }
    kill(pid, Signal::SIGINT).unwrap();
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let status = eventually_some("it ends", Duration::from_secs(20), || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    rest.join().unwrap();
    done.send(()).unwrap();
    watchdog.join().unwrap();
}
