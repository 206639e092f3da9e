//! Hooks: who is asked before a switch, a deploy or a rollout, and may refuse it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Site;
use super::program::program;
use super::receiver::{BUSY, GOOD, Receiver};
use crate::harness::*;

fn hook(name: &str, receiver: &Receiver, more: &str) -> String {
    format!("[[hooks]]\nname = \"{name}\"\nurl = \"{}\"\n{more}\n", receiver.url())
}

const REFUSED: &str =
    "403 Forbidden\r\nContent-Length: 13\r\nConnection: close\r\n\r\nnot on Friday";

/// Nothing has moved, and the newest event says why.
#[track_caller]
fn assert_refused(site: &Site, output: &CtlOutput, reason: &str, before: &Value) {
    assert_eq!(output.code, 6, "{output:?}");
    assert!(output.stderr.contains(reason), "{output:?}");
    assert!(output.stderr.contains("`--force` does not skip a hook"), "{output:?}");
    assert_eq!(site.vhost.live("example.com"), "a");
    let event = site.vhost.newest_event();
    assert_eq!((&event["outcome"]["state"], &event["before"]), (&json!("gate_failed"), before));
    assert!(event["outcome"]["cause"].as_str().unwrap().contains(reason), "{event}");
}

#[test]
fn hooks_that_agree_are_asked_in_turn_after_the_gate_and_before_the_switch() {
    let receiver = Receiver::answering(GOOD);
    let directory = tempfile::tempdir().unwrap();
    let lines = format!("cat > {}/asked", directory.path().display());
    let program = program(directory.path(), "ask", &lines);
    let entries = hook("approve", &receiver, "secret = \"${NOTIFY_SECRET}\"")
        + &format!("[[hooks]]\nname = \"program\"\nexec = [{:?}]\n", program.display().to_string());
    let site =
        Site::start_with(&entries, |setup| setup.env("NOTIFY_SECRET", "k3y-of-the-hook".into()));
    let words = ["--before", "approve", "--before", "program", "--reason", "release 2"];
    site.vhost.ctl_ok(&[&["switch", "example.com", "b"][..], &words].concat());
    assert_eq!(site.vhost.live("example.com"), "b");
    let post = receiver.posts().remove(0);
    assert!(post.is_signed_with("k3y-of-the-hook"), "{post:?}");
    assert_eq!(post.header("vhost-event"), Some("before"));
    let asked = post.json();
    let steps = json!([{"domain": "example.com", "from": "a", "to": "b"}]);
    assert_eq!((&asked["hook"], &asked["command"]), (&json!("approve"), &json!("switch")));
    assert_eq!((&asked["steps"], &asked["backends"]), (&steps, &json!(["b1"])));
    assert_eq!((&asked["reason"], &asked["actor"]["via"]), (&json!("release 2"), &json!("socket")));
    let text = std::fs::read(directory.path().join("asked")).unwrap();
    let asked: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&asked["hook"], &asked["steps"]), (&json!("program"), &steps));
    assert_eq!(site.vhost.newest_event()["before"], json!(["approve", "program"]));
    let shown = site.vhost.ctl_ok(&["history"]).stdout;
    assert!(shown.contains("after approve, program"), "{shown}");
    // What asks no hooks is not asked about.
    site.vhost.ctl_ok(&["undo", "example.com"]);
    assert_eq!(receiver.posts().len(), 1);
}

#[test]
fn a_hook_that_refuses_ends_the_switch_and_nothing_has_changed() {
    let receiver = Receiver::answering(REFUSED);
    let site = Site::start(&hook("approve", &receiver, ""));
    let switch = ["switch", "example.com", "b", "--before", "approve"];
    let reason = "the hook `approve` does not agree: it answered 403 Forbidden: not on Friday";
    assert_refused(&site, &site.vhost.ctl(&switch), reason, &json!(["approve"]));
    // The gate may be skipped, the hook not.
    let forced = site.vhost.ctl(&[&switch[..], &["--force"]].concat());
    assert_refused(&site, &forced, reason, &json!(["approve"]));
    assert_eq!(receiver.posts()[1].json()["backends"], json!(null), "none was proven");
    let rollout =
        ["rollout", "start", "example.com", "b", "--steps", "10%:1h", "--before", "approve"];
    assert_refused(&site, &site.vhost.ctl(&rollout), reason, &json!(["approve"]));
    assert_eq!(receiver.posts()[2].json()["command"], "rollout");
    receiver.answer(BUSY);
    assert_refused(&site, &site.vhost.ctl(&switch), "503", &json!(["approve"]));
    receiver.answer("302 Found\r\nLocation: /x\r\nConnection: close\r\n\r\n");
    assert_refused(&site, &site.vhost.ctl(&switch), "302", &json!(["approve"]));
    receiver.answer(GOOD);
    site.vhost.ctl_ok(&[&rollout[..], &["--no-wait"]].concat());
    assert_eq!(site.vhost.newest_event()["before"], json!(["approve"]));
}

