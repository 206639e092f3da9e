//! Balance methods beyond the turn, slow start, backups, and the cap on what traffic puts out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// Backends of one pool, behind a domain that balances so.
fn pool(count: usize, balance: &str) -> (Vec<Backend>, Setup) {
    let backends: Vec<_> = (1..=count).map(|n| Backend::start(&format!("w{n}"))).collect();
    let balance = format!("balance = \"{balance}\"");
    let setup = Setup::new().domain_with("example.com", "a", &balance);
    let setup = backends
        .iter()
        .fold(setup, |setup, backend| setup.backend(backend.id(), backend.address(), &["a"]));
    (backends, setup)
}

/// Who answers a GET with these header lines.
fn owner(client: &mut Client, headers: &str) -> String {
    let response = client.get_with("example.com", "/", headers);
    response.backend().unwrap_or_else(|| panic!("status {}", response.status)).to_owned()
}

/// Who answers each of a hundred keys.
fn owners(vhost: &Vhost, header: impl Fn(usize) -> String) -> BTreeMap<usize, String> {
    let mut client = vhost.connect();
    (0..100).map(|key| (key, owner(&mut client, &header(key)))).collect()
}

#[test]
fn a_header_or_a_cookie_decides_and_few_keys_move_when_a_backend_leaves() {
    for (balance, header) in [
        ("hash-header:X-User", (|key| format!("X-User: {key}\r\n")) as fn(usize) -> String),
        ("hash-cookie:session", |key| format!("Cookie: a=b; session={key}\r\n")),
    ] {
        let (mut backends, setup) = pool(4, balance);
        let vhost = setup.start();
        vhost.wait_until_healthy(4);
        let before = owners(&vhost, header);
        assert_eq!(owners(&vhost, header), before, "a key has one backend");
        assert_eq!(before.values().collect::<BTreeSet<_>>().len(), 4, "all are used");
        vhost.ctl_ok(&["backend", "drain", "w2"]);
        let without = owners(&vhost, header);
        for (key, owner) in &before {
            if owner != "w2" {
                assert_eq!(&without[key], owner, "{balance}: only the keys of `w2` move");
            }
        }
        vhost.ctl_ok(&["backend", "ready", "w2"]);
        assert_eq!(owners(&vhost, header), before);
        // One that fails is left too, before anybody says that it is unhealthy.
        backends.remove(1).stop();
        assert!(owners(&vhost, header).values().all(|owner| owner != "w2"));
        let fallen: BTreeSet<_> =
            owners(&vhost, header).into_iter().filter(|(key, _)| before[key] == "w2").collect();
        assert!(fallen.len() > 5, "{fallen:?}");
    }
}

#[test]
fn a_client_stays_with_its_backend() {
    let (_backends, setup) = pool(4, "hash-client");
    let vhost = setup.start();
    vhost.wait_until_healthy(4);
    let mut seen = BTreeSet::new();
    for _ in 0..30 {
        let from = free_ip();
        let ask = || owner(&mut Client::connect_from(from, vhost.http()), "");
        let first = ask();
        assert!((0..3).all(|_| ask() == first), "{from} stays");
        seen.insert(first);
    }
    assert!(seen.len() > 2, "{seen:?}");
    // Without the header there is no key, and the turn decides.
    vhost.ctl_ok(&["domain", "set", "example.com", "--balance", "hash-header:x-user"]);
    let mut client = vhost.connect();
    let turns: BTreeSet<_> = (0..4).map(|_| owner(&mut client, "")).collect();
    assert_eq!(turns.len(), 4);
    let exported = vhost.ctl_ok(&["config", "export"]).stdout;
    assert!(exported.contains("balance = \"hash-header:x-user\""), "{exported}");
}

#[test]
fn least_latency_leaves_the_slow_backend() {
    let slow = RawBackend::start(|connection| {
        while connection.read_request().is_some() {
            std::thread::sleep(Duration::from_millis(100));
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Backend: slow\r\n\r\n");
        }
    });
    let fast = Backend::start("fast");
    let vhost = Setup::new()
        .tcp_probes()
        .domain_with("example.com", "a", "balance = \"least-latency\"")
        .backend("slow", slow.address(), &["a"])
        .backend("fast", fast.address(), &["a"])
        .start();
    vhost.wait_until_healthy(2);
    let mut client = vhost.connect();
    let slow = (0..100).filter(|_| owner(&mut client, "") == "slow").count();
    assert!((1..20).contains(&slow), "the slow one had {slow} of 100");
}

