//! Chooses a backend of a pool.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{BackendId, Balance};
use crate::state::{BackendNode, InFlightGuard, NotAdmitted, Pool, Standing};

/// A backend that was chosen, with the request counted in flight there.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) node: Arc<BackendNode>,
    /// Held for as long as the request uses the backend.
    _in_flight: InFlightGuard,
    /// After the count: whoever hears of it looks at that.
    _freed: Option<Freed>,
}

/// Tells those who wait that there is room.
#[derive(Debug)]
struct Freed(Arc<BackendNode>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.live.freed().notify_waiters();
    }
}

impl Chosen {
    /// Counts the request in, unless the backend takes none any more, or has `most` already.
    pub(super) fn admit(
        node: &Arc<BackendNode>,
        most: Option<NonZeroUsize>,
    ) -> Result<Self, NotAdmitted> {
        let in_flight = node.live.admit(most)?;
        let freed = most.map(|_| Freed(Arc::clone(node)));
        Ok(Self { node: Arc::clone(node), _in_flight: in_flight, _freed: freed })
    }
}

/// What comes of a choice.
#[derive(Debug)]
pub(super) enum Choice {
    Chosen(Chosen),
    /// Each that could serve has as many requests as it may.
    Busy,
    /// None can serve.
    None,
}

/// By what a backend is chosen.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) balance: &'a Balance,
    /// What a hash is made of; without it the turn decides.
    pub(super) key: Option<u64>,
    /// Requests that may run at once on one backend.
    pub(super) most: Option<NonZeroUsize>,
    /// How long the share of a backend that has become healthy grows.
    pub(super) slow_start: Duration,
    /// Backends that the request could not be sent to.
    pub(super) tried: &'a [Arc<BackendNode>],
}

impl Terms<'_> {
    fn is_fresh(&self, node: &Arc<BackendNode>) -> bool {
        !self.tried.iter().any(|one| Arc::ptr_eq(one, node))
    }

    /// Whether it is fit, and has grown enough for this request. A share is kept by chance.
    fn takes(&self, node: &Arc<BackendNode>) -> bool {
        node.standing() == Standing::Fit && self.is_fresh(node) && self.has_grown(node)
    }

    fn has_grown(&self, node: &BackendNode) -> bool {
        let share = node.live.pace().share(self.slow_start);
        share >= 1.0 || fastrand::f32() < share
    }
}

/// Chooses a healthy backend that has not been tried; a backup only while no other is healthy; one of
/// unknown health only while no backup is either.
pub(super) fn choose(pool: &Pool, terms: &Terms<'_>) -> Choice {
    let preferred = match terms.balance {
        Balance::RoundRobin => None,
        Balance::LeastConnections => better_of_two(pool, terms, load),
        Balance::LeastLatency => better_of_two(pool, terms, wait),
        Balance::HashClient | Balance::HashHeader(_) | Balance::HashCookie(_) => {
            terms.key.and_then(|key| by_hash(pool, terms, key, false))
        }
    };
    if let Some(node) = preferred
        && let Ok(chosen) = Chosen::admit(node, terms.most)
    {
        return Choice::Chosen(chosen);
    }
    let (choice, unknown) = next_in_turn(pool, terms, false);
    if !matches!(choice, Choice::None) {
        return choice;
    }
    let mut unknown_backup = None;
    if pool.has_backups() {
        if let Some(key) = terms.key
            && let Some(node) = by_hash(pool, terms, key, true)
            && let Ok(chosen) = Chosen::admit(node, terms.most)
        {
            return Choice::Chosen(chosen);
        }
        let (choice, unknown) = next_in_turn(pool, terms, true);
        if !matches!(choice, Choice::None) {
            return choice;
        }
        unknown_backup = unknown;
    }
    let mut is_busy = false;
    for node in [unknown, unknown_backup].into_iter().flatten() {
        match Chosen::admit(node, terms.most) {
            Ok(chosen) => return Choice::Chosen(chosen),
            Err(NotAdmitted::Busy) => is_busy = true,
            Err(NotAdmitted::Out) => {}
        }
    }
    if is_busy { Choice::Busy } else { Choice::None }
}

/// The backend that a client had before, while it can take requests.
pub(super) fn stay(pool: &Pool, id: &BackendId, terms: &Terms<'_>) -> Option<Chosen> {
    let node = pool.find(id)?;
    let can_serve = matches!(node.standing(), Standing::Fit | Standing::Fallback);
    (can_serve && terms.is_fresh(node)).then(|| Chosen::admit(node, terms.most).ok()).flatten()
}

