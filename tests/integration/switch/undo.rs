//! An undo goes to the tag before, and nowhere else.

use super::*;

fn three() -> (Pair, Backend) {
    let c = Backend::start("c1");
    let address = c.address();
    let pair = Pair::start_with(|setup| setup.backend("c1", address, &["c"]));
    pair.vhost.wait_for_health("c1", "healthy");
    (pair, c)
}

#[test]
fn an_undo_goes_to_the_tag_before_also_where_others_could_serve() {
    let (pair, _c) = three();
    // Each of the three is once the tag before, whichever comes first by name.
    for (from, to) in [("a", "c"), ("c", "b"), ("b", "a"), ("a", "b"), ("b", "c"), ("c", "a")] {
        if pair.vhost.live("example.com") != from {
            pair.vhost.ctl_ok(&["switch", "example.com", from]);
        }
        pair.vhost.ctl_ok(&["switch", "example.com", to]);
        pair.vhost.ctl_ok(&["undo", "example.com"]);
        assert_eq!(pair.vhost.live("example.com"), from, "back from `{to}`");
        pair.assert_served_by(&format!("{from}1"));
    }
}

#[test]
fn an_undo_to_a_tag_that_nobody_carries_any_more_is_refused() {
    let (pair, _c) = three();
    pair.vhost.ctl_ok(&["switch", "example.com", "b"]);
    pair.vhost.ctl_ok(&["backend", "remove", "a1"]);
    let output = pair.vhost.ctl(&["undo", "example.com"]);
    assert_ne!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("`a`"), "it says which tag is missing: {output:?}");
    assert_eq!(pair.vhost.live("example.com"), "b");
}

#[test]
fn what_the_tag_before_is_outlives_a_restart_and_other_changes() {
    let (mut pair, _c) = three();
    pair.vhost.ctl_ok(&["switch", "example.com", "c"]);
    pair.vhost.ctl_ok(&["domain", "set", "example.com", "--hsts-max-age", "60"]);
    pair.vhost.kill();
    pair.vhost.restart();
    pair.vhost.ctl_ok(&["undo", "example.com"]);
    assert_eq!(pair.vhost.live("example.com"), "a");
}
