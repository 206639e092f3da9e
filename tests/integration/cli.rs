//! The command line: what goes to stdout, what to stderr, and how it ends.

use std::process::Command;

use serde_json::json;

use crate::harness::*;

/// A server with something of everything.
fn furnished() -> (Vhost, Vec<Backend>) {
    let backends: Vec<_> = ["a1", "b1"].iter().map(|id| Backend::start(id)).collect();
    let vhost = Setup::new()
        .domain_with("example.com", "a", "aliases = [\"www.example.com\", \"web.example.com\"]")
        .domain("shop.example.org", "a")
        .domain("*", "b")
        .backend("a1", backends[0].address(), &["a", "shop-blue"])
        .backend("b1", backends[1].address(), &["b"])
        .backend("web-eu-1", refusing_address(), &["a"])
        .backend("unresolved", "app.internal.invalid:3000", &["b"])
        .start();
    vhost.wait_until_healthy(2);
    vhost.wait_for_health("web-eu-1", "unhealthy");
    (vhost, backends)
}

fn vhost(args: &[&str]) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.args(args).env_remove("VHOST_SOCKET");
    RunningCtl::of(command).wait()
}

#[test]
fn without_a_server_it_ends_with_3_and_says_where_it_looked() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("none.sock");
    let path = socket.to_str().unwrap();
    let output = vhost(&["ctl", "--socket", path, "status"]);
    assert_eq!((output.code, output.stdout.as_str()), (3, ""), "{output:?}");
    assert!(output.stderr.contains(path) && output.stderr.contains("hint:"), "{output:?}");
    // A file that a killed server left behind is no server either.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(vhost(&["ctl", "--socket", path, "status"]).code, 3);
}

#[test]
fn the_socket_may_come_from_the_environment() {
    let server = Setup::new().start();
    let mut command = Command::new(vhost_binary());
    command.args(["ctl", "status"]).env("VHOST_SOCKET", server.socket());
    assert_eq!(RunningCtl::of(command).wait().code, 0);
}

#[test]
fn what_contradicts_itself_or_is_given_twice_is_refused_before_anything_is_asked() {
    let (server, _backends) = furnished();
    let before = server.ctl_json(&["status"])["revision"].clone();
    for (args, words) in [
        (
            &[
                "domain",
                "set",
                "example.com",
                "--option",
                "max_body_bytes=1",
                "--no-option",
                "max_body_bytes",
            ][..],
            "`--no-option max_body_bytes` takes it away",
        ),
        (&["domain", "set", "example.com", "--no-option", "deny", "--no-option", "deny"], "twice"),
        (
            &["backend", "set", "a1", "--tls-ca-file", "/a", "--no-option", "tls_ca_file"],
            "`--no-option tls_ca_file` takes it away",
        ),
        (&["backend", "add", "new", "127.0.0.1:9", "--tag", "a,a"], "`a` is named twice"),
        (&["backend", "tag", "a1", "b", "b"], "`b` is named twice"),
        (&["backend", "tag", "a1", "--remove", "a,a"], "`a` is named twice"),
        (&["backend", "untag", "a1", "a", "a"], "`a` is named twice"),
    ] {
        let output = server.ctl(args);
        assert_eq!(output.code, 2, "{args:?}: {output:?}");
        assert!(output.stderr.contains(words), "{args:?}: {output:?}");
    }
    assert_eq!(server.ctl_json(&["status"])["revision"], before, "nothing changed");
}

#[test]
fn what_does_not_exist_ends_with_4() {
    let (server, _backends) = furnished();
    for args in [
        &["domain", "show", "unknown.test"][..],
        &["domain", "set", "unknown.test", "--balance", "round-robin"],
        &["domain", "remove", "unknown.test"],
        &["switch", "unknown.test", "b"],
        &["undo", "unknown.test"],
        &["wait", "unknown.test", "--until", "healthy"],
        &["backend", "show", "unknown"],
        &["backend", "drain", "unknown"],
        &["backend", "remove", "unknown"],
        &["backend", "tag", "unknown", "x"],
    ] {
        let output = server.ctl(args);
        assert_eq!((output.code, output.stdout.as_str()), (4, ""), "{args:?}: {output:?}");
        assert!(output.stderr.contains("unknown"), "{args:?}: {output:?}");
    }
}

