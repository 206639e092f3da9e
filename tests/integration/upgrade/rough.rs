//! What is awkward in an upgrade says what to do, or just works.

use std::path::Path;

use super::*;

#[test]
fn an_address_that_overlaps_the_running_servers_says_what_to_do() {
    let backends = backends();
    let vhost = site(&backends).start();
    let before = serving(&vhost);
    let port = vhost.http().port();
    let wide = format!("\"0.0.0.0:{port}\"");
    let https = format!("\"{}\"", vhost.https());
    let changed =
        site(&backends).set("proxy.listen_addr", https).set("proxy.listen_addr_http", wide);
    vhost.write_config(&changed);
    let refused = vhost.ctl(&["reload", "--upgrade"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let held = format!("the running server listens on `{}`", vhost.http());
    assert!(refused.stderr.contains(&held), "{refused:?}");
    assert!(refused.stderr.contains("restart the server"), "{refused:?}");
    assert_eq!(serving(&vhost), before);
}

#[test]
fn a_program_that_was_named_once_does_not_become_the_default() {
    let backends = backends();
    let directory = tempfile::tempdir().unwrap();
    let [usual, other] = ["usual", "other"].map(|name| directory.path().join(name));
    for program in [&usual, &other] {
        std::fs::copy(vhost_binary(), program).unwrap();
    }
    let vhost = site(&backends).program(&usual).start();
    let runs = |program: &Path| {
        let exe = std::fs::read_link(format!("/proc/{}/exe", serving(&vhost))).unwrap();
        assert_eq!(exe, program.canonicalize().unwrap());
    };
    vhost.upgrade_to(&other);
    runs(&other);
    // The usual one is as it was, so nothing is new on the disk.
    let same = vhost.ctl_ok(&["reload", "--upgrade"]);
    assert!(same.stderr.contains("nothing changed"), "{same:?}");
    runs(&other);
    vhost.upgrade();
    runs(&usual);
    // As a package manager does.
    vhost.upgrade_to(&other);
    let next = directory.path().join("next");
    std::fs::copy(vhost_binary(), &next).unwrap();
    std::fs::rename(&next, &usual).unwrap();
    vhost.ctl_ok(&["reload", "--upgrade"]);
    runs(&usual);
}

#[test]
fn a_command_that_an_upgrade_cuts_off_says_so_and_how_to_go_on() {
    let backend = Backend::start("a1");
    let vhost = Setup::new()
        .domain_with(HOST, "a", "http_to_https = false")
        .backend("a1", backend.address(), &["a"])
        // Nobody is there.
        .backend("b1", free_ports::<1>(free_ip())[0], &["b"])
        .set("switch.gate_timeout_secs", 60)
        .start();
    let switch = vhost.ctl_in_background(&["switch", HOST, "b"]);
    eventually("it is in its gate", SOON, || vhost.log().contains("b1"));
    vhost.upgrade();
    let cut = switch.wait();
    assert_eq!(cut.code, 5, "{cut:?}");
    assert!(cut.stderr.contains("the server was upgraded while this was under way"), "{cut:?}");
    assert!(cut.stderr.contains("run the same command again"), "{cut:?}");
    assert_eq!(vhost.live(HOST), "a");
}
