//! What one request may be, and who may send it how often.

use std::time::Duration;

use super::{refused, site, site_with, wait_for_refused};
use crate::harness::*;

fn head(fields: usize) -> String {
    let fields = "X-Field: x\r\n".repeat(fields - 1);
    format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")
}

#[test]
fn a_head_has_so_many_fields_and_no_more() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_headers", 20).start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    client.send(head(20));
    assert_eq!(client.read_response().status, 200);
    for (count, fields) in [(1, 21), (2, 300), (3, 2000)] {
        let mut client = vhost.connect();
        client.send(head(fields));
        let response = client.read_response();
        assert_eq!((response.status, response.closes()), (431, true), "{fields} fields");
        let log = wait_for_refused(&vhost, "too_many_headers", count);
        assert!(log.contains("status=431"), "{log}");
    }
    // Right behind another: Pingora reads that one.
    let mut client = vhost.connect();
    client.send(head(20) + &head(21));
    assert_eq!(client.read_response().status, 200);
    assert_eq!(client.read_response().status, 431);
    wait_for_refused(&vhost, "too_many_headers", 4);
    assert_eq!(backend.requests(), 2);
}

#[test]
fn a_target_has_so_many_bytes_and_no_more() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_uri_bytes", 100).start();
    vhost.wait_until_healthy(1);
    let path = |bytes: usize| format!("/{}", "x".repeat(bytes - 1));
    assert_eq!(vhost.get("example.com", &path(100)).status, 200);
    assert_eq!(vhost.get("example.com", &path(101)).status, 414);
    let log = wait_for_refused(&vhost, "uri_too_long", 1);
    assert!(log.contains("status=414"), "{log}");
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        assert_eq!(client.get("example.com", &path(100)).await.unwrap().status, 200);
        assert_eq!(client.get("example.com", &path(101)).await.unwrap().status, 414);
    });
    wait_for_refused(&vhost, "uri_too_long", 2);
}

#[test]
fn a_large_head_over_http2_is_refused_as_over_http1() {
    let backend = Backend::start("web");
    let vhost = site(&backend).set("proxy.max_header_bytes", 2048).start();
    vhost.wait_until_healthy(1);
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        for (size, status) in [(1000, 200), (2500, 431), (1000, 200)] {
            let request = http::Request::get("http://example.com/")
                .header("x-large", "x".repeat(size))
                .body(())
                .unwrap();
            let (response, _) = client.start(request, true).await.unwrap();
            assert_eq!(read(response).await.unwrap().status, status, "{size}");
        }
    });
    wait_for_refused(&vhost, "head_too_large", 1);
}

#[test]
fn a_body_that_says_it_is_too_large_never_reaches_a_backend() {
    let backend = Backend::start("web");
    let vhost = site_with(&backend, "max_body_bytes = 1000").start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    assert_eq!(client.post("example.com", "/", &[b'x'; 1000]).status, 200);
    let response = client.post("example.com", "/", &[b'x'; 1001]);
    assert_eq!((response.status, response.closes()), (413, true));
    let log = wait_for_refused(&vhost, "body_too_large", 1);
    assert!(log.contains("status=413"), "{log}");
    // Nor does a client send it that asks first.
    let mut client = vhost.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n",
    );
    assert_eq!(client.read_head().unwrap().status, 413);
    assert_eq!(backend.requests(), 1);
}

#[test]
fn a_body_that_says_nothing_is_cut_off_as_it_flows() {
    let backend = Backend::start("web");
    let vhost = site_with(&backend, "max_body_bytes = 1000").start();
    vhost.wait_until_healthy(1);
    let chunked = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = vhost.connect();
    client.send(format!("{chunked}3e8\r\n{}\r\n0\r\n\r\n", "x".repeat(1000)));
    assert_eq!(client.read_response().status, 200);
    let mut client = vhost.connect();
    client.send(chunked);
    for _ in 0..11 {
        client.send(format!("64\r\n{}\r\n", "x".repeat(100)));
    }
    assert_eq!(client.read_response().status, 413);
    let log = wait_for_refused(&vhost, "body_too_large", 1);
    assert!(log.contains("status=413"), "{log}");
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        let post = || http::Request::post("http://example.com/").body(()).unwrap();
        let (response, mut body) = client.start(post(), false).await.unwrap();
        body.send_data(vec![b'x'; 1001].into(), false).unwrap();
        assert_eq!(read(response).await.unwrap().status, 413);
        let (response, mut body) = client.start(post(), false).await.unwrap();
        body.send_data(vec![b'x'; 1000].into(), true).unwrap();
        assert_eq!(read(response).await.unwrap().status, 200, "other streams go on");
    });
    wait_for_refused(&vhost, "body_too_large", 2);
    assert_eq!(vhost.backend("web")["failures"], 0, "no backend is blamed");
}

