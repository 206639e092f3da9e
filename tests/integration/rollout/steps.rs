//! Rollouts, step by step.

use super::*;

const STEPS: &str = "20%:1s,50%:1s";

#[test]
fn a_good_version_is_promoted_step_by_step() {
    let site = Site::start();
    site.under_load(|load| {
        load.wait_for(200);
        let args = [
            "rollout",
            "start",
            HOST,
            "b",
            "--steps",
            STEPS,
            "--min-requests",
            "20",
            "--max-p95-ratio",
            "100",
        ];
        let ended = site.vhost.ctl(&args);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(load.failed(), 0);
    });
    assert_eq!(site.vhost.live(HOST), "b");
    assert_eq!(site.story(), ["started", "stepped 50", "ended promoted"]);
    site.vhost.ctl_ok(&["undo", HOST]);
    assert_eq!(site.vhost.live(HOST), "a");
}

#[test]
fn a_bad_version_never_gets_beyond_its_first_step_and_no_get_fails() {
    let site = Site::start();
    site.b.set_failing(30);
    site.under_load(|load| {
        load.wait_for(200);
        let args = [
            "rollout",
            "start",
            HOST,
            "b",
            "--steps",
            "20%:30s,50%:1s",
            "--min-requests",
            "50",
            "--max-p95-ratio",
            "100",
        ];
        let ended = site.vhost.ctl(&args);
        assert_eq!(ended.code, 8, "{ended:?}");
        assert_eq!(load.failed(), 0);
        let of_b = load.count(|_, from| from == "b1");
        assert!(of_b < load.count(|_, _| true) / 2, "{of_b}");
    });
    assert_eq!(site.vhost.live(HOST), "a");
    assert_eq!(site.story(), ["started", "ended rolled_back"]);
}

#[test]
fn an_operator_pauses_resumes_promotes_and_aborts() {
    let site = Site::start();
    let start = ["rollout", "start", HOST, "b", "--steps", "30%:1h", "--no-wait"];
    site.vhost.ctl_ok(&start);
    let again = site.vhost.ctl(&start);
    assert_eq!(again.code, 5, "{again:?}");
    let split = site.vhost.ctl(&["split", HOST, "b=50%"]);
    assert_eq!(split.code, 5, "{split:?}");
    site.vhost.ctl_ok(&["rollout", "pause", HOST]);
    assert_eq!(site.vhost.ctl(&["rollout", "pause", HOST]).code, 5, "paused already");
    let status = site.vhost.ctl_ok(&["rollout", "status", HOST]);
    assert!(status.stdout.contains("paused at 30%"), "{}", status.stdout);
    site.vhost.ctl_ok(&["rollout", "resume", HOST]);
    site.vhost.ctl_ok(&["rollout", "abort", HOST]);
    assert_eq!(
        (site.vhost.live(HOST).as_str(), site.vhost.ctl(&["rollout", "abort", HOST]).code),
        ("a", 4)
    );
    site.vhost.ctl_ok(&start);
    let waiting =
        site.vhost.ctl_in_background(&["wait", HOST, "--until", "promoted", "--timeout", "40m"]);
    eventually("it waits", SOON, || site.vhost.log().contains("rollout.wait"));
    site.vhost.ctl_ok(&["rollout", "promote", HOST]);
    assert_eq!(waiting.wait().code, 0);
    assert_eq!(site.vhost.live(HOST), "b");
    let story = ["started", "paused", "resumed", "ended aborted", "started", "ended promoted"];
    assert_eq!(site.story(), story);
}

#[test]
fn a_step_waits_for_enough_requests_and_then_for_a_person() {
    let site = Site::start();
    let args =
        ["rollout", "start", HOST, "b", "--steps", "50%:200ms,60%:1h", "--max-wait", "500ms"];
    let ended = site.vhost.ctl(&args);
    assert_eq!(ended.code, 9, "{ended:?}");
    assert!(ended.stderr.contains("paused"), "{}", ended.stderr);
    assert_eq!(site.story(), ["started", "alarm"]);
    assert_eq!(site.trials()[0]["rollout"]["is_paused"], true);
    site.vhost.ctl_ok(&["rollout", "abort", HOST]);
}

#[test]
fn a_rollout_goes_on_after_a_crash_and_an_upgrade_where_it_was() {
    let mut site = Site::start();
    let steps = "10%:1s,20%:1s,40%:1s,60%:1h";
    let args = ["rollout", "start", HOST, "b", "--steps", steps, "--unguarded", "--no-wait"];
    site.vhost.ctl_ok(&args);
    for (at, share) in [(0, 10), (1, 20), (2, 40)] {
        eventually(&format!("the share is {share}"), SOON, || site.share() == Some(share));
        // The last: another process is there then.
        if at == 2 {
            site.vhost.upgrade();
        } else {
            site.vhost.kill();
            site.vhost.restart();
        }
    }
    eventually("the last step runs", SOON, || site.share() == Some(60));
    site.vhost.ctl_ok(&["promote", HOST]);
    let story = ["started", "stepped 20", "stepped 40", "stepped 60", "ended promoted"];
    assert_eq!(site.story(), story, "one story, each step once");
}

#[test]
fn a_deploy_can_be_rolled_out_and_all_domains_of_the_app_go_together() {
    let [first, second] = ["v1", "v2"].map(Backend::start);
    let vhost = Setup::new().start();
    let hosts = ["--host", HOST, "--host", "www.example.com"];
    vhost.ctl_ok(&[&["deploy", "shop", &first.address()], &hosts[..]].concat());
    let args = ["deploy", "shop", &second.address(), "--steps", "100%:1h", "--no-wait"];
    vhost.ctl_ok(&args);
    for host in [HOST, "www.example.com"] {
        assert_eq!(vhost.get(host, "/").backend(), Some("v2"), "{host} has it whole");
        assert_eq!(vhost.live(host), "a");
    }
    vhost.ctl_ok(&["rollout", "abort", "shop"]);
    for host in [HOST, "www.example.com"] {
        assert_eq!(vhost.get(host, "/").backend(), Some("v1"), "{host}");
    }
    vhost.ctl_ok(&[&args[..3], &["--steps", "50%:1h", "--no-wait"]].concat());
    vhost.ctl_ok(&["rollout", "promote", "shop"]);
    assert_eq!((vhost.live(HOST).as_str(), vhost.live("www.example.com").as_str()), ("b", "b"));
}
