//! Changes that hold only for the state that was seen.

use std::sync::Barrier;

use super::*;

#[test]
fn of_two_writers_who_saw_the_same_state_one_wins() {
    let api = Api::start();
    for round in 0..10 {
        let seen = api.revision();
        let start = Barrier::new(4);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (api, seen, start) = (&api, &seen, &start);
                    scope.spawn(move || {
                        let change = json!({"weight": 2 + round * 4 + writer});
                        start.wait();
                        let path = "/api/v1/backends/web-a";
                        api.ask_with("PUT", path, &[("If-Match", seen)], Some(&change)).status
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let won = statuses.iter().filter(|status| **status == 200).count();
        let lost = statuses.iter().filter(|status| **status == 412).count();
        assert_eq!((won, lost), (1, 3), "{statuses:?}");
    }
}

#[test]
fn a_change_on_a_state_that_moved_is_not_made() {
    let api = Api::start();
    let new = json!({"domain": "b.test", "enabled_backends_tag": "a"});
    let backend = json!({"id": "web-c", "address": "127.0.0.1:9"});
    let switch = format!("{EXAMPLE}/switch");
    for (method, path, body) in [
        ("POST", DOMAINS, Some(&new)),
        ("PUT", EXAMPLE, Some(&json!({"tls": "off"}))),
        ("DELETE", EXAMPLE, None),
        ("POST", &switch, Some(&json!({"tag": "b"}))),
        ("POST", BACKENDS, Some(&backend)),
        ("PUT", "/api/v1/backends/web-a", Some(&json!({"weight": 5}))),
        ("DELETE", "/api/v1/backends/web-b", None),
    ] {
        let before = api.revision();
        for stale in ["\"0\"", "W/\"1\"", "nonsense", "\"999\", \"1000\""] {
            let refused = api.ask_with(method, path, &[("If-Match", stale)], body);
            assert_eq!(refused.status, 412, "{method} {path} {stale}: {}", refused.text());
            assert_eq!(problem(&refused).0, "conflict");
        }
        assert_eq!(api.revision(), before, "{method} {path}");
    }
    let many = format!("\"999\", {}", api.revision());
    let change = json!({"weight": 5});
    let path = "/api/v1/backends/web-a";
    assert_eq!(api.ask_with("PUT", path, &[("If-Match", &many)], Some(&change)).status, 200);
    assert_eq!(api.ask_with("PUT", path, &[("If-Match", "*")], Some(&change)).status, 200);
    // A removal takes two steps, of which the first is the caller's.
    let seen = api.revision();
    let gone = api.ask_with("DELETE", "/api/v1/backends/web-b", &[("If-Match", &seen)], None);
    assert_eq!(gone.status, 204);
}

#[test]
fn who_has_the_state_is_not_sent_it_again() {
    let api = Api::start();
    let seen = api.revision();
    for path in [DOMAINS, EXAMPLE, BACKENDS, "/api/v1/backends/web-a"] {
        let known = api.ask_with("GET", path, &[("If-None-Match", &seen)], None);
        assert_eq!((known.status, known.body.len()), (304, 0), "{path}");
        assert_eq!(known.header("etag"), Some(seen.as_str()));
        let other = api.ask_with("GET", path, &[("If-None-Match", "\"0\"")], None);
        assert_eq!(other.status, 200, "{path}");
    }
}
