//! What `vhost check` says of a file.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::*;

/// What is said of a file with these lines behind a head that is right, which has three.
fn check(lines: &str) -> CtlOutput {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vhost.toml");
    let head = "[proxy]\nlisten_addr_http = \"127.0.0.1:0\"\nstate_dir = \"state\"\n";
    std::fs::write(&file, format!("{head}{lines}")).unwrap();
    let mut command = Command::new(vhost_binary());
    command.args(["check", "vhost.toml"]).current_dir(directory.path());
    RunningCtl::of(command).wait()
}

#[test]
fn metrics_that_strangers_may_reach_are_a_warning() {
    let (every, public) = ("is every interface of the machine", "is not a private address");
    for (lines, warning) in [
        ("", Some(("5: warning: metrics.enabled: `true`: `0.0.0.0:9090`", every))),
        ("listen_addr = \"0.0.0.0:9\"", Some(("6: warning: metrics.listen_addr: ", every))),
        ("listen_addr = \"[::]:9\"", Some(("6: warning: metrics.listen_addr: ", every))),
        (
            "listen_addr = \"[::ffff:0.0.0.0]:9\"",
            Some(("6: warning: metrics.listen_addr: ", every)),
        ),
        ("listen_addr = \"203.0.113.7:9\"", Some(("6: warning: metrics.listen_addr: ", public))),
        ("listen_addr = \"[2001:db8::7]:9\"", Some(("6: warning: metrics.listen_addr: ", public))),
        ("listen_addr = \"127.0.0.1:0\"", None),
        ("listen_addr = \"[::1]:0\"", None),
        ("listen_addr = \"10.0.0.1:9\"", None),
        ("listen_addr = \"192.168.7.7:9\"", None),
        ("listen_addr = \"[fd00::1]:9\"", None),
        ("listen_addr = \"[::ffff:172.16.0.1]:9\"", None),
        ("listen_addr = \"100.64.0.1:9\"", None),
    ] {
        let output = check(&format!("[metrics]\nenabled = true\n{lines}\n"));
        assert_eq!(output.code, 0, "{output:?}");
        let line = output.stderr.lines().find(|line| line.contains("can read the metrics"));
        let Some((place, what)) = warning else {
            assert_eq!(line, None, "{lines}");
            continue;
        };
        let line = line.unwrap_or_else(|| panic!("{lines}: {output:?}"));
        for part in [place, what, "listen_addr = \"127.0.0.1:"] {
            assert!(line.contains(part), "no `{part}` in {line}");
        }
        assert!(!line.contains("status_page"), "{line}");
    }
    let off = check("[metrics]\nenabled = false\n");
    assert!(!off.stderr.contains("warning"), "{off:?}");
    let page = "[metrics]\nenabled = true\nstatus_page = true\n";
    assert!(check(page).stderr.contains("`status_page_token`"));
    let with_token = check(&format!("{page}status_page_token = true\n"));
    assert!(with_token.stderr.contains("its token go there in clear text"), "{with_token:?}");
    assert!(!with_token.stderr.contains("status_page_token"), "{with_token:?}");
    let output = check("[metrics]\nenabled = true\nstatus_page_token = true\n");
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("there is no status page to protect"), "{output:?}");
}

#[test]
fn unknown_tags_are_reported_in_the_same_run_as_all_else() {
    let hosts = "[[virtual_hosts]]\ndomain = \"a.test\"\nenabled_backends_tag = \"typo\"\n\
                 paths = [{ prefix = \"/x\", tag = \"other\" }]\n\
                 [[backends]]\nid = \"one\"\naddress = \"127.0.0.1:1\"\ntags = [\"a\"]\n";
    for (backend, problem) in [
        ("tags = [\"b c\", \"d\"]", "backends[\"two\"].tags[0]: `b c`: "),
        ("tags = [\"$${x}\"]", "backends[\"two\"].tags[0]: "),
        ("tags = \"d\"", "backends[\"two\"].tags: `d`: "),
    ] {
        let backend = format!("[[backends]]\nid = \"two\"\naddress = \"127.0.0.1:2\"\n{backend}\n");
        let output = check(&format!("threads = 0\n{hosts}{backend}"));
        assert_eq!(output.code, 2, "{output:?}");
        for part in [
            "proxy.threads: `0`: ",
            "virtual_hosts[\"a.test\"].enabled_backends_tag: `typo`: no backend carries this tag",
            "virtual_hosts[\"a.test\"].paths: `/x`: no backend carries the tag `other`",
            problem,
        ] {
            assert!(output.stderr.contains(part), "no `{part}` in {output:?}");
        }
    }
}

