//! Where log lines go.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::signal::Signal;

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
