//! What a reload and a comparison with the file tell.

use super::*;

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
    assert!(ran.stderr.contains("cause: 1 request of removed entries"), "{}", ran.stderr);
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
