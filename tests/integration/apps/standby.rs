//! How long the version before is kept.

use serde_json::json;

use super::*;

#[test]
fn without_a_time_it_is_kept_until_the_next_deploy() {
    let vhost = empty();
    let sites = ["one", "two", "three"].map(Backend::start);
    let addresses: Vec<_> = sites.iter().map(Backend::address).collect();
    vhost.ctl_ok(&["deploy", "shop", &addresses[0], "--host", "shop.test", "--tag", "v1"]);
    vhost.ctl_ok(&["deploy", "shop", &addresses[1], "--tag", "v2"]);
    assert_eq!(backends(&vhost), ["shop-v1-1", "shop-v2-1"]);
    // It is probed, so that going back is safe.
    vhost.wait_for_health("shop-v1-1", "healthy");
    vhost.ctl_ok(&["deploy", "shop", &addresses[2], "--tag", "v3"]);
    assert_eq!(backends(&vhost), ["shop-v2-1", "shop-v3-1"], "what is older is removed");
    vhost.ctl_ok(&["undo", "shop"]);
    assert_eq!(served_by(&vhost, "shop.test"), "two");
}

#[test]
fn it_can_be_removed_at_once_or_after_a_time() {
    let mut vhost = empty();
    let sites = ["one", "two", "three"].map(Backend::start);
    let addresses: Vec<_> = sites.iter().map(Backend::address).collect();
    vhost.ctl_ok(&["deploy", "shop", &addresses[0], "--host", "shop.test"]);
    vhost.ctl_ok(&["deploy", "shop", &addresses[1], "--keep", "0"]);
    assert_eq!(backends(&vhost), ["shop-b-1"]);
    assert_eq!(vhost.newest_event()["kind"], "standby_removed");
    let refused = vhost.ctl(&["undo", "shop"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("its backends were removed: deploy that version again"));

    vhost.ctl_ok(&["deploy", "shop", &addresses[2], "--keep", "1s"]);
    assert_eq!(backends(&vhost), ["shop-a-1", "shop-b-1"]);
    // Its time goes on while the server is down.
    vhost.kill();
    vhost.restart();
    eventually("the stand-by is removed", SOON, || backends(&vhost) == ["shop-a-1"]);
    assert_eq!(served_by(&vhost, "shop.test"), "three");
}

#[test]
fn its_time_begins_when_the_version_before_has_drained() {
    let vhost = empty();
    let [one, two] = ["one", "two"].map(Backend::start);
    vhost.ctl_ok(&["deploy", "shop", &one.address(), "--host", "shop.test"]);
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    eventually("it is held", SOON, || one.held() == 1);
    let deploy = vhost.ctl_in_background(&["deploy", "shop", &two.address(), "--keep", "1h"]);
    let due = || {
        let app = vhost.rpc("app.show", json!({ "app": "shop" })).expect("app.show");
        let versions = app["versions"].as_array().expect("a list").clone();
        versions.iter().find_map(|version| version["remove_at_ms"].as_u64())
    };
    let first = eventually_some("it is live", SOON, due);
    one.release();
    assert_eq!(deploy.wait().code, 0);
    assert!(due() > Some(first), "{:?} after {first}", due());
}

#[test]
fn one_that_is_live_again_is_not_removed() {
    let vhost = empty();
    let [one, two] = ["one", "two"].map(Backend::start);
    vhost.ctl_ok(&["deploy", "shop", &one.address(), "--host", "shop.test"]);
    vhost.ctl_ok(&["deploy", "shop", &two.address(), "--keep", "1s"]);
    vhost.ctl_ok(&["undo", "shop"]);
    eventually("its time is over", SOON, || vhost.newest_event()["kind"] == "app_set");
    assert_eq!(backends(&vhost), ["shop-a-1", "shop-b-1"]);
    assert_eq!(served_by(&vhost, "shop.test"), "one");
}

#[test]
fn a_new_process_at_the_address_of_the_stand_by_is_proven_anew() {
    let vhost = empty();
    let [one, two] = ["one", "two"].map(Backend::start);
    let address = one.address();
    vhost.ctl_ok(&["deploy", "shop", &address, "--host", "shop.test"]);
    vhost.ctl_ok(&["deploy", "shop", &two.address()]);
    let at = one.stop();
    vhost.wait_for_health("shop-a-1", "unhealthy");
    let failed = vhost.ctl(&["deploy", "shop", &address, "--timeout", "300ms"]);
    assert_eq!(failed.code, 6, "{failed:?}");
    let _three = Backend::builder("three").at(at).start();
    vhost.ctl_ok(&["deploy", "shop", &address]);
    assert_eq!(served_by(&vhost, "shop.test"), "three");
    assert_eq!(vhost.backend("shop-a-2")["health"]["status"], json!("healthy"));
}