/// The first healthy one from the next turn on, and the first of which nothing is known.
fn next_in_turn<'p>(
    pool: &'p Pool,
    terms: &Terms<'_>,
    backup: bool,
) -> (Choice, Option<&'p Arc<BackendNode>>) {
    let (mut unknown, mut growing, mut is_busy) = (None, None, false);
    for node in pool.next_round(backup).filter(|node| terms.is_fresh(node)) {
        match node.standing() {
            Standing::Fit if !terms.has_grown(node) => growing = growing.or(Some(node)),
            Standing::Fit => match Chosen::admit(node, terms.most) {
                Ok(chosen) => return (Choice::Chosen(chosen), None),
                Err(NotAdmitted::Busy) => is_busy = true,
                Err(NotAdmitted::Out) => {}
            },
            Standing::Fallback => unknown = unknown.or(Some(node)),
            Standing::Unhealthy | Standing::Out => {}
        }
    }
    // Nobody else takes it, so its share is all.
    match growing.map(|node| Chosen::admit(node, terms.most)) {
        Some(Ok(chosen)) => return (Choice::Chosen(chosen), None),
        Some(Err(NotAdmitted::Busy)) => is_busy = true,
        Some(Err(NotAdmitted::Out)) | None => {}
    }
    (if is_busy { Choice::Busy } else { Choice::None }, unknown)
}

/// The power of two choices: of two healthy backends at random, the one that has less of `burden` for
/// its weight. Nothing when none is healthy.
fn better_of_two<'p>(
    pool: &'p Pool,
    terms: &Terms<'_>,
    burden: fn(&BackendNode) -> f64,
) -> Option<&'p Arc<BackendNode>> {
    let fit = |node: &&Arc<BackendNode>| terms.takes(node);
    let one = pool.random_round(false).find(fit)?;
    let other = pool.random_round(false).filter(|node| !Arc::ptr_eq(node, one)).find(fit);
    let Some(other) = other else { return Some(one) };
    let burden = |node: &BackendNode| burden(node) / f64::from(node.backend.weight.get());
    Some(if burden(one) <= burden(other) { one } else { other })
}

/// The requests that run there.
#[expect(clippy::cast_precision_loss, reason = "nobody has that many requests")]
fn load(node: &BackendNode) -> f64 {
    node.live.in_flight() as f64
}

/// How long a further request would wait: the mean time to an answer, for each that runs there and for
/// itself.
fn wait(node: &BackendNode) -> f64 {
    // A backend of which nothing is known, or nothing any more, is asked before others.
    node.live.pace().mean_micros() * (load(node) + 1.0)
}

/// Rendezvous hashing: of the backends that take the request, the one with the highest score for this
/// key. The scores of others don't depend on who is there, so when one leaves only its own keys move,
/// and they spread over all that stay.
fn by_hash<'p>(
    pool: &'p Pool,
    terms: &Terms<'_>,
    key: u64,
    backup: bool,
) -> Option<&'p Arc<BackendNode>> {
    let has_room =
        |node: &Arc<BackendNode>| terms.most.is_none_or(|most| node.live.in_flight() < most.get());
    pool.ready()
        .filter(|node| node.backend.backup == backup && has_room(node) && terms.takes(node))
        .map(|node| (score(key, node.seed(), node.backend.weight.get()), node))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, node)| node)
}

/// The score of a backend for a key. With scores of this form the highest is each backend's as often as
/// its weight says.
fn score(key: u64, seed: u64, weight: u16) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let between_0_and_1 = ((mix(key ^ seed) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / between_0_and_1.ln()
}

/// The end of splitmix64: every bit of the input moves every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendState, Change, HealthReport, HealthStatus, Scheme, Weight};
    use crate::state::Snapshot;

    fn pool_of(health: &[HealthStatus]) -> Arc<Pool> {
        let changes = (0..health.len())
            .map(|index| {
                Change::PutBackend(Backend {
                    id: format!("b{index}").parse().unwrap(),
                    address: "127.0.0.1:1".parse().unwrap(),
                    tags: ["a".parse().unwrap()].into(),
                    weight: Weight::default(),
                    scheme: Scheme::Http,
                    state: BackendState::Ready,
                    backup: false,
                    tls: crate::model::BackendTls::default(),
                    send_proxy_protocol: crate::model::SendProxyProtocol::Off,
                })
            })
            .collect();
        let snapshot = Snapshot::default().after(changes, 1);
        let pool = Arc::clone(snapshot.pool(&"a".parse().unwrap()).unwrap());
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

    const METHODS: [Balance; 4] = [
        Balance::RoundRobin,
        Balance::LeastConnections,
        Balance::LeastLatency,
        Balance::HashClient,
    ];

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
        let _busy: Vec<_> =
            (0..3).filter_map(|_| pool.backends()[0].live.admit(None).ok()).collect();
        for _ in 0..200 {
            assert_eq!(chosen(&pool, &Balance::LeastConnections, &[]).as_deref(), Some("b1"));
        }
    }

    /// A pool of healthy backends, of which the last so many are backups.
    fn pool_with_backups(health: &[HealthStatus], backups: usize) -> Arc<Pool> {
        let before = pool_of(health);
        let change = |(index, node): (usize, &Arc<BackendNode>)| {
            let backup = index + backups >= health.len();
            Change::PutBackend(Backend { backup, ..node.backend.clone() })
        };
        let changes = before.backends().iter().enumerate().map(change).collect();
        let snapshot = Snapshot::default().after(changes, 1);
        let pool = Arc::clone(snapshot.pool(&"a".parse().unwrap()).unwrap());
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
                    assert_eq!(
                        chosen(&pool, balance, &[]).as_deref(),
                        Some(expected),
                        "{health:?}"
                    );
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
        let _busy: Vec<_> =
            (0..20).filter_map(|_| pool.backends()[1].live.admit(None).ok()).collect();
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
}
