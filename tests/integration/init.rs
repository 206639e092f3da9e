//! `vhost init`: the file, the checks, and the two commands that it prints.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::*;

fn init(directory: &Path, args: &[&str]) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.arg("init").args(args).current_dir(directory);
    RunningCtl::of(command).wait()
}

#[test]
fn missing_answers_without_a_terminal_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = ["--config", "vhost.toml"];
    for (args, named, others) in [
        (&[][..], &["--domain", "--backend", "--email"][..], &[][..]),
        (
            &["--domain", "a.test", "--backend", "localhost:1"],
            &["--email"],
            &["--domain", "--backend"],
        ),
        (&["--domain", "a.test", "--no-email"], &["--backend"], &["--domain", "--email"]),
    ] {
        let output = init(directory.path(), &[&config, args].concat());
        assert_eq!(output.code, 2, "{output:?}");
        assert!(named.iter().all(|flag| output.stderr.contains(flag)), "{output:?}");
        assert!(!others.iter().any(|flag| output.stderr.contains(flag)), "{output:?}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0);
}

#[test]
fn the_printed_commands_start_and_deploy() {
    let backend = Backend::start("one");
    let directory = tempfile::tempdir().expect("a directory");
    let http = free_address();
    let args = [
        "--domain",
        "shop.example.com",
        "--backend",
        &backend.address(),
        "--no-email",
        "--http",
        &http.to_string(),
        "--config",
        "sub/vhost.toml",
        "--output",
        "json",
    ];
    let output = init(directory.path(), &args);
    assert_eq!(output.code, 0, "{output:?}");
    let answer: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let is_ok = |what: &str| {
        let checks = answer["checks"].as_array().expect("a list");
        checks.iter().find(|check| check["what"] == what).map(|check| check["ok"] == true)
    };
    assert_eq!(is_ok("backend"), Some(true), "{answer:#}");
    assert_eq!(is_ok("port"), Some(true), "{answer:#}");
    // No test asks the DNS for anything that is there.
    assert_eq!(is_ok("dns"), Some(false), "{answer:#}");
    let next: Vec<_> =
        answer["next"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let run = |line: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {line}")]).current_dir(directory.path());
        let binaries = Path::new(vhost_binary()).parent().expect("a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", binaries.display()));
        for (name, place) in [("RUNTIME_DIRECTORY", "run"), ("STATE_DIRECTORY", "state")] {
            let place = directory.path().join(place);
            std::fs::create_dir_all(&place).expect("a directory");
            command.env(name, place);
        }
        command.env("VHOST_SOCKET", directory.path().join("run/admin.sock"));
        RunningCtl::of(command)
    };
    let mut server = run(next[0]);
    let socket = directory.path().join("run/admin.sock");
    eventually("it serves", Duration::from_secs(20), || {
        assert!(!server.has_ended(), "the server ended");
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    let deployed = run(next[1]).wait();
    assert_eq!(deployed.code, 0, "{deployed:?}");
    let response = get(http, "shop.example.com", "/");
    assert_eq!(response.backend(), Some("one"), "{response:?}");
    server.kill();
}

#[test]
fn what_is_amiss_is_said_and_the_file_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let taken = std::net::TcpListener::bind((free_ip(), 0)).expect("a free address");
    let http = taken.local_addr().expect("it is bound").to_string();
    let args = [
        "--domain",
        "localhost",
        "--backend",
        &refusing_address().to_string(),
        "--no-email",
        "--http",
        &http,
        "--https",
        &free_address().to_string(),
        "--config",
        "vhost.toml",
    ];
    let output = init(directory.path(), &args);
    assert_eq!(output.code, 0, "{output:?}");
    for part in [
        &format!("warning: port: cannot listen on `{http}`: address already in use"),
        "does not answer: connection refused",
        "ok: dns: `localhost` resolves to ",
    ] {
        assert!(output.stderr.contains(part), "no `{part}` in {output:?}");
    }
    assert_eq!(output.stdout.lines().count(), 2, "{output:?}");
    assert!(
        output.stdout.starts_with("vhost serve --config vhost.toml\nvhost ctl deploy localhost ")
    );
    let file = directory.path().join("vhost.toml");
    let first = std::fs::read(&file).expect("it is written");
    let again = init(directory.path(), &args);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("exists already"), "{again:?}");
    let forced = init(directory.path(), &[&args[..], &["--force"]].concat());
    assert_eq!(forced.code, 0, "{forced:?}");
    assert_eq!(std::fs::read(&file).expect("it is there"), first);
}
