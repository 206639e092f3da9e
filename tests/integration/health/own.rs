//! The health check of a single backend, over that of `[health_check]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::SOON;
use crate::harness::*;

/// A server with nothing in `[health_check]` but short times.
fn setup() -> Setup {
    Setup::new().unset("health_check.path").domain("example.com", "a")
}

/// A server whose body is `body` at every path.
fn body_app(body: &'static str) -> RawBackend {
    RawBackend::start(move |connection| {
        while connection.read_request().is_some() {
            connection.send(&answer(body));
        }
    })
}

fn last_error(shown: &Value) -> &str {
    shown["health"]["last_error"].as_str().unwrap_or("no error")
}

/// Waits until the last error of the backend contains `part`.
#[track_caller]
fn wait_for_error(vhost: &Vhost, id: &str, part: &str) {
    eventually(&format!("`{id}`: {part}"), SOON, || {
        let shown = vhost.backend(id);
        last_error(&shown).contains(part)
    });
}

#[test]
fn an_application_that_serves_its_own_names_is_healthy_by_the_host_of_its_check() {
    let app = RawBackend::strict("shop.example.com");
    let vhost = setup().backend("web", app.address(), &["a"]).start();
    let shown = vhost.wait_for_health("web", "unhealthy");
    assert!(last_error(&shown).contains("status 400, expected 200-399"), "{shown}");
    let set = vhost.ctl_ok(&["backend", "set", "web", "--health-check-host", "shop.example.com"]);
    assert!(set.stderr.contains("health_check none → host shop.example.com"), "{set:?}");
    let shown = vhost.wait_for_health("web", "healthy");
    assert_eq!(shown["health_check"], json!({"host": "shop.example.com"}));
    assert_eq!(shown["health_check_in_effect"]["host"], "shop.example.com");
    assert_eq!(shown["health_check_in_effect"]["interval_secs"], 0.2);
    let event = vhost.newest_event();
    assert!(event.to_string().contains("health_check"), "{event}");
    vhost.ctl_ok(&["backend", "set", "web", "--no-option", "health_check.host"]);
    let shown = vhost.wait_for_health("web", "unhealthy");
    assert_eq!(shown.get("health_check"), None, "a check without keys is none");
}

#[test]
fn the_health_of_a_backend_can_be_at_another_port() {
    let app = Backend::start("web");
    let health = Backend::builder("health").at((app.socket_addr().ip(), 0).into()).start();
    let port = health.socket_addr().port().to_string();
    let vhost = setup()
        .backend_with(
            "web",
            app.address(),
            &["a"],
            &format!("health_check = {{ path = \"/health\", port = {port} }}\nsend_proxy_protocol = \"off\""),
        )
        .start();
    vhost.wait_until_healthy(1);
    assert_eq!((app.probes(), app.requests()), (0, 0), "no probe goes to the backend's own port");
    assert!(health.probes() > 0);
    assert_eq!(vhost.get("example.com", "/").backend(), Some("web"), "traffic goes there");
    health.set_health(503);
    let shown = vhost.wait_for_health("web", "unhealthy");
    assert_eq!(last_error(&shown), format!("port {port}: status 503, expected 200-399"));
    drop(health);
    wait_for_error(&vhost, "web", &format!("port {port}: connection refused"));
}

#[test]
fn a_grpc_server_is_healthy_while_its_service_serves() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let root = authority.write_to(directory.path());
    let clear = GrpcHealth::start(None);
    let secure = GrpcHealth::start(Some(authority.serves("grpc.internal", &["h2"])));
    for server in [&clear, &secure] {
        server.set("shop.v1.Cart", SERVING);
        server.set("", NOT_SERVING);
    }
    let check = "[backends.health_check]\nkind = \"grpc\"\ngrpc_service = \"shop.v1.Cart\"";
    let over_tls = format!(
        "scheme = \"https\"\ntls_server_name = \"grpc.internal\"\ntls_ca_file = \"{}\"\n{check}",
        root.display()
    );
    // The path is of HTTP, and is left out.
    let vhost = setup()
        .set("health_check.path", "\"/health\"")
        .backend_with("h2c", clear.address(), &["a"], &format!("scheme = \"h2c\"\n{check}"))
        .backend_with("http", clear.address(), &["a"], check)
        .backend_with("tls", secure.address(), &["a"], &over_tls)
        .start();
    vhost.wait_until_healthy(3);
    assert_eq!(vhost.backend("h2c")["health_check_in_effect"]["kind"], "grpc");
    assert_eq!(vhost.backend("h2c")["health_check_in_effect"].get("path"), None);
    for server in [&clear, &secure] {
        server.set("shop.v1.Cart", NOT_SERVING);
    }
    for id in ["h2c", "http", "tls"] {
        let shown = vhost.wait_for_health(id, "unhealthy");
        assert_eq!(last_error(&shown), "grpc status NOT_SERVING, expected SERVING", "{id}");
    }
    assert!(clear.calls() > 4 && secure.calls() > 2);
    vhost.ctl_ok(&["backend", "set", "h2c", "--health-check-grpc-service", "shop.v1.None"]);
    wait_for_error(&vhost, "h2c", "grpc error NOT_FOUND: unknown service");
    vhost.ctl_ok(&["backend", "set", "h2c", "--health-check-grpc-service", ""]);
    wait_for_error(&vhost, "h2c", "grpc status NOT_SERVING");
    clear.set("", SERVING);
    vhost.wait_for_health("h2c", "healthy");
}

