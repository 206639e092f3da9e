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
        "revision": 7, "domain": "example.com", "aliases": ["www.example.com"], "live": "a",
        "previous": "b", "http_to_https": true, "balance": "round-robin",
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
                   "latency_us": 1_240, "last_status": 200, "last_error": null, "failed_ms": null},
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
        "revision": 12, "outcome": outcome, "gate_ms": 120, "switch_us": 940, "drain_ms": 1200,
    })
}

fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn domain_list_fits_a_terminal() {
    let shop = json!({
        "domain": "*.shop.example.com", "live": "shop-blue", "previous": null,
        "aliases": [], "backends": {"total": 3, "ready": 2, "healthy": 1},
        "in_flight": [{"tag": "shop-blue", "requests": 4}, {"tag": "a", "requests": 2}],
    });
    let rest = json!({
        "domain": "*", "aliases": ["one.test", "two.test", "three.test"],
        "backends": {"total": 0, "ready": 0, "healthy": 0},
    });
    let list = json!({"revision": 7, "domains": [
        domain(), with(domain(), &shop), with(domain(), &rest)]});
    let ran = ctl("domain list", &[result(&list)]);
    let table = "\
DOMAIN              LIVE       BEFORE  BACKENDS            IN-FLIGHT  ALIASES
example.com         a          b       2/2 healthy         12         www.example.com
*.shop.example.com  shop-blue  -       1/2 healthy, 1 out  4, 2 on a  -
*                   a          b       none                12         one.test +2
";
    assert_eq!(ran.stdout, table);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!((ran.method, ran.params), (json!("domain.list"), json!({})));

    let usual = ctl("domain list", &[result(&json!({"revision": 7, "domains": [domain()]}))]);
    assert_fits(&usual.stdout);
    let bare = ctl("domain list --no-headers", &[result(&list)]);
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    assert_eq!(words(&bare.stdout), words(table.split_once('\n').unwrap().1));
}

#[test]
fn domain_show_is_a_list_of_facts() {
    let ran = ctl("domain show WWW.example.com", &[result(&domain())]);
    assert_eq!(
        ran.stdout,
        "\
domain         example.com
aliases        www.example.com
live           a
before         b
backends       2/2 healthy
in flight      12
balance        round-robin
http to https  yes
tls            auto
hsts           no
revision       7
"
    );
    assert_eq!(ran.params, json!({"domain": "www.example.com"}));
}

#[test]
fn backend_list_fits_a_terminal_and_says_where_reasons_are() {
    let sick = json!({"id": "web-v2", "address": "[2001:db8::17]:3002", "tags": ["b", "canary"],
        "health": {"status": "unhealthy"}, "in_flight": 0});
    let out = json!({"id": "web-v3", "address": "unix:/run/app.sock", "tags": [],
        "state": "disabled", "in_flight": 0});
    let list = json!({"revision": 7, "backends": [
        backend(), with(backend(), &sick), with(backend(), &out)]});
    let ran = ctl("backend list", &[result(&list)]);
    assert_eq!(
        ran.stdout,
        "\
ID      ADDRESS              TAGS      STATE     HEALTH     IN-FLIGHT
web-v1  localhost:3001       a         ready     healthy    3
web-v2  [2001:db8::17]:3002  b,canary  ready     unhealthy  0
web-v3  unix:/run/app.sock   -         disabled  -          0
"
    );
    assert_fits(&ran.stdout);
    assert_eq!(ran.stderr, "`web-v2` is unhealthy; `vhost ctl backend show web-v2` says why\n");
    assert_eq!(ctl("backend list -q", &[result(&list)]).stderr, "");
}

#[test]
fn backend_show_gives_the_reason() {
    let sick = json!({"health": {
        "status": "unhealthy", "since_ms": NOW - 180_000, "checked_ms": NOW - 2_000,
        "latency_us": 100, "last_status": null, "last_error": "connection refused",
        "failed_ms": NOW - 2_000}});
    let ran = ctl("backend show web-v1", &[result(&with(backend(), &sick))]);
    assert_eq!(
        ran.stdout,
        "\
id           web-v1
address      localhost:3001
resolved     127.0.0.1:3001, [::1]:3001
tags         a
weight       1
scheme       http
state        ready
health       unhealthy
since        2026-07-01T11:57:00Z, for 3 min
last answer  connection refused (2 s ago)
in flight    3
requests     1204, 2 failed
serves       example.com
revision     7
"
    );
    let healthy = ctl("backend show web-v1", &[result(&backend())]);
    assert!(healthy.stdout.contains("last answer  200 in 1.2 ms (4 s ago)\n"), "{healthy:?}");
}

