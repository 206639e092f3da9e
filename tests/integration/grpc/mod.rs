//! gRPC from end to end, between Python's client and server.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::*;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/grpc").join(name)
}

/// The Python that `./dev test` has given `grpcio`.
fn python() -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
    assert!(path.exists(), "{} is missing: run `./dev test`", path.display());
    Command::new(path)
}

/// Python's server, until it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        Self::start_with(None)
    }

    fn start_with(tls: Option<&CertificateFiles>) -> Self {
        let address = free_address();
        let mut child = python()
            .arg(script("server.py"))
            .arg(address.to_string())
            .args(tls.into_iter().flat_map(|files| [&files.cert, &files.key]))
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("readable");
        assert_eq!(line, "ready\n");
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs Python's client by one of its plans; `root` is whom it trusts, over TLS.
#[track_caller]
fn call(plan: &str, address: SocketAddr, authority: &str, root: Option<&Path>) {
    let output = python()
        .arg(script("client.py"))
        .args([plan, &address.to_string(), authority])
        .args(root)
        .output()
        .expect("Python runs");
    let [out, err] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{plan}: {out}{err}");
}

fn setup(server: &Server) -> Setup {
    Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .domain("empty.example.com", "b")
        .backend_with("web", server.address, &["a"], "scheme = \"h2c\"")
        .backend_with("spare", server.address, &["b"], "scheme = \"h2c\"")
}

#[test]
fn calls_of_all_kinds_go_through_in_the_clear() {
    let server = Server::start();
    let vhost = setup(&server).start();
    vhost.wait_until_healthy(2);
    call("all", vhost.http(), "example.com", None);
    eventually("nothing is left in flight", std::time::Duration::from_secs(10), || {
        vhost.in_flight() == 0
    });
}

#[test]
fn calls_of_all_kinds_go_through_over_tls() {
    let (server, authority) = (Server::start(), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let root = authority.write_to(directory.path());
    let files = authority.issue(&["example.com"]).write_to(directory.path(), "example");
    let vhost = Setup::new()
        .tcp_probes()
        .domain_with("example.com", "a", &files.tls_line())
        .backend_with("web", server.address, &["a"], "scheme = \"h2c\"")
        .start();
    vhost.wait_until_healthy(1);
    call("all", vhost.https(), "example.com", Some(&root));
}

#[test]
fn calls_of_all_kinds_go_through_to_a_backend_behind_tls() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let root = authority.write_to(directory.path());
    let files = authority.issue(&["grpc.internal"]).write_to(directory.path(), "grpc");
    let server = Server::start_with(Some(&files));
    let keys = format!(
        "scheme = \"h2\"\ntls_server_name = \"grpc.internal\"\ntls_ca_file = \"{}\"",
        root.display()
    );
    let vhost = Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .backend_with("web", server.address, &["a"], &keys)
        .start();
    vhost.wait_until_healthy(1);
    call("all", vhost.http(), "example.com", None);
}

/// A client of gRPC understands no other kind of answer.
#[test]
fn the_proxys_own_errors_have_a_grpc_status() {
    let server = Server::start();
    let vhost = setup(&server).set("upstream.connect_timeout_secs", 1).start();
    vhost.wait_until_healthy(2);
    vhost.ctl_ok(&["backend", "disable", "spare", "--force"]);
    call("unavailable", vhost.http(), "empty.example.com", None);
    call("unimplemented", vhost.http(), "unknown.test", None);
    drop(server);
    call("unavailable", vhost.http(), "example.com", None);
    // Others get what they always got.
    assert_eq!(vhost.get("unknown.test", "/").status, 404);
    // A request is counted when it has ended, a moment after its client has the answer.
    eventually("each is counted", std::time::Duration::from_secs(10), || {
        let state = vhost.rpc("state.get", serde_json::json!({})).unwrap();
        state["refused"]["unknown_host"] == 3
    });
}

#[test]
fn a_server_is_asked_for_the_health_of_its_service() {
    let server = Server::start();
    let check = |service| {
        format!(
            "scheme = \"h2c\"\nhealth_check = {{ kind = \"grpc\", grpc_service = \"{service}\" }}"
        )
    };
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend_with("web", server.address, &["a"], &check("test.Bytes"))
        .backend_with("other", server.address, &["b"], &check("test.Other"))
        .start();
    vhost.wait_for_health("web", "healthy");
    let shown = vhost.wait_for_health("other", "unhealthy");
    assert_eq!(shown["health"]["last_error"], "grpc error NOT_FOUND: no such service");
    call("all", vhost.http(), "example.com", None);
}