#[test]
fn a_backup_serves_only_while_no_other_is_fit() {
    let (main, backup) = (Backend::start("main"), Backend::start("backup"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("main", main.address(), &["a"])
        .backend_with("backup", backup.address(), &["a"], "backup = true")
        .start();
    vhost.wait_until_healthy(2);
    let mut client = vhost.connect();
    assert!((0..10).all(|_| owner(&mut client, "") == "main"));
    main.set_health(500);
    vhost.wait_for_health("main", "unhealthy");
    assert_eq!(owner(&mut client, ""), "backup");
    main.set_health(200);
    vhost.wait_for_health("main", "healthy");
    assert!((0..10).all(|_| owner(&mut client, "") == "main"));
    let shown = vhost.ctl_ok(&["backend", "show", "backup"]).stdout;
    assert!(
        shown.lines().any(|line| line.starts_with("backup ") && line.ends_with(" true")),
        "{shown}"
    );
    let explained = vhost.ctl_ok(&["explain", "http://example.com/"]).stdout;
    assert!(explained.contains("a backup, and others can serve"), "{explained}");
    assert!(vhost.ctl_ok(&["config", "export"]).stdout.contains("backup = true"));
    // By the command line the other way round.
    vhost.ctl_ok(&["backend", "set", "backup", "--backup", "false"]);
    vhost.ctl_ok(&["backend", "set", "main", "--backup", "true"]);
    assert!((0..10).all(|_| owner(&mut client, "") == "backup"));
    // A connect that fails in traffic goes to the backup at once.
    backup.stop();
    assert_eq!(owner(&mut client, ""), "main");
}

#[test]
fn the_share_of_a_backend_that_came_back_grows() {
    let (old, new) = (Backend::start("old"), Backend::start("new"));
    let vhost = Setup::new()
        .set("health_check.slow_start_secs", 8)
        // One connection makes more than the default allows.
        .set("proxy.max_requests_per_connection", 1_000_000)
        .domain("example.com", "a")
        .backend("old", old.address(), &["a"])
        .backend("new", new.address(), &["a"])
        .start();
    vhost.wait_until_healthy(2);
    let mut client = vhost.connect();
    let mut is_new = move || owner(&mut client, "") == "new";
    let share = |is_new: &mut dyn FnMut() -> bool| (0..100).filter(|_| is_new()).count();
    // While both grow, one sometimes has two turns in a row, if only once in a hundred at first.
    eventually("both have grown", 3 * SOON, || {
        let mut last = is_new();
        (0..1000).all(|_| {
            let now = is_new();
            std::mem::replace(&mut last, now) != now
        })
    });
    // A busy machine may take longer for a hundred requests than the share takes to grow.
    let first = (0..10).find_map(|_| {
        new.set_health(500);
        vhost.wait_for_health("new", "unhealthy");
        assert_eq!(share(&mut is_new), 0);
        // Its first answer says that it serves: to ask for its health would take some of the time.
        new.set_health(200);
        eventually("it serves again", SOON, &mut is_new);
        let began = Instant::now();
        let first = share(&mut is_new);
        (began.elapsed() < Duration::from_secs(4)).then_some(first)
    });
    let first = first.expect("a hundred requests in four seconds");
    assert!(first < 42, "it had {first} of 100 at once");
    eventually("it grows to its half", SOON, || share(&mut is_new) == 50);
}

#[test]
fn traffic_never_puts_out_more_than_half_of_a_pool() {
    let (backends, setup) = pool(4, "round-robin");
    let vhost =
        setup.set("health_check.interval_secs", 600).set("health_check.count_5xx", true).start();
    vhost.wait_until_healthy(4);
    // Probes that follow failures of traffic find nothing wrong, so they put nobody out, and bring
    // nobody back before there are enough of them.
    vhost.write_config(&pool_file(&backends, &vhost));
    vhost.ctl_ok(&["reload"]);
    let mut client = vhost.connect();
    for _ in 0..100 {
        assert_eq!(client.get("example.com", "/status/500").status, 500, "never 503");
    }
    let line = vhost.wait_for_log("failing backend is not ejected").concat();
    assert!(line.contains("too many backends of `a` would be out"), "{line}");
    let state = vhost.rpc("state.get", json!({})).unwrap();
    assert!(state["healthy"].as_u64() >= Some(2), "{state}");
    let reasons: Vec<_> = backends
        .iter()
        .map(|backend| vhost.backend(backend.id())["health"]["last_error"].to_string())
        .collect();
    assert!(reasons.iter().any(|reason| reason.contains("it stays in")), "{reasons:?}");
}

/// The file of that pool, with probes that are slow to bring a backend back.
fn pool_file(backends: &[Backend], vhost: &Vhost) -> Setup {
    let setup = Setup::new().domain("example.com", "a");
    backends
        .iter()
        .fold(setup, |setup, backend| setup.backend(backend.id(), backend.address(), &["a"]))
        .at(vhost.http())
        .set("proxy.listen_addr", format!("\"{}\"", vhost.https()))
        .set("health_check.interval_secs", 600)
        .set("health_check.healthy_threshold", 1000)
        .set("health_check.count_5xx", true)
}
