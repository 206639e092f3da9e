//! `vhost ctl deploy`.

use serde_json::{Value, json};

use super::*;

fn deploy(vhost: &Vhost, args: &[&str]) -> CtlOutput {
    vhost.ctl_ok(&[&["deploy"], args].concat())
}

#[test]
fn the_first_deploy_makes_the_app_and_each_further_one_its_next_version() {
    let vhost = empty();
    let [one, two, three] = ["one", "two", "three"].map(Backend::start);
    let first = deploy(&vhost, &["shop", &one.address(), "--host", "shop.test", "--release", "v1"]);
    assert!(first.stderr.contains("shop: v1 (`a`) is live with 1 backend"), "{first:?}");
    assert_eq!(served_by(&vhost, "shop.test"), "one");

    let mut kept = vhost.connect();
    assert_eq!(kept.get("shop.test", "/").backend(), Some("one"));
    let second = deploy(&vhost, &["shop", &two.address(), "--release", "v2"]);
    assert!(second.stderr.contains("shop.test a → b"), "{second:?}");
    assert_eq!(kept.get("shop.test", "/").backend(), Some("two"));
    assert_eq!(backends(&vhost), ["shop-a-1", "shop-b-1"]);

    let event = vhost.newest_event();
    assert_eq!(event["kind"], "deploy");
    assert_eq!(event["outcome"]["state"], "done");
    assert_eq!(event["steps"], json!([{"domain": "shop.test", "from": "a", "to": "b"}]));
    assert_eq!(event["apps"][0]["release"], "v2");

    // The version before is a stand-by, so going back is one step.
    vhost.ctl_ok(&["undo", "shop"]);
    assert_eq!(served_by(&vhost, "shop.test"), "one");
    assert_eq!(vhost.ctl_json(&["domain", "show", "shop.test"])["release"], "v1");

    // What was undone is older than what is live: its place is taken.
    deploy(&vhost, &["shop", &three.address(), "--release", "v3"]);
    assert_eq!(served_by(&vhost, "shop.test"), "three");
    assert_eq!(backends(&vhost), ["shop-a-1", "shop-b-2"]);
    let shown = vhost.ctl_json(&["app", "show", "shop"]);
    let versions: Vec<_> = shown["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (of["tag"].as_str().unwrap(), of["release"].as_str().unwrap()))
        .collect();
    assert_eq!(versions, [("b", "v3"), ("a", "v1")]);
    let list = vhost.ctl_ok(&["app", "list"]).stdout;
    assert!(list.contains("b (v3)") && list.contains("a (v1)"), "{list}");
    let history = vhost.ctl_ok(&["history"]).stdout;
    assert!(history.contains("deploy shop v3: a→b, done"), "{history}");
}

#[test]
fn all_domains_of_the_app_move_in_one_step_and_new_ones_join_them() {
    let vhost = empty();
    let [one, two, three] = ["one", "two", "three"].map(Backend::start);
    let hosts = ["--host", "a.test", "--host", "b.test"];
    deploy(&vhost, &[&["shop", &one.address()], &hosts[..]].concat());
    deploy(&vhost, &["shop", &two.address(), &three.address(), "--host", "c.test"]);
    let event = vhost.newest_event();
    let steps = json!([
        {"domain": "a.test", "from": "a", "to": "b"},
        {"domain": "b.test", "from": "a", "to": "b"},
    ]);
    assert_eq!(event["steps"], steps);
    assert_eq!(event["apps"][0]["domains_added"], json!(["c.test"]));
    assert_eq!(event["apps"][0]["backends_added"], json!(["shop-b-1", "shop-b-2"]));
    for host in ["a.test", "b.test", "c.test"] {
        assert!(["two", "three"].contains(&served_by(&vhost, host).as_str()));
    }
    // The one that joined goes back with the others.
    vhost.ctl_ok(&["undo", "shop"]);
    for host in ["a.test", "b.test", "c.test"] {
        assert_eq!(served_by(&vhost, host), "one");
    }
}

#[test]
fn a_gate_that_fails_leaves_no_trace() {
    let vhost = empty();
    let [one, two, bad] = ["one", "two", "bad"].map(Backend::start);
    let refusing = refusing_address().to_string();
    let address = bad.address();
    let new = ["shop", &refusing, "--host", "shop.test", "--timeout", "300ms"];
    let failed = vhost.ctl(&[&["deploy"], &new[..]].concat());
    assert_eq!((failed.code, failed.stdout.as_str()), (6, ""), "{failed:?}");
    assert_eq!(exported(&vhost), "");
    assert_eq!(vhost.get("shop.test", "/").status, 404);

    deploy(&vhost, &["shop", &one.address(), "--host", "shop.test"]);
    deploy(&vhost, &["shop", &two.address()]);
    let before = (exported(&vhost), vhost.rpc("state.get", json!({})).unwrap()["revision"].clone());
    bad.set_health(503);
    let failed = vhost.ctl(&["deploy", "shop", &address, &refusing, "--timeout", "300ms"]);
    assert_eq!(failed.code, 6, "{failed:?}");
    assert!(failed.stderr.contains("503"), "{failed:?}");
    let after = (exported(&vhost), vhost.rpc("state.get", json!({})).unwrap()["revision"].clone());
    assert_eq!(after, before);
    assert_eq!(served_by(&vhost, "shop.test"), "two");
    // And the way back is still open.
    vhost.ctl_ok(&["undo", "shop"]);
    assert_eq!(served_by(&vhost, "shop.test"), "one");
    let history = vhost.ctl_ok(&["history"]).stdout;
    assert!(history.contains("gate failed"), "{history}");
}

#[test]
fn what_is_live_already_is_not_deployed_again() {
    let vhost = empty();
    let [one, two] = ["one", "two"].map(Backend::start);
    let (one, two) = (one.address(), two.address());
    deploy(&vhost, &["shop", &one, &two, "--host", "shop.test", "--release", "v1"]);
    let revision = || vhost.rpc("state.get", json!({})).unwrap()["revision"].as_u64().unwrap();
    let before = revision();
    let again = deploy(&vhost, &["shop", &two, &one, "--host", "shop.test", "--release", "v1"]);
    assert!(again.stderr.contains("nothing to do"), "{again:?}");
    assert_eq!(revision(), before);
    let json = vhost.ctl_json(&["deploy", "shop", &one, &two]);
    assert_eq!(
        (json["apps"].clone(), json["outcome"]["state"].clone()),
        (json!([]), json!("done"))
    );
    assert_eq!(revision(), before);
    // Another name for the same is a change of the name alone.
    deploy(&vhost, &["shop", &one, &two, "--release", "v1.0"]);
    assert_eq!(revision(), before + 1);
    assert_eq!(vhost.ctl_json(&["domain", "show", "shop.test"])["release"], "v1.0");
    assert_eq!(vhost.live("shop.test"), "a");
    // Fewer backends are another version.
    deploy(&vhost, &["shop", &one]);
    assert_eq!(vhost.live("shop.test"), "b");
}

#[test]
fn a_plan_says_what_would_be_done_and_does_nothing() {
    let vhost = empty();
    let [one, two] = ["one", "two"].map(Backend::start);
    let (one, two) = (one.address(), two.address());
    let plan = deploy(&vhost, &["shop", &one, "--host", "shop.test", "--plan"]);
    for line in
        ["add       app shop", "add       domain shop.test", "add       backend shop-a-1 at"]
    {
        assert!(plan.stdout.contains(line), "{plan:?}");
    }
    assert_eq!(exported(&vhost), "");
    deploy(&vhost, &["shop", &one, "--host", "shop.test"]);
    deploy(&vhost, &["shop", &two]);
    let plan = deploy(&vhost, &["shop", &one, "--plan"]);
    assert!(plan.stdout.contains("switch    shop.test b → a"), "{plan:?}");
    assert_eq!(vhost.live("shop.test"), "b");
}

#[test]
fn mistakes_are_named_with_what_would_be_right() {
    let vhost =
        Setup::new().domain("*", "x").entries("").backend("x", "127.0.0.1:9", &["x"]).start();
    let one = Backend::start("one");
    let address = one.address();
    for (args, code, part) in [
        (&["deploy", "shop"][..], 2, "<ADDRESS>"),
        (&["deploy", "shop", &address], 1, "the app `shop` has no domain"),
        (&["deploy", "shop.example", &address], 2, "use only lower-case letters"),
        (&["deploy", "shop", &address, &address, "--host", "a.test"], 1, "is named twice"),
        (
            &["deploy", "shop", &address, "--also", "blog", "--host", "a.test"],
            4,
            "unknown app `blog`",
        ),
        (&["deploy", "shop", &address, "--also", "shop"], 1, "the app `shop` is named twice"),
        (
            &["deploy", "shop", "localhost:3001", "127.0.0.1:3001", "--host", "a.test"],
            1,
            "is named twice",
        ),
        (
            &["deploy", "shop", &address, "--no-option", "timeout"],
            2,
            "a similar value exists: 'timeouts'",
        ),
        (&["deploy", "shop", &address, "--no-option", "colour"], 2, "vhost-config(5)"),
        (&["deploy", "shop", "localhost", "--host", "a.test"], 2, "add the port"),
        (&["deploy", "shop", &address, "--host", "*"], 5, "exists and is in no app"),
        (
            &["deploy", "shop", &address, "--host", "a.test", "--release", "a b"],
            2,
            "without spaces",
        ),
    ] {
        let refused = vhost.ctl(args);
        assert_eq!((refused.code, refused.stdout.as_str()), (code, ""), "{args:?} {refused:?}");
        assert!(refused.stderr.contains(part), "{args:?} {refused:?}");
    }
    deploy(&vhost, &["shop", &address, "--host", "a.test"]);
    let refused = vhost.ctl(&["deploy", "shpo", &address]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("did you mean `shop`?"), "{refused:?}");
    let refused = vhost.ctl(&["deploy", "shop", "127.0.0.1:1", "--tag", "a"]);
    assert!(
        refused.stderr.contains("the tag `a` of `shop` serves `a.test` already"),
        "{refused:?}"
    );
}

#[test]
fn a_backend_of_both_versions_serves_the_old_one_only() {
    let (old, new) = (Backend::start("old"), Backend::start("new"));
    let vhost = empty();
    deploy(&vhost, &["shop", &old.address(), "--host", "shop.test"]);
    vhost.ctl_ok(&["backend", "tag", "shop-a-1", "b", "canary"]);
    deploy(&vhost, &["shop", &new.address()]);
    for _ in 0..6 {
        assert_eq!(served_by(&vhost, "shop.test"), "new");
    }
    assert_eq!(vhost.backend("shop-a-1")["tags"], json!(["a", "canary"]));
}

#[test]
fn what_is_too_long_or_too_much_is_refused_at_once() {
    let (vhost, backend) = (empty(), Backend::start("one"));
    let (app, tag) = ("x".repeat(63), "y".repeat(64));
    let long = [app.as_str(), &backend.address(), "--host", "shop.test", "--tag", &tag];
    for more in [&["--plan"][..], &[]] {
        let refused = vhost.ctl(&[&["deploy"], &long[..], more].concat());
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("would be too long"), "{refused:?}");
    }
    let addresses: Vec<_> = (1..=257).map(|port| format!("127.0.0.1:{port}")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let refused = vhost.ctl(&[&["deploy", "shop", "--host", "shop.test"], &addresses[..]].concat());
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("257 addresses are given; at most 256"), "{refused:?}");
    assert_eq!(exported(&vhost), "");
}

