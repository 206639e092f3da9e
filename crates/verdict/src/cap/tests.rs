use super::*;

fn counts(requests: u64, failures: u64) -> Counts {
    Counts { requests, failures, slow: 0 }
}

fn network(old: (u64, u64), new: (u64, u64)) -> Network {
    Pair { old: counts(old.0, old.1), new: counts(new.0, new.1) }
}

fn of(networks: &[Network]) -> Evidence {
    capped(&Traffic { networks, rest: Network::default(), counts_slow: true })
}

/// To within rounding.
fn assert_share(share: Share, hits: f64, of: f64) {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-6 * b.max(1.0);
    assert!(near(share.hits, hits) && near(share.of, of), "{share:?}, not {hits} of {of}");
}

#[test]
fn equal_networks_count_in_full() {
    for many in [1, 2, 3, 4, 10, 19, 50] {
        let found = of(&vec![network((100, 3), (50, 6)); many]);
        let times = f64::from(u32::try_from(many).unwrap());
        assert_share(found.failures.limited.new, 6.0 * times, 50.0 * times);
        assert_share(found.failures.limited.old, 3.0 * times, 100.0 * times);
    }
}

#[test]
fn the_limit_is_a_tenth_where_eighteen_others_ask_and_a_half_where_few_do() {
    let equal = |many| limit(&vec![7.0; many], 0.0);
    assert!((equal(19) - 0.1).abs() < 1e-9 && (equal(900) - 0.1).abs() < 1e-9);
    assert!((equal(3) - 0.5).abs() < 1e-9 && (equal(1) - 0.5).abs() < 1e-9);
    assert!((equal(5) - 1.0 / 3.0).abs() < 1e-9);
    let mut flooded = vec![7.0; 19];
    flooded[3] = 1e9;
    assert!((limit(&flooded, 0.0) - 0.1).abs() < 1e-9, "a flood doesn't move it");
    assert!((limit(&[500.0], 18.0) - 0.1).abs() < 1e-9, "each of the rest is one");
}

#[test]
fn a_ceiling_leaves_nobody_more_than_the_limit() {
    for (counts, rest, limit) in [
        (vec![50.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0], 0.0, 0.1),
        (vec![900.0, 300.0, 20.0, 3.0], 100.0, 0.25),
        (vec![900.0, 300.0, 20.0, 3.0], 0.0, 0.5),
        (vec![5.0; 10], 0.0, 0.1),
    ] {
        let ceiling = ceiling(&counts, rest, limit);
        let sum: f64 = counts.iter().map(|count: &f64| count.min(ceiling)).sum::<f64>() + rest;
        assert!(ceiling > 0.0);
        assert!(counts.iter().all(|count| count.min(ceiling) <= limit * sum * 1.000_001));
        let more = ceiling * 1.01;
        let sum: f64 = counts.iter().map(|count| count.min(more)).sum::<f64>() + rest;
        let largest = counts.iter().copied().fold(0.0, f64::max).min(more);
        assert!(largest <= ceiling * 1.000_001 || largest > limit * sum, "it is the highest");
    }
    assert!(ceiling(&[1.0; 9], 0.0, 0.1).abs() < 1e-9, "nine are too few for a tenth each");
    assert!(ceiling(&[1.0], 0.0, 0.5).abs() < 1e-9);
    assert!(ceiling(&[], 0.0, 0.5).abs() < 1e-9);
}

#[test]
fn one_network_that_makes_all_failures_has_none_counted() {
    for others in [1, 2, 5, 18, 200] {
        for its_requests in [10, 1_000, 1_000_000] {
            let mut networks = vec![network((40, 0), (40, 0)); others];
            networks.push(network((40, 0), (its_requests, its_requests)));
            let found = of(&networks);
            assert_share(Share { of: 0.0, ..found.failures.limited.new }, 0.0, 0.0);
            assert!(found.failures.whole.new.hits > 0.0, "it is not hidden");
        }
    }
}

#[test]
fn one_network_cannot_make_a_few_failures_of_others_look_like_many() {
    for others in [1, 2, 5, 18, 200] {
        let mut networks = vec![network((1_000, 10), (1_000, 10)); others];
        networks.push(network((0, 0), (1_000_000, 1_000_000)));
        let share = of(&networks).failures.limited.new;
        assert!(share.estimate() < 0.0101, "{others}: {share:?}");
    }
}

#[test]
fn who_fails_with_both_versions_is_held_against_neither() {
    let mut networks = vec![network((1_000, 0), (1_000, 0)); 30];
    networks.push(network((1_000, 900), (1_000, 900)));
    let found = of(&networks).failures.limited;
    assert!(found.old.hits.abs() < 1e-9 && found.new.hits.abs() < 1e-9, "{found:?}");
}

#[test]
fn a_sole_client_counts_as_it_is_and_nobody_else() {
    let found = of(&[network((5_000, 5), (1_000, 300))]);
    assert_share(found.failures.limited.new, 300.0, 1_000.0);
    let found = of(&[network((5_000, 5), (1_000, 300)), network((60, 0), (12, 0))]);
    assert_share(found.failures.limited.new, 300.0, 1_000.0);
    let found = of(&[network((5_000, 5), (1_000, 1)), network((9, 0), (50, 50))]);
    assert_share(found.failures.limited.new, 1.0, 1_000.0);
}

#[test]
fn who_floods_only_the_new_version_is_no_sole_client() {
    let mut networks = vec![network((100, 0), (1, 0)); 50];
    networks.push(network((100, 0), (99_999, 99_999)));
    let found = of(&networks);
    assert!(found.failures.limited.new.hits.abs() < 1e-9, "{found:?}");
    assert!((found.requests.new - 50.0 / 0.9).abs() < 1e-3, "{found:?}");
    let alone = of(&[network((100, 0), (0, 0)), network((0, 0), (500, 500))]);
    assert!(alone.failures.limited.new.hits.abs() < 1e-9, "nobody else asked: {alone:?}");
}

#[test]
fn failures_that_come_together_are_fewer_pieces_of_evidence() {
    let apart = of(&[network((100, 2), (100, 2)); 100]).failures.whole.new;
    assert_share(apart, 200.0, 10_000.0);
    let mut networks = vec![network((100, 0), (100, 0)); 80];
    networks.extend(vec![network((100, 0), (100, 10)); 20]);
    let together = of(&networks).failures.whole.new;
    assert!(together.of < 2_000.0, "{together:?}");
    assert!((together.estimate() - 0.02).abs() < 1e-9, "the estimate stays");
}

#[test]
fn a_network_that_fails_as_often_with_both_versions_hides_nothing() {
    let mut networks = vec![network((1_000, 0), (1_000, 0)); 40];
    networks.extend(vec![network((1_000, 200), (1_000, 200)); 40]);
    let found = of(&networks).failures.whole;
    assert_share(found.new, 8_000.0, 80_000.0);
}

#[test]
fn without_requests_there_is_no_evidence() {
    assert_eq!(of(&[]), Evidence { slow: Some(Limited::default()), ..Evidence::default() });
    let found = of(&[Network::default(); 3]);
    assert_share(found.failures.limited.new, 0.0, 0.0);
}
