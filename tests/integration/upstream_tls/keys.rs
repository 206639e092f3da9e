//! What the keys `tls_…` of a backend make of its connections.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::*;

/// A CA of backends, with its file.
struct Ca {
    authority: Authority,
    file: PathBuf,
}

impl Ca {
    fn new(directory: &Path, name: &str) -> Self {
        let authority = Authority::new();
        let file = directory.join(format!("{name}.pem"));
        std::fs::write(&file, authority.pem()).unwrap();
        Self { authority, file }
    }

    /// A line of a backend that trusts it.
    fn line(&self) -> String {
        format!("tls_ca_file = \"{}\"\n", self.file.display())
    }
}

fn lines(scheme: &str, more: &[&str]) -> String {
    let mut lines = format!("scheme = {scheme:?}\n");
    for line in more {
        let _ = writeln!(lines, "{line}");
    }
    lines
}

fn behind(id: &str, tls: std::sync::Arc<rustls::ServerConfig>) -> Backend {
    Backend::builder(id).tls(tls).start()
}

#[test]
fn its_own_ca_and_name_are_what_a_backend_is_verified_by() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::new(directory.path(), "ca");
    let backend = behind("web", ca.authority.serves("web.internal", &["h2", "http/1.1"]));
    let name = "tls_server_name = \"web.internal\"";
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend_with("web", backend.address(), &["a"], &lines("https", &[&ca.line(), name]))
        .start();
    vhost.wait_for_health("web", "healthy");
    let response = vhost.get("example.com", "/");
    assert_eq!((response.status, response.backend()), (200, Some("web")));
    let shown = vhost.backend("web");
    assert_eq!(shown["tls_server_name"], "web.internal");
    assert_eq!(shown["tls_ca_file"], ca.file.display().to_string());
    let table = vhost.ctl_ok(&["backend", "show", "web"]).stdout;
    assert!(table.contains("tls server name") && table.contains("web.internal"), "{table}");
}

#[test]
fn a_certificate_that_signed_itself_can_be_trusted_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (file, tls) = self_signed(directory.path(), "web.internal");
    let keys = [format!("tls_ca_file = \"{}\"", file.display())];
    let keys = lines("https", &[&keys[0], "tls_server_name = \"web.internal\""]);
    let backend = behind("web", tls);
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend_with("web", backend.address(), &["a"], &keys)
        .start();
    vhost.wait_for_health("web", "healthy");
    assert_eq!(vhost.get("example.com", "/").status, 200);
}

/// Each is found by probes, and by traffic that doesn't trust probes.
#[test]
fn what_cannot_be_verified_is_refused_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::new(directory.path(), "ca");
    let stranger = Authority::new();
    let protocols = &["h2", "http/1.1"][..];
    for scheme in ["https", "h2"] {
        for (tls, name, why) in [
            (stranger.serves("web.internal", protocols), "web.internal", "issuer is not trusted"),
            (ca.authority.serves("web.internal", protocols), "other.internal", "for another name"),
            (
                ca.authority.serves_in(2000..2001, "web.internal", protocols),
                "web.internal",
                "has expired",
            ),
        ] {
            let backend = behind("web", tls);
            let name = format!("tls_server_name = {name:?}");
            let setup = Setup::new().domain("example.com", "a").backend_with(
                "web",
                backend.address(),
                &["a"],
                &lines(scheme, &[&ca.line(), &name]),
            );
            let vhost = setup.start();
            let shown = vhost.wait_for_health("web", "unhealthy");
            let reason = shown["health"]["last_error"].as_str().unwrap();
            assert!(reason.starts_with("TLS: ") && reason.contains(why), "{reason}");
            drop(vhost);
            let vhost = setup.tcp_probes().start();
            vhost.wait_for_health("web", "healthy");
            assert_eq!(vhost.get("example.com", "/").status, 502, "{scheme}: {why}");
            assert!(vhost.wait_for_log("request failed").iter().any(|line| line.contains(why)));
            assert_eq!((backend.connections(), backend.requests()), (0, 0));
        }
    }
}

#[test]
fn verification_is_off_only_where_a_key_says_so() {
    let backend = behind("web", Authority::new().serves_in(2000..2001, "x.test", &[]));
    let off = "tls_insecure_skip_verify = true";
    let vhost = Setup::new()
        .domain("example.com", "a")
        .domain("careful.test", "b")
        .backend_with("web", backend.address(), &["a"], &lines("https", &[off]))
        .backend_with("careful", backend.address(), &["b"], &lines("https", &[]))
        .start();
    vhost.wait_for_health("web", "healthy");
    vhost.wait_for_health("careful", "unhealthy");
    for _ in 0..2 {
        assert_eq!(vhost.get("example.com", "/").status, 200);
        assert_eq!(vhost.get("careful.test", "/").status, 503);
    }
    assert!(!vhost.wait_for_log("the config has a doubtful value").is_empty());
    let table = vhost.ctl_ok(&["backend", "show", "web"]).stdout;
    assert!(table.contains("its certificate is not verified"), "{table}");
}

