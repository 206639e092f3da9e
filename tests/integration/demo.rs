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
    let left = std::fs::read_dir(home.path()).unwrap().count();
    assert_eq!(left, 0, "its folder is removed");
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
    let (mut ctl, mut curl) = (None, None);
    // Kept until the end: a demo whose reader has gone has nobody to show anything to.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.by_ref() {
        let line = line.unwrap();
        if line.contains("vhost ctl --socket ") && ctl.is_none() {
            ctl = Some(line.clone());
        }
        if line.contains("curl ") && curl.is_none() {
            curl = Some(line.clone());
        }
        said.push(line);
        if ctl.is_some() && curl.is_some() {
            break;
        }
    }
    let (Some(ctl), Some(curl)) = (ctl, curl) else { panic!("no commands to try: {said:#?}") };
    let socket = ctl.split("--socket ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let mut status = Command::new(vhost_binary());
    status.args(["ctl", "--socket", socket.expect("a path"), "status"]);
    assert_eq!(RunningCtl::of(status).wait().code, 0, "{ctl}");
    let curl = &curl[curl.find("curl ").expect("it is there")..];
    let mut shell = Command::new("sh");
    shell.args(["-c", curl]);
    let output = RunningCtl::of(shell).wait();
    assert_eq!(output.code, 0, "{curl}: {output:?}");
    kill(pid, Signal::SIGINT).unwrap();
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let status = eventually_some("it ends", Duration::from_secs(20), || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    rest.join().unwrap();
    done.send(()).unwrap();
    watchdog.join().unwrap();
}
