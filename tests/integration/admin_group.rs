//! `proxy.admin_group`: who is let in at the admin socket, and what the server needs for it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Group, User, geteuid};

use crate::config::for_everyone;
use crate::harness::*;

#[test]
fn a_member_of_the_group_is_let_in() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let nobody = User::from_uid(65534.into()).unwrap().expect("there is a user `nobody`");
    let group = Group::from_gid(nobody.gid).unwrap().expect("his group has a name");
    let vhost = Setup::new().set("proxy.admin_group", format!("{:?}", group.name)).start();
    let binary = for_everyone(vhost.directory());
    let mut command = Command::new(binary);
    command.args(["ctl", "--socket"]).arg(vhost.socket()).arg("status");
    command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
    let output = RunningCtl::of(command).wait();
    assert_eq!(output.code, 0, "{output:?}");
}

/// `vhost` as a user with no group but these.
fn as_nobody(binary: &Path, groups: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", &format!("--groups={groups}")]).arg(binary);
    command.env_remove("VHOST_SOCKET");
    command
}

#[test]
fn a_process_is_let_in_by_its_supplementary_groups_and_by_nothing_that_a_database_says() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let group = Group::from_name("games").unwrap().expect("every system has it");
    let vhost = Setup::new().set("proxy.admin_group", "\"games\"").start();
    let binary = for_everyone(vhost.directory());
    let status = |groups: String| {
        let mut command = as_nobody(&binary, &groups);
        command.args(["ctl", "--socket"]).arg(vhost.socket()).arg("status");
        RunningCtl::of(command).wait()
    };
    // As a container or a systemd unit is given groups: no database has the user in it.
    let output = status(format!("7,{},8", group.gid));
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(status("7,8".to_owned()).code, 1);
    std::fs::set_permissions(vhost.socket(), PermissionsExt::from_mode(0o666)).unwrap();
    let output = status("7,8".to_owned());
    assert_eq!(output.code, 1, "whatever the file's mode is: {output:?}");
    assert!(output.stderr.contains("member of `proxy.admin_group`"), "{output:?}");
}

#[test]
fn a_server_that_is_not_in_its_admin_group_says_what_its_unit_lacks() {
    if !geteuid().is_root() {
        eprintln!("skipped: root is in every group, and only root can become another user");
        return;
    }
    let group = Group::from_name("games").unwrap().expect("every system has it");
    let directory = tempfile::tempdir().unwrap();
    let binary = for_everyone(directory.path());
    let file = directory.path().join("vhost.toml");
    let setup = Setup::new().set("proxy.admin_group", "\"games\"");
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    std::os::unix::fs::chown(directory.path(), Some(65534), Some(65534)).unwrap();
    let run = |groups: &str, args: &[&str]| {
        let mut command = as_nobody(&binary, groups);
        command.args(args).arg(&file);
        RunningCtl::of(command).wait()
    };
    for args in [&["check"][..], &["serve", "--config"]] {
        let output = run("7", args);
        assert_eq!(output.code, 1, "{args:?}: {output:?}");
        for part in
            ["is not in the group `games`", "`SupplementaryGroups=games`", "--group-add", "usermod"]
        {
            assert!(output.stderr.contains(part), "no `{part}` in {args:?}: {output:?}");
        }
        assert!(!output.stderr.contains("directory"), "{args:?}: {output:?}");
    }
    let checked = run("7", &["check"]);
    assert!(checked.stderr.contains("proxy.admin_group: "), "{checked:?}");
    let output = run(&group.gid.to_string(), &["check"]);
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn a_member_of_very_many_groups_is_let_in() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let group = Group::from_name("games").unwrap().expect("every system has it");
    let vhost = Setup::new().set("proxy.admin_group", "\"games\"").start();
    let binary = for_everyone(vhost.directory());
    let others: Vec<_> = (100_000..105_000).map(|group| group.to_string()).collect();
    let mut command = as_nobody(&binary, &format!("{},{}", others.join(","), group.gid));
    command.args(["ctl", "--socket"]).arg(vhost.socket()).arg("status");
    let output = RunningCtl::of(command).wait();
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn a_group_that_the_user_namespace_does_not_map_is_named_as_such() {
    if unmapped_namespace("true").is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vhost.toml");
    let setup = Setup::new().set("proxy.admin_group", "\"games\"");
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    for args in [&["check"][..], &["serve", "--config"]] {
        let mut command = unmapped_namespace(vhost_binary()).expect("as before");
        command.args(args).arg(&file);
        let output = RunningCtl::of(command).wait();
        assert_eq!(output.code, 1, "{args:?}: {output:?}");
        for part in ["the group `games` is not mapped", "into the namespace"] {
            assert!(output.stderr.contains(part), "no `{part}` in {args:?}: {output:?}");
        }
        assert!(!output.stderr.contains("directory writable"), "{args:?}: {output:?}");
    }
}

/// Runs a program in a user namespace without a single id; `None` where the system has none.
fn unmapped_namespace(program: &str) -> Option<Command> {
    let of = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", program]).env_remove("VHOST_SOCKET");
        command
    };
    if !of("true").status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: user namespaces are not permitted");
        return None;
    }
    Some(of(program))
}
