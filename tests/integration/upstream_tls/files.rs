//! The files that backends are reached by: found wrong where they are named, and read again.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::*;

fn check(file: &Path, more: &[&str]) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.arg("check").args(more).arg(file);
    RunningCtl::of(command).wait()
}

/// A setup whose backend trusts `ca.pem` beside the config file.
fn setup(backend: &Backend) -> Setup {
    Setup::new().domain("example.com", "a").backend_with(
        "web",
        backend.address(),
        &["a"],
        "scheme = \"https\"\ntls_server_name = \"web.internal\"\ntls_ca_file = \"ca.pem\"",
    )
}

#[test]
fn a_check_and_a_reload_refuse_a_file_that_cannot_be_used() {
    let authority = Authority::new();
    let backend = Backend::builder("web").tls(authority.serves("web.internal", &[])).start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vhost.toml");
    std::fs::write(&file, setup(&backend).text(directory.path())).unwrap();
    let ca = directory.path().join("ca.pem");
    for (content, why) in [
        (None, "there is no such file; check the path"),
        (Some("no PEM"), "there is no certificate in it"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "it is damaged"),
    ] {
        if let Some(content) = content {
            std::fs::write(&ca, content).unwrap();
        }
        let output = check(&file, &[]);
        assert_eq!(output.code, 2, "{output:?}");
        let key = "backends[\"web\"].tls_ca_file: `ca.pem`: ";
        assert!(output.stderr.contains(key) && output.stderr.contains(why), "{output:?}");
        assert!(
            output.stderr.contains(&*ca.to_string_lossy()),
            "where it was looked for: {output:?}"
        );
    }
    std::fs::write(&ca, authority.pem()).unwrap();
    assert_eq!(check(&file, &[]).code, 0);

    let vhost = setup(&backend).start();
    let problem = vhost.ctl(&["reload"]);
    assert_eq!(problem.code, 2, "{problem:?}");
    for part in ["tls_ca_file: `ca.pem`: `", "ca.pem`: there is no such file"] {
        assert!(problem.stderr.contains(part), "{problem:?}");
    }
}

#[test]
fn a_check_warns_of_a_backend_that_is_not_verified() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vhost.toml");
    let setup = Setup::new().domain("example.com", "a").backend_with(
        "web",
        "127.0.0.1:9",
        &["a"],
        "scheme = \"https\"\ntls_insecure_skip_verify = true",
    );
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    let output = check(&file, &[]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("warning: backends[\"web\"].tls_insecure_skip_verify"));
    let answer: Value = serde_json::from_str(&check(&file, &["--format", "json"]).stdout).unwrap();
    assert_eq!(answer["valid"], true);
    assert_eq!(answer["warnings"][0]["key"], "backends[\"web\"].tls_insecure_skip_verify");
}

