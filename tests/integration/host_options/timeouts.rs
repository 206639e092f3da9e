//! How long the backends of one domain may take.

use std::time::{Duration, Instant};

use crate::harness::*;

#[test]
fn a_domain_has_a_response_timeout_of_its_own() {
    let backend = Backend::start("web");
    let setup = Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]);
    let vhost = setup.set("upstream.read_timeout_secs", 600).start();
    vhost.wait_until_healthy(1);
    let set = ["domain", "set", "example.com", "--option", "timeouts.response_secs=0.3"];
    vhost.ctl_ok(&set);
    assert_eq!(vhost.get("example.com", "/hold").status, 504);
    vhost.wait_for_log("reason=upstream_timeout");
    assert_eq!(vhost.get("example.com", "/").status, 200);
}

/// A domain with these time-outs over a backend of either protocol; without them each is ten minutes.
fn either(timeouts: &str) -> Vec<(Backend, Vhost)> {
    let backends =
        [(Backend::start("web"), "http"), (Backend::builder("web").h2c().start(), "h2c")];
    let started = backends.into_iter().map(|(backend, scheme)| {
        let scheme = format!("scheme = \"{scheme}\"");
        let vhost = Setup::new()
            .set("upstream.read_timeout_secs", 600)
            .set("upstream.write_timeout_secs", 600)
            .domain_with("example.com", "a", &format!("timeouts = {{ {timeouts} }}"))
            .backend_with("web", backend.address(), &["a"], &scheme)
            .start();
        vhost.wait_until_healthy(1);
        (backend, vhost)
    });
    started.collect()
}

/// Begins to read `/stream`, with so long between its two chunks and its end.
fn stream(vhost: &Vhost, millis: u64) -> Client {
    let mut client = vhost.connect();
    client.send(format!("GET /stream?chunks=2&ms={millis} HTTP/1.1\r\nHost: example.com\r\n\r\n"));
    assert_eq!(client.read_head().expect("an answer").status, 200);
    assert!(!client.read_chunk().expect("the first chunk").is_empty());
    client
}

#[test]
fn a_response_may_begin_late_and_go_on_without_a_pause() {
    for (_backend, vhost) in either("first_byte_secs = 30, between_bytes_secs = 0.3") {
        assert_eq!(vhost.get("example.com", "/slow?ms=900").status, 200, "it begins late");
        let mut broken = stream(&vhost, 60_000);
        broken.read_chunk().expect_err("it does not go on");
        vhost.wait_for_log("reason=upstream_timeout");
    }
}

#[test]
fn a_response_may_pause_that_has_begun_in_time() {
    for (backend, vhost) in either("first_byte_secs = 0.3, between_bytes_secs = 30") {
        let mut paused = stream(&vhost, 700);
        while !paused.read_chunk().expect("it goes on").is_empty() {}
        assert_eq!(vhost.get("example.com", "/hold").status, 504, "it does not begin");
        vhost.wait_for_log("reason=upstream_timeout");
        eventually("the backend hears of it", Duration::from_secs(10), || backend.held() == 0);
    }
}

#[test]
fn the_new_time_outs_go_before_the_one_for_both() {
    for (_backend, vhost) in either("response_secs = 0.3, first_byte_secs = 30") {
        assert_eq!(vhost.get("example.com", "/slow?ms=900").status, 200);
        stream(&vhost, 60_000).read_chunk().expect_err("it does not go on");
    }
}

#[test]
fn an_interim_answer_does_not_begin_the_response() {
    let backend = RawBackend::start(|connection| {
        if connection.read_request().is_some() {
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
            connection.wait_for_close();
        }
    });
    let vhost = Setup::new()
        .tcp_probes()
        .domain_with(
            "example.com",
            "a",
            "timeouts = { first_byte_secs = 0.3, between_bytes_secs = 600 }",
        )
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status, 103);
    assert_eq!(client.read_response().status, 504);
}

#[test]
fn a_backend_that_takes_nothing_of_a_request_is_given_up() {
    let backend = RawBackend::start(|connection| {
        // It reads no more than the head.
        if connection.read_head().is_some() {
            connection.stall();
        }
    });
    let vhost = Setup::new()
        .tcp_probes()
        .set("upstream.read_timeout_secs", 600)
        .set("upstream.write_timeout_secs", 600)
        .domain_with("example.com", "a", "timeouts = { between_bytes_secs = 0.3 }")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    // More than sockets hold.
    let body = vec![b'x'; 32 << 20];
    let start = Instant::now();
    let response = vhost.connect().try_post("example.com", "/", &body);
    if let Ok(response) = response {
        assert_eq!(response.status, 504);
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    vhost.wait_for_log("reason=upstream_timeout");
}

#[test]
fn connecting_has_the_time_of_the_backend_or_else_of_the_domain() {
    let (hanging, other) = (FullBacklog::start(), FullBacklog::start());
    let vhost = Setup::new()
        .set("health_check.interval_secs", 600)
        .set("health_check.unhealthy_threshold", 1000)
        .set("upstream.connect_timeout_secs", 600)
        .set("upstream.max_tries", 1)
        .domain_with("example.com", "a", "timeouts = { connect_secs = 0.3 }")
        .domain_with("own.test", "b", "timeouts = { connect_secs = 600 }")
        .backend("hanging", hanging.address(), &["a"])
        .backend_with("own", other.address(), &["b"], "connect_timeout_secs = 0.3")
        .start();
    for host in ["example.com", "own.test"] {
        assert_eq!(vhost.get(host, "/").status, 502, "{host}");
    }
    eventually("both are logged", Duration::from_secs(10), || {
        vhost.log_lines("reason=connect_timeout").len() == 2
    });
}

#[test]
fn a_domain_says_how_long_its_web_sockets_may_be_silent() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .domain_with("example.com", "a", "timeouts = { websocket_idle_secs = 0.5 }")
        .domain("other.test", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut other = WebSocket::open(vhost.http(), "other.test");
    let mut socket = WebSocket::open(vhost.http(), "example.com");
    assert!(!socket.stays_open_for(Duration::from_secs(10)));
    eventually("the backend's end is closed too", Duration::from_secs(10), || {
        backend.web_sockets() == 1
    });
    other.echo("still here").unwrap();
}

#[test]
fn no_time_is_nothing() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    for key in [
        "connect_secs",
        "response_secs",
        "first_byte_secs",
        "between_bytes_secs",
        "websocket_idle_secs",
    ] {
        let option = format!("timeouts.{key}=0");
        let output = vhost.ctl(&["domain", "set", "example.com", "--option", &option]);
        assert_eq!(output.code, 1, "{output:?}");
        let text = output.stderr;
        assert!(
            text.contains(&format!("timeouts.{key}")) && text.contains("0.001 to 86400"),
            "{text}"
        );
    }
}