#[test]
fn a_plan_is_not_applied_when_it_would_do_something_else_after_the_check() {
    let (one, two) = (Backend::start("one"), Backend::start("two"));
    let vhost = empty();
    deploy(&vhost, &["shop", &one.address(), "--host", "shop.test"]);
    // The stand-by that a plan would remove is another one by now.
    let args = ["deploy", "shop", &two.address(), "--plan"];
    vhost.ctl_ok(&["backend", "add", "spare", &two.address(), "--app", "shop", "--tag", "b"]);
    let spare = vhost.ctl_json(&args);
    vhost.ctl_ok(&["backend", "set", "spare", "--address", &one.address()]);
    let refused = vhost.ctl(&["deploy", "--apply", spare["token"].as_str().unwrap()]);
    assert_eq!(refused.code, 5, "{refused:?}");

    let plan = vhost.ctl_json(&args);
    two.set_health(500);
    let probes = two.probes();
    let apply = vhost.ctl_in_background(&["deploy", "--apply", plan["token"].as_str().unwrap()]);
    eventually("it is checked", SOON, || two.probes() > probes);
    vhost.ctl_ok(&["domain", "add", "www.shop.test", "--tag", "a", "--app", "shop"]);
    two.set_health(200);
    let applied = apply.wait();
    assert_eq!(applied.code, 5, "{applied:?}");
    assert_eq!(vhost.live("shop.test"), "a");
}

