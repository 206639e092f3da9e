use std::num::NonZeroUsize;
use std::time::Duration;

use super::*;
use crate::model::{Backend, BackendState, Change, HealthReport, HealthStatus};
use crate::state::Snapshot;

fn pool_of(health: &[HealthStatus]) -> Arc<Pool> {
    let changes = (0..health.len())
        .map(|index| {
            Change::PutBackend(Backend {
                id: format!("b{index}").parse().unwrap(),
                address: "127.0.0.1:1".parse().unwrap(),
                tags: ["a".parse().unwrap()].into(),
                options: crate::model::BackendOptions::default(),
                state: BackendState::Ready,
            })
        })
        .collect();
    let snapshot = Snapshot::default().after(changes, 1);
    let pool = Arc::clone(snapshot.pools().first().and_then(|name| snapshot.pool(name)).unwrap());
    for (node, status) in pool.backends().iter().zip(health) {
        node.live.set_health_report(HealthReport { status: *status, ..Default::default() });
    }
    pool
}

fn terms<'a>(balance: &'a Balance, tried: &'a [Arc<BackendNode>]) -> Terms<'a> {
    Terms { balance, key: None, most: None, slow_start: Duration::ZERO, tried }
}

fn id_of(choice: Choice) -> Option<String> {
    match choice {
        Choice::Chosen(chosen) => Some(chosen.node.backend.id.to_string()),
        Choice::Busy | Choice::None => None,
    }
}

fn chosen(pool: &Pool, balance: &Balance, tried: &[Arc<BackendNode>]) -> Option<String> {
    id_of(choose(pool, &terms(balance, tried)))
}

const METHODS: [Balance; 4] =
    [Balance::RoundRobin, Balance::LeastConnections, Balance::LeastLatency, Balance::HashClient];

use HealthStatus::{Healthy, Unhealthy, Unknown};

#[test]
fn unknown_backends_serve_only_while_no_healthy_one_exists() {
    for balance in &METHODS {
        let pool = pool_of(&[Unknown, Healthy, Unhealthy]);
        for _ in 0..20 {
            assert_eq!(chosen(&pool, balance, &[]).as_deref(), Some("b1"));
        }
        let pool = pool_of(&[Unhealthy, Unknown, Unhealthy]);
        assert_eq!(chosen(&pool, balance, &[]).as_deref(), Some("b1"));
        assert_eq!(chosen(&pool_of(&[Unhealthy, Unhealthy]), balance, &[]), None);
    }
}

#[test]
fn backends_of_unknown_health_take_turns_too() {
    let pool = pool_of(&[Unknown, Unknown]);
    let mut turns: Vec<_> =
        (0..4).map(|_| chosen(&pool, &Balance::RoundRobin, &[]).unwrap()).collect();
    assert_eq!(turns, ["b0", "b1", "b0", "b1"]);
    turns.dedup();
    assert_eq!(turns.len(), 4);
}

#[test]
fn a_tried_backend_is_not_chosen_again() {
    let pool = pool_of(&[Healthy, Healthy]);
    let tried = vec![Arc::clone(&pool.backends()[0])];
    for balance in &METHODS {
        for _ in 0..20 {
            assert_eq!(chosen(&pool, balance, &tried).as_deref(), Some("b1"));
        }
        assert_eq!(chosen(&pool, balance, pool.backends()), None);
    }
}

#[test]
fn least_connections_prefers_the_idle_one() {
    let pool = pool_of(&[Healthy, Healthy]);
    let _busy: Vec<_> = (0..3).filter_map(|_| pool.backends()[0].live.admit(None).ok()).collect();
    for _ in 0..200 {
        assert_eq!(chosen(&pool, &Balance::LeastConnections, &[]).as_deref(), Some("b1"));
    }
}

/// A pool of healthy backends, of which the last so many are backups.
fn pool_with_backups(health: &[HealthStatus], backups: usize) -> Arc<Pool> {
    let before = pool_of(health);
    let change = |(index, node): (usize, &Arc<BackendNode>)| {
        let backup = index + backups >= health.len();
        let mut backend = node.backend.clone();
        backend.options.backup = backup;
        Change::PutBackend(backend)
    };
    let changes = before.backends().iter().enumerate().map(change).collect();
    let snapshot = Snapshot::default().after(changes, 1);
    let pool = Arc::clone(snapshot.pools().first().and_then(|name| snapshot.pool(name)).unwrap());
    for (node, status) in pool.backends().iter().zip(health) {
        node.live.set_health_report(HealthReport { status: *status, ..Default::default() });
    }
    pool
}

