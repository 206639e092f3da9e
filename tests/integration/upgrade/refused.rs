//! An upgrade that fails changes nothing, and says why.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::*;

/// Says nothing, until the other end has ended.
const MUTE: &str = "while read line; do :; done";

fn script(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_program_that_cannot_serve_changes_nothing() {
    let backends = backends();
    let vhost = site(&backends).set("proxy.upgrade_timeout_secs", 1).start();
    vhost.wait_until_healthy(2);
    let pid = serving(&vhost);
    let mut kept = vhost.connect();
    let directory = tempfile::tempdir().unwrap();
    let mute = script(directory.path(), "mute", MUTE);
    let babble = script(directory.path(), "babble", &format!("echo nonsense >&0; {MUTE}"));
    let silent = script(directory.path(), "silent", "exec <&-; while :; do :; done");
    let plain = directory.path().join("plain");
    std::fs::write(&plain, "text").unwrap();
    for (program, part) in [
        (Path::new("/bin/true"), "ended before it could serve (exit status: 0)"),
        (Path::new("/bin/false"), "ended before it could serve (exit status: 1)"),
        (Path::new("/no/such/program"), "cannot start `/no/such/program`"),
        (&plain, "cannot start"),
        (&mute, "could not serve within 1s"),
        (&babble, "speaks another language"),
        (&silent, "ended before it could serve"),
    ] {
        let refused = vhost.ctl(&["upgrade", program.to_str().unwrap()]);
        assert_ne!(refused.code, 0, "{program:?}: {refused:?}");
        assert!(refused.stderr.contains(part), "{program:?}: {refused:?}");
        assert!(refused.stderr.contains("hint"), "{program:?}: {refused:?}");
        assert_eq!(serving(&vhost), pid);
        assert_eq!(vhost.processes().len(), 1, "{program:?} is gone");
        assert!(!kept.get(HOST, "/").closes(), "{program:?}");
    }
    // The state can be changed as before.
    vhost.ctl_ok(&["switch", HOST, "b"]);
    assert_eq!(vhost.get(HOST, "/").backend(), Some("b1"));
    vhost.upgrade();
    assert_eq!(vhost.get(HOST, "/").backend(), Some("b1"));
}

#[test]
fn a_config_that_cannot_be_applied_is_said_and_the_old_process_goes_on() {
    let backends = backends();
    let vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let pid = serving(&vhost);
    let revision = || vhost.rpc("state.get", json!({})).unwrap()["revision"].clone();
    // Made by a command, and declared otherwise by the file: the file is at fault.
    vhost.ctl_ok(&["backend", "add", "c1", "127.0.0.1:9", "--tag", "c"]);
    let before = revision();
    let good = std::fs::read_to_string(vhost.config_file()).unwrap();
    let conflict = "[[backends]]\nid = \"c1\"\naddress = \"127.0.0.1:10\"\ntags = [\"c\"]\n";
    let taken = std::net::TcpListener::bind((free_ip(), 0)).unwrap();
    let taken =
        format!("[metrics]\nenabled = true\nlisten_addr = \"{}\"\n", taken.local_addr().unwrap());
    for (text, part) in [
        (format!("{good}\nnonsense = 1\n"), "nonsense"),
        (format!("{good}\n{conflict}"), "declares the backend `c1`"),
        (format!("{taken}\n{good}"), "cannot listen on"),
    ] {
        std::fs::write(vhost.config_file(), &text).unwrap();
        let refused = vhost.ctl(&["upgrade"]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("the new process cannot serve"), "{refused:?}");
        let whole = format!("{}{}", refused.stderr, vhost.log());
        assert!(whole.contains(part), "{part}: {refused:?}");
        assert_eq!((serving(&vhost), revision()), (pid, before.clone()));
    }
    std::fs::write(vhost.config_file(), &good).unwrap();
    vhost.ctl_ok(&["backend", "remove", "c1"]);
    vhost.upgrade();
    assert_ne!(serving(&vhost), pid);
    assert!(vhost.rpc("backend.show", json!({ "id": "c1" })).is_err());
}

#[test]
fn of_two_upgrades_one_is_refused() {
    let backends = backends();
    let vhost = site(&backends).set("proxy.upgrade_timeout_secs", 20).start();
    let directory = tempfile::tempdir().unwrap();
    let mute = script(directory.path(), "mute", MUTE);
    let first = vhost.ctl_in_background(&["upgrade", mute.to_str().unwrap()]);
    eventually("the first is under way", SOON, || vhost.processes().len() == 2);
    let second = vhost.ctl(&["upgrade"]);
    assert_eq!(second.code, 5, "{second:?}");
    assert!(second.stderr.contains("another upgrade is under way"), "{second:?}");
    // A stop does not wait for it, and leaves nothing behind.
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    assert_ne!(first.wait().code, 0);
    eventually("all has ended", SOON, || vhost.processes().is_empty());
}
