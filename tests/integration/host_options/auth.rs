use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;

/// Runs `vhost hash-password` with this on its standard input.
fn hash_password(input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(vhost_binary())
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("vhost starts");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn only_who_knows_a_password_comes_in() {
    let (status, argon2, _) = hash_password("open: sesame\n");
    assert!(status == Some(0) && argon2.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{argon2}");
    let bcrypt = bcrypt::hash("hunter2", 4).expect("a hash");
    let (backend, vhost) = with_options(&format!(
        "[virtual_hosts.basic_auth]\nrealm = \"the \\\"inner\\\" garden\"\n\
         users = {{ ann = '{}', bob = '{bcrypt}' }}",
        argon2.trim()
    ));
    let mut client = vhost.connect();
    for headers in [
        String::new(),
        basic("ann", "hunter2"),
        basic("bob", "open: sesame"),
        basic("eve", "hunter2"),
        basic("bob", ""),
        "Authorization: Bearer abc\r\n".to_owned(),
        basic("bob", "hunter2") + &basic("ann", "open: sesame"),
    ] {
        let response = client.get_with("example.com", "/", &headers);
        assert_eq!(response.status, 401, "{headers}");
        let challenge = "Basic realm=\"the \\\"inner\\\" garden\", charset=\"UTF-8\"";
        assert_eq!(response.header("www-authenticate"), Some(challenge));
    }
    assert_eq!(backend.requests(), 0);
    wait_for_refused(&vhost, "unauthorized", 7);
    for (user, password) in [("ann", "open: sesame"), ("bob", "hunter2")] {
        let response = client.get_with("example.com", "/", &basic(user, password));
        assert_eq!(response.backend(), Some("w1"), "{user}");
        assert_eq!(response.sent("authorization").len(), 1);
    }
    // What passed once is known: a hundred checks by argon2 would take seconds.
    let started = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(client.get_with("example.com", "/", &basic("ann", "open: sesame")).status, 200);
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());

    // A new hash counts at once, and nobody is shown any.
    let other = bcrypt::hash("other", 4).expect("a hash");
    set(&vhost, &format!("basic_auth.users.ann={other}"));
    assert_eq!(client.get_with("example.com", "/", &basic("ann", "open: sesame")).status, 401);
    assert_eq!(client.get_with("example.com", "/", &basic("ann", "other")).status, 200);
    let shown = vhost.ctl_ok(&["domain", "show", "example.com", "--output", "json"]);
    assert!(shown.stdout.contains("(hidden)") && !shown.stdout.contains("$2b$"), "{shown:?}");
}

#[test]
fn a_password_is_never_an_argument() {
    let (status, _, stderr) = hash_password("\n");
    assert_eq!(status, Some(2));
    assert!(stderr.contains("empty"), "{stderr}");
    let output = Command::new(vhost_binary()).args(["hash-password", "secret"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_flood_of_wrong_passwords_from_one_address_locks_nobody_out() {
    let hash = bcrypt::hash("hunter2", 8).expect("a hash");
    let (_backend, vhost) =
        with_options(&format!("[virtual_hosts.basic_auth]\nusers = {{ ann = '{hash}' }}"));
    let attacker = free_ip();
    let mut flood: Vec<_> = (0..400)
        .map(|number| {
            let mut client = Client::connect_from(attacker, vhost.http());
            let wrong = basic("ann", &format!("wrong-{number}"));
            client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\n{wrong}\r\n"));
            client
        })
        .collect();
    eventually("all places are taken", SOON, || {
        let state = vhost.rpc("state.get", json!({})).expect("state.get answers");
        state["refused"]["too_many_logins"].as_u64().unwrap_or(0) > 0
    });
    let mut honest = Client::connect_from(free_ip(), vhost.http());
    let right = basic("ann", "hunter2");
    assert_eq!(honest.get_with("example.com", "/", &right).status, 200);
    let waiting = flood.iter_mut().filter(|client| client.is_idle()).count();
    assert!(waiting > 50, "its turn came before those of the flood: {waiting}");
}