#[test]
fn a_backend_that_wants_a_client_certificate_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let (ca, clients) = (Ca::new(directory.path(), "ca"), Authority::new());
    let own = clients.issue(&["proxy.test"]).write_to(directory.path(), "own");
    let strange = Authority::new().issue(&["proxy.test"]).write_to(directory.path(), "strange");
    let [own, strange] = [&own, &strange].map(|files| {
        let [cert, key] = [&files.cert, &files.key].map(|path| path.display());
        format!("tls_client_cert_file = \"{cert}\"\ntls_client_key_file = \"{key}\"")
    });
    let name = "tls_server_name = \"web.internal\"";
    for (scheme, offered) in
        [("https", &["http/1.1"][..]), ("https", &["h2", "http/1.1"]), ("h2", &["h2"])]
    {
        let tls = ca.authority.serves_known("web.internal", offered, &clients);
        let backend = behind("web", tls);
        let keys = |more: &str| lines(scheme, &[&ca.line(), name, more]);
        let setup = Setup::new()
            .domain("known.test", "a")
            .domain("nobody.test", "b")
            .domain("strange.test", "c")
            .backend_with("known", backend.address(), &["a"], &keys(&own))
            .backend_with("nobody", backend.address(), &["b"], &keys(""))
            .backend_with("strange", backend.address(), &["c"], &keys(&strange));
        let vhost = setup.start();
        vhost.wait_for_health("known", "healthy");
        let is_told = offered == ["http/1.1"];
        for (id, told, guessed) in [
            ("nobody", "TLS: it wants a client certificate", "it may want a client certificate"),
            (
                "strange",
                "TLS: it does not trust the client certificate",
                "it may not trust the client certificate",
            ),
        ] {
            let shown = vhost.wait_for_health(id, "unhealthy");
            let reason = shown["health"]["last_error"].as_str().unwrap();
            let why = if is_told { told } else { guessed };
            assert!(reason.contains(why), "{scheme} {offered:?}: {id}: {reason}");
        }
        assert_eq!(vhost.get("known.test", "/").backend(), Some("web"));
        drop(vhost);
        // The same by traffic: a connection of the one is never another's.
        let vhost = setup.tcp_probes().start();
        vhost.wait_until_healthy(3);
        for _ in 0..2 {
            assert_eq!(vhost.get("known.test", "/").status, 200);
            assert_eq!(vhost.get("nobody.test", "/").status, 502);
            assert_eq!(vhost.get("strange.test", "/").status, 502);
        }
    }
}

#[test]
fn http2_is_spoken_where_it_must_be() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::new(directory.path(), "ca");
    let keys = lines("h2", &[&ca.line(), "tls_server_name = \"web.internal\""]);
    let backend = behind("web", ca.authority.serves("web.internal", &["http/1.1", "h2"]));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend_with("web", backend.address(), &["a"], &keys)
        .start();
    vhost.wait_for_health("web", "healthy");
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").echo()["version"], "HTTP/2.0");
    let body = vec![b'x'; 1_000_000];
    assert_eq!(client.post("example.com", "/upload", &body).echo()["checksum"], checksum(&body));
    let stream = client.get("example.com", "/stream?chunks=50&ms=1");
    check_stream(&stream.body, 50).unwrap();
}

#[test]
fn a_web_socket_goes_over_http1_where_the_backend_offers_that_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::new(directory.path(), "ca");
    let keys = lines("h2", &[&ca.line(), "tls_server_name = \"web.internal\""]);
    for (offered, opens) in [(&["h2", "http/1.1"][..], true), (&["h2"], false)] {
        let backend = behind("web", ca.authority.serves("web.internal", offered));
        let vhost = Setup::new()
            .domain("example.com", "a")
            .backend_with("web", backend.address(), &["a"], &keys)
            .start();
        vhost.wait_for_health("web", "healthy");
        let socket = WebSocket::try_open(vhost.http(), "example.com");
        assert_eq!(socket.is_ok(), opens, "{offered:?}");
        if let Ok(mut socket) = socket {
            socket.echo("hello").unwrap();
        }
    }
}

/// It may say no in the handshake, or say nothing and speak HTTP/1.
#[test]
fn a_backend_that_does_not_offer_http2_fails_where_it_must() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::new(directory.path(), "ca");
    let keys = lines("h2", &[&ca.line(), "tls_server_name = \"web.internal\""]);
    for offered in [&["http/1.1"][..], &[]] {
        let backend = behind("web", ca.authority.serves("web.internal", offered));
        let setup = Setup::new().domain("example.com", "a").backend_with(
            "web",
            backend.address(),
            &["a"],
            &keys,
        );
        let vhost = setup.start();
        let shown = vhost.wait_for_health("web", "unhealthy");
        let reason = "TLS: it does not offer the HTTP version that its `scheme` wants (ALPN)";
        assert_eq!(shown["health"]["last_error"], reason, "{offered:?}");
        drop(vhost);
        let vhost = setup.tcp_probes().start();
        vhost.wait_for_health("web", "healthy");
        assert_eq!(vhost.get("example.com", "/").status, 502, "{offered:?}");
        let told = vhost.wait_for_log("request failed");
        assert!(
            told.iter().any(|line| line.contains("does not offer the HTTP version")),
            "{told:?}"
        );
        assert_eq!((backend.probes(), backend.requests()), (0, 0), "nothing is sent");
    }
}

