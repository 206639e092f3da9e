//! Where the options are said, and what is refused.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use super::*;

#[test]
fn a_check_refuses_by_name_what_cannot_be() {
    let directory = tempfile::tempdir().unwrap();
    let check = |setup: Setup| {
        let file = directory.path().join("vhost.toml");
        std::fs::write(&file, setup.text(directory.path())).unwrap();
        let mut command = std::process::Command::new(vhost_binary());
        let output = command.arg("check").arg(&file).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let site = || Setup::new().domain("example.com", "a");
    let plain = || site().backend("web", "127.0.0.1:1", &["a"]);
    for (setup, words) in [
        (
            plain().set("proxy.proxy_protocol", true),
            &["proxy.proxy_protocol", "`trusted_proxies` is empty", "[\"10.0.0.0/8\"]"][..],
        ),
        (
            plain().set("proxy.proxy_protocol_http", true).set("proxy.trusted_proxies", "[]"),
            &["proxy.proxy_protocol_http", "`trusted_proxies` is empty"],
        ),
        (
            plain()
                .set("proxy.trusted_proxies", "[\"127.0.0.1\"]")
                .set("proxy.proxy_protocol", true)
                .unset("proxy.listen_addr"),
            &["proxy.proxy_protocol", "no `listen_addr`"],
        ),
        (
            site().backend_with(
                "web",
                "127.0.0.1:1",
                &["a"],
                "scheme = \"h2c\"\nsend_proxy_protocol = \"v2\"",
            ),
            &["backends[\"web\"].send_proxy_protocol", "HTTP/2", "`http` or `https`"],
        ),
        (
            site().backend_with(
                "web",
                "127.0.0.1:1",
                &["a"],
                "scheme = \"h2\"\nsend_proxy_protocol = \"v2\"",
            ),
            &["backends[\"web\"].send_proxy_protocol", "HTTP/2", "`http` or `https`"],
        ),
    ] {
        let (code, told) = check(setup);
        assert_eq!(code, Some(2), "{told}");
        for word in words {
            assert!(told.contains(word), "`{word}` in {told}");
        }
    }
    let fine =
        plain().set("proxy.proxy_protocol", true).set("proxy.trusted_proxies", "[\"127.0.0.1\"]");
    let (code, told) = check(fine);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn a_backend_is_told_to_send_it_by_every_way_there_is() {
    let backend = Backend::start("web");
    let setup = Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]);
    let vhost = setup.start();
    let send = |id: &str| vhost.backend(id)["send_proxy_protocol"].clone();
    assert_eq!(send("web"), "off");
    vhost.ctl_ok(&["backend", "add", "two", "127.0.0.1:9", "--send-proxy-protocol", "v1"]);
    assert_eq!(send("two"), "v1");
    assert!(vhost.ctl_ok(&["backend", "show", "two"]).stdout.contains("send proxy protocol"));
    assert!(!vhost.ctl_ok(&["backend", "show", "web"]).stdout.contains("send proxy protocol"));
    vhost.ctl_ok(&["backend", "set", "two", "--send-proxy-protocol", "v2"]);
    assert_eq!(send("two"), "v2");
    let exported = vhost.ctl_ok(&["config", "export"]).stdout;
    assert_eq!(exported.matches("send_proxy_protocol = \"v2\"").count(), 1, "{exported}");
    let history = vhost.ctl_ok(&["history"]).stdout;
    assert!(history.contains("send_proxy_protocol: v1 → v2"), "{history}");

    let refused = vhost.ctl(&["backend", "set", "two", "--scheme", "h2c"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("`two` cannot have `send_proxy_protocol`"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("HTTP/2"), "{}", refused.stderr);
    let fault = vhost
        .rpc(
            "backend.add",
            json!({ "id": "three", "address": "127.0.0.1:9", "scheme": "h2c",
                    "send_proxy_protocol": "v1" }),
        )
        .expect_err("HTTP/2 has no place for it");
    assert_eq!(fault.kind, "invalid");
    vhost.ctl_ok(&["backend", "set", "two", "--send-proxy-protocol", "off", "--scheme", "h2c"]);
    assert_eq!(send("two"), "off");

    let put = |body: &str| {
        let mut socket = UnixStream::connect(vhost.socket()).unwrap();
        let length = body.len();
        let head = "PUT /api/v1/backends/web HTTP/1.1\r\nHost: any.test\r\nConnection: close\r\n";
        write!(
            socket,
            "{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = put("{\"send_proxy_protocol\": \"v1\"}");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(send("web"), "v1");
    let answer = put("{\"scheme\": \"h2c\"}");
    assert!(
        answer.starts_with("HTTP/1.1 422 ") && answer.contains("send_proxy_protocol"),
        "{answer}"
    );
}

#[test]
fn what_a_backend_is_sent_outlives_a_restart() {
    let backend = Backend::start("web");
    let setup = Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]);
    let mut vhost = setup.start();
    vhost.ctl_ok(&["backend", "set", "web", "--send-proxy-protocol", "v2"]);
    vhost.kill();
    vhost.restart();
    assert_eq!(vhost.backend("web")["send_proxy_protocol"], "v2");
}

#[test]
fn a_reload_is_refused_where_file_and_commands_do_not_go_together() {
    let backend = Backend::start("web");
    let setup = Setup::new().domain("example.com", "a").backend_with(
        "web",
        backend.address(),
        &["a"],
        "weight = 2",
    );
    let vhost = setup.start();
    vhost.ctl_ok(&["backend", "set", "web", "--send-proxy-protocol", "v2"]);
    assert!(vhost.ctl_ok(&["config", "diff"]).stdout.contains("send_proxy_protocol"));
    vhost.write_config(&setup.clone().replace("weight = 2", "scheme = \"h2c\"").at(vhost.http()));
    let told = vhost.ctl(&["reload"]);
    assert_ne!(told.code, 0);
    assert!(told.stderr.contains("send_proxy_protocol"), "{}", told.stderr);
    assert_eq!(vhost.backend("web")["scheme"], "http");
}
