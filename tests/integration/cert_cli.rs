//! `vhost ctl cert …`

use serde_json::json;
use tempfile::TempDir;

use crate::harness::*;

/// A server with certificates from everywhere but an ACME CA.
struct Furnished {
    vhost: Vhost,
    authority: Authority,
    _backend: Backend,
    _directory: TempDir,
}

fn furnished() -> Furnished {
    let (backend, authority) = (Backend::start("web"), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let files = authority.issue(&["files.example.com"]).write_to(directory.path(), "files");
    let vhost = Setup::new()
        .domain_with("files.example.com", "a", &files.tls_line())
        .domain_with("own.example.com", "a", "tls = \"internal\"")
        .domain_with("off.example.com", "a", "tls = \"off\"")
        .domain("none.example.com", "a")
        .domain("imported.example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    let issued = authority.issue(&["imported.example.com"]);
    let output = vhost.import("imported.example.com", &issued.cert(), &issued.key());
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{output:?}");
    assert!(output.stderr.contains("imported.example.com"), "{output:?}");
    // Handshakes with the server's own CA make their certificate when the first one comes.
    TlsClient::accepts_any().connect(vhost.https(), Some("own.example.com")).unwrap();
    Furnished { vhost, authority, _backend: backend, _directory: directory }
}

#[test]
fn the_list_tells_of_each_name_where_its_certificate_comes_from() {
    let Furnished { vhost, .. } = &furnished();
    let list = vhost.ctl_json(&["cert", "list"]);
    let rows = list["certificates"].as_array().expect("a list");
    let rows: Vec<_> =
        rows.iter().map(|row| json!([row["name"], row["source"], row["state"]])).collect();
    let expected = [
        json!(["files.example.com", "files", "valid"]),
        json!(["imported.example.com", "imported", "valid"]),
        json!(["none.example.com", null, "none"]),
        json!(["off.example.com", null, "none"]),
        json!(["own.example.com", "internal", "valid"]),
    ];
    assert_eq!(rows, expected);
    assert_eq!(list, vhost.rpc("cert.list", json!({})).unwrap());
    let table = vhost.ctl_ok(&["cert", "list"]).stdout;
    let first: Vec<_> = table.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    let names = rows.iter().map(|row| row[0].as_str().unwrap());
    assert!(first[1..].iter().copied().eq(names), "{table}");
    assert!(table.lines().next().is_some_and(|header| header.contains("EXPIRES")), "{table}");
    assert_eq!(vhost.ctl_ok(&["cert", "list", "--no-headers"]).stdout.lines().count(), 5);
}

#[test]
fn an_empty_list_is_a_note_and_no_error() {
    let output = Setup::new().start().ctl_ok(&["cert", "list"]);
    assert_eq!(output.stdout, "");
    assert!(!output.stderr.is_empty());
}

#[test]
fn one_name_is_shown_with_all_that_is_known() {
    let Furnished { vhost, authority, .. } = &furnished();
    let client = TlsClient::trusting(&authority.pem());
    let served = client.connect(vhost.https(), Some("files.example.com")).unwrap().handshake();
    let shown = vhost.ctl_json(&["cert", "show", "files.example.com"]);
    assert_eq!(shown["served"]["serial"], json!(served.serial()));
    assert_eq!(shown["served"]["names"], json!(["files.example.com"]));
    assert_eq!(shown["served"]["key_type"], "P-256");
    assert_eq!(shown["trusted"], true);
    let text = vhost.ctl_ok(&["cert", "show", "files.example.com"]).stdout;
    assert!(text.contains("files.example.com") && text.contains("P-256"), "{text}");
}

#[test]
fn what_is_not_there_ends_with_4_and_without_a_server_with_3() {
    let Furnished { vhost, .. } = &furnished();
    for args in [
        &["cert", "show", "unknown.example.com"][..],
        &["cert", "renew", "unknown.example.com"],
        &["cert", "wait", "unknown.example.com"],
        &["cert", "export", "unknown.example.com"],
        &["cert", "revoke", "unknown.example.com"],
    ] {
        let output = vhost.ctl(args);
        assert_eq!((output.code, output.stdout.as_str()), (4, ""), "{args:?}: {output:?}");
        assert!(output.stderr.starts_with("error: "), "{args:?}: {output:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(vhost_binary());
    command.args(["ctl", "--socket"]).arg(directory.path().join("none")).args(["cert", "list"]);
    assert_eq!(RunningCtl::of(command).wait().code, 3);
}

#[test]
fn what_does_not_come_from_a_ca_is_neither_renewed_nor_revoked() {
    let Furnished { vhost, .. } = &furnished();
    for name in ["files.example.com", "imported.example.com", "none.example.com"] {
        for verb in ["renew", "revoke"] {
            let output = vhost.ctl(&["cert", verb, name]);
            assert!([1, 4, 5].contains(&output.code), "{verb} {name}: {output:?}");
            let is_there = output.code != 4;
            assert!(!is_there || output.stderr.contains("hint: "), "{verb} {name}: {output:?}");
        }
    }
    let off = vhost.ctl(&["cert", "renew", "off.example.com"]);
    assert!(off.stderr.contains("HTTPS is off for this domain"), "{off:?}");
    assert_eq!(vhost.ctl(&["cert", "revoke", "own.example.com"]).code, 5);
    let output = vhost.ctl(&["cert", "account"]);
    assert_eq!(output.stdout, "", "{output:?}");
    assert!(output.stderr.contains("[lets_encrypt]"), "{output:?}");
}

#[test]
fn a_wait_ends_at_once_where_there_is_a_certificate_and_in_time_where_there_is_none() {
    let Furnished { vhost, .. } = &furnished();
    vhost.ctl_ok(&["cert", "wait", "files.example.com"]);
    let output = vhost.ctl(&["cert", "wait", "none.example.com", "--timeout", "1s"]);
    assert!([1, 5, 6].contains(&output.code), "{output:?}");
    assert!(output.stderr.starts_with("error: "), "{output:?}");
}

#[test]
fn an_export_has_the_key_only_when_it_is_asked_for() {
    let Furnished { vhost, authority, .. } = &furnished();
    let issued = authority.issue(&["imported.example.com"]);
    vhost.import("imported.example.com", &issued.cert(), &issued.key());
    let plain = vhost.ctl_ok(&["cert", "export", "imported.example.com"]).stdout;
    assert!(plain.contains("BEGIN CERTIFICATE") && !plain.contains("PRIVATE KEY"), "{plain}");
    let whole = vhost.ctl_ok(&["cert", "export", "imported.example.com", "--key"]).stdout;
    assert!(whole.contains("BEGIN CERTIFICATE") && whole.contains("PRIVATE KEY"));
    let kept_nowhere = vhost.ctl(&["cert", "export", "own.example.com", "--key"]);
    assert_eq!((kept_nowhere.code, kept_nowhere.stdout.as_str()), (4, ""), "{kept_nowhere:?}");
    assert!(kept_nowhere.stderr.contains("only in the server's memory"), "{kept_nowhere:?}");
    // What was exported can be imported.
    let output = vhost.import("imported.example.com", &whole, &whole);
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn the_root_of_the_own_ca_goes_to_stdout_alone() {
    let Furnished { vhost, .. } = &furnished();
    let output = vhost.ctl_ok(&["cert", "ca"]);
    assert!(output.stdout.starts_with("-----BEGIN CERTIFICATE-----\n"), "{output:?}");
    assert!(!output.stdout.contains("PRIVATE KEY"));
    assert_eq!(
        output.stdout.trim(),
        vhost.rpc("cert.ca", json!({})).unwrap()["cert"].as_str().unwrap().trim()
    );
    let own = TlsClient::trusting(&output.stdout);
    own.connect(vhost.https(), Some("own.example.com")).expect("trusted");
}

#[test]
fn an_import_needs_both_files_and_says_which_one_it_cannot_read() {
    let Furnished { vhost, .. } = &furnished();
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.pem");
    let missing = missing.to_str().unwrap();
    let output = vhost.ctl(&["cert", "import", "imported.example.com", "--cert", missing]);
    assert_eq!(output.code, 2, "{output:?}");
    let words = ["cert", "import", "imported.example.com", "--cert", missing, "--key", missing];
    let output = vhost.ctl(&words);
    assert!([1, 2].contains(&output.code), "{output:?}");
    assert!(output.stderr.contains(missing), "{output:?}");
}

#[test]
fn a_domain_with_files_takes_no_import() {
    let Furnished { vhost, authority, .. } = &furnished();
    let issued = authority.issue(&["files.example.com"]);
    let output = vhost.import("files.example.com", &issued.cert(), &issued.key());
    assert!([1, 5].contains(&output.code), "{output:?}");
    assert!(output.stderr.contains("hint: "), "{output:?}");
}

#[test]
fn a_renewal_can_be_waited_for_and_one_that_is_not_due_wants_force() {
    let name = "shop.example.com";
    let setup = Setup::new();
    let pebble = Pebble::start(&PebbleOptions::validating(&setup));
    let backend = Backend::start("web");
    let vhost =
        setup.acme(&pebble).domain(name, "a").backend("web", backend.address(), &["a"]).start();
    vhost.ctl_ok(&["cert", "wait", name]);
    let client = pebble.trusting_client();
    let serial = || client.connect(vhost.https(), Some(name)).unwrap().handshake().serial();
    let first = serial();
    let output = vhost.ctl(&["cert", "renew", name]);
    assert!([1, 5].contains(&output.code), "{output:?}");
    assert!(output.stderr.contains("--force"), "{output:?}");
    assert_eq!(pebble.orders_made(), 1);
    vhost.ctl_ok(&["cert", "renew", name, "--force", "--wait"]);
    assert_ne!(serial(), first);
    assert_eq!(pebble.orders_made(), 2);

    let accounts = vhost.ctl_json(&["cert", "account"]);
    let account = &accounts["accounts"][0];
    assert_eq!(account["directory_url"], json!(pebble.directory_url()));
    let uri = account["uri"].as_str().expect("there is one");
    let persist = account["dns_persist"].as_str().expect("a record");
    assert!(persist.contains(&format!("accounturi={uri}")), "{account}");
    assert!(account["caa"].as_str().is_some_and(|caa| caa.contains(uri)), "{account}");
    let text = vhost.ctl_ok(&["cert", "account"]).stdout;
    assert!(text.contains(uri), "{text}");
}
