//! The README's tour works line by line as printed.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::vhost_binary;

/// The commands between the tour's two marks.
fn tour() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path).expect("there is a README");
    let (_, tour) = text.split_once("<!-- tour: run by a test -->").expect("the tour begins");
    let (tour, _) = tour.split_once("<!-- end of the tour -->").expect("the tour ends");
    let blocks: Vec<&str> = tour
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("a block ends").0)
        .collect();
    assert!(blocks.len() >= 5, "{blocks:#?}");
    blocks.concat()
}

#[test]
fn the_tour_works_as_printed() {
    // Its ports are a person's to choose; here they are free ones.
    let mut script = tour();
    let ports = ["3001", "3002", "8080"];
    let free: Vec<_> =
        ports.iter().map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    for (port, free) in ports.iter().zip(free) {
        assert!(script.contains(port), "the tour does not use port {port}");
        script = script.replace(port, &free.local_addr().unwrap().port().to_string());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = format!(
        "{}:{}",
        Path::new(vhost_binary()).parent().expect("it is in a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("timeout")
        .args(["--kill-after=5", "100", "bash", "-euc", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env_remove("VHOST_SOCKET")
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let answers: Vec<&str> = stdout.lines().filter(|line| line.starts_with("hello")).collect();
    assert_eq!(answers, ["hello from v1", "hello from v2", "hello from v1"], "{stdout}\n{stderr}");
    assert!(stdout.contains("exit status 6"), "{stdout}\n{stderr}");
    assert!(stdout.contains("release 2"), "the history has the reason: {stdout}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}