#[test]
fn what_follows_an_upgrade_is_no_body() {
    let backend = Backend::start("web");
    let vhost = site_with(&backend, "max_body_bytes = 10").start();
    vhost.wait_until_healthy(1);
    let mut socket = WebSocket::open(vhost.http(), "example.com");
    for _ in 0..20 {
        socket.echo("a message of its own").expect("it goes on");
    }
}

#[test]
fn a_body_that_drips_is_cut_off_after_its_grace() {
    let backend = Backend::start("web");
    let vhost = site(&backend)
        .set("proxy.min_body_bytes_per_sec", 1000)
        .set("proxy.body_grace_secs", 0.3)
        .start();
    vhost.wait_until_healthy(1);
    let drip = |more: &str| {
        let mut client = vhost.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 200\r\n{more}\r\n"
        ));
        for _ in 0..200 {
            if !client.is_idle() || client.try_send("x").is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        client.read_response().status
    };
    assert_eq!(drip(""), 408);
    let log = wait_for_refused(&vhost, "body_timeout", 1);
    assert!(log.contains("status=408"), "{log}");
    for (number, kind) in
        ["application/grpc", "application/grpcx", "application/grpc+proto"].iter().enumerate()
    {
        assert_eq!(drip(&format!("Content-Type: {kind}\r\n")), 408, "there is no gRPC over HTTP/1");
        wait_for_refused(&vhost, "body_timeout", 2 + number as u64);
    }
    assert_eq!(vhost.backend("web")["failures"], 0, "no backend is blamed");
}

/// Its messages may be far apart; but a client that only says so is not believed.
#[test]
fn what_says_that_it_is_grpc_may_be_slow_only_where_the_backend_can_speak_it() {
    for (scheme, slow) in [("", 408), ("scheme = \"h2c\"", 200)] {
        let builder = Backend::builder("web");
        let backend = if scheme.is_empty() { builder.start() } else { builder.h2c().start() };
        let vhost = Setup::new()
            .set("proxy.min_body_bytes_per_sec", 1000)
            .set("proxy.body_grace_secs", 0.3)
            .domain("example.com", "a")
            .backend_with("web", backend.address(), &["a"], scheme)
            .start();
        vhost.wait_until_healthy(1);
        let drip = |kind: &'static str| {
            in_runtime(async {
                let mut client = H2::connect(vhost.http()).await;
                let request =
                    http::Request::post("http://example.com/").header("content-type", kind);
                let (response, mut body) =
                    client.start(request.body(()).unwrap(), false).await.unwrap();
                for _ in 0..200 {
                    if body.send_data("x".into(), false).is_err() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let _ = body.send_data("x".into(), true);
                let response = read(response).await.unwrap();
                // gRPC is answered in gRPC.
                let status = response.headers.get("grpc-status");
                if status.is_some_and(|status| status == "2") {
                    408
                } else {
                    response.status.as_u16()
                }
            })
        };
        assert_eq!(drip("application/grpc"), slow, "{scheme}");
        assert_eq!(drip("application/grpcx"), 408, "{scheme}");
    }
}

/// Whoever asks for an upgrade does not get the patience that is for those who have one.
#[test]
fn a_backend_that_does_not_answer_an_upgrade_is_waited_for_as_for_others() {
    let backend = Backend::start("web");
    let vhost = site(&backend)
        .set("upstream.read_timeout_secs", 0.5)
        .set("proxy.websocket_idle_timeout_secs", 3600)
        .start();
    vhost.wait_until_healthy(1);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let response = vhost.connect().get_with("example.com", "/hold", upgrade);
    assert_eq!(response.status, 504);
    wait_for_refused(&vhost, "upstream_timeout", 1);
    // One that has agreed may be silent for longer.
    let mut socket = WebSocket::open(vhost.http(), "example.com");
    std::thread::sleep(Duration::from_millis(1500));
    socket.echo("still there").expect("it goes on");
    backend.release();
}

