//! What comes before and behind a message over HTTP/1.1, interim answers and trailers, as clients see it
//! that others have written.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
                     HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\nX-Hint: 2\r\n\r\n";

const WITH_TRAILERS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
                             Trailer: X-Sum, Server-Timing\r\n\r\n\
                             5\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\nServer-Timing: db;dur=2\r\n\
                             Content-Length: 9\r\nSet-Cookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n";

fn serve(backend: &RawBackend) -> Vhost {
    let vhost = Setup::new()
        .tcp_probes()
        .set("health_check.interval_secs", 600)
        .domain_with("example.com", "a", "http_to_https = false\ntls = \"internal\"")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    vhost
}

/// A server whose backend gives this answer to each request.
fn answering(answer: String) -> (RawBackend, Vhost) {
    let backend = RawBackend::start(move |connection| {
        while connection.read_request().is_some() {
            connection.send(answer.as_bytes());
        }
    });
    let vhost = serve(&backend);
    (backend, vhost)
}

/// What `curl` writes: all heads, the body, and the trailers. Over both kinds of connections.
fn curl(vhost: &Vhost, more: &[&str]) -> [String; 2] {
    let (plain, secure) = (vhost.http(), vhost.https());
    let urls = [
        (format!("http://example.com:{}/", plain.port()), plain),
        (format!("https://example.com:{}/", secure.port()), secure),
    ];
    urls.map(|(url, address)| {
        let resolve = format!("example.com:{}:{}", address.port(), address.ip());
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--insecure", "--http1.1", "--max-time", "20"])
            .args(["--dump-header", "-", "--resolve", &resolve, &url])
            .args(more)
            .output()
            .expect("curl runs; `./dev test` installs it");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    })
}

/// Python's sockets and its parser of heads.
struct Python {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Python {
    fn send(address: SocketAddr, request: &str) -> Self {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/interim/client.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args([address.ip().to_string(), address.port().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs; `./dev test` installs it");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(request.as_bytes()).expect("it reads");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    /// The next head, or the rest behind the last one.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it writes");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn value<'v>(head: &'v Value, name: &str) -> Option<&'v str> {
    let fields = head["fields"].as_array()?;
    fields.iter().find(|field| field[0] == name)?[1].as_str()
}

/// These stand one behind the other, each once.
#[track_caller]
fn stand_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        assert_eq!(text.matches(part).count(), 1, "{part:?} in {text}");
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part:?} is early in {text}")).1;
    }
}

#[test]
fn curl_sees_hints_and_trailers() {
    let (_backend, vhost) = answering(format!("{HINTS}{WITH_TRAILERS}"));
    for text in curl(&vhost, &[]) {
        assert_eq!(text.matches("HTTP/1.1 103 Early Hints\r\n").count(), 2, "{text}");
        stand_in_order(
            &text,
            &[
                "Link: </a.css>; rel=preload\r\n\r\n",
                "Link: </b.css>; rel=preload\r\nX-Hint: 2\r\n\r\n",
                "HTTP/1.1 200 OK\r\n",
                "Trailer: X-Sum, Server-Timing\r\n",
                "hello!",
                "x-sum: 1\r\n",
                "server-timing: db;dur=2\r\n",
            ],
        );
        let lower = text.to_lowercase();
        for forbidden in ["content-length", "set-cookie", "x-forwarded-for"] {
            assert!(!lower.contains(forbidden), "{forbidden} in {text}");
        }
    }
}

#[test]
fn curl_is_told_to_go_on() {
    let backend = RawBackend::start(|connection| {
        while let Some(head) = connection.read_head() {
            assert!(head.contains("Expect: 100-continue\r\n"), "{head}");
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n");
            let body = connection.take(5).unwrap_or_default();
            connection.send(&answer(&String::from_utf8_lossy(&body)));
        }
    });
    let vhost = serve(&backend);
    // It waits longer for the word than it may take in all.
    let more = ["-H", "Expect: 100-continue", "--expect100-timeout", "60", "--data", "hello"];
    for text in curl(&vhost, &more) {
        stand_in_order(&text, &["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\n", "hello"]);
    }
}