#[test]
fn a_server_of_http_is_no_grpc_server_and_the_reason_says_so() {
    let (http1, http2) = (Backend::start("one"), Backend::builder("two").h2c().start());
    let check = "health_check = { kind = \"grpc\", timeout_secs = 1 }";
    let vhost = setup()
        .backend_with("one", http1.address(), &["a"], check)
        .backend_with("two", http2.address(), &["a"], &format!("{check}\nscheme = \"h2c\""))
        .start();
    let shown = vhost.wait_for_health("one", "unhealthy");
    assert!(!last_error(&shown).is_empty(), "{shown}");
    let shown = vhost.wait_for_health("two", "unhealthy");
    assert!(
        last_error(&shown).contains("not gRPC: its content-type is `application/json`"),
        "{shown}"
    );
}

#[test]
fn a_body_is_expected_by_a_text_or_by_a_pattern() {
    let app = body_app("{\"status\": \"up\", \"db\": \"up\"}");
    let vhost = setup()
        .backend_with("text", app.address(), &["a"], "health_check.expect_body = '\"db\": \"up\"'")
        .backend_with(
            "regex",
            app.address(),
            &["a"],
            "health_check.expect_body = { regex = '\"status\":\\s*\"(ok|up)\"' }",
        )
        .backend_with("other", app.address(), &["a"], "health_check.expect_body = 'ok'")
        .start();
    vhost.wait_for_health("text", "healthy");
    vhost.wait_for_health("regex", "healthy");
    let shown = vhost.wait_for_health("other", "unhealthy");
    assert_eq!(
        last_error(&shown),
        "the body lacks `ok`; it begins `{\"status\": \"up\", \"db\": \"up\"}`"
    );
    assert_eq!(shown["health"]["last_status"], 200);
    let shown = vhost.ctl_ok(&["backend", "show", "other"]).stdout;
    assert!(shown.contains("the body lacks `ok`"), "{shown}");
    vhost.ctl_ok(&["backend", "set", "other", "--option", "health_check.expect_body.regex=u.$"]);
    wait_for_error(&vhost, "other", "the body doesn't match regex `u.$`");
    vhost.ctl_ok(&["backend", "set", "other", "--health-check-expect-body", "up"]);
    vhost.wait_for_health("other", "healthy");
}

#[test]
fn a_body_without_an_end_hurts_nobody() {
    let endless = RawBackend::start(|connection| {
        if connection.read_request().is_some() {
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n");
            for _ in 0..100 {
                connection.send(&[b'x'; 16 * 1024]);
            }
            connection.stall();
        }
    });
    let slow = RawBackend::start(|connection| {
        if connection.read_request().is_some() {
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n");
            for _ in 0..20 {
                connection.send(b"x");
            }
            connection.stall();
        }
    });
    let check = "health_check = { expect_body = 'ok', timeout_secs = 0.5 }";
    let vhost = setup()
        .backend_with("endless", endless.address(), &["a"], check)
        .backend_with("slow", slow.address(), &["a"], check)
        .start();
    wait_for_error(&vhost, "endless", "the first 64 KiB of the body lacks `ok`; it begins `xxxx");
    wait_for_error(&vhost, "slow", "timed out after 500 ms in the body of the answer");
    let shown = vhost.backend("endless");
    assert!(last_error(&shown).len() < 200, "{shown}");
}

#[test]
fn method_and_headers_are_those_of_the_check() {
    let app = RawBackend::start(|connection| {
        while connection.read_request().is_some() {
            connection.send(&answer("ok"));
        }
    });
    let vhost = setup()
        .backend_with(
            "web",
            app.address(),
            &["a"],
            "[backends.health_check]\nmethod = \"POST\"\npath = \"/up?deep=1\"\n\
             headers = { X-Probe = \"vhost\", User-Agent = \"mine\" }",
        )
        .start();
    vhost.wait_until_healthy(1);
    let received = app.received_text();
    for line in
        ["POST /up?deep=1 HTTP/1.1", "x-probe: vhost", "user-agent: mine", "content-length: 0"]
    {
        let is_there = received.lines().any(|received| received.eq_ignore_ascii_case(line));
        assert!(is_there, "`{line}` in {received}");
    }
    assert!(!received.contains("vhost-health"), "{received}");
    vhost.ctl_ok(&["backend", "set", "web", "--health-check-method", "HEAD"]);
    eventually("HEAD is used", SOON, || app.received_text().contains("HEAD /up?deep=1 "));
    assert_eq!(vhost.backend("web")["health"]["status"], "healthy");
}

