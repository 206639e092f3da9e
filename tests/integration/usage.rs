//! What is wrong with a command line, and what stands on it in any order.

use std::path::Path;
use std::process::Command;

use crate::harness::*;

/// Runs `vhost` with the socket in the environment, as the README does, or with none there.
fn vhost(socket: Option<&Path>, args: &[&str]) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.args(args).env_remove("VHOST_SOCKET").envs(socket.map(|path| ("VHOST_SOCKET", path)));
    RunningCtl::of(command).wait()
}

#[test]
fn a_plan_is_applied_as_it_is_printed_whatever_else_is_on_the_line() {
    let server = Setup::new()
        .domain("example.com", "a")
        .backend("a1", refusing_address(), &["a"])
        .backend("b1", refusing_address(), &["b"])
        .start();
    let socket = server.socket();
    let path = socket.to_str().unwrap();
    let elsewhere = Path::new("/nowhere/admin.sock");
    for (socket, before, behind) in [
        (Some(socket.as_path()), &[][..], &[][..]),
        (Some(socket.as_path()), &[], &["-o", "json"]),
        (Some(socket.as_path()), &[], &["-q", "--no-headers", "--color", "never"]),
        (Some(socket.as_path()), &["-q"], &["--output", "wide"]),
        (Some(elsewhere), &[], &["--socket", path]),
        (None, &["--socket", path], &["-o", "json", "-q"]),
        // Set and empty is as good as not set.
        (Some(Path::new("")), &[], &["--socket", path]),
    ] {
        let plan = ["switch", "example.com", "--plan", "--force"];
        let to = if server.live("example.com") == "a" { "b" } else { "a" };
        let planned = server.ctl_ok(&plan);
        let (_, printed) = planned.stderr.split_once("to do this: vhost ").expect("a command");
        let (ctl, verb) = printed.trim().split_once(' ').expect("`ctl` and the verb");
        let words = [&[ctl], before, &verb.split(' ').collect::<Vec<_>>(), behind].concat();
        let applied = vhost(socket, &words);
        assert_eq!(applied.code, 0, "{words:?}: {applied:?}");
        assert_eq!(server.live("example.com"), to, "{words:?}: {applied:?}");
    }
}

#[test]
fn a_usage_line_is_the_same_with_the_socket_in_the_environment() {
    for args in [
        &["ctl", "switch"][..],
        &["ctl", "switch", "--apply", "x", "--force"],
        &["ctl", "domain", "add"],
        &["ctl", "domain", "set", "example.com"],
        &["ctl", "wait", "example.com", "--until"],
        &["ctl", "backend", "tag", "web", "--force"],
        &["ctl", "status", "--bogus"],
        &["ctl", "history", "a", "b", "c"],
        &["ctl", "switch", "--help"],
    ] {
        let [with, without] = [Some(Path::new("/nowhere/admin.sock")), None].map(|socket| {
            let CtlOutput { code, stdout, stderr } = vhost(socket, args);
            (code, stdout, stderr)
        });
        assert_eq!(with, without, "{args:?}");
    }
}

#[test]
fn a_flag_that_another_command_has_is_answered_with_that_command() {
    for (args, tip) in [
        (&["domain", "set", "example.com", "--tag", "b"][..], "use `vhost ctl switch DOMAIN TAG`"),
        (&["domain", "set", "example.com", "--option", "live=b"], "use `vhost ctl switch"),
        (&["domain", "set", "example.com", "--max-body-bytes=1"], "`--option max_body_bytes=…`"),
        (&["backend", "set", "web", "--tag", "b"], "use `vhost ctl backend tag ID TAG`"),
        (&["backend", "set", "web", "--state", "ready"], "use `vhost ctl backend ready ID`"),
    ] {
        let output = vhost(None, &[&["ctl"], args].concat());
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args:?}: {output:?}");
        assert!(output.stderr.contains(tip), "{args:?}: {output:?}");
        assert!(!output.stderr.contains("as a value"), "{args:?}: {output:?}");
    }
    // It is offered by no help and no completion.
    let help = vhost(None, &["ctl", "domain", "set", "--help"]).stdout;
    assert!(!help.contains("--tag") && !help.contains("--max-body-bytes"), "{help}");
    let line = ["completions", "bash", "--", "vhost", "ctl", "domain", "set", "x", "--max"];
    assert_eq!(vhost(None, &line).stdout, "");
}