#[test]
fn a_command_is_refused_by_the_key_that_is_wrong() {
    let plain = Backend::start("plain");
    let vhost =
        Setup::new().domain("example.com", "a").backend("plain", plain.address(), &["a"]).start();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.write_to(directory.path());
    let pair = authority.issue(&["x.test"]).write_to(directory.path(), "pair");
    let other = authority.issue(&["x.test"]).write_to(directory.path(), "other");
    for (params, message, hint) in [
        (json!({ "tls_ca_file": ca }), "cannot have `tls_ca_file` so", "scheme = \"http\""),
        (
            json!({ "scheme": "https", "tls_ca_file": "ca.pem" }),
            "cannot have `tls_ca_file` so",
            "the whole path",
        ),
        (
            json!({ "scheme": "https", "tls_ca_file": "/nowhere/ca.pem" }),
            "`tls_ca_file` `/nowhere/ca.pem`: there is no such file",
            "check the path",
        ),
        (
            json!({ "scheme": "h2", "tls_client_cert_file": pair.cert }),
            "cannot have `tls_client_key_file` so",
            "give both or neither",
        ),
        (
            json!({ "scheme": "h2", "tls_client_cert_file": pair.cert,
                "tls_client_key_file": other.key }),
            "the key does not belong to the certificate",
            "tls_client_cert_file",
        ),
        (
            json!({ "scheme": "h2", "tls_ca_file": ca, "tls_insecure_skip_verify": true }),
            "cannot have `tls_ca_file` so",
            "take one of them out",
        ),
    ] {
        let mut params = params;
        params["id"] = json!("new");
        params["address"] = json!("127.0.0.1:9");
        let fault = vhost.rpc("backend.add", params.clone()).unwrap_err();
        let told = format!("{fault:?}");
        assert!(told.contains(message.replace('"', "\\\"").as_str()), "{told}");
        assert!(told.contains(hint.replace('"', "\\\"").as_str()), "{told}");
        params["id"] = json!("plain");
        params.as_object_mut().unwrap().remove("address");
        vhost.rpc("backend.set", params).unwrap_err();
    }
    let list = vhost.rpc("backend.list", json!({})).unwrap();
    assert_eq!(list["backends"].as_array().unwrap().len(), 1);
    assert_eq!(vhost.backend("plain")["scheme"], "http", "nothing has changed");
    // A scheme that the keys don't fit is refused as well.
    let address = plain.address();
    vhost.ctl_ok(&[
        "backend",
        "add",
        "new",
        &address,
        "--scheme",
        "h2",
        "--tls-server-name",
        "x.y",
    ]);
    let refused = vhost.ctl(&["backend", "set", "new", "--scheme", "http"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("tls_server_name"), "{refused:?}");
    let both = ["backend", "set", "new", "--scheme", "http", "--no-option", "tls_server_name"];
    vhost.ctl_ok(&both);
}

#[test]
fn a_reload_reads_the_files_again() {
    let (old, new) = (Authority::new(), Authority::new());
    let backend =
        Backend::builder("web").tls(new.serves("web.internal", &["h2", "http/1.1"])).start();
    let first = Backend::builder("first").tls(old.serves("web.internal", &["h2"])).start();
    let directory = tempfile::tempdir().unwrap();
    let ca = old.write_to(directory.path());
    let keys = format!(
        "scheme = \"https\"\ntls_server_name = \"web.internal\"\ntls_ca_file = \"{}\"",
        ca.display()
    );
    let vhost = Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .domain("first.test", "b")
        .backend_with("web", backend.address(), &["a"], &keys)
        .backend_with("first", first.address(), &["b"], &keys)
        .start();
    vhost.wait_until_healthy(2);
    let mut client = vhost.connect();
    assert_eq!(client.get("first.test", "/").status, 200);
    assert_eq!(vhost.get("example.com", "/").status, 502);
    let nothing = vhost.ctl_json(&["reload"]);
    assert_eq!(nothing["changed"], json!([]), "they hold what they held");
    assert_eq!(client.get("first.test", "/").status, 200);

    std::fs::write(&ca, new.pem()).unwrap();
    assert_eq!(client.get("first.test", "/").status, 200, "not before it is said");
    let revision = vhost.backend("web")["revision"].clone();
    let reload = vhost.ctl_json(&["reload"]);
    assert_eq!(reload["changed"].as_array().map(Vec::len), Some(2), "{reload}");
    let next = revision.as_u64().unwrap() + 1;
    assert_eq!(reload["revision"], next, "it is a change as any other");
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").status, 200);
    assert_eq!(client.get("first.test", "/").status, 502, "its kept connection is not used");
    assert_eq!(vhost.newest_event()["kind"], "file_applied");

    // A command's backend keeps what it had where its file is gone; the file's own are refused.
    let own = directory.path().join("own.pem");
    std::fs::write(&own, new.pem()).unwrap();
    let (address, own_text) = (backend.address(), own.to_str().unwrap());
    vhost.ctl_ok(&[
        "backend",
        "add",
        "made",
        &address,
        "--tag",
        "c",
        "--scheme",
        "https",
        "--tls-server-name",
        "web.internal",
        "--tls-ca-file",
        own_text,
    ]);
    // A command that names a file again reads it again.
    let again = ["backend", "set", "made", "--tls-ca-file", own_text];
    let before = vhost.newest_event();
    vhost.ctl_ok(&again);
    assert_eq!(vhost.newest_event()["id"], before["id"], "it holds what it held");
    std::fs::write(&own, old.pem() + &new.pem()).unwrap();
    vhost.ctl_ok(&again);
    let event = vhost.newest_event();
    assert_eq!(event["changed"], json!(["the contents of its TLS files"]), "{event}");
    std::fs::remove_file(&own).unwrap();
    let refused = vhost.ctl(&again);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("there is no such file"), "{refused:?}");
    vhost.ctl_ok(&["reload"]);
    assert!(!vhost.wait_for_log("a TLS file cannot be used").is_empty());
    vhost.ctl_ok(&["switch", "first.test", "c"]);
    assert_eq!(vhost.get("first.test", "/").status, 200);
}

