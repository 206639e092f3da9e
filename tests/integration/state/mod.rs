//! Backups: made beside a server, checked, and put back.

pub(crate) mod crash;
mod refused;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::*;

const HOST: &str = "shop.localhost";

const SOON: Duration = Duration::from_secs(20);

/// Runs `vhost state`.
fn state(args: &[&str]) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.arg("state").args(args);
    RunningCtl::of(command).wait()
}

#[track_caller]
fn state_ok(args: &[&str]) -> CtlOutput {
    let output = state(args);
    assert_eq!(output.code, 0, "vhost state {args:?}: {output:?}");
    output
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// A server with a domain on `b`, which its file has on `a`, with certificates of its own CA and an imported one.
fn server(backends: &[Backend; 2]) -> Vhost {
    let [a, b] = backends;
    let vhost = Setup::new()
        .domain_with(
            HOST,
            "a",
            "http_to_https = false\ntls = \"internal\"\nsticky = { cookie = \"at\" }",
        )
        .domain_with("imported.example.com", "a", "http_to_https = false")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
        .start();
    let issued = Authority::new().issue(&["imported.example.com"]);
    vhost.import("imported.example.com", &issued.cert(), &issued.key());
    vhost.ctl_ok(&["token", "add", "ci"]);
    vhost.ctl_ok(&["switch", HOST, "b", "--force"]);
    vhost
}

fn backends() -> [Backend; 2] {
    ["a1", "b1"].map(Backend::start)
}

/// Makes a backup beside the server, in its directory.
#[track_caller]
fn backed_up(vhost: &Vhost) -> PathBuf {
    let path = vhost.directory().join("backup.tar");
    let config = vhost.config_file();
    let output =
        state_ok(&["backup", "--config", text(&config), "--output", text(&path), "--force"]);
    assert_eq!(output.stdout, format!("{}\n", path.display()));
    path
}

/// The content of each file below a directory, with its mode.
fn files(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let mode = entry.metadata().expect("metadata").permissions().mode() & 0o777;
                found.insert(path.clone(), (mode, std::fs::read(&path).expect("a file")));
            }
        }
    }
    found
}

