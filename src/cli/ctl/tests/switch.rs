//! What a switch tells, and how it ends.

use super::*;

#[test]
fn a_switch_tells_its_phases_once_each() {
    let ran = ctl(
        "switch example.com b",
        &[
            progress(&json!({"phase": "checking", "healthy": 1, "needed": 2, "total": 2})),
            progress(&json!({"phase": "checking", "healthy": 1, "needed": 2, "total": 2})),
            progress(&json!({"phase": "checking", "healthy": 2, "needed": 2, "total": 2})),
            progress(&json!({"phase": "switched", "revision": 12, "switch_ms": 0.94,
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
hint: they may still finish; wait with `vhost ctl wait example.com --until drained`
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
    let fine = json!({"status": "healthy", "checked_ms": NOW - 1_000, "latency_ms": 0.9,
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