#[test]
fn a_change_takes_effect_at_once_and_health_is_not_reset() {
    let backend = Backend::start("web");
    let vhost = setup()
        .set("health_check.path", "\"/health\"")
        .set("health_check.interval_secs", 600)
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let probes = backend.probes();
    let since = vhost.backend("web")["health"]["since_ms"].clone();
    vhost.ctl_ok(&["backend", "set", "web", "--health-check-path", "/health?now"]);
    eventually("it is probed", SOON, || backend.probes() > probes);
    let shown = vhost.backend("web");
    assert_eq!(
        (&shown["health"]["status"], &shown["health"]["since_ms"]),
        (&json!("healthy"), &since)
    );
    vhost.ctl_ok(&["backend", "set", "web", "--health-check-path", "/status/500"]);
    vhost.wait_for_health("web", "unhealthy");
    vhost.ctl_ok(&["backend", "set", "web", "--no-option", "health_check"]);
    vhost.wait_for_health("web", "healthy");
    assert_eq!(vhost.backend("web").get("health_check"), None);
}

#[test]
fn a_reload_changes_what_lies_below_and_what_is_above() {
    let backend = Backend::start("web");
    let check = "health_check = { path = \"/health\" }";
    let setup = setup()
        .set("health_check.path", "\"/status/500\"")
        .backend_with("web", backend.address(), &["a"], check)
        .backend("other", backend.address(), &["a"]);
    let vhost = setup.start();
    vhost.wait_for_health("web", "healthy");
    vhost.wait_for_health("other", "unhealthy");
    // What the backend says itself stays, and the rest follows.
    let setup =
        setup.set("health_check.path", "\"/status/204\"").set("health_check.timeout_secs", 1);
    vhost.write_config(&setup);
    vhost.ctl_ok(&["reload"]);
    vhost.wait_for_health("other", "healthy");
    let effect = vhost.backend("web")["health_check_in_effect"].clone();
    assert_eq!((&effect["path"], &effect["timeout_secs"]), (&json!("/health"), &json!(1)));
    // A sub-table is the same as a table.
    let setup = setup.replace(check, "[backends.health_check]\npath = \"/status/503\"");
    vhost.write_config(&setup);
    let dry = vhost.ctl_ok(&["reload", "--dry-run"]);
    assert!(format!("{dry:?}").contains("health_check"), "{dry:?}");
    vhost.ctl_ok(&["reload"]);
    vhost.wait_for_health("web", "unhealthy");
    let exported = vhost.ctl_ok(&["config", "export"]).stdout;
    assert!(exported.contains("health_check = { path = \"/status/503\" }"), "{exported}");
}

#[test]
fn it_is_shown_added_changed_and_exported_key_by_key() {
    let app = Backend::start("web");
    let mut vhost = Setup::new().unset("health_check.path").start();
    vhost.ctl_ok(&[
        "backend",
        "add",
        "web",
        &app.address(),
        "--tag",
        "a",
        "--health-check-path",
        "/health",
        "--health-check-interval",
        "300ms",
        "--option",
        "health_check.headers.X-Probe=on",
    ]);
    vhost.wait_until_healthy(1);
    let own = json!({"path": "/health", "interval_secs": 0.3, "headers": {"x-probe": "on"}});
    assert_eq!(vhost.backend("web")["health_check"], own);
    let shown = vhost.ctl_ok(&["backend", "show", "web"]).stdout;
    let of = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {shown}")).to_owned()
    };
    for part in ["path /health", "interval 300ms", "headers (x-probe: on)"] {
        assert!(of("health check").contains(part), "{shown}");
    }
    let wide = vhost.ctl_ok(&["--output", "wide", "backend", "list"]).stdout;
    assert!(wide.contains("health_check.interval_secs=0.3,health_check.path=/health"), "{wide}");
    for part in [
        "kind http",
        "path /health",
        "method GET",
        "expected status 200-399",
        "timeout 2s",
        "unhealthy threshold 2",
        "healthy threshold 1",
        &format!("host {}", app.address()),
    ] {
        let (_, probed_by) = shown.split_once("probed by").expect(&shown);
        assert!(probed_by.contains(part), "no `{part}` in {shown}");
    }
    vhost
        .rpc("backend.set", json!({"id": "web", "health_check": {"path": null, "port": 9}}))
        .unwrap();
    let own = json!({"port": 9, "interval_secs": 0.3, "headers": {"x-probe": "on"}});
    assert_eq!(vhost.backend("web")["health_check"], own);
    // It survives a restart.
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    vhost.wait_for_exit(SOON);
    vhost.restart();
    assert_eq!(vhost.backend("web")["health_check"], own);
    let list = vhost.rpc("backend.list", json!({})).unwrap();
    assert_eq!(list["backends"][0]["health_check"], own);
    assert_eq!(list["backends"][0].get("health_check_in_effect"), None);
}

