//! What lists and single things look like, on a terminal and as JSON.

use super::*;

#[test]
fn domain_list_fits_a_terminal() {
    let shop = json!({
        "domain": "*.shop.example.com", "mode": "paused", "live": "shop-blue", "previous": null,
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
DOMAIN              LIVE       BEFORE  MODE    BACKENDS            IN-FLIGHT  ALIASES
example.com         a          b       -       2/2 healthy         12         www.example.com
*.shop.example.com  shop-blue  -       paused  1/2 healthy, 1 out  4, 2 on a  -
*                   a          b       -       none                12         one.test +2
";
    assert_eq!(ran.stdout, table);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!((ran.method, ran.params), (json!("domain.list"), json!({})));

    let usual = ctl("domain list", &[result(&json!({"revision": 7, "domains": [domain()]}))]);
    assert_fits(&usual.stdout);
    let closed = with(domain(), &json!({"mode": "maintenance"}));
    let closed = ctl("domain list", &[result(&json!({"revision": 7, "domains": [closed]}))]);
    assert_fits(&closed.stdout);
    assert!(closed.stdout.contains("  maintenance  "), "{closed:?}");
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
domain             example.com
mode               serving
live               a
before             b
backends           2/2 healthy
in flight          12
aliases            www.example.com
http to https      true
balance            round-robin
tls                auto
hsts max age secs  0
revision           7
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
        "latency_ms": 0.1, "last_status": null, "last_error": "connection refused",
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
fn names_are_shown_as_people_write_them() {
    let ascii = "xn--bcher-kva.example";
    let wide = "xn--wgv71a.example";
    let named =
        |name: &str| with(domain(), &json!({"domain": name, "aliases": [format!("www.{name}")]}));
    let list = json!({"revision": 7, "domains": [named(ascii), named(wide), domain()]});
    let ran = ctl("domain list", &[result(&list)]);
    assert_eq!(
        ran.stdout,
        "\
DOMAIN          LIVE  BEFORE  MODE  BACKENDS     IN-FLIGHT  ALIASES
bücher.example  a     b       -     2/2 healthy  12         www.bücher.example
日本.example    a     b       -     2/2 healthy  12         www.日本.example
example.com     a     b       -     2/2 healthy  12         www.example.com
"
    );
    let wide = ctl("domain list -o wide", &[result(&list)]).stdout;
    assert!(wide.lines().nth(1).unwrap().contains(ascii), "{wide}");
    let shown = ctl("domain show bücher.example", &[result(&named(ascii))]);
    assert!(
        shown.stdout.starts_with(
            "domain             bücher.example\nascii              xn--bcher-kva.example\n"
        ),
        "{shown:?}"
    );
    assert_eq!(shown.params, json!({ "domain": ascii }));
    let paused =
        with(named(ascii), &json!({"changed": ["aliases: none → www.xn--bcher-kva.example"]}));
    let ran = ctl("domain set bücher.example --alias www.bücher.example", &[result(&paused)]);
    assert_eq!(ran.stderr, "bücher.example: aliases none → www.bücher.example (revision 7)\n");
    let hint = json!({"hint": "did you mean `xn--bcher-kva.example`?"});
    let unknown = fault("not_found", "unknown domain `xn--bcher-kva.test`", &hint);
    let ran = ctl("domain show bücher.test", std::slice::from_ref(&unknown));
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            4,
            "error: cannot show `bücher.test`\ncause: unknown domain `bücher.test`\n\
             hint: did you mean `bücher.example`?\n"
        )
    );
    let scripts = ctl("domain show bücher.test -o json", &[unknown]).stderr;
    assert!(scripts.contains("unknown domain `xn--bcher-kva.test`"), "{scripts}");
}

#[test]
fn status_shows_what_needs_a_person() {
    let server = json!({
        "version": "0.1.0", "pid": 4711, "started_ms": NOW - 86_400_000, "revision": 12,
        "listeners": ["0.0.0.0:80", "[::]:80"], "domains": 3, "paused": 1, "maintenance": 1, "backends": 4, "healthy": 3, "unhealthy": 1,
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
listeners    0.0.0.0:80, [::]:80
domains      3: 1 paused, 1 in maintenance
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
fn nothing_that_a_terminal_would_obey_reaches_one() {
    let bad = "x\u{202e}\u{2066}\u{200f}\u{61c}\u{9b}2J\u{7f}\u{85}\u{2028}y\u{1b}]0;z";
    let event = json!({"id": 1, "revision": 2, "at_ms": NOW, "actor": {"via": "file"},
        "kind": "switch", "steps": [{"domain": "example.com", "from": "a", "to": "b"}],
        "outcome": {"state": "gate_failed", "cause": bad}, "reason": bad});
    let list = json!({"revision": 2, "events": [event]});
    let mut health = json!({"status": "unhealthy", "last_error": bad, "failed_ms": NOW});
    health["checked_ms"] = NOW.into();
    let mut unhealthy = backend();
    unhealthy["health"] = health.clone();
    let answers = json!({"backends": [{"backend": "w", "health": health}], "problems": [bad],
        "hint": bad});
    let moved = progress(&json!({"phase": "draining", "remaining": 3, "domain": bad}));
    for (line, answers) in [
        ("history", vec![result(&list)]),
        ("history -o wide", vec![result(&list)]),
        ("history -o json", vec![result(&list)]),
        ("events", vec![result(&list)]),
        ("events -o json", vec![result(&list)]),
        ("backend show web-1", vec![result(&unhealthy)]),
        ("backend show web-1 -o json", vec![result(&unhealthy)]),
        ("switch example.com b", vec![moved.clone(), fault("unhealthy", bad, &answers)]),
        ("switch example.com b -o json", vec![moved, fault("unhealthy", bad, &answers)]),
        ("call domain.list", vec![result(&json!({"bad": bad, bad: 1}))]),
    ] {
        for terminal in [false, true] {
            let server = FakeServer::answering(&answers);
            let ran = run_at(&server.socket(), line, terminal, true);
            for text in [&ran.stdout, &ran.stderr] {
                let obeyed = text.chars().find(|c| *c != '\n' && crate::model::is_obeyed(*c));
                assert_eq!(obeyed, None, "{line}: {text:?}");
            }
            let json = line.contains("json") || line.starts_with("call");
            let text = ran.stdout + &ran.stderr;
            let mark = if json { "\\u202e" } else { "\u{fffd}" };
            assert!(text.contains(mark), "{line}: {text:?}");
        }
    }
}
