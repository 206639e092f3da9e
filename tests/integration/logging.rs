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
    assert_eq!(vhost.get("first.test", "/").status, 404);
    eventually("a refusal is logged", SOON, || logged().contains("first.test"));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "the log is not for everyone: {mode:o}");
    vhost.signal(Signal::SIGTERM);
    assert!(vhost.wait_for_exit(SOON).success());
    let first_run = logged();
    assert!(!first_run.contains('\u{1b}'), "no colour in a file");

    vhost.restart();
    vhost.wait_until_healthy(1);
    assert_eq!(vhost.get("second.test", "/").status, 404);
    eventually("a refusal is logged", SOON, || logged().contains("second.test"));
    assert!(logged().starts_with(&first_run), "a restart appends");
    vhost.signal(Signal::SIGTERM);
    assert!(vhost.wait_for_exit(SOON).success());
    assert_eq!(vhost.log(), "", "what came on stderr");
}

#[test]
fn lines_of_the_server_have_its_name_as_their_target() {
    let vhost =
        Setup::new().set("logging.format", "\"json\"").set("logging.level", "\"debug\"").start();
    vhost.ctl_ok(&["status"]);
    vhost.wait_for_log("vhost::rpc::");
    let targets = vhost.log();
    let targets =
        targets.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    for target in targets.map(|line| line["target"].as_str().expect("a target").to_owned()) {
        assert!(!target.contains("pingora_vhost"), "{target}");
    }
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

#[test]
fn lines_that_strangers_cause_are_sampled_and_counted_in_full() {
    const REQUESTS: u64 = 400;
    let backend = Backend::start("web");
    let mut vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    for number in 0..REQUESTS {
        assert_eq!(client.get("unknown.test", &format!("/{number}")).status, 404);
    }
    eventually("all are counted", SOON, || {
        let state = vhost.rpc("state.get", json!({})).expect("state.get answers");
        state["refused"]["unknown_host"] == REQUESTS
    });
    vhost.signal(Signal::SIGTERM);
    assert!(vhost.wait_for_exit(SOON).success());
    let lines = vhost.log_lines("reason=unknown_host").len() as u64;
    let summaries = vhost.log_lines("suppressed=");
    let left_out: u64 = summaries
        .iter()
        .filter(|line| line.contains("unknown_host"))
        .filter_map(|line| line.split_once("suppressed=")?.1.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!(lines < REQUESTS / 2, "{lines} lines");
    assert_eq!(lines + left_out, REQUESTS, "{summaries:?}");
}

#[test]
fn streams_that_clients_reset_are_the_clients_doing() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    in_runtime(async {
        for (path, host, is_whole) in [
            ("/hold", "example.com", true),
            ("/", "unknown.test", true),
            ("/", "example.com", true),
            ("/", "example.com", false),
            ("/hold", "example.com", false),
            ("/", "unknown.test", false),
        ] {
            let mut client = H2::connect(vhost.http()).await;
            // Of more that it has not looked at yet h2 makes an attack.
            for round in 0..15_u32 {
                let uri = format!("http://{host}{path}");
                let request = http::Request::post(uri).body(()).unwrap();
                let (response, mut body) = client.start(request, is_whole).await.unwrap();
                if !is_whole {
                    body.send_data(vec![b'x'; 1000].into(), false).unwrap();
                }
                // Some at once, some when the request is under way.
                if round % 2 == 0 {
                    for _ in 0..200 {
                        tokio::task::yield_now().await;
                    }
                }
                body.send_reset(h2::Reason::CANCEL);
                drop(response);
            }
            // What was sent is through.
            let _ = client.get("example.com", "/").await;
        }
    });
    backend.release();
    eventually("all have ended", SOON, || vhost.in_flight() == 0);
    let state = vhost.rpc("state.get", json!({})).expect("state.get answers");
    let refused = &state["refused"];
    assert!(refused["client_gone"].as_u64().unwrap_or(0) > 0, "{refused}");
    assert_eq!(refused["internal"].as_u64().unwrap_or(0), 0, "{refused}");
    let log = vhost.log();
    let bad: Vec<_> = log.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}
