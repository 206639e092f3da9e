use std::time::Duration;

use super::*;
use crate::model::{AppOptions, Scheme};
use crate::state::Ended;

const ENDED: Ended = Ended {
    status: Some(200),
    failed: false,
    took: Duration::from_millis(1),
    received: 0,
    sent: 0,
    retries: 0,
    is_backends_fault: false,
};

fn host(domain: &str, aliases: &[&str], live: &str) -> Change {
    Change::PutDomain(VirtualHost {
        domain: domain.parse().unwrap(),
        live: live.parse().unwrap(),
        previous: None,
        beside: crate::model::Beside::default(),
        top: crate::model::TopOptions {
            aliases: aliases.iter().map(|alias| alias.parse().unwrap()).collect(),
            ..Default::default()
        },
        options: crate::model::HostOptions::default(),
    })
}

fn backend(id: &str, address: &str, tags: &[&str], state: BackendState) -> Change {
    Change::PutBackend(Backend {
        id: id.parse().unwrap(),
        address: address.parse().unwrap(),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        options: crate::model::BackendOptions::default(),
        state,
    })
}

fn routed(snapshot: &Snapshot, host: &str) -> Option<String> {
    snapshot.route(host).map(|node| node.virtual_host.domain.to_string())
}

#[test]
fn exact_goes_before_wildcard_before_default() {
    let snapshot = Snapshot::default().after(
        vec![
            host("example.com", &["www.example.com"], "a"),
            host("*.example.com", &[], "a"),
            host("*", &[], "a"),
        ],
        1,
    );
    for (asked, domain) in [
        ("example.com", "example.com"),
        ("www.example.com", "example.com"),
        ("shop.example.com", "*.example.com"),
        ("a.b.example.com", "*"),
        (".example.com", "*"),
        ("other.org", "*"),
    ] {
        assert_eq!(routed(&snapshot, asked).as_deref(), Some(domain), "{asked}");
    }
    let without = snapshot.after(vec![Change::DropDomain("*".parse().unwrap())], 2);
    assert_eq!(routed(&without, "other.org"), None);
    assert_eq!(routed(&snapshot, "other.org").as_deref(), Some("*"), "snapshots don't change");
}

#[test]
fn an_alias_that_is_taken_away_is_not_routed() {
    let before = Snapshot::default().after(vec![host("example.com", &["www.example.com"], "a")], 1);
    let after = before.after(vec![host("example.com", &["web.example.com"], "a")], 2);
    assert_eq!(routed(&after, "www.example.com"), None);
    assert_eq!(routed(&after, "web.example.com").as_deref(), Some("example.com"));
    let gone = after.after(vec![Change::DropDomain("example.com".parse().unwrap())], 3);
    assert_eq!(routed(&gone, "web.example.com"), None);
    assert_eq!(gone.domains().len(), 0);
}

#[test]
fn pools_follow_the_tags_of_backends() {
    let tag = PoolName { app: None, tag: "a".parse().unwrap() };
    let one = Snapshot::default().after(
        vec![
            backend("w1", "127.0.0.1:1", &["a"], BackendState::Ready),
            backend("w2", "127.0.0.1:2", &["a", "b"], BackendState::Ready),
        ],
        1,
    );
    assert_eq!(one.pool(&tag).unwrap().backends().len(), 2);
    assert_eq!(one.tags(None).len(), 2);
    let two = one.after(vec![backend("w1", "127.0.0.1:1", &["b"], BackendState::Ready)], 2);
    assert_eq!(two.pool(&tag).unwrap().backends().len(), 1);
    let three = two.after(vec![Change::DropBackend("w2".parse().unwrap())], 3);
    assert!(three.pool(&tag).is_none());
}

#[test]
fn what_is_observed_outlives_edits_but_not_a_move() {
    let id: BackendId = "w1".parse().unwrap();
    let one = Snapshot::default()
        .after(vec![backend("w1", "127.0.0.1:1", &["a"], BackendState::Ready)], 1);
    let live = Arc::clone(&one.backend(&id).unwrap().live);
    let guard = live.admit(None);
    let two = one.after(vec![backend("w1", "127.0.0.1:1", &["b"], BackendState::Draining)], 2);
    assert!(Arc::ptr_eq(&live, &two.backend(&id).unwrap().live));
    two.close_gates(&one);
    assert!(live.admit(None).is_err());
    let three = two.after(vec![backend("w1", "127.0.0.1:9", &["b"], BackendState::Ready)], 3);
    let moved = Arc::clone(&three.backend(&id).unwrap().live);
    assert!(!Arc::ptr_eq(&live, &moved));
    assert_eq!(moved.in_flight(), 1, "a request at the old address is still this backend's");
    drop(guard);
    assert_eq!(moved.in_flight(), 0);
}

#[test]
fn requests_of_a_tag_that_was_left_are_still_counted() {
    let domain: DomainName = "example.com".parse().unwrap();
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let one = Snapshot::default().after(vec![host("example.com", &[], "a")], 1);
    let guard = one.domain(&domain).unwrap().live().in_flight.enter();
    let two = one.after(vec![host("example.com", &[], "b")], 2);
    let node = two.domain(&domain).unwrap();
    assert_eq!(node.in_flight_on(&a).unwrap().count(), 1);
    assert_eq!(node.in_flight_on(&b).unwrap().count(), 0);
    // Back again while the request still runs: it is the same count.
    let three = two.after(vec![host("example.com", &[], "a")], 3);
    assert_eq!(three.domain(&domain).unwrap().live().in_flight.count(), 1);
    drop(guard);
    assert_eq!(three.domain(&domain).unwrap().live().in_flight.count(), 0);
}

