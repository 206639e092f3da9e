//! A new process takes over from the one that runs, and nobody notices.

mod activation;
mod carried;
mod crash;
mod drains;
mod refused;
mod rough;
mod soak;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

const HOST: &str = "example.com";

const SOON: Duration = Duration::from_secs(20);

/// A site on `a`, with another version on `b`.
fn site(backends: &[Backend; 2]) -> Setup {
    let [a, b] = backends;
    Setup::new()
        .domain_with(HOST, "a", "http_to_https = false\ntls = \"internal\"")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
}

fn backends() -> [Backend; 2] {
    ["a1", "b1"].map(Backend::start)
}

/// The processes that were replaced and have not ended.
fn replaced(vhost: &Vhost) -> Vec<Value> {
    let state = vhost.rpc("state.get", json!({})).expect("state.get answers");
    state["replaced"].as_array().cloned().unwrap_or_default()
}

fn serving(vhost: &Vhost) -> i64 {
    vhost.rpc("state.get", json!({})).expect("state.get answers")["pid"].as_i64().expect("a pid")
}

#[test]
fn a_new_process_takes_over_all_sockets_and_the_old_one_serves_what_it_has() {
    let backends = backends();
    let [rest, metrics] = free_ports(free_ip());
    let mut vhost = site(&backends)
        .set("proxy.management_api_addr", format!("\"{rest}\""))
        .set("metrics.enabled", true)
        .set("metrics.listen_addr", format!("\"{metrics}\""))
        .start();
    vhost.wait_until_healthy(2);
    let old = i64::from(vhost.pid().as_raw());
    let mut socket = WebSocket::open(vhost.http(), HOST);
    let mut kept = vhost.connect();
    assert_eq!(kept.get(HOST, "/").status, 200);
    let listed = vhost.rpc("backend.list", json!({})).expect("backend.list");

    let new = i64::from(vhost.upgrade().as_raw());
    assert_ne!(new, old);
    assert_eq!(serving(&vhost), new, "the admin socket is the new one's");
    // What was known of the backends is known still.
    let now = vhost.rpc("backend.list", json!({})).expect("backend.list");
    for place in 0..2 {
        let status = |list: &Value| list["backends"][place]["health"]["status"].clone();
        assert_eq!(status(&now), status(&listed));
    }
    socket.echo("still there").expect("the WebSocket lives on");
    assert!(kept.get(HOST, "/").closes(), "the old process keeps no connection");
    assert_eq!(vhost.get(HOST, "/").status, 200);
    let open = TlsClient::accepts_any().connect(vhost.https(), Some(HOST));
    assert_eq!(open.expect("TLS").get(HOST, "/").status, 200);
    assert_eq!(get(rest, &rest.to_string(), "/api/v1/health").status, 200);
    let exposed = get(metrics, &metrics.to_string(), "/metrics").text();
    let counted =
        |line: &str| line.starts_with("proxy_requests_total") && line.ends_with("2xx\"} 2");
    assert!(exposed.lines().any(counted), "the new process counts its own: {exposed}");
    let shown = eventually_some("the old process is shown", SOON, || {
        replaced(&vhost).into_iter().find(|of| of["connections"] == 1)
    });
    assert_eq!((shown["pid"].as_i64(), shown["in_flight"].as_u64()), (Some(old), Some(1)));
    let status = vhost.ctl_ok(&["status"]).stdout;
    let line = format!("process {old}: 1 connection, 1 request, for");
    assert!(status.contains(&line), "{status}");

    socket.close().expect("it closes");
    let ended = vhost.wait_for_exit(SOON);
    assert!(ended.success(), "{ended}");
    eventually("the old process is forgotten", SOON, || replaced(&vhost).is_empty());
    assert_eq!(vhost.get(HOST, "/").status, 200);
}

#[test]
fn settings_that_want_a_restart_are_in_effect_after_it() {
    let backends = backends();
    let vhost = site(&backends).start();
    let further = free_ports::<1>(free_ip())[0];
    let both = format!("[\"{}\", \"{further}\"]", vhost.http());
    let changed = site(&backends)
        .at(vhost.http())
        .set("proxy.listen_addr", format!("\"{}\"", vhost.https()))
        .set("proxy.listen_addr_http", both)
        .set("proxy.threads", 1);
    vhost.write_config(&changed);
    let reload = vhost.ctl_ok(&["reload"]);
    assert!(reload.stderr.contains("not yet"), "{reload:?}");
    assert!(reload.stderr.contains("vhost ctl reload --upgrade"), "{reload:?}");
    let reload = vhost.ctl_ok(&["reload", "--upgrade"]);
    assert!(!reload.stderr.contains("not yet"), "{reload:?}");
    assert_eq!(get(further, HOST, "/").status, 200);
    let shown = vhost.ctl_ok(&["config", "show", "proxy.threads"]).stdout;
    assert!(shown.contains(" 1 "), "{shown}");
    let reload = vhost.ctl_ok(&["reload", "--upgrade"]);
    assert!(reload.stderr.contains("nothing changed"), "{reload:?}");
}

#[test]
fn a_signal_upgrades_where_another_program_is_on_the_disk() {
    let backends = backends();
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("vhost");
    std::fs::copy(vhost_binary(), &program).unwrap();
    let vhost = site(&backends).program(&program).start();
    let old = serving(&vhost);
    vhost.signal(nix::sys::signal::Signal::SIGHUP);
    vhost.wait_for_log("config reloaded");
    assert_eq!(serving(&vhost), old, "it is the same program");
    // As a package manager does.
    let next = directory.path().join("next");
    std::fs::copy(vhost_binary(), &next).unwrap();
    std::fs::rename(&next, &program).unwrap();
    vhost.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("the new program serves", SOON, || serving(&vhost) != old);
    assert_eq!(vhost.get(HOST, "/").status, 200);
}