#[test]
fn who_is_served_is_said_by_allow_and_deny_and_only_trusted_proxies_are_believed() {
    let backend = Backend::start("web");
    let (friend, stranger, proxy) = (free_ip(), free_ip(), free_ip());
    let vhost = site_with(&backend, &format!("allow = [\"{friend}\"]"))
        .set("proxy.trusted_proxies", format!("[\"{proxy}\"]"))
        .start();
    vhost.wait_until_healthy(1);
    let ask = |from, forwarded_for: &str| {
        let field = match forwarded_for {
            "" => String::new(),
            named => format!("X-Forwarded-For: {named}\r\n"),
        };
        Client::connect_from(from, vhost.http()).get_with("example.com", "/", &field).status
    };
    let named = friend.to_string();
    assert_eq!(ask(friend, ""), 200);
    assert_eq!(ask(stranger, ""), 403);
    assert_eq!(ask(stranger, &named), 403, "anybody can say so");
    assert_eq!(ask(proxy, &named), 200);
    assert_eq!(ask(proxy, &format!("{named}, {stranger}")), 403);
    assert_eq!(ask(proxy, ""), 403);
    let log = wait_for_refused(&vhost, "denied", 4);
    assert!(log.contains("status=403"), "{log}");
    vhost.ctl_ok(&[
        "domain",
        "set",
        "example.com",
        "--no-option",
        "allow",
        "--option",
        &format!("deny=[\"{stranger}\"]"),
    ]);
    assert_eq!(ask(proxy, ""), 200);
    assert_eq!(ask(stranger, ""), 403);
}

#[test]
fn a_domain_takes_so_many_requests_of_each_client() {
    let backend = Backend::start("web");
    let limit = "client_rate_limit = { requests = 1, per_secs = 600, burst = 3 }";
    let vhost = site_with(&backend, limit).start();
    vhost.wait_until_healthy(1);
    let (one, other) = (free_ip(), free_ip());
    let ask = |from| Client::connect_from(from, vhost.http()).get("example.com", "/");
    for left in [2, 1, 0] {
        let response = ask(one);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("ratelimit-policy"), Some("\"client\";q=1;w=600"));
        assert_eq!(response.header("ratelimit"), Some(format!("\"client\";r={left}").as_str()));
    }
    let response = ask(one);
    assert_eq!(response.status, 429);
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((590..=600).contains(&wait), "{wait}");
    assert_eq!(response.header("ratelimit"), Some(format!("\"client\";r=0;t={wait}").as_str()));
    assert_eq!(ask(other).status, 200, "each has a bucket of its own");
    let log = wait_for_refused(&vhost, "rate_limited", 1);
    assert!(log.contains("status=429"), "{log}");
    // What was taken stays taken through changes of anything else.
    vhost.ctl_ok(&["domain", "set", "example.com", "--balance", "least-connections"]);
    vhost.ctl_ok(&["domain", "set", "example.com", "--option", "max_body_bytes=1000"]);
    assert_eq!(ask(one).status, 429);
    vhost.ctl_ok(&["domain", "set", "example.com", "--option", "client_rate_limit.burst=4"]);
    assert_eq!(ask(one).status, 200);
    assert_eq!(backend.requests(), 5);
}

#[test]
fn a_domain_takes_so_many_requests_in_all() {
    let backend = Backend::start("web");
    let vhost = site_with(&backend, "rate_limit = { requests = 5, per_secs = 1 }").start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    let mut passed = 0;
    while client.get("example.com", "/").status == 200 {
        passed += 1;
    }
    assert!((5..15).contains(&passed), "{passed}");
    eventually("the bucket fills up", Duration::from_secs(5), || {
        client.get("example.com", "/").status == 200
    });
    eventually("it is counted", Duration::from_secs(5), || refused(&vhost, "rate_limited") > 0);
}
