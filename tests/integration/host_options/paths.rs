use std::time::Duration;

use serde_json::json;

use super::*;

/// Backends `web` (tag a), `next` (tag b), `api` (tag api) and `v2` (tag v2).
fn site(routes: &str) -> (Vec<Backend>, Vhost) {
    let backends: Vec<_> = ["web", "next", "api", "v2"].map(Backend::start).into();
    let mut setup = Setup::new().domain_with("example.com", "a", routes);
    for (backend, tag) in backends.iter().zip(["a", "b", "api", "v2"]) {
        setup = setup.backend(backend.id(), backend.address(), &[tag]);
    }
    let vhost = setup.start();
    vhost.wait_until_healthy(4);
    (backends, vhost)
}

const ROUTES: &str = r#"paths = [
  { prefix = "/api", tag = "api" },
  { prefix = "/api/v2/", tag = "v2", strip = true },
]"#;

#[test]
fn the_longest_prefix_wins() {
    let (_backends, vhost) = site(ROUTES);
    let mut client = vhost.connect();
    for (path, backend, seen) in [
        ("/", "web", "/"),
        ("/apis", "web", "/apis"),
        ("/API", "web", "/API"),
        ("/api", "api", "/api"),
        ("/api/x?y=z", "api", "/api/x?y=z"),
        ("/api/v2", "v2", "/"),
        ("/api/v2?a=/b", "v2", "/?a=/b"),
        ("/api/v2/x/?y", "v2", "/x/?y"),
        ("/api/v20", "api", "/api/v20"),
    ] {
        let response = client.get("example.com", path);
        assert_eq!(response.backend(), Some(backend), "{path}");
        assert_eq!(response.echo()["uri"], seen, "{path}");
    }
    assert_eq!(client.get("example.com", "/api/v2/x").sent("x-forwarded-prefix"), ["/api/v2"]);
}

#[test]
fn a_path_that_servers_may_read_as_another_route_is_refused() {
    let (backends, vhost) = site(ROUTES);
    for path in [
        "/x/../api/secret",
        "/x/%2e%2e/api",
        "/%61pi/x",
        "//api/x",
        "/api%2fx",
        "/api/v2/../x",
        "/./api",
        "/api;a=b/x",
        "/x/../api/..;/y",
        "/x/../api/%2e%2e/y",
        "/x/%2e%2e/api/..;/y",
        "/x/%252e%252e/api",
        "/a%2fb/%2e%2e/api",
        "/x\\..\\api",
        "/x%5c..%5capi",
        "\\api",
        "/x//../../api",
        "/api%3bx",
    ] {
        let response = vhost.get("example.com", path);
        assert_eq!(response.status, 400, "{path}");
    }
    assert!(backends.iter().all(|backend| backend.requests() == 0));
    // What is odd, but means the same route in any reading, goes on as it came.
    for (path, backend) in [("/a%20b/../c", "web"), ("/api/a%2Fb//c", "api")] {
        let response = vhost.get("example.com", path);
        assert_eq!(response.backend(), Some(backend), "{path}");
        assert_eq!(response.echo()["uri"], path);
    }
}

#[test]
fn what_is_left_of_a_path_names_no_other_host() {
    let (_backends, vhost) = site(ROUTES);
    for (path, seen) in [
        ("/api/v2//evil.test/x", "/evil.test/x"),
        ("/api/v2///evil.test", "/evil.test"),
        ("/api/v2/\\evil.test", "/evil.test"),
        ("/api/v2//?next=//x", "/?next=//x"),
    ] {
        let response = vhost.get("example.com", path);
        assert_eq!(response.backend(), Some("v2"), "{path}");
        assert_eq!(response.echo()["uri"], seen, "{path}");
    }
}

#[test]
fn a_switch_moves_the_live_tag_and_not_the_routes() {
    let (backends, vhost) = site("paths = [{ prefix = \"/old\", tag = \"a\" }]");
    let mut held = vhost.connect();
    held.send("GET /old HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(held.read_response().backend(), Some("web"));
    // A request that came by the path does not hold up the drain of the same tag.
    vhost.ctl_ok(&[
        "domain",
        "set",
        "example.com",
        "--option",
        "paths=[{prefix=\"/hold\",tag=\"a\"}]",
    ]);
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("it is held", Duration::from_secs(5), || backends[0].held() == 1);
    let started = std::time::Instant::now();
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(vhost.get("example.com", "/").backend(), Some("next"));
    let shown = vhost.rpc("domain.show", json!({"domain": "example.com"})).unwrap();
    assert!(
        shown["in_flight"].as_array().unwrap().contains(&json!({"tag": "a", "requests": 1})),
        "{shown}"
    );
    // Once no path leads to the tag, the request is left behind.
    vhost.ctl_ok(&["domain", "set", "example.com", "--no-option", "paths"]);
    let late = vhost.ctl(&["wait", "example.com", "--until", "drained", "--timeout", "200ms"]);
    assert_ne!(late.code, 0);
    backends[0].release();
    assert_eq!(held.read_response().backend(), Some("web"));
    vhost.ctl_ok(&["wait", "example.com", "--until", "drained"]);
}

#[test]
fn a_tag_that_nobody_carries_is_refused() {
    let (_backends, vhost) = site(ROUTES);
    let set = |paths: &str| {
        vhost.ctl(&["domain", "set", "example.com", "--option", &format!("paths={paths}")])
    };
    let refused = set("[{prefix=\"/x\",tag=\"apy\"}]");
    assert!(refused.stderr.contains("no backend carries the tag `apy`"), "{refused:?}");
    let refused = vhost.ctl(&["backend", "remove", "api"]);
    assert!(refused.code != 0 && refused.stderr.contains("example.com"), "{refused:?}");
    assert_eq!(set("[{prefix=\"/x\",tag=\"v2\"}]").code, 0);
    vhost.ctl_ok(&["backend", "remove", "api"]);
    let serves = vhost.backend("v2")["serves"].clone();
    assert_eq!(serves, json!(["example.com"]));
    let explained = vhost.ctl_ok(&["explain", "example.com/x/y"]);
    assert!(explained.stdout.contains("v2, by the path /x"), "{explained:?}");
    let file = Setup::new()
        .domain_with("example.com", "a", "paths = [{ prefix = \"/x\", tag = \"c\" }]")
        .backend("web", "127.0.0.1:1", &["a"]);
    vhost.write_config(&file);
    let checked = vhost.ctl(&["reload"]);
    assert!(checked.stderr.contains("no backend carries the tag `c`"), "{checked:?}");
}