/// What the file says anew is applied; what commands did of the rest stays.
#[test]
fn a_reload_moves_the_keys_that_the_file_has_changed() {
    let authority = Authority::new();
    let backend = Backend::builder("web").tls(authority.serves("web.internal", &[])).start();
    let directory = tempfile::tempdir().unwrap();
    let ca = authority.write_to(directory.path());
    let setup = setup(&backend).replace("ca.pem", &ca.display().to_string());
    let vhost = setup.start();
    vhost.wait_for_health("web", "healthy");
    vhost.ctl_ok(&[
        "backend",
        "set",
        "web",
        "--tls-insecure-skip-verify",
        "true",
        "--no-option",
        "tls_ca_file",
    ]);
    let differs = vhost.ctl(&["config", "diff"]).stdout;
    assert!(differs.contains("tls_ca_file") && differs.contains("tls_insecure_skip_verify"));

    vhost.write_config(&setup.clone().replace("web.internal", "other.internal"));
    let reload = vhost.ctl_json(&["reload"]);
    let changed = &reload["changed"][0]["changes"];
    assert_eq!(changed, &json!(["tls_server_name: web.internal → other.internal"]), "{reload}");
    let shown = vhost.backend("web");
    assert_eq!(shown["tls_insecure_skip_verify"], true, "{shown}");
    assert_eq!(shown["tls_ca_file"], Value::Null, "{shown}");
    vhost.wait_for_health("web", "healthy");

    // What the file says makes sense alone, and not with what a command did.
    let plain = Setup::new();
    let address = backend.address();
    let plain = plain.at(vhost.http()).domain("example.com", "a").backend("web", address, &["a"]);
    vhost.write_config(&plain);
    let refused = vhost.ctl(&["reload"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stderr.contains("tls_insecure_skip_verify: true → false"), "{refused:?}");
    assert_eq!(vhost.backend("web")["scheme"], "https", "nothing has changed");
}

/// One file that is gone keeps nobody else from being served.
#[test]
fn a_start_goes_on_without_a_file_that_is_gone() {
    let authority = Authority::new();
    let backend = Backend::builder("web").tls(authority.serves("web.internal", &[])).start();
    let plain = Backend::start("plain");
    for probes in [Setup::tcp_probes, |setup| setup] {
        let setup = probes(setup(&backend)).domain("plain.test", "b").backend(
            "plain",
            plain.address(),
            &["a", "b"],
        );
        let directory = tempfile::tempdir().unwrap();
        let ca = authority.write_to(directory.path());
        let setup = setup.replace("ca.pem", &ca.display().to_string());
        let mut vhost = setup.start();
        vhost.wait_until_healthy(2);
        std::fs::remove_file(&ca).unwrap();
        vhost.kill();
        vhost.restart();
        // From the first request on, before any probe has said so.
        for _ in 0..4 {
            assert_eq!(vhost.get("example.com", "/").backend(), Some("plain"));
        }
        let shown = vhost.wait_for_health("web", "unhealthy");
        let reason = shown["health"]["last_error"].as_str().unwrap();
        let said = format!("TLS: `tls_ca_file` `{}`: there is no such file", ca.display());
        assert_eq!(reason, said);
        for host in ["plain.test", "example.com", "example.com"] {
            assert_eq!(vhost.get(host, "/").backend(), Some("plain"));
        }
        assert!(!vhost.wait_for_log("a file of certificates or keys cannot be used").is_empty());
        let status = vhost.ctl_json(&["status"]);
        assert!(status["warnings"].to_string().contains("tls_ca_file"), "{status}");
        // Back, it is read at the next reload.
        authority.write_to(directory.path());
        vhost.ctl_ok(&["reload"]);
        vhost.wait_for_health("web", "healthy");
    }
}