#[test]
fn a_near_miss_is_offered() {
    let (server, _backends) = furnished();
    let output = server.ctl(&["domain", "show", "exmaple.com"]);
    assert!(output.stderr.contains("example.com"), "{output:?}");
}

#[test]
fn what_is_malformed_ends_with_2_before_anything_is_asked() {
    for args in [
        &["ctl", "--socket", "/none", "domain", "show", "exa mple.com"][..],
        &["ctl", "--socket", "/none", "domain", "show", "http://example.com"],
        &["ctl", "--socket", "/none", "switch", "example.com", "b c"],
        &["ctl", "--socket", "/none", "backend", "add", "web", "localhost"],
        &["ctl", "--socket", "/none", "backend", "show", "a/b"],
        &["ctl", "--socket", "/none", "frobnicate"],
        &["serve"],
        &["nonsense"],
    ] {
        let output = vhost(args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn what_exists_already_ends_with_5() {
    let (server, _backends) = furnished();
    for args in [
        &["domain", "add", "example.com", "--tag", "a"][..],
        &["domain", "add", "www.example.com", "--tag", "a"],
        &["backend", "add", "a1", "127.0.0.1:9", "--tag", "a"],
    ] {
        let output = server.ctl(args);
        assert_eq!((output.code, output.stdout.as_str()), (5, ""), "{args:?}: {output:?}");
    }
}

#[test]
fn data_goes_to_stdout_and_words_to_stderr() {
    let (server, _backends) = furnished();
    for args in [
        &["status"][..],
        &["domain", "list"],
        &["domain", "show", "example.com"],
        &["backend", "list"],
        &["backend", "show", "a1"],
        &["history"],
    ] {
        let output = server.ctl_ok(args);
        assert!(!output.stdout.is_empty(), "{args:?}");
    }
    let output = server.ctl_ok(&["domain", "list"]);
    assert_eq!(output.stderr, "", "nothing needs to be said");
    for args in [
        &["domain", "add", "new.test", "--tag", "a"][..],
        &["backend", "set", "b1", "--weight", "2"],
        &["switch", "new.test", "b", "--force"],
        &["domain", "remove", "new.test"],
    ] {
        let output = server.ctl_ok(args);
        assert_eq!(output.stdout, "", "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?} confirms what it did");
        assert!(!output.stderr.contains('\u{1b}'), "no colour off a terminal: {output:?}");
    }
    let quiet = server.ctl_ok(&["--quiet", "backend", "set", "b1", "--weight", "3"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn an_empty_list_is_nothing_on_stdout() {
    let server = Setup::new().start();
    for args in [&["domain", "list"][..], &["backend", "list"]] {
        let output = server.ctl_ok(args);
        assert_eq!(output.stdout, "", "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?} says that there is nothing");
    }
}

#[test]
fn json_is_the_result_of_the_method() {
    let (server, _backends) = furnished();
    let same = |args: &[&str], method: &str, params: serde_json::Value| {
        let mut shown = server.ctl_json(args);
        let mut answered = server.rpc(method, params).unwrap();
        for value in [&mut shown, &mut answered] {
            forget_what_moves(value);
        }
        assert_eq!(shown, answered, "{args:?}");
    };
    same(&["status"], "state.get", json!({}));
    same(&["domain", "list"], "domain.list", json!({}));
    same(&["domain", "show", "www.example.com"], "domain.show", json!({"domain": "example.com"}));
    same(&["backend", "list"], "backend.list", json!({}));
    same(&["backend", "show", "a1"], "backend.show", json!({"id": "a1"}));
    same(&["history"], "event.list", json!({}));
}

/// Takes out what differs between two looks.
fn forget_what_moves(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.remove("health");
            fields.values_mut().for_each(forget_what_moves);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(forget_what_moves),
        _ => {}
    }
}

#[test]
fn tables_fit_in_eighty_columns() {
    let (server, _backends) = furnished();
    server.ctl_ok(&["switch", "example.com", "b", "--force"]);
    for args in [
        &["domain", "list"][..],
        &["domain", "show", "example.com"],
        &["backend", "list"],
        &["backend", "show", "web-eu-1"],
    ] {
        assert_fits(args, &server.ctl_ok(args));
    }
}

/// Runs `vhost ctl` as if on a terminal of 80 columns.
fn ctl_of_eighty(server: &Vhost, args: &[&str]) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.args(["ctl", "--socket"]).arg(server.socket()).args(args).env("COLUMNS", "80");
    RunningCtl::of(command).wait()
}

#[track_caller]
fn assert_fits(args: &[&str], output: &CtlOutput) {
    assert!(!output.stdout.is_empty(), "{args:?}: {output:?}");
    for line in output.stdout.lines() {
        assert!(line.chars().count() <= 80, "{args:?}: {line:?}");
        assert_eq!(line, line.trim_end(), "{args:?}: trailing space in {line:?}");
    }
}

#[test]
fn names_of_any_length_fit_a_terminal() {
    let backend = Backend::start("a1");
    let long = |part: &str| part.repeat(6);
    let (domain, tag, id) =
        (format!("{}.example.com", long("abcdefgh-")), long("release-"), long("web-eu-"));
    let server = Setup::new()
        .domain(&domain.replace("-.", "."), &tag)
        .backend(&id, backend.address(), &[&tag, "b"])
        .backend("sick", "app.internal.invalid:3000", &[&tag, &long("other-")])
        .start();
    server.wait_until_healthy(1);
    server.wait_for_health("sick", "unhealthy");
    let domain = domain.replace("-.", ".");
    server.ctl_ok(&["switch", &domain, "b", "--reason", &long("because of it ")]);
    for args in [
        &["status"][..],
        &["domain", "list"],
        &["domain", "show", &domain],
        &["backend", "list"],
        &["backend", "show", &id],
        &["backend", "show", "sick"],
        &["history"],
        &["events"],
        &["explain", &domain],
        &["switch", &domain, &tag, "--plan"],
    ] {
        assert_fits(args, &ctl_of_eighty(&server, args));
    }
    for args in [&["domain", "list"][..], &["backend", "list"]] {
        let lines = ctl_of_eighty(&server, args).stdout.lines().count();
        let rows = server.ctl_ok(args).stdout.lines().count();
        assert_eq!(lines, rows, "{args:?}: a row of a list is a line");
        let wide = ctl_of_eighty(&server, &[args, &["-o", "wide"]].concat()).stdout;
        assert!(wide.contains(&tag) && !wide.contains('…'), "nothing is shortened: {wide}");
        assert_eq!(wide.lines().count(), rows);
    }
}

#[test]
fn global_options_stand_before_the_verb_or_after_it() {
    let (server, _backends) = furnished();
    for verb in [
        &["status"][..],
        &["domain", "list"],
        &["domain", "show", "example.com"],
        &["backend", "list"],
        &["backend", "show", "a1"],
        &["history"],
        &["events"],
        &["explain", "example.com"],
        &["switch", "example.com", "b", "--plan", "--force"],
        &["call", "state.get"],
    ] {
        let run = |args: &[&[&str]]| {
            let output = server.ctl_ok(&args.concat());
            assert!(!output.stderr.contains('\u{1b}'), "{output:?}");
            output.stdout
        };
        for flags in
            [&["-o", "json"][..], &["-o", "wide"], &["--no-headers"], &["--color", "always"]]
        {
            let (before, after) = (run(&[flags, verb]), run(&[verb, flags]));
            let shape = |text: &str| text.lines().count();
            assert_eq!(shape(&before), shape(&after), "{verb:?} {flags:?}");
            let is_colored = after.contains("\u{1b}[");
            assert!(!is_colored || flags[0] == "--color", "{verb:?} {flags:?}: {after}");
            if flags[1..] == ["json"] && verb[0] != "events" {
                serde_json::from_str::<serde_json::Value>(&after).expect("JSON");
            }
        }
        assert_eq!(server.ctl_ok(&[verb, &["--quiet"]].concat()).stderr, "", "{verb:?}");
    }
}

#[test]
fn near_misses_are_offered_wherever_a_name_is_looked_up() {
    let (server, _backends) = furnished();
    for (args, near) in [
        (&["domain", "show", "exmaple.com"][..], Some("example.com")),
        (&["domain", "show", "ww.example.com"], Some("www.example.com")),
        (&["switch", "shop.exmaple.org", "b"], Some("shop.example.org")),
        (&["switch", "example.com", "shop-bleu"], Some("shop-blue")),
        (&["backend", "show", "web-eu1"], Some("web-eu-1")),
        (&["backend", "drain", "unresolvd"], Some("unresolved")),
        (&["wait", "exmaple.com", "--until", "healthy"], Some("example.com")),
        (&["undo", "exmaple.com"], Some("example.com")),
        (&["domain", "show", "nothing.like.it"], None),
        (&["backend", "show", "zz"], None),
    ] {
        let output = server.ctl(args);
        assert_eq!(output.code, 4, "{args:?}: {output:?}");
        let meant = near.map(|near| format!("hint: did you mean `{near}`?\n"));
        match meant {
            Some(meant) => assert!(output.stderr.ends_with(&meant), "{args:?}: {output:?}"),
            None => assert!(!output.stderr.contains("did you mean"), "{args:?}: {output:?}"),
        }
    }
}

#[test]
fn phases_are_lines_with_their_time_for_logs_and_json_for_scripts() {
    let (server, _backends) = furnished();
    let output = server.ctl_ok(&["switch", "shop.example.org", "b", "--force"]);
    let phases: Vec<_> = output
        .stderr
        .lines()
        .map(|line| {
            let (time, rest) = line.split_once(' ').expect("a time");
            assert!(time.len() == 20 && time.ends_with('Z'), "{line}");
            rest.split_whitespace().next().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(phases, ["switched", "done"], "{output:?}");
    let output = server.ctl_ok(&["-o", "json", "undo", "shop.example.org", "--force"]);
    let progress: serde_json::Value = serde_json::from_str(output.stderr.trim()).unwrap();
    assert_eq!(progress["progress"]["phase"], "switched");
    let quiet = server.ctl_ok(&["-q", "-o", "json", "undo", "shop.example.org", "--force"]);
    assert_eq!(quiet.stderr, "");
    assert!(serde_json::from_str::<serde_json::Value>(&quiet.stdout).is_ok());
}

#[test]
fn lists_show_what_an_operator_looks_for() {
    let (server, backends) = furnished();
    let domains = server.ctl_ok(&["domain", "list"]).stdout;
    assert!(domains.contains("example.com") && domains.contains('*'), "{domains}");
    let list = server.ctl_ok(&["backend", "list"]).stdout;
    for part in ["a1", &backends[0].address(), "healthy", "unhealthy", "ready"] {
        assert!(list.contains(part), "no `{part}` in\n{list}");
    }
    let status = server.ctl_ok(&["status"]).stdout;
    assert!(status.contains(&server.http().to_string()), "{status}");
    let domain = server.ctl_ok(&["domain", "show", "example.com"]).stdout;
    assert!(domain.contains("www.example.com"), "{domain}");
}

#[test]
fn history_is_newest_first_and_limited() {
    let (server, _backends) = furnished();
    for weight in ["2", "3", "4"] {
        server.ctl_ok(&["backend", "set", "a1", "--weight", weight]);
    }
    server.ctl_ok(&["switch", "example.com", "b", "--force"]);
    let events = server.ctl_json(&["history", "--limit", "2"])["events"].clone();
    let kinds: Vec<_> = events.as_array().unwrap().iter().map(|e| e["kind"].clone()).collect();
    assert_eq!(kinds, ["switch", "backend_set"]);
    assert!(events[0]["revision"].as_u64() > events[1]["revision"].as_u64());
    let of_domain = server.ctl_json(&["history", "example.com"])["events"].clone();
    let kinds: Vec<_> = of_domain.as_array().unwrap().iter().map(|e| e["kind"].clone()).collect();
    assert_eq!(kinds, ["switch", "file_applied"], "what concerns the domain");
}

#[test]
fn domains_are_added_changed_and_removed() {
    let (server, _backends) = furnished();
    server.ctl_ok(&["domain", "add", "new.test", "--tag", "b", "--alias", "www.new.test"]);
    assert_eq!(server.get("www.new.test", "/").backend(), Some("b1"));
    server.ctl_ok(&["domain", "remove", "new.test"]);
    assert_eq!(server.ctl(&["domain", "show", "new.test"]).code, 4);
    let unknown_tag = server.ctl(&["domain", "add", "new.test", "--tag", "nobody"]);
    assert_eq!(unknown_tag.code, 4, "{unknown_tag:?}");
    assert!(unknown_tag.stderr.contains("shop-blue"), "the tags that there are: {unknown_tag:?}");
    server.ctl_ok(&["domain", "add", "new.test", "--tag", "nobody", "--force"]);
    assert_eq!(server.get("new.test", "/").status, 503);
}

#[test]
fn a_closed_pipe_is_a_quiet_success() {
    let (server, _backends) = furnished();
    let mut command = Command::new("sh");
    command
        .args(["-c", "\"$0\" ctl --socket \"$1\" domain list | true; echo done"])
        .arg(vhost_binary())
        .arg(server.socket());
    let output = RunningCtl::of(command).wait();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("done\n", ""));
}

#[test]
fn help_names_the_exit_statuses() {
    let output = vhost(&["ctl", "--help"]);
    assert_eq!(output.code, 0);
    for number in 0..=7 {
        let listed =
            output.stdout.lines().any(|line| line.trim_start().starts_with(&format!("{number} ")));
        assert!(listed, "no exit status {number} in\n{}", output.stdout);
    }
}

#[test]
fn a_check_fails_while_something_needs_a_person() {
    let (server, _backends) = furnished();
    let output = server.ctl(&["status", "--check"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("warning      backend `web-eu-1` is unhealthy: "), "{output:?}");
    for id in ["web-eu-1", "unresolved"] {
        server.ctl_ok(&["backend", "disable", id]);
    }
    server.ctl_ok(&["status", "--check"]);
    let quiet = server.ctl_ok(&["status", "--check", "--quiet"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn wide_lists_tell_more() {
    let (server, _backends) = furnished();
    let backends = server.ctl_ok(&["backend", "list", "--output", "wide"]).stdout;
    let line = backends.lines().find(|line| line.starts_with("web-eu-1")).expect("it is listed");
    assert!(backends.starts_with("ID ") && backends.contains("LAST ANSWER"), "{backends}");
    assert!(line.contains("refused"), "{backends}");
    let domains = server.ctl_ok(&["-o", "wide", "domain", "list"]).stdout;
    assert!(domains.contains("www.example.com, web.example.com\n"), "{domains}");
    let history = server.ctl_ok(&["history", "--output", "wide"]).stdout;
    assert!(history.contains("domain `*` added"), "{history}");
}

#[test]
fn any_method_can_be_called() {
    let (server, _backends) = furnished();
    let shown = server.ctl_ok(&["call", "domain.show", r#"{"domain": "www.example.com"}"#]);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(shown["domain"], "example.com");
    assert_eq!(server.ctl(&["call", "domain.show", r#"{"domain": "no.test"}"#]).code, 4);
    let output = server.ctl(&["call", "domain.shwo"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.contains("unknown method `domain.shwo`"), "{output:?}");
    // A long one tells how far it is on the other stream.
    let params = r#"{"domains": ["example.com"], "tag": "b", "options": {"force": true}}"#;
    let switched = server.ctl_ok(&["call", "switch.start", params]);
    let report: serde_json::Value = serde_json::from_str(&switched.stdout).expect("JSON alone");
    assert_eq!(report["outcome"]["state"], "done", "{switched:?}");
    let lines: Vec<serde_json::Value> =
        switched.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().any(|line| line["progress"]["phase"] == "switched"), "{lines:?}");
}

#[test]
fn a_plan_is_applied_wherever_the_socket_is_named() {
    let (server, _backends) = furnished();
    let mut command = Command::new(vhost_binary());
    let plan = server.ctl_json(&["switch", "example.com", "b", "--plan", "--force"]);
    let token = plan["token"].as_str().expect("a token");
    command.args(["ctl", "switch", "--apply", token]).env("VHOST_SOCKET", server.socket());
    let output = RunningCtl::of(command).wait();
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(server.live("example.com"), "b");
    let output = server.ctl(&["switch", "--apply", token, "--force"]);
    assert_eq!(output.code, 2, "a plan says already what is done: {output:?}");
}