#[test]
fn a_backup_serves_only_while_no_other_is_fit() {
    for (health, backups, expected) in [
        (&[Healthy, Healthy][..], 1, "b0"),
        (&[Unhealthy, Healthy], 1, "b1"),
        (&[Unknown, Healthy], 1, "b1"),
        (&[Unknown, Unknown], 1, "b0"),
        (&[Unhealthy, Unknown], 1, "b1"),
        (&[Healthy], 1, "b0"),
    ] {
        let pool = pool_with_backups(health, backups);
        for balance in &METHODS {
            for _ in 0..20 {
                assert_eq!(chosen(&pool, balance, &[]).as_deref(), Some(expected), "{health:?}");
            }
        }
    }
    let pool = pool_with_backups(&[Healthy, Healthy], 1);
    let tried = [Arc::clone(&pool.backends()[0])];
    assert_eq!(chosen(&pool, &Balance::RoundRobin, &tried).as_deref(), Some("b1"));
}

#[test]
fn a_pool_is_busy_when_each_has_as_many_as_it_may() {
    let pool = pool_with_backups(&[Healthy, Healthy, Healthy], 1);
    for balance in &METHODS {
        let most = NonZeroUsize::new(1);
        let terms = Terms { most, key: Some(7), ..terms(balance, &[]) };
        let one = choose(&pool, &terms);
        let other = choose(&pool, &terms);
        assert!(matches!(choose(&pool, &terms), Choice::Busy), "a backup is no way out");
        let ids: std::collections::BTreeSet<_> = [id_of(one), id_of(other)].into();
        assert_eq!(ids, [Some("b0".to_owned()), Some("b1".to_owned())].into());
    }
}

#[test]
fn least_latency_prefers_the_fast_one() {
    let pool = pool_of(&[Healthy, Healthy]);
    for (node, ms) in pool.backends().iter().zip([50, 5]) {
        node.live.pace().note(Duration::from_millis(ms));
    }
    for _ in 0..200 {
        assert_eq!(chosen(&pool, &Balance::LeastLatency, &[]).as_deref(), Some("b1"));
    }
    let _busy: Vec<_> = (0..20).filter_map(|_| pool.backends()[1].live.admit(None).ok()).collect();
    assert_eq!(chosen(&pool, &Balance::LeastLatency, &[]).as_deref(), Some("b0"));
}

#[test]
fn a_backend_that_has_just_become_healthy_grows() {
    let pool = pool_of(&[Healthy, Healthy]);
    let slow_start = Duration::from_secs(1000);
    let count = |id: &str, terms: &Terms<'_>| {
        (0..1000).filter(|_| id_of(choose(&pool, terms)).as_deref() == Some(id)).count()
    };
    let balance = Balance::RoundRobin;
    let terms = Terms { slow_start, ..terms(&balance, &[]) };
    let even = count("b0", &terms);
    assert!((400..600).contains(&even), "both grow, so both serve: {even}");
}

mod hash {
    use proptest::prelude::*;

    use super::*;
    use crate::proxy::balance::hash::score;
    use crate::stable_hash::stable_hash;

    fn owner(pool: &Pool, key: u64) -> Option<String> {
        let terms = Terms { key: Some(key), ..terms(&Balance::HashClient, &[]) };
        id_of(choose(pool, &terms))
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let pool = pool_of(&[Healthy; 4]);
        let mut counts = std::collections::BTreeMap::<_, usize>::new();
        for key in 0..4000_u64 {
            *counts.entry(owner(&pool, stable_hash(&key.to_be_bytes()))).or_default() += 1;
        }
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
        let share = (0..4000_u64).filter(|key| {
            let key = stable_hash(&key.to_be_bytes());
            score(key, 1, 3) > score(key, 2, 1)
        });
        let share = share.count();
        assert!((2850..3150).contains(&share), "{share} is not three quarters");
    }

    /// Each version chooses as the first one did: an upgrade moves nobody.
    #[test]
    fn the_choice_is_the_one_of_every_version_before() {
        let pool = pool_of(&[Healthy; 4]);
        let keys = ["203.0.113.9", "198.51.100.7", "alice", "bob", "carol", "dave"];
        let owners = keys.map(|key| owner(&pool, stable_hash(key.as_bytes())).unwrap());
        assert_eq!(owners.concat(), "b3b2b2b1b1b3");
    }

    proptest! {
        #[test]
        fn when_one_leaves_only_its_keys_move(keys: Vec<u64>, out in 0..5_usize) {
            let pool = pool_of(&[Healthy; 5]);
            let before: Vec<_> = keys.iter().map(|key| owner(&pool, *key)).collect();
            let gone = &pool.backends()[out];
            gone.live.set_health_report(HealthReport { status: Unhealthy, ..Default::default() });
            let id = gone.backend.id.to_string();
            for (key, before) in keys.iter().zip(before) {
                let after = owner(&pool, *key);
                if before.as_deref() == Some(&id) {
                    prop_assert_ne!(after, Some(id.clone()));
                } else {
                    prop_assert_eq!(after, before);
                }
            }
        }
    }
}
