//! How traffic is: the figures against those of whoever sent it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// How long the backend is to take for each request of one client, and how long each took, in
/// milliseconds.
fn ask(vhost: &Vhost, millis: impl Iterator<Item = u32>) -> Vec<(f64, f64)> {
    let mut client = vhost.connect();
    let times = millis.map(|ms| {
        let begin = Instant::now();
        let response = client.get("example.com", &format!("/slow?ms={ms}"));
        assert_eq!(response.status, 200);
        (f64::from(ms), begin.elapsed().as_secs_f64() * 1000.0)
    });
    times.collect()
}

fn quantile(times: &mut [f64], share: f64) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (f64::from(u32::try_from(times.len()).unwrap()) * share).ceil() as usize;
    times[rank - 1]
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
    const CLIENTS: u32 = 10;
    const EACH: u32 = 40;
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .domain("example.com", "a")
        .domain("idle.test", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let vhost = &vhost;
    let times: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                // Each length from 20 to 200 ms about as often as any other.
                let millis = move |n| 20 + (n * CLIENTS + client) * 67 % 181;
                scope.spawn(move || ask(vhost, (0..EACH).map(millis)))
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let (mut asked, mut took): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    for window in [json!(60), Value::Null] {
        let params = json!({ "window_secs": window });
        let report = settled(vhost, &params, u64::from(CLIENTS * EACH));
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
            // A request takes no less than its backend does. A client on a busy machine sees the
            // answer a while after it came, so it can only say that it took no longer.
            let (least, most) = (quantile(&mut asked, share), quantile(&mut took, share));
            let told = domain["figures"][name].as_f64().unwrap();
            println!("{name}: {told} ms, the generator's {least:.1} to {most:.1} ms");
            assert!(told >= least * 0.98, "{name}: {told} ms, not {least} ms");
            assert!(told <= most * 1.02, "{name}: {told} ms, not {most} ms");
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
fn requests_are_counted_on_the_tag_that_their_path_led_to() {
    let (web, api) = (Backend::start("web"), Backend::start("api"));
    let vhost = Setup::new()
        .domain_with("example.com", "a", "paths = [{ prefix = \"/api\", tag = \"b\" }]")
        .backend("web", web.address(), &["a"])
        .backend("api", api.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    let mut client = vhost.connect();
    for path in ["/", "/api", "/api/x", "/api?y", "/apis"] {
        assert_eq!(client.get("example.com", path).status, 200);
    }
    let report = settled(&vhost, &json!({ "window_secs": null }), 5);
    let tags = report["domains"][0]["tags"].as_array().unwrap();
    let requests = |name: &str| {
        let tag =
            tags.iter().find(|tag| tag["tag"] == name).unwrap_or_else(|| panic!("{report:#}"));
        tag["figures"]["requests"].clone()
    };
    assert_eq!((requests("a"), requests("b")), (json!(2), json!(3)), "{report:#}");
}

#[test]
fn a_question_is_about_what_there_is() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .domain_with("example.com", "a", "aliases = [\"www.example.com\"]")
        .domain("other.test", "b")
        .backend("web", backend.address(), &["a", "b"])
        .start();
    let asked = |params: Value| {
        let report = vhost.rpc("stats.get", params).unwrap();
        (report["domains"].as_array().unwrap().len(), report["more_domains"].as_u64().unwrap())
    };
    assert_eq!(asked(json!({})), (2, 0));
    assert_eq!(asked(json!({ "limit": 1, "sort": "name" })), (1, 1));
    assert_eq!(asked(json!({ "domain": "www.example.com" })), (1, 0));
    assert_eq!(asked(json!({ "backend": "web" })), (0, 0));
    let refused = |params: Value| vhost.rpc("stats.get", params).unwrap_err().message;
    assert!(refused(json!({ "domain": "nobody.test" })).contains("nobody.test"));
    assert!(refused(json!({ "backend": "nobody" })).contains("nobody"));
    assert!(refused(json!({ "window_secs": 30 })).contains("10, 60 or null"));
    assert!(refused(json!({ "sort": "size" })).contains("size"));
}

#[test]
fn the_table_shows_domains_tags_and_backends() {
    let (one, other) = (Backend::start("a1"), Backend::start("b1"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .domain("idle.test", "a")
        .backend("a1", one.address(), &["a"])
        .backend("b1", other.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    for _ in 0..3 {
        assert_eq!(vhost.get("example.com", "/").status, 200);
    }
    assert_eq!(vhost.get("example.com", "/status/503").status, 503);
    settled(&vhost, &json!({}), 4);
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    let rows = |args: &[&str]| {
        let output = vhost.ctl_ok(args);
        assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{output:?}");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        (output.stdout.lines().map(words).collect::<Vec<_>>(), output.stderr)
    };
    let (domains, about) = rows(&["stats"]);
    let header = ["DOMAIN", "LIVE", "RATE/S", "ERRORS", "P50", "P99", "IN-FLIGHT", "REQUESTS"];
    assert_eq!(domains[0], header);
    assert_eq!(
        (&domains[1][0], &domains[1][3], &domains[1][7]),
        (&"example.com".into(), &"25%".into(), &"4".into())
    );
    assert_eq!(domains[2], ["idle.test", "a", "0", "0%", "-", "-", "0", "0"]);
    assert!(about.starts_with("all domains in the last 60 s: "), "{about}");
    let (tags, _) = rows(&["stats", "example.com", "--window", "start"]);
    assert_eq!((&tags[1][..2], &tags[1][7]), (&["b".into(), "yes".into()][..], &"0".into()));
    assert_eq!((&tags[2][..2], &tags[2][7]), (&["a".into(), "no".into()][..], &"4".into()));
    assert_eq!(tags[4][..2], ["BACKEND", "HEALTH"]);
    let (backends, _) = rows(&["stats", "--backends", "--sort", "name", "--limit", "1"]);
    assert_eq!(
        (&backends[1][..2], &backends[1][7]),
        (&["a1".into(), "healthy".into()][..], &"4".into())
    );
    let json = vhost.ctl_json(&["stats", "example.com"]);
    assert_eq!(json["domains"][0]["tags"][1]["figures"]["requests"], 4);
    let missing = vhost.ctl(&["stats", "nobody.test"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (4, ""));
    assert!(missing.stderr.starts_with("error: cannot show the figures\n"), "{missing:?}");
}

#[test]
fn figures_are_shown_again_and_again() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    let mut watch = std::process::Command::new(vhost_binary())
        .args(["ctl", "stats", "--watch=1", "--output", "json"])
        .env("VHOST_SOCKET", vhost.socket())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("vhost ctl starts");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().unwrap()));
    let first_two: Vec<Value> =
        lines.take(2).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let uptime = |report: &Value| report["uptime_ms"].as_f64().unwrap();
    assert!(uptime(&first_two[0]) < uptime(&first_two[1]));
    // Nobody reads any more.
    eventually("it ends", PATIENCE, || watch.try_wait().unwrap().is_some());
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}
