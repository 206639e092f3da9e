use std::path::Path;

use clap::Parser;
use serde_json::{Value, json};

use super::verb::{CtlArgs, Surroundings, run_in};
use crate::cli::exit_code::ExitCode;
use crate::rpc::client::fake_server::{FakeServer, ID};

/// 2026-07-01T12:00:00Z.
const NOW: u64 = 1_782_907_200_000;

#[derive(Debug, Parser)]
struct Root {
    #[command(flatten)]
    ctl: CtlArgs,
}

#[derive(Debug, Default, PartialEq)]
struct Ran {
    code: u8,
    stdout: String,
    stderr: String,
    method: Value,
    params: Value,
}

fn run_at(socket: &Path, line: &str, terminal: bool, no_color: bool) -> Ran {
    let surroundings = Surroundings {
        stdout_terminal: terminal,
        stdout_width: None,
        stderr_terminal: terminal,
        no_color,
        now_ms: NOW,
    };
    run_among(socket, line, surroundings)
}

fn run_among(socket: &Path, line: &str, surroundings: Surroundings) -> Ran {
    let socket = socket.to_str().unwrap();
    let words = ["ctl", "--socket", socket].into_iter().chain(line.split_whitespace());
    let args = Root::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).ctl;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let code = run_in(args, surroundings, &mut stdout, &mut stderr).into();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    Ran { code, stdout, stderr, ..Ran::default() }
}

/// Runs `vhost ctl LINE` against a server that answers so.
fn ctl(line: &str, answers: &[Value]) -> Ran {
    let server = FakeServer::answering(answers);
    let ran = run_at(&server.socket(), line, false, false);
    let mut request = server.request();
    Ran { method: request["method"].take(), params: request["params"].take(), ..ran }
}

/// The words without the times that stand before phases.
fn unstamped(words: &str) -> String {
    let strip = |line: &str| match line.split_once("Z ") {
        Some((time, rest)) if time.len() == "2026-07-01T12:00:00".len() => rest.to_owned(),
        _ => line.to_owned(),
    };
    words.lines().map(|line| strip(line) + "\n").collect()
}

fn result(result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": ID, "result": result})
}

fn progress(progress: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": "progress", "params": {"id": ID, "progress": progress}})
}

fn fault(kind: &str, message: &str, data: &Value) -> Value {
    let mut data = data.clone();
    data["kind"] = kind.into();
    json!({"jsonrpc": "2.0", "id": ID,
           "error": {"code": -32000, "message": message, "data": data}})
}

fn domain() -> Value {
    json!({
        "revision": 7, "domain": "example.com", "mode": "serving", "aliases": ["www.example.com"],
        "live": "a", "previous": "b", "http_to_https": true, "balance": "round-robin",
        "tls": "auto", "hsts_max_age_secs": 0,
        "backends": {"total": 2, "ready": 2, "healthy": 2},
        "in_flight": [{"tag": "a", "requests": 12}, {"tag": "b", "requests": 0}],
    })
}

fn backend() -> Value {
    json!({
        "revision": 7, "id": "web-v1", "address": "localhost:3001",
        "resolved": ["127.0.0.1:3001", "[::1]:3001"], "tags": ["a"], "weight": 1, "scheme": "http",
        "state": "ready", "backup": false, "send_proxy_protocol": "off",
        "health": {"status": "healthy", "since_ms": NOW - 3_600_000 * 3, "checked_ms": NOW - 4_000,
                   "latency_ms": 1.24, "last_status": 200, "last_error": null, "failed_ms": null},
        "in_flight": 3, "requests": 1204, "failures": 2, "serves": ["example.com"],
    })
}

fn with(mut value: Value, edits: &Value) -> Value {
    for (key, edit) in edits.as_object().unwrap() {
        value[key] = edit.clone();
    }
    value
}

fn report(outcome: &Value) -> Value {
    json!({
        "steps": [{"domain": "example.com", "from": "a", "to": "b"}], "unchanged": [],
        "revision": 12, "outcome": outcome, "gate_ms": 120, "switch_ms": 0.94, "drain_ms": 1200,
    })
}

fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn a_change_confirms_on_stderr_what_it_changed() {
    let left = json!({"in_flight": [{"tag": "a", "requests": 1}, {"tag": "b", "requests": 3}]});
    let with_changes =
        |value: &Value, changed: &[&str]| with(value.clone(), &json!({ "changed": changed }));
    let (domain, backend) = (domain(), backend());
    let paused = "pause: off → on (requests wait up to 30s, at most 1000)";
    let removed = json!({"revision": 8, "changed": ["removed"]});
    for (line, answer, confirmation) in [
        (
            "domain add example.com --tag a",
            with_changes(&domain, &["added, live a"]),
            "added example.com: live a, 2 of 2 backends healthy, revision 7",
        ),
        (
            "domain set example.com --no-aliases --balance least-connections",
            with_changes(
                &domain,
                &["aliases: www.example.com → none", "balance: round-robin → least-connections"],
            ),
            "example.com: aliases www.example.com → none\n\
             example.com: balance round-robin → least-connections (revision 7)",
        ),
        (
            "domain set example.com --no-aliases",
            with_changes(&domain, &[]),
            "nothing to change: example.com is as requested (revision 7)",
        ),
        (
            "domain pause example.com",
            with_changes(&domain, &[paused]),
            "example.com: pause off → on (requests wait up to 30s, at most 1000) (revision 7)",
        ),
        (
            "domain resume example.com",
            with_changes(&domain, &[]),
            "nothing to change: example.com is as requested (revision 7)",
        ),
        (
            "domain maintenance example.com on",
            with_changes(&domain, &["maintenance: off → on"]),
            "example.com: maintenance off → on (revision 7)",
        ),
        (
            "wait example.com --until healthy",
            with(domain.clone(), &left),
            "done      example.com: live a, 2 of 2 backends healthy, 3 on b in flight, revision 7",
        ),
        ("domain remove example.com", removed.clone(), "example.com: removed (revision 8)"),
        (
            "backend add web-v1 localhost:3001 --tag a",
            with_changes(&backend, &["added"]),
            "added web-v1: ready, tag a, health healthy, revision 7",
        ),
        (
            "backend tag web-v1 b",
            with_changes(&backend, &["tags: a → a,b"]),
            "web-v1: tags a → a,b (revision 7)",
        ),
        (
            "backend drain web-v1",
            with_changes(&backend, &["state: ready → draining"]),
            "web-v1: state ready → draining (revision 7)",
        ),
        (
            "backend disable web-v1 --wait",
            with_changes(&backend, &["state: ready → disabled"]),
            "done      web-v1: state ready → disabled (revision 7)",
        ),
        ("backend remove web-v1", removed, "done      web-v1: removed (revision 8)"),
        ("token remove ci", json!({"name": "ci", "changed": ["removed"]}), "ci: removed"),
    ] {
        let ran = ctl(line, &[result(&answer)]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{line}");
        assert_eq!(unstamped(&ran.stderr), format!("{confirmation}\n"), "{line}");
        let waited = confirmation.starts_with("done");
        assert_eq!(ran.stderr.contains("Z "), waited, "{line}: only phases say when");
        assert_eq!(ctl(&format!("{line} --quiet"), &[result(&answer)]).stderr, "", "{line}");
        let scripts = ctl(&format!("{line} -o json"), &[result(&answer)]);
        assert_eq!(serde_json::from_str::<Value>(&scripts.stdout).unwrap(), answer, "{line}");
        assert_eq!((scripts.code, scripts.stderr.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn a_server_of_before_that_does_not_say_what_changed_is_not_said_to_have_changed_nothing() {
    let draining = json!({"state": "draining", "in_flight": 1, "tags": ["a", "b"]});
    for (line, answer, confirmation) in [
        (
            "domain set example.com --no-aliases",
            domain(),
            "example.com: live a, 2 of 2 backends healthy, revision 7",
        ),
        (
            "backend drain web-v1",
            with(backend(), &draining),
            "web-v1: draining, tags a, b, 1 request in flight, revision 7",
        ),
        ("domain remove example.com", json!({"revision": 8}), "example.com: removed"),
    ] {
        let ran = ctl(line, &[result(&answer)]);
        assert_eq!((ran.code, ran.stderr), (0, format!("{confirmation}\n")), "{line}");
    }
}

#[test]
fn a_new_secret_is_alone_on_stdout() {
    let secret = json!({"name": "ci", "access": "read", "secret": "vhost_1"});
    for (line, changed, confirmation) in [
        (
            "token add ci --read",
            "added, access read",
            "ci: added, access read\nkeep its secret: it is never shown again\n",
        ),
        (
            "token rotate ci",
            "new secret, the old one is refused",
            "ci: new secret, the old one is refused\n",
        ),
    ] {
        let answer = with(secret.clone(), &json!({ "changed": [changed] }));
        let ran = ctl(line, &[result(&answer)]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "vhost_1\n"), "{line}");
        assert_eq!(ran.stderr, confirmation, "{line}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table, an entry for each verb")]
fn every_verb_says_to_the_server_what_was_typed() {
    let switched = report(&json!({"state": "done"}));
    let drain = |wait: bool, timeout: Value, force: bool| json!({"id": "web", "wait": wait, "timeout_ms": timeout, "force": force});
    let options = json!({"timeout_ms": null, "drain_timeout_ms": null, "no_drain": false,
        "force": false, "reason": null});
    for (line, answer, method, params) in [
        (
            "domain add Example.COM. --tag a --alias www.example.com --alias b.test \
             --http-to-https false --balance least-connections --force",
            domain(),
            "domain.add",
            json!({"domain": "example.com", "tag": "a", "aliases": ["www.example.com", "b.test"],
                "http_to_https": false, "balance": "least-connections", "force": true}),
        ),
        (
            "domain set * --alias b.test",
            domain(),
            "domain.set",
            json!({"domain": "*", "aliases": ["b.test"]}),
        ),
        (
            "domain set * --no-aliases",
            domain(),
            "domain.set",
            json!({"domain": "*", "aliases": []}),
        ),
        (
            "domain set * --http-to-https true",
            domain(),
            "domain.set",
            json!({"domain": "*", "http_to_https": true}),
        ),
        (
            "domain set * --tls off --hsts-max-age 60",
            domain(),
            "domain.set",
            json!({"domain": "*", "tls": "off", "hsts_max_age_secs": 60}),
        ),
        (
            "domain add b.test --tag a --tls-cert /c.pem --tls-key /k.pem",
            domain(),
            "domain.add",
            json!({"domain": "b.test", "tag": "a", "force": false,
                "tls": {"files": {"cert": "/c.pem", "key": "/k.pem"}}}),
        ),
        (
            "token show",
            json!({"name": "admin", "access": "full", "secret": "vhost_1"}),
            "token.show",
            json!({}),
        ),
        (
            "token rotate ci",
            json!({"name": "ci", "access": "read", "secret": "vhost_1"}),
            "token.rotate",
            json!({"name": "ci"}),
        ),
        (
            "token add ci --read",
            json!({"name": "ci", "access": "read", "secret": "vhost_1"}),
            "token.add",
            json!({"name": "ci", "access": "read"}),
        ),
        ("token list", json!({"tokens": []}), "token.list", json!({})),
        ("token remove ci", json!({"name": "ci"}), "token.remove", json!({"name": "ci"})),
        (
            "backend add web [::1]:80 --tag b,a --tag c --weight 3 --scheme h2c",
            backend(),
            "backend.add",
            json!({"id": "web", "address": "[::1]:80", "tags": ["a", "b", "c"], "weight": 3,
                "scheme": "h2c"}),
        ),
        ("backend set web --weight 5", backend(), "backend.set", json!({"id": "web", "weight": 5})),
        (
            "backend add web [::1]:80 --scheme h2 --tls-server-name a.test --tls-ca-file /ca.pem \
             --tls-client-cert-file /c.pem --tls-client-key-file /c.key --tls-insecure-skip-verify",
            backend(),
            "backend.add",
            json!({"id": "web", "address": "[::1]:80", "tags": [], "scheme": "h2",
                "tls_server_name": "a.test", "tls_ca_file": "/ca.pem",
                "tls_client_cert_file": "/c.pem", "tls_client_key_file": "/c.key",
                "tls_insecure_skip_verify": true}),
        ),
        (
            "backend set web --tls-ca-file /ca.pem --tls-insecure-skip-verify false \
             --no-option tls_server_name",
            backend(),
            "backend.set",
            json!({"id": "web", "tls_server_name": null, "tls_ca_file": "/ca.pem",
                "tls_insecure_skip_verify": false}),
        ),
        (
            "backend tag web c b",
            backend(),
            "backend.tag",
            json!({"id": "web", "tags": ["b", "c"], "force": false}),
        ),
        (
            "backend tag web --remove a,b --force",
            backend(),
            "backend.untag",
            json!({"id": "web", "tags": ["a", "b"], "force": true}),
        ),
        (
            "backend untag web a",
            backend(),
            "backend.untag",
            json!({"id": "web", "tags": ["a"], "force": false}),
        ),
        ("backend drain web", backend(), "backend.drain", drain(false, Value::Null, false)),
        (
            "backend disable web --wait --timeout 1m --force",
            backend(),
            "backend.disable",
            drain(true, json!(60_000), true),
        ),
        (
            "backend remove web --timeout 5s",
            json!({"revision": 1}),
            "backend.remove",
            drain(true, json!(5_000), false),
        ),
        (
            "backend ready web --wait",
            backend(),
            "backend.ready",
            json!({"id": "web", "wait": true, "timeout_ms": null}),
        ),
        (
            "switch example.com",
            switched.clone(),
            "switch.start",
            json!({"domains": ["example.com"], "tag": null, "options": options}),
        ),
        (
            "switch example.com b --also b.test --also c.test --timeout 10s --drain-timeout 1500ms \
             --force --reason release-42",
            switched.clone(),
            "switch.start",
            json!({"domains": ["example.com", "b.test", "c.test"], "tag": "b", "options": {
                "timeout_ms": 10_000, "drain_timeout_ms": 1_500, "no_drain": false, "force": true,
                "reason": "release-42"}}),
        ),
        (
            "undo example.com --no-drain",
            switched,
            "switch.undo",
            json!({"domain": "example.com", "options": with(options.clone(), &json!({"no_drain": true}))}),
        ),
        (
            "wait example.com --until drained --timeout 2m",
            domain(),
            "domain.wait",
            json!({"domain": "example.com", "until": "drained", "timeout_ms": 120_000}),
        ),
    ] {
        let ran = ctl(line, &[result(&answer)]);
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        assert_eq!((ran.method, ran.params), (json!(method), params), "{line}");
    }
}

#[test]
fn each_kind_of_fault_has_its_exit_status() {
    for (kind, code) in [
        ("not_found", 4),
        ("already_exists", 5),
        ("conflict", 5),
        ("unhealthy", 6),
        ("timeout", 7),
        ("invalid", 1),
        ("denied", 1),
        ("internal", 1),
        ("of_a_newer_server", 1),
    ] {
        let ran = ctl(
            "domain show example.com",
            &[fault(kind, "there is no such domain", &json!({"request_id": "r1"}))],
        );
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{kind}");
        let text = "error: cannot show `example.com`\ncause: there is no such domain\n";
        assert!(ran.stderr.starts_with(text), "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("request id `r1`"), kind == "internal", "{}", ran.stderr);
    }
}

#[test]
fn no_server_is_three_and_says_how_to_have_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let ran = run_at(&socket, "switch example.com b", false, false);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""));
    let cause = format!("no server at `{}`: no such file or directory", socket.display());
    assert_eq!(
        ran.stderr,
        format!(
            "error: cannot switch `example.com` to `b`\ncause: {cause}\nhint: start it with `vhost \
             serve --config FILE`, or name its socket with `--socket` or `VHOST_SOCKET`\n"
        )
    );
    let scripts = run_at(&socket, "status -o json", false, false);
    assert_eq!((scripts.code, scripts.stdout.as_str()), (3, ""));
    let error: Value = serde_json::from_str(&scripts.stderr).unwrap();
    assert_eq!(error["error"]["data"]["kind"], "no_server");
    assert_eq!(error["error"]["message"], cause);
}

#[test]
fn a_server_that_is_lost_half_way_is_not_said_to_have_refused() {
    let switched = progress(&json!({"phase": "switched", "revision": 12, "switch_ms": 0.94,
                "steps": [{"domain": "example.com", "from": "a", "to": "b"}]}));
    let ran = ctl("switch example.com b --quiet", &[switched]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert_eq!(
        ran.stderr,
        "\
error: lost the connection to the server while asking it to switch `example.com` to `b`
cause: the server closed the connection before it answered
hint: what was asked for may still be running at the server; see `vhost ctl history`
"
    );
}

#[test]
fn colour_is_for_terminals_unless_told_otherwise() {
    let run = |line: &str, terminal, no_color| {
        let server = FakeServer::answering(&[result(&backend())]);
        run_at(&server.socket(), line, terminal, no_color).stdout
    };
    let plain = run("backend show web-v1", false, false);
    for (line, terminal, no_color, colored) in [
        ("backend show web-v1", false, false, false),
        ("backend show web-v1", true, false, true),
        ("backend show web-v1", true, true, false),
        ("backend show web-v1 --color never", true, false, false),
        ("backend show web-v1 --color always", false, true, true),
        ("backend show web-v1 -o json", true, false, false),
    ] {
        let text = run(line, terminal, no_color);
        assert_eq!(text.contains('\u{1b}'), colored, "{line} {terminal} {no_color}: {text}");
        if colored {
            assert!(text.contains("healthy\u{1b}["), "{text:?}");
            assert_ne!(text, plain);
        }
    }
}

/// A reader that went away, or a disk that is full.
struct Broken(std::io::ErrorKind);

impl std::io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_a_quiet_success_and_a_full_disk_is_not() {
    for (kind, code, words) in [
        (std::io::ErrorKind::BrokenPipe, ExitCode::Done, ""),
        (std::io::ErrorKind::StorageFull, ExitCode::Failed, "error: cannot write the result"),
    ] {
        let server = FakeServer::answering(&[result(&domain())]);
        let socket = server.socket();
        let words_of = ["ctl", "domain", "show", "example.com", "--socket"];
        let args = Root::parse_from(words_of.into_iter().chain(socket.to_str())).ctl;
        let surroundings = Surroundings {
            stdout_terminal: false,
            stdout_width: None,
            stderr_terminal: false,
            no_color: true,
            now_ms: NOW,
        };
        let mut stderr = Vec::new();
        let ended = run_in(args, surroundings, &mut Broken(kind), &mut stderr);
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(ended, code, "{kind:?}");
        assert!(stderr.starts_with(words) && stderr.is_empty() == words.is_empty(), "{stderr}");
    }
}

mod cert;
mod config;
mod switch;
mod tables;