#[test]
fn what_the_file_says_of_a_replaced_backend_is_not_about_the_new_version() {
    let sites = ["file", "two", "three", "other"].map(Backend::start);
    let file = |address: &str, weight: u32| {
        Setup::new()
            .entries("[[apps]]\nname = \"shop\"\n")
            .domain_with("shop.test", "a", "app = \"shop\"")
            .backend_with(
                "shop-a-1",
                address,
                &["a"],
                &format!("app = \"shop\"\nweight = {weight}"),
            )
    };
    let vhost = file(&sites[0].address(), 1).start();
    vhost.wait_until_healthy(1);
    deploy(&vhost, &["shop", &sites[1].address()]);
    // Its id is that of the entry.
    deploy(&vhost, &["shop", &sites[2].address()]);
    let before = exported(&vhost);
    for (address, weight) in [(&sites[3], 1), (&sites[3], 7)] {
        vhost.write_config(&file(&address.address(), weight));
        vhost.ctl_ok(&["reload"]);
        assert_eq!(served_by(&vhost, "shop.test"), "three");
        assert_eq!(exported(&vhost), before);
    }
}

#[test]
fn of_two_deploys_of_an_app_the_second_is_refused_or_waits() {
    let vhost = empty();
    let [one, two, three] = ["one", "two", "three"].map(Backend::start);
    deploy(&vhost, &["shop", &one.address(), "--host", "shop.test"]);
    two.set_health(503);
    let slow = vhost.ctl_in_background(&["deploy", "shop", &two.address(), "--timeout", "20s"]);
    eventually("the deploy has begun", SOON, || two.probes() > 0);
    let refused = vhost.ctl(&["deploy", "shop", &three.address()]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stderr.contains("another deploy of `shop` is under way (checking)"));
    assert_eq!(vhost.ctl(&["switch", "shop.test", "a"]).code, 0, "it is there already");
    assert_eq!(vhost.ctl(&["app", "remove", "shop", "--all"]).code, 5);
    let waiting = vhost.ctl_in_background(&["deploy", "shop", &three.address(), "--wait"]);
    two.set_health(200);
    let slow = slow.wait();
    assert_eq!(slow.code, 0, "{slow:?}");
    let waited = waiting.wait();
    assert_eq!(waited.code, 0, "{waited:?}");
    assert_eq!(served_by(&vhost, "shop.test"), "three");
}