#[test]
fn a_machine_comes_back_from_its_backup_as_it_was() {
    let backends = backends();
    let mut vhost = server(&backends);
    let config = vhost.config_file();
    let ca = vhost.ctl_ok(&["cert", "ca"]).stdout;
    let answer = vhost.get(HOST, "/");
    assert_eq!(answer.backend(), Some("b1"));
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    let events = vhost.rpc("event.list", json!({ "limit": 100 })).expect("event.list");
    let tokens = std::fs::read(vhost.state_dir().join("tokens.json")).expect("tokens");
    let serial = serial(&vhost);

    let path = backed_up(&vhost);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let checked = state_ok(&["check", text(&path)]);
    assert!(checked.stderr.contains(": ok: revision "), "{checked:?}");
    assert!(
        checked.stderr.contains("2 domains, 2 backends, 1 certificate, made by"),
        "{checked:?}"
    );
    // Anybody's tools can read it.
    let listed = Command::new("tar").args(["--list", "--file", text(&path)]).output().expect("tar");
    let listed = String::from_utf8(listed.stdout).expect("text");
    for name in ["manifest.json", "state/state.db", "state/ca/root.pem", "SHA256SUMS"] {
        assert!(listed.lines().any(|line| line == name), "{listed}");
    }
    let unpacked = tempfile::tempdir().unwrap();
    let tar = |args: &[&str]| Command::new("tar").args(args).status().expect("tar").success();
    assert!(tar(&["--extract", "--file", text(&path), "--directory", text(unpacked.path())]));
    let summed = Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(unpacked.path())
        .status();
    assert!(summed.expect("sha256sum").success());

    // What comes later is not in it.
    vhost.ctl_ok(&["switch", HOST, "a", "--force"]);
    vhost.kill();
    std::fs::remove_dir_all(vhost.state_dir()).unwrap();
    let restored = state_ok(&["restore", text(&path), "--config", text(&config)]);
    assert!(restored.stderr.starts_with("restored: revision "), "{restored:?}");
    assert!(!restored.stderr.contains("what was there"), "{restored:?}");
    for (path, (mode, _)) in files(&vhost.state_dir()) {
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    let mode = std::fs::metadata(vhost.state_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    state_ok(&["check", "--config", text(&config)]);

    vhost.restart();
    assert_eq!(vhost.live(HOST), "b");
    vhost.wait_until_healthy(2);
    assert_eq!(vhost.get(HOST, "/").backend(), Some("b1"));
    assert_eq!(vhost.ctl_ok(&["cert", "ca"]).stdout, ca);
    assert_eq!(self::serial(&vhost), serial, "the imported certificate is back");
    assert_eq!(std::fs::read(vhost.state_dir().join("tokens.json")).unwrap(), tokens);
    let now = vhost.rpc("event.list", json!({ "limit": 100 })).expect("event.list");
    let ids = |events: &Value| -> Vec<Value> {
        events["events"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect()
    };
    assert!(ids(&now).ends_with(&ids(&events)), "{now}\n{events}");
    // A cookie of before is still understood: no new one is set.
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let again = vhost.connect().get_with(HOST, "/", &format!("Cookie: {cookie}\r\n"));
    assert_eq!((again.backend(), again.header("set-cookie")), (Some("b1"), None));
}

/// The serial number of the imported certificate.
fn serial(vhost: &Vhost) -> String {
    let name = "imported.example.com";
    eventually_some("the certificate is served", SOON, || {
        let client = TlsClient::accepts_any().connect(vhost.https(), Some(name)).ok()?;
        Some(client.handshake().serial())
    })
}

#[test]
fn what_was_there_before_a_restore_stays_beside_it() {
    let backends = backends();
    let mut vhost = server(&backends);
    let config = vhost.config_file();
    let path = backed_up(&vhost);
    vhost.ctl_ok(&["switch", HOST, "a", "--force"]);
    vhost.signal(Signal::SIGTERM);
    vhost.wait_for_exit(SOON);
    let before = files(&vhost.state_dir());
    let restored = state_ok(&["restore", text(&path), "--config", text(&config)]);
    let aside = restored.stderr.lines().find_map(|line| line.strip_prefix("what was there is in "));
    let aside = PathBuf::from(aside.expect("it says where"));
    for (path, content) in &before {
        let name = path.strip_prefix(vhost.state_dir()).unwrap();
        if name != Path::new("lock") {
            assert_eq!(files(&aside).get(&aside.join(name)), Some(content), "{}", name.display());
        }
    }
    vhost.restart();
    assert_eq!(vhost.live(HOST), "b");
    // And the way back.
    vhost.kill();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(vhost.state_dir().join(name));
        let _ = std::fs::rename(aside.join(name), vhost.state_dir().join(name));
    }
    vhost.restart();
    assert_eq!(vhost.live(HOST), "a");
}

#[test]
fn a_check_finds_what_is_wrong_in_a_state_and_changes_nothing() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 9] = [
        ("ok: revision", |_| {}),
        ("domains `shop.localhost`: ", |state| {
            sql(state, "UPDATE domains SET value = '{}' WHERE name = 'shop.localhost'");
        }),
        ("the database is damaged", |state| {
            let path = state.join("state.db");
            let mut bytes = std::fs::read(&path).unwrap();
            // Pages of tables, with their heads.
            bytes[8192..16384].fill(0x5a);
            std::fs::write(&path, bytes).unwrap();
        }),
        ("has schema 99", |state| sql(state, "PRAGMA user_version = 99")),
        ("sticky.key", |state| std::fs::write(state.join("sticky.key"), "short").unwrap()),
        ("tokens.json", |state| std::fs::write(state.join("tokens.json"), "{").unwrap()),
        ("root-with-key.pem", |state| {
            std::fs::write(state.join("ca/root-with-key.pem"), "nonsense").unwrap();
        }),
        ("imported.example.com: the key does not belong to the certificate", |state| {
            let path = state.join("certs/imported/imported.example.com.pem");
            let other = Authority::new().issue(&["imported.example.com"]);
            let bundle = std::fs::read_to_string(&path).unwrap();
            let start = bundle.find("-----BEGIN CERTIFICATE").unwrap();
            std::fs::write(&path, other.key() + &bundle[start..]).unwrap();
        }),
        ("is open to others (mode 0644)", |state| {
            let mode = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(state.join("sticky.key"), mode).unwrap();
        }),
    ];
    let backends = backends();
    let mut vhost = server(&backends);
    let config = vhost.config_file();
    assert!(state_ok(&["check", "--config", text(&config)]).stderr.contains("ok: revision"));
    vhost.signal(Signal::SIGTERM);
    vhost.wait_for_exit(SOON);
    for (said, spoil) in cases {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("state");
        let copied = Command::new("cp").arg("-a").args([&vhost.state_dir(), &copy]).status();
        assert!(copied.expect("cp").success());
        // A server that has ended may leave its log of writes, and whoever reads that changes its index.
        sql(&copy, "PRAGMA journal_mode = DELETE");
        spoil(&copy);
        let before = files(&copy);
        let output = state(&["check", "--state-dir", text(&copy)]);
        assert!(output.stderr.contains(said), "no `{said}`: {output:?}");
        assert_eq!(output.code, i32::from(!said.starts_with("ok")), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        assert_eq!(files(&copy), before, "{said}");
        let json = state(&["check", "--state-dir", text(&copy), "--format", "json"]);
        let answer: Value = serde_json::from_str(&json.stdout).expect("one object");
        assert_eq!(answer["valid"], output.code == 0, "{answer}");
        assert_eq!(json.code, output.code);
    }
}

fn sql(state: &Path, statement: &str) {
    let connection = rusqlite::Connection::open(state.join("state.db")).expect("it opens");
    connection.execute_batch(statement).expect("it is carried out");
}
