//! A switch that is watched.

use super::*;

/// A guard that ends soon.
const QUICK: [&str; 4] = ["--guard", "6s", "--min-requests", "30"];

/// For tests that are not about times: those of a busy machine are what they are.
const ANY_TIME: [&str; 2] = ["--max-p95-ratio", "100"];

/// Moves to `b` under load, watched; the exit status, what clients got, and what was found.
fn switched(site: &Site, more: &[&str]) -> (CtlOutput, usize, Value) {
    site.under_load(|load| {
        load.wait_for(500);
        let before = load.failed();
        let args = [&["switch", HOST, "b"], &QUICK[..], more].concat();
        let ended = site.vhost.ctl(&args);
        (ended, load.failed() - before, site.trials()[0].clone())
    })
}

#[test]
fn a_version_that_fails_is_rolled_back_and_no_get_is_lost() {
    let site = Site::start();
    site.b.set_failing(30);
    let (ended, failed, trial) = switched(&site, &ANY_TIME);
    assert_eq!(ended.code, 8, "{ended:?}");
    assert!(ended.stderr.contains("rolled back"), "{}", ended.stderr);
    assert_eq!(failed, 0, "the net has caught them all");
    assert_eq!((site.vhost.live(HOST).as_str(), &trial["end"]), ("a", &json!("rolled_back")));
    assert_eq!(site.story(), ["ended rolled_back"]);
    assert_eq!(site.domain()["previous"], "b");
}

#[test]
fn where_both_fail_alike_the_new_one_stays() {
    let site = Site::start();
    site.a.set_failing(10);
    site.b.set_failing(10);
    let (ended, _, trial) = switched(&site, &ANY_TIME);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!((site.vhost.live(HOST).as_str(), &trial["end"]), ("b", &json!("passed")));
}

#[test]
fn a_version_that_only_answers_later_is_rolled_back() {
    let site = Site::start();
    site.b.set_slow(60);
    let (ended, failed, trial) = switched(&site, &[]);
    assert_eq!(ended.code, 8, "{ended:?}");
    assert!(ended.stderr.contains("too slow"), "{}", ended.stderr);
    assert_eq!((failed, site.vhost.live(HOST).as_str()), (0, "a"), "{trial}");
}

#[test]
fn too_few_requests_say_nothing_and_the_policy_decides() {
    for (policy, code, live, end) in
        [("keep", 9, "b", "inconclusive"), ("rollback", 8, "a", "rolled_back")]
    {
        let site = Site::start();
        for _ in 0..20 {
            site.vhost.get(HOST, "/");
        }
        let args = ["switch", HOST, "b", "--guard", "500ms", "--inconclusive", policy];
        let ended = site.vhost.ctl(&args);
        assert_eq!(ended.code, code, "{ended:?}");
        assert_eq!(site.vhost.live(HOST), live);
        assert_eq!(site.trials()[0]["end"], end);
    }
}

#[test]
fn what_clients_do_is_not_held_against_a_version() {
    let site = Site::start();
    site.under_load(|load| {
        load.wait_for(500);
        let args = [&["switch", HOST, "b"], &QUICK[..], &ANY_TIME].concat();
        let switch = site.vhost.ctl_in_background(&args);
        eventually("b is live", SOON, || site.vhost.live(HOST) == "b");
        // One client asks for what there isn't, and goes away before it is answered.
        for _ in 0..200 {
            assert_eq!(site.vhost.get(HOST, "/status/404").status, 404);
            let mut impatient = site.vhost.connect();
            impatient.send(format!("GET /slow?ms=500 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
            impatient.reset();
        }
        let ended = switch.wait();
        assert_eq!(ended.code, 0, "{ended:?}");
    });
    assert_eq!(site.vhost.live(HOST), "b");
}

#[test]
fn one_client_that_alone_makes_all_errors_rolls_nothing_back() {
    let site = Site::start();
    site.under_load(|load| {
        load.wait_for(500);
        let args = [&["switch", HOST, "b"], &QUICK[..], &ANY_TIME].concat();
        let mut switch = site.vhost.ctl_in_background(&args);
        eventually("b is live", SOON, || site.vhost.live(HOST) == "b");
        let mut poison = site.vhost.connect();
        for _ in 0..2_000 {
            if switch.has_ended() {
                break;
            }
            poison.send(format!(
                "POST /status/500 HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n"
            ));
            assert_eq!(poison.read_response().status, 500);
        }
        let ended = switch.wait();
        assert_eq!(ended.code, 0, "{ended:?}");
    });
    assert_eq!(site.vhost.live(HOST), "b");
}

#[test]
fn there_is_no_way_back_to_a_version_that_is_gone() {
    let site = Site::start();
    site.under_load(|load| {
        load.wait_for(500);
        let args = [&["switch", HOST, "b", "--guard", "30s", "--min-requests", "50"][..]].concat();
        let switch = site.vhost.ctl_in_background(&args);
        eventually("b is live", SOON, || site.vhost.live(HOST) == "b");
        site.a.set_health(503);
        site.vhost.wait_for_health("a1", "unhealthy");
        site.b.set_failing(50);
        let ended = switch.wait();
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("can't take its place"), "{}", ended.stderr);
    });
    assert_eq!(site.vhost.live(HOST), "b");
    assert_eq!(site.story(), ["ended alarm"]);
    site.vhost.wait_for_log("a new tag waits for a person");
}

#[test]
fn whoever_moves_the_domain_meanwhile_has_the_last_word() {
    let site = Site::start();
    let switch = site.vhost.ctl_in_background(&["switch", HOST, "b", "--guard", "30s"]);
    eventually("b is live", SOON, || site.vhost.live(HOST) == "b");
    site.vhost.ctl_ok(&["undo", HOST]);
    let ended = switch.wait();
    assert_eq!(ended.code, 5, "{ended:?}");
    assert_eq!(
        (site.vhost.live(HOST).as_str(), site.story()),
        ("a", vec!["ended superseded".to_owned()])
    );
    assert!(site.domain()["trial"].is_null());
}

#[test]
fn an_app_says_how_its_deploys_are_watched() {
    let [first, second, third] = ["v1", "v2", "v3"].map(Backend::start);
    let vhost = Setup::new().start();
    vhost.ctl_ok(&["deploy", "shop", &first.address(), "--host", HOST]);
    vhost.ctl_ok(&["app", "set", "shop", "--option", "guard.time_secs=1"]);
    let kept = vhost.ctl(&["deploy", "shop", &second.address()]);
    assert_eq!(kept.code, 9, "nobody has asked anything: {kept:?}");
    let unwatched = vhost.ctl_ok(&["deploy", "shop", &third.address(), "--guard", "0"]);
    assert!(!unwatched.stderr.contains("guarding"), "{}", unwatched.stderr);
    let back = vhost.ctl_ok(&["undo", "shop"]);
    assert!(!back.stderr.contains("guarding"), "who goes back knows why: {}", back.stderr);
}