#[test]
fn bad_values_are_refused_with_the_key_and_what_would_be_right() {
    let app = Backend::start("web");
    let vhost = setup()
        .backend("web", app.address(), &["a"])
        .backend("socket", "unix:/run/nobody.sock", &["b"])
        .start();
    for (value, said) in [
        (json!({"path": "up"}), "it starts with `/`"),
        (json!({"kind": "ws"}), "choose `http`, `tcp` or `grpc`"),
        (json!({"port": 0}), "from 1 to 65535"),
        (json!({"pth": "/"}), "unknown field `pth`"),
        (json!({"kind": "tcp", "path": "/up"}), "only for `kind = \"http\"`"),
        (json!({"kind": "grpc", "expect_body": "a"}), "take the key out"),
        (json!({"method": "HEAD", "expect_body": "a"}), "use `method = \"GET\"`"),
        (json!({"headers": {"Host": "a"}}), "set `host` of the health check"),
        (json!({"headers": {"Transfer-Encoding": "chunked"}}), "the proxy's own to write"),
        (json!({"expect_body": {"regex": "("}}), "unclosed group"),
        (json!({"expect_body": {"regex": "(a{1000}){1000}"}}), "write a simpler one"),
        (json!({"timeout_secs": 0}), "use 0.001 to 86400 seconds"),
        (json!({"healthy_threshold": 0}), "use 1 to 1000"),
        (json!("up"), "write a table"),
    ] {
        let fault =
            vhost.rpc("backend.set", json!({"id": "web", "health_check": value})).unwrap_err();
        let text = format!("{fault:?}");
        assert!(
            text.contains("health_check") && text.contains(&said.replace('"', "\\\"")),
            "{value}: {text}"
        );
        let name = json!({"id": "new", "address": "127.0.0.1:1", "health_check": value});
        assert!(vhost.rpc("backend.add", name).is_err(), "{value}");
    }
    assert_eq!(vhost.backend("web").get("health_check"), None, "nothing has changed");
    let output = vhost.ctl(&["backend", "set", "web", "--health-check-path", "up"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(
        output.stderr.contains("--health-check-path") && output.stderr.contains("starts with `/`"),
        "{output:?}"
    );
    let output = vhost.ctl(&["backend", "set", "socket", "--health-check-port", "9000"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("health_check.port") && output.stderr.contains("Unix socket"),
        "{output:?}"
    );
    let moved = vhost.ctl(&[
        "backend",
        "set",
        "web",
        "--health-check-port",
        "9000",
        "--address",
        "unix:/run/a.sock",
    ]);
    assert_eq!(moved.code, 1, "{moved:?}");
}

/// A deployed application is often not up when its backend is added.
#[test]
fn a_backend_that_comes_up_is_found_long_before_the_interval() {
    let is_up = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_up);
    let app = RawBackend::start(move |connection| {
        while connection.read_request().is_some() {
            let status = if asked.load(Ordering::SeqCst) { "200 OK" } else { "503 Starting" };
            connection.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        }
    });
    let vhost = setup()
        .set("health_check.interval_secs", 600)
        .backend("web", app.address(), &["a"])
        .start();
    vhost.wait_for_health("web", "unhealthy");
    let probes = app.received().len();
    is_up.store(true, Ordering::SeqCst);
    let came_up = Instant::now();
    vhost.wait_for_health("web", "healthy");
    assert!(came_up.elapsed() < Duration::from_secs(5), "{:?}", came_up.elapsed());
    assert!(app.received().len() <= probes + 3, "it is not hammered");
}

/// As in `vhost ctl config show`.
#[test]
fn what_the_environment_holds_is_not_in_the_check_that_is_shown() {
    let backend = Backend::start("web");
    let vhost = setup()
        .env("PROBED", "/health".into())
        .set("health_check.path", "\"${PROBED}\"")
        .set("health_check.headers", "{ X-Probe = \"1${PROBED}\" }")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    assert!(backend.probes() > 0, "it is asked for what the variable holds");
    let shown = vhost.backend("web")["health_check_in_effect"].clone();
    assert_eq!(shown["path"], "${PROBED}", "{shown}");
    assert!(!shown.to_string().contains("/health"), "{shown}");
    vhost.ctl_ok(&["backend", "set", "web", "--health-check-path", "/health"]);
    assert_eq!(vhost.backend("web")["health_check_in_effect"]["path"], "/health");
}