#[test]
fn no_tag_is_called_unknown_where_those_of_a_backend_cannot_be_read() {
    for (backend, problem) in [
        ("tags = \"c\"", ".tags: `c`: "),
        ("tag = [\"c\"]", ".tag: unknown key"),
        ("tags = 1", ".tags: `1`: "),
        ("tags = [\"a\", 1]", ".tags[1]: `1`: "),
        ("tags = \"${VHOST_NO_SUCH}\"", ".tags: "),
        ("tags = [\"${VHOST_NO_SUCH}\"]", "is not set"),
    ] {
        let output = check(&format!(
            "[[virtual_hosts]]\ndomain = \"a.test\"\nenabled_backends_tag = \"c\"\n\
             [[backends]]\nid = \"one\"\naddress = \"127.0.0.1:1\"\n{backend}\n"
        ));
        assert_eq!(output.code, 2, "{backend}: {output:?}");
        assert!(output.stderr.contains(problem), "no `{problem}` in {output:?}");
        assert!(!output.stderr.contains("no backend carries"), "{backend}: {output:?}");
    }
}

#[test]
fn a_timeout_of_zero_is_refused_by_the_command_the_socket_and_rest() {
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("a1", refusing_address(), &["a"])
        .backend("b1", refusing_address(), &["b"])
        .start();
    for (args, tip) in [
        (&["switch", "example.com", "b", "--timeout", "0"][..], "use `1ms` or more"),
        (&["switch", "example.com", "b", "--drain-timeout", "0s"], "`--no-drain` instead"),
        (&["wait", "example.com", "--until", "healthy", "--timeout", "0"], "use `1ms` or more"),
        (&["backend", "remove", "b1", "--timeout", "0"], "use `1ms` or more"),
    ] {
        let output = vhost.ctl(args);
        assert_eq!(output.code, 2, "{args:?}: {output:?}");
        assert!(output.stderr.contains(tip), "{args:?}: {output:?}");
    }
    let options =
        |key: &str| json!({ "domains": ["example.com"], "tag": "b", "options": { key: 0 } });
    for (method, params, key) in [
        ("switch.start", options("timeout_ms"), "options.timeout_ms"),
        ("switch.plan", options("drain_timeout_ms"), "options.drain_timeout_ms"),
        (
            "domain.wait",
            json!({"domain": "example.com", "until": "healthy", "timeout_ms": 0}),
            "timeout_ms",
        ),
        ("backend.drain", json!({"id": "b1", "timeout_ms": 0}), "timeout_ms"),
        ("backend.ready", json!({"id": "b1", "timeout_ms": 0}), "timeout_ms"),
        ("cert.wait", json!({"name": "example.com", "timeout_ms": 0}), "timeout_ms"),
        ("config.reload", json!({"drain_timeout_ms": 0}), "drain_timeout_ms"),
    ] {
        let fault = vhost.rpc(method, params).unwrap_err().whole.to_string();
        assert!(fault.contains(key) && fault.contains("from 1 on"), "{method}: {fault}");
    }
    let mut command = Command::new("curl");
    command.args(["-sS", "-X", "POST", "-H", "Content-Type: application/json", "--unix-socket"]);
    command.arg(vhost.socket()).args(["-d", r#"{"timeout_secs": 0}"#]);
    command.arg("http://localhost/api/v1/domains/example.com/switch");
    let output = RunningCtl::of(command).wait();
    let problem: Value = serde_json::from_str(&output.stdout).expect("a problem");
    assert_eq!(problem["status"], 422, "{problem}");
    assert!(problem.to_string().contains("give seconds from 0.001 to"), "{problem}");
    assert_eq!(vhost.live("example.com"), "a");
}