/// A kept connection was made by rules, and is for those who go by them.
#[test]
fn other_rules_do_not_share_connections_at_one_address() {
    let directory = tempfile::tempdir().unwrap();
    let (ca, other) = (Ca::new(directory.path(), "ca"), Ca::new(directory.path(), "other"));
    for scheme in ["https", "h2"] {
        let backend = behind("web", ca.authority.serves("web.internal", &["h2", "http/1.1"]));
        let name = "tls_server_name = \"web.internal\"";
        let keys = |more: &[&str]| lines(scheme, more);
        let vhost = Setup::new()
            .tcp_probes()
            .domain("right.test", "right")
            .domain("wrong.test", "wrong")
            .domain("lax.test", "lax")
            .backend_with("right", backend.address(), &["right"], &keys(&[name, &ca.line()]))
            .backend_with("wrong", backend.address(), &["wrong"], &keys(&[name, &other.line()]))
            .backend_with(
                "lax",
                backend.address(),
                &["lax"],
                &keys(&["tls_insecure_skip_verify = true"]),
            )
            .start();
        vhost.wait_until_healthy(3);
        for _ in 0..3 {
            for (host, status) in [("right.test", 200), ("wrong.test", 502), ("lax.test", 200)] {
                assert_eq!(vhost.get(host, "/").status, status, "{scheme}: {host}");
            }
        }
        assert_eq!(backend.connections(), 2, "one for each that is verified so");
        // The same backend by other rules is another.
        let file = other.file.to_str().unwrap();
        vhost.ctl_ok(&["backend", "set", "right", "--tls-ca-file", file]);
        vhost.wait_for_health("right", "healthy");
        assert_eq!(vhost.get("right.test", "/").status, 502, "{scheme}");
        vhost.ctl_ok(&["backend", "set", "right", "--tls-ca-file", ca.file.to_str().unwrap()]);
        vhost.wait_for_health("right", "healthy");
        assert_eq!(vhost.get("right.test", "/").status, 200, "{scheme}");
        let set = vhost.newest_event();
        assert!(set["changed"][0].as_str().unwrap().starts_with("tls_ca_file: "), "{set}");
    }
}

/// What the gate of a switch proves is what traffic will meet.
#[test]
fn the_gate_of_a_switch_goes_by_the_same_rules() {
    let directory = tempfile::tempdir().unwrap();
    let (ca, other) = (Ca::new(directory.path(), "ca"), Ca::new(directory.path(), "other"));
    let backend = behind("web", ca.authority.serves("web.internal", &["h2"]));
    let name = "tls_server_name = \"web.internal\"";
    let plain = Backend::start("plain");
    let vhost = Setup::new()
        .set("switch.gate_timeout_secs", 1)
        .domain("example.com", "a")
        .backend("plain", plain.address(), &["a"])
        .backend_with("wrong", backend.address(), &["b"], &lines("h2", &[name, &other.line()]))
        .backend_with("right", backend.address(), &["c"], &lines("h2", &[name, &ca.line()]))
        .start();
    let refused = vhost.ctl(&["switch", "example.com", "b"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.stderr.contains("issuer is not trusted"), "{refused:?}");
    vhost.ctl_ok(&["switch", "example.com", "c"]);
    assert_eq!(vhost.get("example.com", "/").backend(), Some("web"));
}

#[test]
fn a_name_or_client_certificate_set_by_a_command_survives_a_restart_and_an_export() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Ca::new(directory.path(), "ca");
    let backend = behind("web", ca.authority.serves("web.internal", &["h2"]));
    let plain = Backend::start("plain");
    let mut vhost = Setup::new()
        .domain("example.com", "a")
        .backend("plain", plain.address(), &["spare", "a"])
        .start();
    let file = ca.file.to_str().unwrap();
    vhost.ctl_ok(&[
        "backend",
        "add",
        "web",
        &backend.address(),
        "--tag",
        "b",
        "--scheme",
        "h2",
        "--tls-server-name",
        "web.internal",
        "--tls-ca-file",
        file,
    ]);
    vhost.wait_for_health("web", "healthy");
    let exported = vhost.ctl_ok(&["config", "export"]).stdout;
    for line in [
        "scheme = \"h2\"",
        "tls_server_name = \"web.internal\"",
        &format!("tls_ca_file = {file:?}"),
    ] {
        assert!(exported.lines().any(|found| found == line), "no {line} in {exported}");
    }
    vhost.kill();
    vhost.restart();
    vhost.wait_for_health("web", "healthy");
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    assert_eq!(vhost.get("example.com", "/").echo()["version"], "HTTP/2.0");
    let set = vhost.rpc("backend.set", json!({ "id": "web", "tls_server_name": null })).unwrap();
    assert_eq!(set["tls_server_name"], json!(null));
    let why = vhost.wait_for_health("web", "unhealthy");
    assert_eq!(why["health"]["last_error"], "TLS: the certificate is for another name");
}
