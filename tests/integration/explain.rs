//! `vhost ctl explain` says what a request would meet, and a request meets it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

/// Domains of every kind, and backends in every state.
fn furnished() -> (Vhost, Vec<Backend>) {
    let backends: Vec<_> = ["a1", "a2", "b1", "d1"].iter().map(|id| Backend::start(id)).collect();
    let vhost = Setup::new()
        .domain_with("example.com", "a", "aliases = [\"www.example.com\", \"*.old.test\"]")
        .domain("*.example.org", "org")
        .domain("dead.test", "dead")
        .domain("out.test", "out")
        .domain("lost.test", "lost")
        .backend("a1", backends[0].address(), &["a"])
        .backend_with("a2", backends[1].address(), &["a"], "weight = 3")
        .backend("a3", refusing_address(), &["a"])
        .backend("b1", backends[2].address(), &["b", "org"])
        .backend("dead1", refusing_address(), &["dead"])
        .backend("d1", backends[3].address(), &["out"])
        .backend("lost1", "app.internal.invalid:3000", &["lost"])
        .start();
    vhost.wait_until_healthy(4);
    for id in ["a3", "dead1", "lost1"] {
        vhost.wait_for_health(id, "unhealthy");
    }
    vhost.ctl_ok(&["backend", "drain", "a2"]);
    vhost.ctl_ok(&["backend", "disable", "d1", "--force"]);
    (vhost, backends)
}

fn explain(vhost: &Vhost, args: &[&str]) -> (i32, Value) {
    let output = vhost.ctl(&[&["-o", "json", "explain"], args].concat());
    let value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.code, value)
}

#[test]
fn what_is_explained_is_what_a_request_meets() {
    let (vhost, _backends) = furnished();
    for (host, code, matched) in [
        ("example.com", 0, json!(["example.com", "example.com", "exact", false])),
        ("EXAMPLE.com.:8080", 0, json!(["example.com", "example.com", "exact", false])),
        ("www.example.com", 0, json!(["example.com", "www.example.com", "exact", true])),
        ("x.old.test", 0, json!(["example.com", "*.old.test", "wildcard", true])),
        ("x.example.org", 0, json!(["*.example.org", "*.example.org", "wildcard", false])),
        ("y.x.example.org", 4, json!(null)),
        ("exmaple.com", 4, json!(null)),
        ("dead.test", 1, json!(["dead.test", "dead.test", "exact", false])),
        ("out.test", 1, json!(["out.test", "out.test", "exact", false])),
        ("lost.test", 1, json!(["lost.test", "lost.test", "exact", false])),
        ("exa_mple!", 1, json!(null)),
    ] {
        let (ended, explained) = explain(&vhost, &["any.test/", "-H", &format!("Host: {host}")]);
        let found = match &explained["matched"] {
            Value::Null => Value::Null,
            m => json!([m["domain"], m["name"], m["by"], m["alias"]]),
        };
        assert_eq!((ended, &found), (code, &matched), "{host}: {explained:#}");
        let response = vhost.get(host, "/");
        let refused = &explained["refused"];
        let expected = refused["status"].as_u64().unwrap_or(200);
        assert_eq!(u64::from(response.status), expected, "{host}: {explained:#}");
        if let Some(backend) = response.backend() {
            let backends = explained["backends"].as_array().unwrap();
            let one = backends.iter().find(|one| one["id"] == backend).expect("it is among them");
            assert_eq!(one["unfit"], Value::Null, "{host}");
        }
    }
    for (host, reason) in
        [("dead.test", "no_backend"), ("exmaple.com", "unknown_host"), ("exa_mple!", "bad_host")]
    {
        let (_, explained) = explain(&vhost, &[host]);
        assert_eq!(explained["refused"]["reason"], reason, "{host}");
        // A request is counted when it has ended, a moment after its client has the answer.
        eventually(&format!("`{reason}` was counted"), Duration::from_secs(10), || {
            let state = vhost.rpc("state.get", json!({})).unwrap();
            state["refused"][reason].as_u64() > Some(0)
        });
    }
}

#[test]
fn each_backend_that_could_not_serve_says_why() {
    let (vhost, _backends) = furnished();
    let (_, explained) = explain(&vhost, &["http://example.com/a?b"]);
    let unfit: Vec<_> = explained["backends"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!([one["id"], one["unfit"]]))
        .collect();
    assert_eq!(unfit, [json!(["a1", null]), json!(["a2", "draining"]), json!(["a3", "unhealthy"])]);
    assert_eq!(explained["path"], "/a?b");
    assert_eq!(explained["backends"][2]["health"]["last_error"], "connection refused");
    let (_, explained) = explain(&vhost, &["out.test"]);
    assert_eq!(explained["backends"][0]["unfit"], "disabled");
}