#[test]
fn status_shows_what_needs_a_person() {
    let server = json!({
        "version": "0.1.0", "pid": 4711, "started_ms": NOW - 86_400_000, "revision": 12,
        "listeners": ["0.0.0.0:80"], "domains": 2, "backends": 4, "healthy": 3, "unhealthy": 1,
        "connections": 17, "in_flight": 5, "requests": 120_394,
        "refused": {"unknown_host": 31, "no_backend": 2},
        "warnings": ["backend `web-v4` is unhealthy"],
    });
    let ran = ctl("status", &[result(&server)]);
    assert_eq!(
        ran.stdout,
        "\
version      0.1.0
process      4711
up           24 h, since 2026-06-30T12:00:00Z
revision     12
listeners    0.0.0.0:80
domains      2
backends     4: 3 healthy, 1 unhealthy
connections  17
in flight    5
requests     120394
refused      no_backend 2, unknown_host 31
warning      backend `web-v4` is unhealthy
"
    );
    assert_eq!(ran.code, 0);
    let checked = ctl("status --check --quiet", &[result(&server)]);
    assert_eq!(checked.stdout, "backend `web-v4` is unhealthy\n");
    assert_eq!(checked.code, 1);
}

#[test]
fn history_says_when_who_and_what() {
    let event = |id: u64, actor: Value, kind: Value| {
        with(json!({"id": id, "revision": id, "at_ms": NOW, "actor": actor}), &kind)
    };
    let steps = json!([{"domain": "example.com", "from": "a", "to": "b"},
                       {"domain": "shop.example.com", "from": "a", "to": "b"}]);
    let user = json!({"via": "socket", "uid": 4_000_000_000_u32, "pid": 99});
    let list = json!({"revision": 12, "events": [
        event(12, user.clone(), json!({"kind": "switch", "steps": [steps[0]], "undo": true,
              "outcome": {"state": "drain_timed_out", "remaining": 3}, "reason": "broken\u{1b}["})),
        event(11, user.clone(), json!({"kind": "switch", "steps": steps, "forced": true,
              "outcome": {"state": "done"}})),
        event(10, user, json!({"kind": "switch", "steps": [steps[0]],
              "outcome": {"state": "gate_failed", "cause": "0 of 2 healthy"}})),
        event(9, json!({"via": "file"}), json!({"kind": "backend_set", "backend": "web-v1",
              "changed": ["weight: 1 → 2", "state: ready → draining"]})),
        event(8, json!({"via": "file"}), json!({"kind": "domain_removed", "domain": "old.test"})),
    ]});
    let ran = ctl("history --limit 5", &[result(&list)]);
    assert_eq!(
        ran.stdout,
        "\
TIME                  REVISION  WHO             WHAT
2026-07-01T12:00:00Z  12        uid 4000000000  undo example.com a → b, 3 not drained (broken\u{fffd}[)
2026-07-01T12:00:00Z  11        uid 4000000000  example.com, shop.example.com a → b, forced, done
2026-07-01T12:00:00Z  10        uid 4000000000  example.com a → b, gate failed: 0 of 2 healthy
2026-07-01T12:00:00Z  9         config file     web-v1 weight: 1 → 2, state: ready → draining
2026-07-01T12:00:00Z  8         config file     old.test removed
"
    );
    assert_eq!(
        (ran.method, ran.params),
        (json!("event.list"), json!({"domain": null, "limit": 5}))
    );
}

#[test]
fn an_empty_list_is_a_note_and_no_failure() {
    for (line, list, note) in [
        ("domain list", json!({"revision": 0, "domains": []}), "there are no domains"),
        ("backend list", json!({"revision": 0, "backends": []}), "there are no backends"),
        ("history", json!({"revision": 0, "events": []}), "nothing has happened"),
        ("history x.test", json!({"revision": 0, "events": []}), "happened to `x.test`"),
    ] {
        let ran = ctl(line, &[result(&list)]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{line}");
        assert!(ran.stderr.contains(note), "{line}: {}", ran.stderr);
        let scripts = ctl(&format!("{line} -o json"), &[result(&list)]);
        assert_eq!(serde_json::from_str::<Value>(&scripts.stdout).unwrap(), list);
        assert_eq!(scripts.stderr, "");
    }
}

#[test]
fn json_is_exactly_the_result() {
    let list = json!({"revision": 7, "domains": [domain()]});
    for (line, answer) in [
        ("domain list", &list),
        ("domain show example.com", &domain()),
        ("domain remove example.com", &json!({"revision": 8})),
        ("backend show web-v1", &backend()),
        ("backend drain web-v1", &backend()),
        ("wait example.com --until drained", &domain()),
        ("switch example.com b", &report(&json!({"state": "done"}))),
    ] {
        for line in [format!("{line} --output json"), format!("--output json {line}")] {
            let ran = ctl(&line, &[result(answer)]);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
            assert_eq!(&serde_json::from_str::<Value>(&ran.stdout).unwrap(), answer, "{line}");
            assert!(ran.stdout.ends_with("}\n") && ran.stdout.contains("\n  "), "{line}: pretty");
        }
    }
}

#[test]
fn a_change_confirms_in_one_line_on_stderr() {
    let draining = json!({"state": "draining", "in_flight": 1, "tags": ["a", "b"]});
    let left = json!({"in_flight": [{"tag": "a", "requests": 1}, {"tag": "b", "requests": 3}]});
    let none = json!({"backends": {"total": 1, "ready": 0, "healthy": 0}});
    let changed = json!({"revision": 8});
    for (line, answer, confirmation) in [
        (
            "domain add example.com --tag a",
            domain(),
            "example.com: live a, 2 of 2 backends healthy, revision 7",
        ),
        (
            "domain set example.com --no-aliases",
            with(domain(), &none),
            "example.com: live a, no ready backends, revision 7",
        ),
        (
            "wait example.com --until healthy",
            with(domain(), &left),
            "done      example.com: live a, 2 of 2 backends healthy, 3 on b in flight, revision 7",
        ),
        ("domain remove example.com", changed.clone(), "example.com: removed, revision 8"),
        (
            "backend add web-v1 localhost:3001 --tag a",
            backend(),
            "web-v1: ready, tag a, health healthy, revision 7",
        ),
        (
            "backend drain web-v1",
            with(backend(), &draining),
            "web-v1: draining, tags a, b, 1 request in flight, revision 7",
        ),
        ("backend remove web-v1", changed, "done      web-v1: removed, revision 8"),
    ] {
        let ran = ctl(line, &[result(&answer)]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{line}");
        assert_eq!(unstamped(&ran.stderr), format!("{confirmation}\n"), "{line}");
        let waited = confirmation.starts_with("done");
        assert_eq!(ran.stderr.contains("Z "), waited, "{line}: only phases say when");
        assert_eq!(ctl(&format!("{line} --quiet"), &[result(&answer)]).stderr, "", "{line}");
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
            json!({"domain": "*", "aliases": ["b.test"], "http_to_https": null, "balance": null}),
        ),
        (
            "domain set * --no-aliases",
            domain(),
            "domain.set",
            json!({"domain": "*", "aliases": [], "http_to_https": null, "balance": null}),
        ),
        (
            "domain set * --http-to-https true",
            domain(),
            "domain.set",
            json!({"domain": "*", "aliases": null, "http_to_https": true, "balance": null}),
        ),
        (
            "domain set * --tls off --hsts-max-age 60",
            domain(),
            "domain.set",
            json!({"domain": "*", "aliases": null, "http_to_https": null, "balance": null,
                "tls": "off", "hsts_max_age_secs": 60}),
        ),
        (
            "domain add b.test --tag a --tls-cert /c.pem --tls-key /k.pem",
            domain(),
            "domain.add",
            json!({"domain": "b.test", "tag": "a", "aliases": [], "http_to_https": null,
                "balance": null, "force": false,
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
        (
            "backend set web --weight 5",
            backend(),
            "backend.set",
            json!({"id": "web", "address": null, "weight": 5, "scheme": null}),
        ),
        (
            "backend add web [::1]:80 --scheme h2 --tls-server-name a.test --tls-ca-file /ca.pem \
             --tls-client-cert-file /c.pem --tls-client-key-file /c.key --tls-insecure-skip-verify",
            backend(),
            "backend.add",
            json!({"id": "web", "address": "[::1]:80", "tags": [], "weight": 1, "scheme": "h2",
                "tls_server_name": "a.test", "tls_ca_file": "/ca.pem",
                "tls_client_cert_file": "/c.pem", "tls_client_key_file": "/c.key",
                "tls_insecure_skip_verify": true}),
        ),
        (
            "backend set web --tls-ca-file /ca.pem --tls-insecure-skip-verify false \
             --no-option tls_server_name",
            backend(),
            "backend.set",
            json!({"id": "web", "address": null, "weight": null, "scheme": null,
                "tls_server_name": null, "tls_ca_file": "/ca.pem",
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
fn a_switch_tells_its_phases_once_each() {
    let ran = ctl(
        "switch example.com b",
        &[
            progress(&json!({"phase": "checking", "healthy": 1, "needed": 2, "total": 2})),
            progress(&json!({"phase": "checking", "healthy": 1, "needed": 2, "total": 2})),
            progress(&json!({"phase": "checking", "healthy": 2, "needed": 2, "total": 2})),
            progress(&json!({"phase": "switched", "revision": 12, "switch_us": 940,
                "steps": [{"domain": "example.com", "from": "a", "to": "b"}]})),
            progress(&json!({"phase": "draining", "remaining": 300})),
            progress(&json!({"phase": "draining", "remaining": 299})),
            result(&report(&json!({"state": "done"}))),
        ],
    );
    assert_eq!(
        unstamped(&ran.stderr),
        "\
checking  1 of 2 backends of `b` healthy
checking  2 of 2 backends of `b` healthy
switched  example.com a → b at revision 12 (0.9 ms)
draining  300 requests left
done      revision 12 (check 120 ms, switch 0.9 ms, drain 1.2 s)
"
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
}

#[test]
fn a_switch_to_the_live_tag_is_done() {
    let report = with(
        report(&json!({"state": "done"})),
        &json!({"steps": [], "unchanged": ["example.com"], "revision": 7}),
    );
    let ran = ctl("switch example.com b", &[result(&report)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(
        unstamped(&ran.stderr),
        "unchanged example.com is already on `b`\ndone      nothing changed, revision 7\n"
    );
}

#[test]
fn a_drain_that_timed_out_is_seven_and_says_how_many_remain() {
    let report = report(&json!({"state": "drain_timed_out", "remaining": 3}));
    let ran = ctl("switch example.com b", &[result(&report)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (7, ""));
    assert_eq!(
        ran.stderr,
        "\
error: switched, but not drained: example.com a → b at revision 12
cause: 3 requests not ended on a after 1.2 s
hint: they may finish; wait on with `vhost ctl wait example.com --until drained`
"
    );
    let scripts = ctl("-o json switch example.com b", &[result(&report)]);
    assert_eq!(scripts.code, 7);
    assert_eq!(serde_json::from_str::<Value>(&scripts.stdout).unwrap(), report);
    let error: Value = serde_json::from_str(&scripts.stderr).unwrap();
    assert_eq!(error["error"]["data"]["kind"], "timeout");
}

#[test]
fn a_failed_gate_lists_each_backend_with_its_last_answer() {
    let refused = json!({"status": "unhealthy", "last_error": "connection refused",
        "failed_ms": NOW - 3, "checked_ms": NOW - 3});
    let fine = json!({"status": "healthy", "checked_ms": NOW - 1_000, "latency_us": 900,
        "last_status": 204});
    let data = json!({"hint": "start them, or pass `--force`", "backends": [
        {"backend": "web-v2", "health": refused},
        {"backend": "web-v2-b", "health": fine},
        {"backend": "web-v3", "health": {"status": "unknown"}},
    ]});
    let answer = fault("unhealthy", "1 of 3 backends of `b` healthy after 30 s", &data);
    let ran = ctl("switch example.com b", std::slice::from_ref(&answer));
    assert_eq!((ran.code, ran.stdout.as_str()), (6, ""));
    assert_eq!(
        ran.stderr,
        "\
error: cannot switch `example.com` to `b`
cause: 1 of 3 backends of `b` healthy after 30 s
  web-v2    unhealthy  connection refused (3 ms ago)
  web-v2-b  healthy    204 in 0.9 ms (1 s ago)
  web-v3    unknown    no answer yet
hint: start them, or pass `--force`
"
    );
    let scripts = ctl("switch example.com b -o json", std::slice::from_ref(&answer));
    assert_eq!((scripts.code, scripts.stdout.as_str()), (6, ""));
    let error: Value = serde_json::from_str(&scripts.stderr).unwrap();
    assert_eq!(error["error"]["data"]["kind"], "unhealthy");
    assert_eq!(error["error"]["data"]["backends"][0]["backend"], "web-v2");
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
    let switched = progress(&json!({"phase": "switched", "revision": 12, "switch_us": 940,
                "steps": [{"domain": "example.com", "from": "a", "to": "b"}]}));
    let ran = ctl("switch example.com b --quiet", &[switched]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert_eq!(
        ran.stderr,
        "\
error: lost the server while it was to switch `example.com` to `b`
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

fn reloaded(edits: &Value) -> Value {
    let report = json!({
        "source": "/etc/vhost.toml", "dry_run": false, "revision": 8, "steps": [],
        "changed": [
            {"kind": "backend", "name": "web-v1", "action": "changed", "changes": ["weight: 1 → 5"]},
            {"kind": "domain", "name": "new.test", "action": "added", "changes": []},
        ],
        "needs_restart": [{"key": "proxy.threads", "running": "2", "file": null,
                           "hint": "restart the server"}],
        "outcome": {"state": "done"}, "drain_ms": 1200,
    });
    with(report, edits)
}

#[test]
fn a_reload_tells_its_phases_its_changes_and_what_waits_for_a_restart() {
    let phases = [
        json!({"phase": "checking", "tag": "b", "healthy": 1, "needed": 1, "total": 1}),
        json!({"phase": "applied", "revision": 8}),
        json!({"phase": "draining", "remaining": 2}),
    ];
    let answers: Vec<_> =
        phases.iter().map(progress).chain([result(&reloaded(&json!({})))]).collect();
    let ran = ctl("reload --force", &answers);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(ran.params["force"], true);
    assert_eq!(
        unstamped(&ran.stderr),
        "checking  1 of 1 backend of `b` healthy
applied   at revision 8
draining  2 requests left
changed   backend `web-v1`: weight: 1 → 5
changed   domain `new.test` added
not yet   `proxy.threads` is 2, the file says none: restart the server
done      /etc/vhost.toml: 2 changes, revision 8, drain 1.2 s
"
    );
    let timed_out = json!({"outcome": {"state": "drain_timed_out", "remaining": 1}});
    let ran = ctl("reload", &[result(&reloaded(&timed_out))]);
    assert_eq!(ran.code, 7);
    assert!(ran.stderr.contains("cause: 1 request of what the file removed"), "{}", ran.stderr);
}

#[test]
fn a_config_that_is_wrong_is_a_usage_error_with_all_its_problems() {
    let problems =
        json!({"hint": "vhost check", "problems": ["a.toml:1: x: no", "a.toml:2: y: no"]});
    let ran = ctl("reload", &[fault("invalid", "the config file `a.toml` is invalid", &problems)]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.stderr,
        "error: cannot reload the config
cause: the config file `a.toml` is invalid
  a.toml:1: x: no
  a.toml:2: y: no
hint: vhost check
"
    );
}

#[test]
fn config_diff_fits_a_terminal() {
    let entry = |kind: &str, name: &str, field: Value, file: Value, live: Value| {
        json!({"kind": kind, "name": name, "field": field, "file": file, "live": live,
               "made": {"actor": {"via": "socket", "uid": 4_000_000, "pid": 7},
                        "at_ms": NOW - 3_600_000 * 30}})
    };
    let diff = json!({
        "revision": 7, "source": "/etc/vhost.toml", "pending": [], "needs_restart": [],
        "problem": null,
        "differences": [
            entry("domain", "a-long-name-of-a-shop.example.com", "live".into(), "a".into(), "b".into()),
            entry("domain", "example.com", "http_to_https".into(), "true".into(), "false".into()),
            entry("backend", "web-v1", Value::Null, Value::Null, "192.0.2.100:30000".into()),
        ],
    });
    let server = FakeServer::answering(&[result(&diff)]);
    let surroundings = Surroundings {
        stdout_terminal: true,
        stdout_width: Some(80),
        stderr_terminal: true,
        no_color: true,
        now_ms: NOW,
    };
    let ran = run_among(&server.socket(), "config diff", surroundings);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_fits(&ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 4, "{}", ran.stdout);
    assert!(ran.stdout.contains("http_to_https") && ran.stdout.contains("30 h"), "{}", ran.stdout);
    let ran = ctl("config diff --check", &[result(&diff)]);
    assert_eq!(ran.code, 1);
}

mod cert;