#[test]
fn a_domain_that_joins_an_app_goes_on_with_its_counters() {
    let domain: DomainName = "example.com".parse().unwrap();
    let tags = ["a", "b"].map(|tag| tag.parse::<Tag>().unwrap());
    let backends = ["a", "b"].map(|tag| backend(tag, "127.0.0.1:1", &[tag], BackendState::Ready));
    let one = Snapshot::default().after(backends.into(), 1);
    let one = one.after(vec![host("example.com", &[], "b")], 2);
    one.domain(&domain).unwrap().live().traffic.count(&ENDED, || 1);
    let one = one.after(vec![host("example.com", &[], "a")], 3);
    let guard = one.domain(&domain).unwrap().live().in_flight.enter();
    let counters = |snapshot: &Snapshot| {
        let node = snapshot.domain(&domain).unwrap();
        let mut tags: Vec<_> = node
            .tags()
            .iter()
            .map(|of| (of.tag().clone(), Arc::as_ptr(&of.in_flight), Arc::as_ptr(&of.traffic)))
            .collect();
        tags.sort_unstable();
        tags
    };
    let app: AppName = "shop".parse().unwrap();
    let put = one.backends().map(|node| {
        let mut backend = node.backend.clone();
        backend.options.app = Some(app.clone());
        Change::PutBackend(backend)
    });
    let mut joined = one.domain(&domain).unwrap().virtual_host.clone();
    joined.top.app = Some(app.clone());
    let app = Change::PutApp(App::new(app.clone(), AppOptions::default()));
    let changes = std::iter::once(app).chain(put).chain([Change::PutDomain(joined)]);
    let two = one.after(changes.collect(), 4);
    assert_eq!(counters(&two), counters(&one), "each tag once, with what was counted of it");
    assert_eq!(two.domain(&domain).unwrap().in_flight_on(&tags[0]).unwrap().count(), 1);
    drop(guard);
}

#[test]
fn a_change_of_domains_shares_the_backends() {
    let one = Snapshot::default()
        .after(vec![backend("w1", "127.0.0.1:1", &["a"], BackendState::Ready)], 1);
    let two = one.after(vec![host("example.com", &[], "a")], 2);
    assert!(one.shares_backends(&two));
    let three = two.after(vec![backend("w1", "127.0.0.1:1", &["b"], BackendState::Ready)], 3);
    assert!(!two.shares_backends(&three));
}

#[test]
fn kept_connections_are_told_apart_by_id_address_and_how_they_are_spoken_on() {
    let node = |id: &str, address: &str, scheme| {
        let Change::PutBackend(mut declared) = backend(id, address, &["a"], BackendState::Ready)
        else {
            unreachable!("made above")
        };
        declared.options.scheme = scheme;
        BackendNode::new(declared, None, &crate::tls::PeerFiles::default()).connection_group()
    };
    let one = node("w1", "127.0.0.1:1", Scheme::Http);
    assert_eq!(one, node("w1", "127.0.0.1:1", Scheme::Http));
    assert_ne!(one, node("w2", "127.0.0.1:1", Scheme::Http));
    assert_ne!(one, node("w1", "127.0.0.1:2", Scheme::Http));
    assert_ne!(one, node("w1", "127.0.0.1:1", Scheme::H2c));
    let Change::PutBackend(mut announced) =
        backend("w1", "127.0.0.1:1", &["a"], BackendState::Ready)
    else {
        unreachable!("made above")
    };
    announced.options.send_proxy_protocol = crate::model::SendProxyProtocol::V2;
    assert_ne!(
        one,
        BackendNode::new(announced, None, &crate::tls::PeerFiles::default()).connection_group()
    );
}

proptest::proptest! {
    /// An edit looks only at the pools it touches; the outcome is as if all were made anew.
    #[test]
    fn pools_hold_whoever_carries_the_tag_in_the_order_of_ids(
        edits in proptest::collection::vec((0..6_usize, proptest::option::of(0..8_usize)), 1..40),
        at_once in 1..8_usize,
    ) {
        let changes: Vec<Change> = edits
            .into_iter()
            .map(|(id, tags)| {
                let id = format!("b{id}");
                let Some(tags) = tags else { return Change::DropBackend(id.parse().unwrap()) };
                let carried: Vec<&str> =
                    ["a", "b", "c"].into_iter().enumerate().filter(|(bit, _)| tags >> bit & 1 == 1).map(|(_, tag)| tag).collect();
                backend(&id, "127.0.0.1:1", &carried, BackendState::Ready)
            })
            .collect();
        let mut snapshot = Snapshot::default();
        for changes in changes.chunks(at_once) {
            snapshot = snapshot.after(changes.to_vec(), snapshot.revision() + 1);
            for tag in ["a", "b", "c"] {
                let tag: Tag = tag.parse().unwrap();
                let carry: Vec<_> = snapshot
                    .backends()
                    .filter(|node| node.backend.tags.contains(&tag))
                    .cloned()
                    .collect();
                let pool = snapshot.pool(&PoolName { app: None, tag: tag.clone() }).map(|pool| pool.backends().to_vec());
                proptest::prop_assert_eq!(pool, Some(carry).filter(|carry| !carry.is_empty()));
            }
        }
    }
}
