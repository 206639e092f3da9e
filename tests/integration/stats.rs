//! How traffic is: the figures against those of whoever sent it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// How long the requests of one client took, when it asked for answers after these times.
fn ask(vhost: &Vhost, millis: impl Iterator<Item = u64>) -> Vec<Duration> {
    let mut client = vhost.connect();
    let times = millis.map(|ms| {
        let begin = Instant::now();
        let response = client.get("example.com", &format!("/slow?ms={ms}"));
        assert_eq!(response.status, 200);
        begin.elapsed()
    });
    times.collect()
}

/// The figures when nothing is under way any more: a request is counted a moment after its client has
/// the answer.
fn settled(vhost: &Vhost, params: &Value, requests: u64) -> Value {
    eventually_some("everything is counted", PATIENCE, || {
        let report = vhost.rpc("stats.get", params.clone()).unwrap();
        let total = &report["total"];
        (total["in_flight"] == 0 && total["requests"].as_u64() >= Some(requests)).then_some(report)
    })
}

#[test]
fn figures_are_those_of_the_load_generator() {
    const CLIENTS: u64 = 10;
    const EACH: u64 = 40;
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .domain("example.com", "a")
        .domain("idle.test", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let vhost = &vhost;
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                // Each length from 20 to 200 ms about as often as any other.
                let millis = move |n| 20 + (n * CLIENTS + client) * 67 % 181;
                scope.spawn(move || ask(vhost, (0..EACH).map(millis)))
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    times.sort_unstable();
    for window in [json!(60), Value::Null] {
        let params = json!({ "window_secs": window });
        let report = settled(vhost, &params, CLIENTS * EACH);
        let domain = &report["domains"][0];
        assert_eq!(domain["domain"], "example.com", "the busy one is first");
        let tag = &domain["tags"][0];
        assert_eq!((&tag["tag"], &tag["live"]), (&json!("a"), &json!(true)));
        let of_backend = &report["backends"][0]["figures"];
        for figures in [&report["total"], &domain["figures"], &tag["figures"], of_backend] {
            assert_eq!(figures["requests"], CLIENTS * EACH, "{report:#}");
            assert_eq!((&figures["errors"], &figures["retries"]), (&json!(0), &json!(0)));
        }
        for (name, share) in [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99)] {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rank = (f64::from(u32::try_from(times.len()).unwrap()) * share).ceil() as usize;
            let own = times[rank - 1].as_secs_f64() * 1000.0;
            let told = domain["figures"][name].as_f64().unwrap();
            println!("{name}: {told} ms, the generator's own {own:.1} ms");
            // And the client is on the same busy machine: it waits for its turn to see the answer.
            assert!((told - own).abs() <= own * 0.02 + 1.0, "{name}: {told} ms for {own} ms");
        }
        assert_eq!(report["domains"][1]["figures"]["requests"], 0);
        assert!(report["domains"][1]["figures"]["p50_ms"].is_null());
    }
}

#[test]
fn tags_are_told_apart_during_a_switch() {
    let (one, other) = (Backend::start("a1"), Backend::start("b1"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("a1", one.address(), &["a"])
        .backend("b1", other.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("it is held", PATIENCE, || one.held() == 1);
    assert_eq!(vhost.get("example.com", "/").backend(), Some("a1"));
    vhost.ctl_ok(&["switch", "example.com", "b", "--no-drain"]);
    for _ in 0..3 {
        assert_eq!(vhost.get("example.com", "/").backend(), Some("b1"));
    }
    assert_eq!(vhost.get("example.com", "/status/500").status, 500);
    let domain = eventually_some("all are counted", PATIENCE, || {
        let report = vhost.rpc("stats.get", json!({ "domain": "example.com" })).unwrap();
        let domain = report["domains"][0].clone();
        (domain["figures"]["requests"] == 5).then_some(domain)
    });
    assert_eq!((&domain["live"], &domain["previous"]), (&json!("b"), &json!("a")));
    let told = |index: usize| {
        let tag = &domain["tags"][index];
        let figures = &tag["figures"];
        [&tag["tag"], &tag["live"], &figures["requests"], &figures["errors"], &figures["in_flight"]]
            .map(Clone::clone)
    };
    assert_eq!(told(0), [json!("b"), json!(true), json!(4), json!(1), json!(0)]);
    assert_eq!(told(1), [json!("a"), json!(false), json!(1), json!(0), json!(1)]);
    assert_eq!(domain["figures"]["error_share"], 0.2);
    one.release();
    assert_eq!(held.read_response().status, 200);
}

#[test]
fn a_question_is_about_what_there_is() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .domain_with("example.com", "a", "aliases = [\"www.example.com\"]")
        .domain("other.test", "b")
        .backend("web", backend.address(), &["a"])
        .start();
    let asked = |params: Value| {
        let report = vhost.rpc("stats.get", params).unwrap();
        (report["domains"].as_array().unwrap().len(), report["more_domains"].as_u64().unwrap())
    };
    assert_eq!(asked(json!({})), (2, 0));
    assert_eq!(asked(json!({ "limit": 1, "sort": "name" })), (1, 1));
    assert_eq!(asked(json!({ "domain": "www.example.com" })), (1, 0));
    assert_eq!(asked(json!({ "backend": "web" })), (0, 0));
    let refused =
        |params: Value| vhost.rpc("stats.get", params).unwrap_err().message;
    assert!(refused(json!({ "domain": "nobody.test" })).contains("nobody.test"));
    assert!(refused(json!({ "backend": "nobody" })).contains("nobody"));
    assert!(refused(json!({ "window_secs": 30 })).contains("10, 60 or null"));
    assert!(refused(json!({ "sort": "size" })).contains("size"));
}
