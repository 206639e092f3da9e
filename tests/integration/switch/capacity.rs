//! A tag that can't carry what the old one does.

use serde_json::json;

use super::SOON;
use crate::harness::*;

/// `example.com` on `a`, whose four backends are healthy; `b` has one.
fn site(setup: impl FnOnce(Setup) -> Setup) -> (Vhost, Vec<Backend>) {
    let backends: Vec<_> = ["a1", "a2", "a3", "a4", "b1"].into_iter().map(Backend::start).collect();
    let mut declared = Setup::new().domain("example.com", "a");
    for backend in &backends[..4] {
        declared = declared.backend(backend.id(), backend.address(), &["a"]);
    }
    declared = declared.backend("b1", backends[4].address(), &["b"]);
    let vhost = setup(declared).start();
    vhost.wait_until_healthy(5);
    (vhost, backends)
}

#[test]
fn less_than_half_of_the_healthy_weight_is_refused() {
    let (vhost, _backends) = site(|setup| setup);
    let before = vhost.newest_event();
    let refused = vhost.ctl(&["switch", "example.com", "b"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    for part in
        ["`b` can carry less than `a`", "healthy weight is 1 after 4", "min_capacity_percent"]
    {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    assert_eq!(vhost.live("example.com"), "a");
    let event = vhost.newest_event();
    assert_ne!(event, before);
    assert!(event.to_string().contains("can carry less"), "{event}");
    let plan = vhost.ctl_json(&["switch", "example.com", "b", "--plan"]);
    assert!(plan["warnings"].to_string().contains("it would be refused as it is now"), "{plan}");
    // What weighs more carries more.
    vhost.ctl_ok(&["backend", "set", "b1", "--weight", "2"]);
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    // What goes back has carried it before, whatever it has come to since.
    vhost.ctl_ok(&["backend", "set", "b1", "--weight", "100"]);
    vhost.ctl_ok(&["undo", "example.com"]);
    assert_eq!(vhost.live("example.com"), "a");
}

#[test]
fn it_is_made_where_the_operator_wants_it_so() {
    let (vhost, _backends) = site(|setup| setup);
    vhost.ctl_ok(&["switch", "example.com", "b", "--force"]);
    let (vhost, _backends) = site(|setup| setup.set("switch.min_capacity_percent", 25));
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    let (vhost, _backends) = site(|setup| setup.set("switch.min_capacity_percent", 0));
    vhost.ctl_ok(&["switch", "example.com", "b"]);
}

#[test]
fn an_old_tag_that_is_down_needs_nothing_of_the_new_one() {
    let (vhost, mut backends) = site(|setup| setup);
    backends.drain(..4).for_each(drop);
    for id in ["a1", "a2", "a3", "a4"] {
        vhost.wait_for_health(id, "unhealthy");
    }
    vhost.ctl_ok(&["switch", "example.com", "b"]);
}

#[test]
fn limits_below_the_most_requests_of_the_last_minutes_are_refused() {
    let (vhost, backends) = site(|setup| setup.set("switch.min_capacity_percent", 1));
    vhost.ctl_ok(&["backend", "set", "b1", "--option", "max_requests=2"]);
    let mut held: Vec<_> = (0..3).map(|_| vhost.connect()).collect();
    for client in &mut held {
        client.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    }
    let on_hold = || backends.iter().map(Backend::held).sum::<usize>();
    eventually("three requests are held", SOON, || on_hold() == 3);
    let refused = vhost.ctl(&["switch", "example.com", "b"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    let expected = "the backends of `b` take 2 requests at once, and `a` had 3 within ten minutes";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    let plan = vhost.ctl_json(&["switch", "example.com", "b", "--plan"]);
    assert!(plan["warnings"].to_string().contains("take 2 requests at once"), "{plan}");
    // A split has but its share, and may be taken back.
    vhost.ctl_ok(&["split", "example.com", "b=10%"]);
    vhost.ctl_ok(&["undo", "example.com"]);
    vhost.ctl_ok(&["backend", "set", "b1", "--option", "max_requests=3"]);
    backends.iter().for_each(Backend::release);
    vhost.ctl_ok(&["switch", "example.com", "b"]);
}

#[test]
fn domains_that_come_together_add_up() {
    let backends: Vec<_> = ["m1", "m2", "n1"].into_iter().map(Backend::start).collect();
    let mut setup = Setup::new().domain("one.test", "m1").domain("two.test", "m2");
    for (backend, most) in backends.iter().zip([2, 2, 3]) {
        let most = format!("max_requests = {most}");
        setup = setup.backend_with(backend.id(), backend.address(), &[backend.id()], &most);
    }
    let vhost = setup.start();
    vhost.wait_until_healthy(3);
    let mut held: Vec<_> = (0..4).map(|_| vhost.connect()).collect();
    for (client, host) in held.iter_mut().zip(["one.test", "one.test", "two.test", "two.test"]) {
        client.send(format!("GET /hold HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
    let on_hold = || backends.iter().map(Backend::held).sum::<usize>();
    eventually("four requests are held", SOON, || on_hold() == 4);
    let refused = vhost.ctl(&["switch", "one.test", "n1", "--also", "two.test"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("take 3 requests at once"), "{}", refused.stderr);
    assert!(refused.stderr.contains("had 4 within ten minutes"), "{}", refused.stderr);
    // One of them alone has room.
    vhost.ctl_ok(&["switch", "one.test", "n1", "--no-drain"]);
    backends.iter().for_each(Backend::release);
}

#[test]
fn a_deploy_of_fewer_backends_is_refused_and_leaves_no_trace() {
    let backends: Vec<_> = ["v1", "v2", "v3", "v4"].into_iter().map(Backend::start).collect();
    let vhost = Setup::new().start();
    let address = |at: usize| backends[at].address().clone();
    let (one, two, three) = (address(0), address(1), address(2));
    vhost.ctl_ok(&["deploy", "shop", &one, &two, &three, "--host", "example.com"]);
    let before = vhost.rpc("state.get", json!({})).unwrap()["revision"].clone();
    let plan = vhost.ctl_ok(&["deploy", "shop", &address(3), "--plan"]).stdout;
    assert!(plan.contains("warning   `b` can carry less than `a`"), "{plan}");
    let refused = vhost.ctl(&["deploy", "shop", &address(3)]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("healthy weight is 1 after 3"), "{}", refused.stderr);
    assert_eq!(vhost.rpc("state.get", json!({})).unwrap()["revision"], before);
    vhost.ctl_ok(&["deploy", "shop", &address(3), &one]);
}