#[test]
fn the_deploy_goes_on_when_nobody_looks_any_more() {
    let vhost = empty();
    let [one, two] = ["one", "two"].map(Backend::start);
    deploy(&vhost, &["shop", &one.address(), "--host", "shop.test"]);
    two.set_health(503);
    let running = vhost.ctl_in_background(&["deploy", "shop", &two.address(), "--timeout", "20s"]);
    eventually("the deploy has begun", SOON, || two.probes() > 0);
    nix::sys::signal::kill(running.pid(), nix::sys::signal::Signal::SIGINT).unwrap();
    let output = running.wait();
    assert_eq!(output.code, 130, "{output:?}");
    two.set_health(200);
    eventually("the new version is live", SOON, || vhost.live("shop.test") == "b");
    assert_eq!(served_by(&vhost, "shop.test"), "two");
}

#[test]
fn several_apps_get_one_version_in_one_step() {
    let vhost = empty();
    let [one, two] = ["one", "two"].map(Backend::start);
    deploy(&vhost, &["shop", &one.address(), "--host", "shop.test"]);
    deploy(&vhost, &["api", &one.address(), "--host", "api.test"]);
    let revision = || vhost.rpc("state.get", json!({})).unwrap()["revision"].as_u64().unwrap();
    let before = revision();
    deploy(&vhost, &["shop", &two.address(), "--also", "api", "--release", "v2"]);
    assert_eq!(revision(), before + 1);
    for host in ["shop.test", "api.test"] {
        assert_eq!(served_by(&vhost, host), "two");
    }
    assert_eq!(backends(&vhost), ["api-a-1", "api-b-1", "shop-a-1", "shop-b-1"]);
}

#[test]
fn rest_and_metrics_know_apps() {
    let vhost = empty();
    let [one, two] = ["one", "two"].map(Backend::start);
    let http = |verb: &str, path: &str, body: Value| {
        let output = std::process::Command::new("curl")
            .args(["-sS", "--unix-socket"])
            .arg(vhost.socket())
            .args(["-X", verb, "-H", "Content-Type: application/json", "-d", &body.to_string()])
            .args(["-w", "\n%{http_code}", &format!("http://localhost/api/v1{path}")])
            .output()
            .expect("curl runs");
        let text = String::from_utf8(output.stdout).expect("text");
        let (body, code) = text.rsplit_once('\n').expect("a code");
        (code.to_owned(), serde_json::from_str::<Value>(body).unwrap_or_default())
    };
    let body = json!({"addresses": [one.address()], "hosts": ["shop.test"], "release": "v1"});
    let (code, report) = http("POST", "/apps/shop/deploy", body);
    assert_eq!(code, "200", "{report}");
    assert_eq!(report["apps"][0]["is_new"], true);
    let (code, _) = http("POST", "/apps/shop/deploy", json!({"addresses": [two.address()]}));
    assert_eq!(code, "200");
    assert_eq!(served_by(&vhost, "shop.test"), "two");
    let (code, shown) = http("GET", "/apps/shop", Value::Null);
    assert_eq!((code.as_str(), &shown["versions"][0]["tag"]), ("200", &json!("b")));
    let (code, _) = http("POST", "/domains/shop/undo", json!({}));
    assert_eq!(code, "200");
    assert_eq!(served_by(&vhost, "shop.test"), "one");
    let (code, _) = http("DELETE", "/apps/shop", Value::Null);
    assert_eq!(code, "409");
    let (code, _) = http("DELETE", "/apps/shop?all=true", Value::Null);
    assert_eq!(code, "204");
    assert_eq!(backends(&vhost), [""; 0]);
}
