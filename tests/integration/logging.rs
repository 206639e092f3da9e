//! Where log lines go.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn lines_for_a_file_land_there_and_none_on_stderr() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vhost.log");
    let logged = || std::fs::read_to_string(&file).unwrap_or_default();
    let backend = Backend::start("web");
    let mut vhost = Setup::new()
        .set("logging.output", "\"file\"")
        .set("logging.file_path", format!("{:?}", file.display().to_string()))
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    vhost.connect().get_with("example.com", "/", "X-Request-Id: in-the-first-run\r\n");
    eventually("the request is logged", SOON, || logged().contains("in-the-first-run"));
    assert_eq!(vhost.get("unknown.test", "/").status, 404);
    eventually("a refusal is logged", SOON, || logged().contains("unknown.test"));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "the log is not for everyone: {mode:o}");
    vhost.signal(Signal::SIGTERM);
    assert!(vhost.wait_for_exit(SOON).success());
    let first_run = logged();
    assert!(!first_run.contains('\u{1b}'), "no colour in a file");

    vhost.restart();
    vhost.wait_until_healthy(1);
    vhost.connect().get_with("example.com", "/", "X-Request-Id: in-the-second-run\r\n");
    eventually("the request is logged", SOON, || logged().contains("in-the-second-run"));
    assert!(logged().starts_with(&first_run), "a restart appends");
    vhost.signal(Signal::SIGTERM);
    assert!(vhost.wait_for_exit(SOON).success());
    assert_eq!(vhost.log(), "", "what came on stderr");
}

#[test]
fn the_level_changes_while_the_server_runs() {
    let backend = Backend::start("web");
    let setup = Setup::new().set("logging.level", "\"info\"").domain("example.com", "a").backend(
        "web",
        backend.address(),
        &["a"],
    );
    let vhost = setup.start();
    vhost.wait_until_healthy(1);
    let level = |args: &[&str]| vhost.ctl_json(&[&["log", "level"], args].concat());
    assert_eq!(level(&[]), json!({ "level": "info", "before": "info", "config": "info" }));
    assert_eq!(vhost.log_lines("DEBUG"), [""; 0]);
    let output = vhost.ctl_ok(&["log", "level", "debug"]);
    assert_eq!((output.stdout.as_str(), output.stderr.contains("debug; it was info")), ("", true));
    vhost.wait_for_log("DEBUG");
    let told = vhost.wait_for_log("log level changed");
    assert!(told[0].contains("from=info to=debug") && told[0].contains("actor="), "{told:?}");

    // A reload that says what it said before leaves it, one that says something else sets it.
    vhost.ctl_ok(&["reload"]);
    assert_eq!(level(&[]), json!({ "level": "debug", "before": "debug", "config": "info" }));
    vhost.write_config(&setup.clone().set("logging.level", "\"warn\""));
    vhost.ctl_ok(&["reload"]);
    assert_eq!(level(&[]), json!({ "level": "warn", "before": "warn", "config": "warn" }));
    assert_eq!(level(&["off"])["before"], "warn");
    let silent = vhost.log();
    assert_eq!(vhost.get("unknown.test", "/").status, 404);
    assert_eq!(level(&["info"])["level"], "info");
    vhost.get("unknown.test", "/heard");
    vhost.wait_for_log("/heard");
    let log = vhost.log();
    let lines: Vec<_> = log[silent.len()..].lines().collect();
    assert_eq!(lines.len(), 2, "the change and what followed: {lines:?}");
    let output = vhost.ctl(&["log", "level", "loud"]);
    assert_eq!(output.code, 2, "{output:?}");
}
