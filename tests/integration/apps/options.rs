//! What an app says for its domains and backends: the health check, time-outs, limits, the access log.

use serde_json::json;

use super::*;

#[test]
fn an_app_that_serves_its_own_names_only_is_asked_for_the_first_of_them() {
    let vhost = Setup::new().unset("health_check.path").start();
    let (shop, next) = (RawBackend::strict("shop.test"), RawBackend::strict("shop.test"));
    let (first, second) = (shop.address().to_string(), next.address().to_string());
    vhost.ctl_ok(&["deploy", "shop", &first, "--host", "*.shop.test", "--host", "shop.test"]);
    assert_eq!(vhost.get("shop.test", "/").status, 200);
    let id = &backends(&vhost)[0];
    assert_eq!(vhost.backend(id)["health_check_in_effect"]["host"], "shop.test");
    vhost.ctl_ok(&["deploy", "shop", &second]);

    // Another name for the check, and the app is not what answers to it.
    vhost.ctl_ok(&["app", "set", "shop", "--option", "health_check.host=other.test"]);
    let refused = vhost.ctl(&["undo", "shop", "--timeout", "1s"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.stderr.contains("status 400"), "{refused:?}");
    vhost.ctl_ok(&["app", "set", "shop", "--no-option", "health_check.host"]);
    vhost.ctl_ok(&["undo", "shop"]);
}

#[test]
fn the_health_of_an_app_can_be_at_another_port_and_path() {
    let vhost = empty();
    let (app, health) = (Backend::start("one"), Backend::start("health"));
    app.set_health(500);
    let port = format!("health_check.port={}", health.socket_addr().port());
    let args =
        ["deploy", "shop", &app.address(), "--host", "shop.test", "--health-path", "/health"];
    let refused = vhost.ctl(&[&args[..], &["--timeout", "1s"]].concat());
    assert_eq!(refused.code, 6, "{refused:?}");
    // The harness gives each backend an address of its own, so this finds nobody.
    let refused = vhost.ctl(&[&args[..], &["--option", &port, "--timeout", "1s"]].concat());
    assert_eq!(refused.code, 6, "{refused:?}");
    let beside = Backend::builder("beside").at((app.socket_addr().ip(), 0).into()).start();
    let port = format!("health_check.port={}", beside.socket_addr().port());
    vhost.ctl_ok(&[&args[..], &["--option", &port]].concat());
    let before = app.probes();
    assert_eq!(served_by(&vhost, "shop.test"), "one");
    let probes = beside.probes();
    eventually("it is probed there", SOON, || beside.probes() > probes);
    assert_eq!(app.probes(), before);
}

#[test]
fn an_app_of_grpc_is_healthy_while_its_service_serves() {
    let vhost = empty();
    let (cart, next) = (GrpcHealth::start(None), GrpcHealth::start(None));
    cart.set("shop.v1.Cart", SERVING);
    next.set("shop.v1.Cart", NOT_SERVING);
    let (first, second) = (cart.address().to_string(), next.address().to_string());
    let kind = [
        "--option",
        "health_check.kind=grpc",
        "--option",
        "health_check.grpc_service=shop.v1.Cart",
    ];
    let args = ["deploy", "cart", &first, "--host", "cart.test", "--scheme", "h2c"];
    vhost.ctl_ok(&[&args[..], &kind].concat());
    let before = exported(&vhost);
    let refused = vhost.ctl(&["deploy", "cart", &second, "--scheme", "h2c", "--timeout", "1s"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.stderr.contains("NOT_SERVING"), "{refused:?}");
    assert_eq!(exported(&vhost), before);
    next.set("shop.v1.Cart", SERVING);
    vhost.ctl_ok(&["deploy", "cart", &second, "--scheme", "h2c"]);
    assert_eq!(vhost.live("cart.test"), "b");
}

#[test]
fn time_outs_and_limits_of_an_app_are_for_its_domains_and_backends_unless_they_have_their_own() {
    let vhost = Setup::new().set("upstream.queue_timeout_secs", 0.2).start();
    let (shop, blog) = (Backend::start("shop"), Backend::start("blog"));
    for (app, backend, host) in [("shop", &shop, "shop.test"), ("blog", &blog, "blog.test")] {
        vhost.ctl_ok(&[
            "deploy",
            app,
            &backend.address(),
            "--host",
            host,
            "--host",
            &format!("www.{host}"),
        ]);
    }
    let post = |host: &str| {
        let mut client = vhost.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 6\r\n\r\nabcdef"));
        client.read_response().status
    };
    let set = |option: &str| vhost.ctl_ok(&["app", "set", "shop", "--option", option]);

    set("max_body_bytes=5");
    vhost.ctl_ok(&["domain", "set", "www.shop.test", "--option", "max_body_bytes=6"]);
    assert_eq!([post("shop.test"), post("www.shop.test"), post("blog.test")], [413, 200, 200]);

    set("timeouts.first_byte_secs=0.2");
    vhost.ctl_ok(&["domain", "set", "www.shop.test", "--option", "timeouts.first_byte_secs=30"]);
    assert_eq!(vhost.get("shop.test", "/hold").status, 504);
    assert_eq!(vhost.get("www.shop.test", "/slow?ms=700").status, 200);
    assert_eq!(vhost.get("blog.test", "/slow?ms=700").status, 200);

    set("max_requests=1");
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: www.shop.test\r\n\r\n");
    eventually("it is held", SOON, || shop.held() == 1);
    assert_eq!(vhost.get("shop.test", "/").status, 503, "it waits in vain");
    // A backend's own goes before the app's.
    let id = &vhost.ctl_json(&["app", "show", "shop"])["versions"][0]["ids"][0];
    vhost.ctl_ok(&["backend", "set", id.as_str().expect("an id"), "--max-requests", "2"]);
    assert_eq!(vhost.get("shop.test", "/").status, 200);
    shop.release();
    assert_eq!(held.read_response().status, 200);

    // One member after another, and away again.
    set("timeouts.connect_secs=3");
    let both = json!({ "connect_secs": 3, "first_byte_secs": 0.2 });
    assert_eq!(vhost.ctl_json(&["app", "show", "shop"])["timeouts"], both);
    let take = |key: &str| vhost.ctl_ok(&["app", "set", "shop", "--no-option", key]);
    take("timeouts.first_byte_secs");
    assert_eq!(vhost.ctl_json(&["app", "show", "shop"])["timeouts"], json!({ "connect_secs": 3 }));
    take("timeouts");
    take("max_requests");
    assert_eq!(vhost.get("shop.test", "/slow?ms=700").status, 200);

    set("drain.websockets={ close_after_secs = 40, spread_secs = 2 }");
    let explained = vhost.ctl_ok(&["explain", "shop.test"]).stdout;
    assert!(
        explained.contains("is ended 40s after") || explained.contains("is ended 40 s after"),
        "{explained}"
    );
    assert!(!vhost.ctl_ok(&["explain", "blog.test"]).stdout.contains("is ended"));
}

#[test]
fn the_access_log_has_what_the_app_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let vhost = Setup::new()
        .set("access_log.enabled", true)
        .set("access_log.output", "\"file\"")
        .set("access_log.file_path", format!("{:?}", file.display().to_string()))
        .start();
    let backends = ["shop", "blog"].map(|name| {
        let backend = Backend::start(name);
        let host = format!("{name}.test");
        vhost.ctl_ok(&["deploy", name, &backend.address(), "--host", &host, "--release", "v7"]);
        backend
    });
    vhost.ctl_ok(&["app", "set", "shop", "--option", "access_log.enabled=false"]);
    for path in ["/first", "/last"] {
        for host in ["shop.test", "blog.test"] {
            assert_eq!(vhost.get(host, path).status, 200);
        }
    }
    let log = eventually_some("all is written", SOON, || {
        std::fs::read_to_string(&file).ok().filter(|log| log.contains("/last"))
    });
    let of = |host: &str| {
        log.lines().filter(|line| line.contains(host) && line.contains("/first")).count()
    };
    assert_eq!((of("shop.test"), of("blog.test")), (0, 1), "{log}");
    assert!(log.lines().any(|line| line.contains("/last") && line.contains("v7")), "{log}");
    drop(backends);
    let shown = vhost.ctl_json(&["app", "show", "shop"]);
    assert_eq!(shown["access_log"], json!({ "enabled": false }));
}
