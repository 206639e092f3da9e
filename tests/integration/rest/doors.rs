//! Where the API is served: its own address, the admin socket, and how that begins and ends.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use nix::sys::signal::Signal;

use super::*;

#[test]
fn the_admin_socket_speaks_both_protocols_and_wants_no_token() {
    let api = Api::start();
    let curl = |path: &str, more: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", "-w", "\n%{http_code}", "--unix-socket"])
            .arg(api.vhost.socket())
            .args(more)
            .arg(format!("http://localhost{path}"))
            .output()
            .expect("curl runs");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').expect("a status");
        (status.to_owned(), serde_json::from_str::<Value>(body).unwrap_or_default())
    };
    let (status, health) = curl("/api/v1/health", &[]);
    assert_eq!((status.as_str(), &health["status"]), ("200", &json!("serving")));
    let set = ["-X", "PUT", "-H", "Content-Type: application/json", "-d", "{\"weight\": 3}"];
    let (status, backend) = curl("/api/v1/backends/web-a", &set);
    assert_eq!((status.as_str(), &backend["weight"]), ("200", &json!(3)));
    let actor = &api.vhost.newest_event()["actor"];
    assert_eq!(actor["via"], "socket", "{actor}");
    assert_eq!(actor["uid"], nix::unistd::getuid().as_raw());
    assert!(actor["pid"].is_u64(), "{actor}");
    // A line of JSON on the same socket, also one that begins with a space.
    let mut connection = api.vhost.rpc_connection();
    connection.send_line(" {\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"state.get\"}").unwrap();
    assert_eq!(connection.read_line().unwrap().unwrap()["id"], 7);
    // Neither of the two: it is answered as JSON-RPC, as ever.
    let mut stream = UnixStream::connect(api.vhost.socket()).unwrap();
    stream.write_all(b"get / http\n").unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"{");
    // Two requests on one connection, the first one byte by byte.
    let mut stream = UnixStream::connect(api.vhost.socket()).unwrap();
    let request = b"GET /api/v1/health HTTP/1.1\r\nHost: any.test\r\n\r\n";
    for byte in request {
        stream.write_all(&[*byte]).unwrap();
    }
    stream.write_all(&request[..request.len() - 2]).unwrap();
    stream.write_all(b"Connection: close\r\n\r\n").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
}

#[test]
fn without_an_address_it_is_served_at_the_socket_alone() {
    let vhost = Setup::new().start();
    let mut stream = UnixStream::connect(vhost.socket()).unwrap();
    stream
        .write_all(b"GET /api/v1/domains HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn health_says_that_the_server_stops_until_it_has() {
    let mut api = Api::start();
    let health = api.send("GET", "/api/v1/health", &[], None);
    let body = json_of(&health);
    assert_eq!((health.status, &body["status"]), (200, &json!("serving")));
    assert!(body["version"].is_string() && body["uptime_ms"].is_number(), "{body}");
    assert_eq!(health.header("etag"), Some(format!("\"{}\"", body["revision"]).as_str()));
    let mut held = api.vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request runs", SOON, || api.vhost.in_flight() == 1);
    api.vhost.signal(Signal::SIGTERM);
    eventually("health says so", SOON, || {
        let health = api.send("GET", "/api/v1/health", &[], None);
        health.status == 503 && json_of(&health)["status"] == "stopping"
    });
    assert!(!api.vhost.has_ended());
    drop(held);
    api.vhost.wait_for_exit(SOON);
}

#[test]
fn an_address_that_is_taken_is_said_by_its_key() {
    let taken = std::net::TcpListener::bind((free_ip(), 0)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let address = taken.local_addr().unwrap();
    let setup = Setup::new().set("proxy.management_api_addr", format!("\"{address}\""));
    let config = directory.path().join("vhost.toml");
    std::fs::write(&config, setup.text(directory.path())).unwrap();
    let ended = serve_once(&config);
    assert_eq!(ended.code, 1, "{ended:?}");
    for part in
        [&format!("`{address}` (`proxy.management_api_addr`)"), "another process is listening"]
    {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
}

#[test]
fn its_keys_want_a_restart() {
    let setup = Setup::new();
    let vhost = setup.start();
    let hosts = "[\"vhost.example.net\"]";
    vhost.write_config(
        &setup
            .set("proxy.management_api_addr", format!("\"{}\"", free_address()))
            .set("proxy.management_api_hosts", hosts),
    );
    let report = vhost.ctl_json(&["reload"]);
    let keys: Vec<_> =
        report["needs_restart"].as_array().unwrap().iter().map(|key| &key["key"]).collect();
    assert_eq!(keys, ["proxy.management_api_addr", "proxy.management_api_hosts"]);
}