#[test]
fn one_that_hangs_or_is_not_there_refuses() {
    let receiver = Receiver::hanging();
    let directory = tempfile::tempdir().unwrap();
    let slow = program(directory.path(), "slow", "echo still thinking >&2; sleep 60");
    let entries = hook("slow", &receiver, "timeout_secs = 0.5")
        + &format!("[[hooks]]\nname = \"gone\"\nurl = \"http://{}/\"\n", refusing_address())
        + &format!(
            "[[hooks]]\nname = \"program\"\nexec = [{:?}]\ntimeout_secs = 0.5\n",
            slow.display().to_string()
        );
    let site = Site::start(&entries);
    let begun = Instant::now();
    for (name, reason) in [
        ("slow", "no answer within 500ms"),
        ("gone", "it cannot be reached: Connection refused"),
        ("program", "it did not end within 500ms: still thinking"),
    ] {
        let output = site.vhost.ctl(&["switch", "example.com", "b", "--before", name]);
        assert_refused(&site, &output, reason, &json!([name]));
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_deploy_is_asked_about_with_its_app_and_leaves_nothing_when_it_is_refused() {
    let receiver = Receiver::answering(REFUSED);
    let site = Site::start(&hook("approve", &receiver, ""));
    let new = Backend::start("new");
    let address = new.address();
    let deploy = ["deploy", "shop", &address, "--host", "shop.test", "--before", "approve"];
    let output = site.vhost.ctl(&deploy);
    assert_eq!(output.code, 6, "{output:?}");
    assert!(output.stderr.contains("not on Friday"), "{output:?}");
    let asked = receiver.posts().remove(0).json();
    assert_eq!((&asked["command"], &asked["apps"][0]["app"]), (&json!("deploy"), &json!("shop")));
    assert_eq!(asked["backends"], asked["apps"][0]["backends_added"]);
    assert_eq!(site.vhost.ctl(&["app", "show", "shop"]).code, 4, "it was not added");
    receiver.answer(GOOD);
    site.vhost.ctl_ok(&deploy);
    assert_eq!(site.vhost.newest_event()["before"], json!(["approve"]));
}

#[test]
fn a_plan_shows_its_hooks_and_asks_none_until_it_is_applied() {
    let receiver = Receiver::answering(GOOD);
    let site = Site::start(&hook("approve", &receiver, ""));
    let plan = ["switch", "example.com", "b", "--before", "approve", "--plan"];
    let planned = site.vhost.ctl_ok(&plan);
    assert!(planned.stdout.contains("hook approve"), "{planned:?}");
    let new = Backend::start("new");
    let address = new.address();
    let deploy =
        ["deploy", "shop", &address, "--host", "shop.test", "--before", "approve", "--plan"];
    let shown = site.vhost.ctl_ok(&deploy).stdout;
    assert!(shown.contains("ask       hook approve"), "{shown}");
    assert_eq!(receiver.posts().len(), 0, "a plan asks nobody");
    let (_, token) = planned.stderr.trim().rsplit_once(' ').expect("a token");
    site.vhost.ctl_ok(&["switch", "--apply", token]);
    assert_eq!(receiver.posts().len(), 1);
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything() {
    let receiver = Receiver::answering(GOOD);
    let site = Site::start(&hook("approve", &receiver, ""));
    let events = site.vhost.newest_event();
    for words in [
        &["switch", "example.com", "b", "--before", "aprove"][..],
        &["switch", "example.com", "b", "--plan", "--before", "aprove"],
        &["deploy", "shop", "127.0.0.1:9", "--host", "shop.test", "--before", "aprove"],
        &["rollout", "start", "example.com", "b", "--steps", "1%:1h", "--before", "aprove"],
    ] {
        let output = site.vhost.ctl(words);
        assert_eq!(output.code, 4, "{output:?}");
        assert!(output.stderr.contains("unknown hook `aprove`"), "{output:?}");
        assert!(output.stderr.contains("`approve`"), "{output:?}");
    }
    let options = json!({"before": ["approve"]});
    for (method, params) in [
        ("switch.undo", json!({"domain": "example.com", "options": options})),
        (
            "split.set",
            json!({"domains": ["example.com"], "shares": [{"tag": "b", "share": 1}], "options": options}),
        ),
        ("split.promote", json!({"domain": "example.com", "tag": "b", "options": options})),
        ("rollout.abort", json!({"domain": "example.com", "options": options})),
    ] {
        let fault = site.vhost.rpc(method, params).expect_err("it asks no hooks");
        assert!(fault.message.contains("asks no hooks"), "{method}: {fault:?}");
    }
    let before = ["approve"; 5];
    let options = json!({"before": before});
    let params = json!({"domains": ["example.com"], "tag": "b", "options": options});
    let fault = site.vhost.rpc("switch.start", params).expect_err("too many");
    assert!(fault.message.contains("there are 5 hooks; at most 4"), "{fault:?}");
    assert_eq!(site.vhost.newest_event(), events, "nothing has happened");
    assert_eq!(receiver.posts().len(), 0);
}