/// A backend that sends hints at once, and its answer when the test asks for it.
fn hinting() -> (RawBackend, Sender<()>) {
    let (sender, go_on) = channel();
    let go_on = Arc::new(Mutex::new(go_on));
    let backend = RawBackend::start(move |connection| {
        if connection.read_request().is_some() {
            connection.send(HINTS.as_bytes());
            let go_on = go_on.lock().expect("nobody panics with it");
            if go_on.recv_timeout(Duration::from_secs(20)).is_ok() {
                connection.send(WITH_TRAILERS.as_bytes());
            }
        }
    });
    (backend, sender)
}

#[test]
fn python_sees_hints_before_there_is_an_answer() {
    let (backend, go_on) = hinting();
    let vhost = serve(&backend);
    let mut python = Python::send(vhost.http(), GET);
    for style in ["a", "b"] {
        let hint = python.next();
        assert_eq!(hint["status"], 103);
        assert_eq!(value(&hint, "link"), Some(format!("</{style}.css>; rel=preload").as_str()));
        assert_eq!(value(&hint, "date").or(value(&hint, "connection")), None, "{hint}");
    }
    go_on.send(()).expect("the backend waits");
    let head = python.next();
    assert_eq!((&head["status"], value(&head, "link")), (&json!(200), None));
    let rest = python.next();
    assert_eq!(rest["body"], "hello!");
    assert_eq!(rest["trailers"], json!([["x-sum", "1"], ["server-timing", "db;dur=2"]]));
}

#[test]
fn who_speaks_http_1_0_gets_neither() {
    let (_backend, vhost) = answering(format!("{HINTS}{WITH_TRAILERS}"));
    let mut python = Python::send(vhost.http(), "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n");
    let head = python.next();
    assert_eq!((&head["status"], value(&head, "trailer")), (&json!(200), None));
    assert_eq!(value(&head, "transfer-encoding"), None);
    assert_eq!(python.next(), json!({ "body": "hello!", "trailers": [] }));
}

#[test]
fn trailers_of_requests_reach_the_backend_but_for_those_that_may_not_be_there() {
    let backend = RawBackend::start(|connection| {
        // The head, and the body with its trailers: each ends with an empty line.
        while connection.read_head().is_some() && connection.read_head().is_some() {
            connection.send(&answer("hello"));
        }
    });
    let vhost = serve(&backend);
    let framing = ["Content-Length: 9", "Transfer-Encoding: chunked", "Trailer: X-Sum", "TE: a"];
    let routing = ["Host: other.test", "X-Forwarded-For: 1.2.3.4", "X-Real-IP: 1.2.3.4", "Via: 1"];
    let routing_too = ["Forwarded: for=1.2.3.4", "Connection: X-Sum", "Upgrade: h2c", "X_Sum: 9"];
    let auth = ["Authorization: Basic eA==", "Proxy-Authorization: x", "Cookie: a=b"];
    let others = ["Expect: 100-continue", "If-Match: *", "Content-Type: a/b", "X-Request-Id: 1"];
    let forbidden = [&framing[..], &routing, &routing_too, &auth, &others].concat();
    let trailers = format!("X-Sum: 1\r\n{}\r\nX-Sum: 2\r\nGrpc-Status: 0", forbidden.join("\r\n"));
    let request = "POST / HTTP/1.1\r\nHost: example.com\r\nTrailer: X-Sum\r\n\
                   Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n";
    let mut python = Python::send(vhost.http(), &format!("{request}{trailers}\r\n\r\n"));
    assert_eq!(python.next()["status"], 200);
    let received = backend.received_text();
    let (head, body) = received.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("\r\nTrailer: X-Sum"), "{head}");
    let (content, behind) = body.split_once("0\r\n").expect("a last chunk");
    assert_eq!(content.replace("\r\n", ""), "5hello");
    assert_eq!(behind, "x-sum: 1\r\nx-sum: 2\r\ngrpc-status: 0\r\n\r\n");
}