#[test]
fn the_table_says_who_made_the_tag_live_and_fits_a_terminal() {
    let (vhost, _backends) = furnished();
    let from_file = vhost.ctl_ok(&["explain", "example.com"]).stdout;
    assert!(from_file.contains("by config file"), "{from_file}");
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    let output = vhost.ctl_ok(&["explain", "www.example.com"]);
    let live = output.stdout.lines().find(|line| line.starts_with("live since")).unwrap();
    let revision = vhost.newest_event()["revision"].clone();
    assert!(live.contains(&format!("revision {revision}, by ")), "{live}");
    assert!(!live.contains("config file"), "{live}");
    for line in output.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    let near = vhost.ctl(&["explain", "exmaple.com"]);
    assert!(near.stdout.contains("did you mean `example.com`?"), "{near:?}");
    let far = vhost.ctl(&["explain", "nothing-like-it.net"]);
    assert!(!far.stdout.contains("did you mean"), "{far:?}");
}

#[test]
fn what_becomes_of_https_and_of_the_redirect_to_it_is_told() {
    let (backend, authority) = (Backend::start("web"), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let files = authority.issue(&["files.test"]).write_to(directory.path(), "files");
    let setup = Setup::new()
        .domain_with("files.test", "a", &files.tls_line())
        .domain("none.example.com", "a")
        .domain_with("off.test", "a", "tls = \"off\"")
        .backend("web", backend.address(), &["a"]);
    let vhost = setup.start();
    vhost.wait_until_healthy(1);
    for (url, code, reason, note) in [
        ("https://files.test/", 0, json!(null), None),
        ("https://none.example.com/", 1, json!("no_certificate"), Some("there is no certificate")),
        ("https://off.test/", 1, json!("unknown_server_name"), Some("its `tls` is off")),
        ("http://files.test/a?b", 0, json!(null), Some("redirected to https://files.test:")),
        ("http://none.example.com/", 0, json!(null), None),
    ] {
        let (ended, explained) = explain(&vhost, &[url]);
        let notes: Vec<_> = explained["notes"].as_array().unwrap().iter().collect();
        assert_eq!((ended, &explained["refused"]["reason"]), (code, &reason), "{explained:#}");
        let found = notes.first().and_then(|note| note.as_str());
        assert_eq!(notes.len(), usize::from(note.is_some()), "{explained:#}");
        assert!(note.is_none_or(|note| found.unwrap().contains(note)), "{explained:#}");
    }
    let redirect = vhost.get("files.test", "/a?b");
    assert_eq!(redirect.status, 308);
    let output = vhost.ctl(&["explain", "https://none.example.com/"]);
    assert!(output.stdout.starts_with("answer         none: no_certificate\n"), "{output:?}");
}

#[test]
fn a_switch_under_way_is_told() {
    let (vhost, backends) = furnished();
    backends[2].set_health(500);
    let switch = vhost.ctl_in_background(&["switch", "example.com", "b", "--timeout", "30s"]);
    eventually("the check is told", Duration::from_secs(10), || {
        let (_, explained) = explain(&vhost, &["example.com"]);
        explained["live"]["tag"] == "a" && explained["live"]["switching"] == "checking"
    });
    backends[2].set_health(200);
    assert_eq!(switch.wait().code, 0);
}

/// Of "secret".
const HASH: &str = "$2b$04$DQW8Ek0qqNwSEqmBLpdtoO8lj4CyYQDBTZZLPKN1g1BNoKVRDxN8u";

/// Domains with all kinds of options, and requests of all kinds to them.
#[test]
fn what_options_make_of_a_request_is_explained() {
    let backend = Backend::start("web");
    let login = format!("basic_auth = {{ users = {{ ann = \"{HASH}\" }} }}");
    let setup = Setup::new()
        .set("proxy.trusted_proxies", "[\"127.0.0.1\"]")
        .domain_with("plain.test", "a", "aliases = [\"www.plain.test\"]")
        .domain_with("closed.test", "a", "maintenance = { message = \"soon\" }")
        .domain_with("login.test", "a", &login)
        .domain_with("denied.test", "a", "deny = [\"10.0.0.0/8\"]")
        .domain_with("allowed.test", "a", "allow = [\"10.0.0.0/8\"]")
        .domain_with("small.test", "a", "max_body_bytes = 4")
        .domain_with("rated.test", "a", "rate_limit = { requests = 1000 }")
        .domain_with("paths.test", "a", "paths = [{ prefix = \"/api\", tag = \"none\" }]")
        .domain_with(
            "canonical.test",
            "a",
            "aliases = [\"www.canonical.test\"]\ncanonical_host = \"canonical.test\"",
        )
        .backend("web", backend.address(), &["a"])
        .backend("none1", refusing_address(), &["none"]);
    let vhost = setup.start();
    vhost.wait_until_healthy(1);
    vhost.wait_for_health("none1", "unhealthy");
    let hosts = [
        "plain.test",
        "www.plain.test",
        "closed.test",
        "login.test",
        "denied.test",
        "allowed.test",
        "small.test",
        "rated.test",
        "paths.test",
        "canonical.test",
        "www.canonical.test",
        "unknown.test",
    ];
    let paths = ["/", "/api/x", "/x/../api", "/.well-known/acme-challenge/x"];
    let clients = ["", "X-Forwarded-For: 10.1.2.3", "X-Forwarded-For: nobody"];
    let mut random = fastrand::Rng::with_seed(12);
    for _ in 0..60 {
        let (host, path) = (hosts[random.usize(..hosts.len())], paths[random.usize(..paths.len())]);
        let client = clients[random.usize(..clients.len())];
        let has_body = random.bool();
        let (url, host_line) = (format!("any.test{path}"), format!("Host: {host}"));
        let mut args = vec![url.as_str(), "--client", "127.0.0.1", "-H", &host_line];
        if !client.is_empty() {
            args.extend(["-H", client]);
        }
        if has_body {
            args.extend(["-H", "Content-Length: 5"]);
        }
        let (_, explained) = explain(&vhost, &args);
        let lines = if client.is_empty() { String::new() } else { format!("{client}\r\n") };
        let body = if has_body { "Content-Length: 5\r\n\r\nhello" } else { "\r\n" };
        let mut connection = vhost.connect();
        connection.send(format!("GET {path} HTTP/1.1\r\n{host_line}\r\n{lines}{body}"));
        let response = connection.read_response();
        let expected = match (&explained["refused"]["status"], &explained["redirected"]) {
            (Value::Null, Value::Null) => 200,
            (Value::Null, location) => {
                assert_eq!(response.header("location"), location.as_str(), "{explained:#}");
                308
            }
            (status, _) => status.as_u64().unwrap(),
        };
        assert_eq!(u64::from(response.status), expected, "{args:?}: {explained:#}");
    }
    // A paused domain says so first.
    vhost.ctl_ok(&["domain", "pause", "plain.test", "--max-wait", "7s"]);
    let output = vhost.ctl_ok(&["explain", "plain.test"]);
    assert!(output.stdout.starts_with("answer         waits for up to 7s"), "{output:?}");
}

#[test]
fn the_time_outs_of_a_domain_and_of_its_backends_are_explained() {
    let vhost = Setup::new()
        .domain_with("example.com", "a", "timeouts = { response_secs = 90 }")
        .domain("other.test", "a")
        .backend_with("web-1", refusing_address(), &["a"], "connect_timeout_secs = 0.3")
        .backend("web-2", refusing_address(), &["a"])
        .start();
    let (_, explained) = explain(&vhost, &["example.com"]);
    let times = &explained["timeouts"];
    assert_eq!((&times["read_ms"], &times["connect_ms"]), (&json!(90_000), &json!(5000)));
    let own = |index: usize| explained["backends"][index]["connect_ms"].clone();
    assert_eq!((own(0), own(1)), (json!(300), Value::Null), "{explained:#}");
    let table = vhost.ctl(&["explain", "example.com"]).stdout;
    let line = "connect 5s (web-1: 300ms), read 1m 30s, write 1m, kept idle 4s";
    assert!(table.contains(line), "{table}");
    let (_, other) = explain(&vhost, &["other.test"]);
    assert_eq!(other["timeouts"]["read_ms"], 60_000);
    let times = "timeouts={ connect_secs = 2, first_byte_secs = 10, between_bytes_secs = 20 }";
    vhost.ctl_ok(&["domain", "set", "other.test", "--option", times]);
    vhost.ctl_ok(&["backend", "set", "web-2", "--option", "max_requests=7"]);
    let table = vhost.ctl(&["explain", "other.test"]).stdout;
    let line = "connect 2s (web-1: 300ms), first byte 10s, read 20s, write 20s, kept idle 4s";
    assert!(table.contains(line), "{table}");
    let (_, other) = explain(&vhost, &["other.test"]);
    let most = |index: usize| other["backends"][index]["max_requests"].clone();
    assert_eq!((most(0), most(1)), (Value::Null, json!(7)), "{other:#}");
    let idle = ["domain", "set", "other.test", "--option", "timeouts.websocket_idle_secs=30"];
    vhost.ctl_ok(&idle);
    let websocket = ["other.test", "-H", "Connection: upgrade", "-H", "Upgrade: websocket"];
    let (_, websocket) = explain(&vhost, &websocket);
    let times = &websocket["timeouts"];
    assert_eq!((&times["first_byte_ms"], &times["read_ms"]), (&json!(10_000), &json!(30_000)));
    let websocket = ["example.com", "-H", "Connection: upgrade", "-H", "Upgrade: websocket"];
    let (_, websocket) = explain(&vhost, &websocket);
    assert_eq!(websocket["timeouts"]["read_ms"], 3_600_000, "the WebSocket's own");
}
