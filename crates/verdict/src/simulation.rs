//! Equal versions, seeded: how often the guard would roll one back. Each run is looked at a hundred
//! times, and one look that fails is enough.

use super::chance::{Chance, normal_above, rounded};
use super::counts::real;
use super::*;

const RUNS: u64 = 1_000;
/// Those with client networks take longer.
const CROWD_RUNS: u64 = 400;
const LOOKS: u64 = 100;
const ERROR_SHARES: [f64; 4] = [0.0, 0.001, 0.01, 0.1];
const NEW_SHARES: [f64; 6] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.9];

/// Log-normal latencies in microseconds.
struct Latency {
    median: f64,
    spread: f64,
}

impl Latency {
    fn draw(&self, chance: &mut Chance) -> u64 {
        rounded(self.median * (self.spread * chance.normal()).exp())
    }

    fn share_above(&self, threshold: u64) -> f64 {
        normal_above((real(threshold) / self.median).ln() / self.spread)
    }

    /// From so many requests before the comparison.
    fn threshold(&self, window: u64, ratio: f64, chance: &mut Chance) -> Option<u64> {
        let bounds: Vec<u64> = (0..400).map(|power| rounded(1.04_f64.powi(power) * 50.0)).collect();
        let mut counts = vec![0; bounds.len() + 1];
        for _ in 0..window {
            let latency = self.draw(chance);
            counts[bounds.partition_point(|bound| *bound < latency)] += 1;
        }
        slow_threshold(Histogram { bounds: &bounds, counts: &counts }, ratio, 0)
    }
}

/// 100 to 100,000, each power of ten as likely.
fn requests(chance: &mut Chance) -> u64 {
    rounded(10_f64.powf(chance.between(2.0, 5.0)))
}

fn observe(requests: u64, errors: f64, slow: f64, chance: &mut Chance) -> Counts {
    Counts {
        requests,
        failures: chance.successes(requests, errors),
        slow: chance.successes(requests, slow),
    }
}

fn add(sum: &mut Counts, more: Counts) {
    sum.requests += more.requests;
    sum.failures += more.failures;
    sum.slow += more.slow;
}

fn fails(networks: &[Network], rest: Network, limits: &Limits) -> bool {
    judge(&Traffic { networks, rest, counts_slow: true }, limits).so_far() == Verdict::Fail
}

/// Any real difference is too much, which leaves chance no margin.
fn strict() -> Limits {
    Limits { max_error_delta: 0.0, min_requests: 20, ..Limits::default() }
}

/// How many of the runs fail: 3 in 1,000 at most.
fn assert_rarely_rolled_back(runs: u64, what: &str, mut run: impl FnMut(&mut Chance) -> bool) {
    let rolled_back: Vec<u64> = (0..runs).filter(|seed| run(&mut Chance::new(*seed))).collect();
    println!("{what}: {} of {runs} rolled back", rolled_back.len());
    assert!(rolled_back.len() as u64 * 1_000 <= runs * 3, "{what}: seeds {rolled_back:?}");
}

/// A split whose versions fail and answer the same way, request by request.
fn split(limits: &Limits, ratio: f64, chance: &mut Chance) -> bool {
    let (total, errors) = (requests(chance), chance.one_of(&ERROR_SHARES));
    let to_new = chance.one_of(&NEW_SHARES);
    let latency = Latency { median: 20_000.0, spread: chance.between(0.3, 1.5) };
    let window = requests(chance).min(5_000);
    let threshold = latency.threshold(window, ratio, chance);
    let slow = threshold.map_or(0.0, |threshold| latency.share_above(threshold));
    let mut seen = Network::default();
    for look in 0..LOOKS {
        let more = total * (look + 1) / LOOKS - total * look / LOOKS;
        let new = chance.successes(more, to_new);
        add(&mut seen.old, observe(more - new, errors, slow, chance));
        add(&mut seen.new, observe(new, errors, slow, chance));
        if fails(&[], seen, limits) {
            return true;
        }
    }
    false
}

#[test]
fn a_split_between_equal_versions_is_kept() {
    assert_rarely_rolled_back(RUNS, "split", |chance| split(&Limits::default(), 1.5, chance));
}

#[test]
fn a_split_between_equal_versions_is_kept_where_nothing_is_allowed() {
    assert_rarely_rolled_back(RUNS, "split, strict", |chance| split(&strict(), 1.0, chance));
}

#[test]
fn an_equal_version_after_a_switch_is_kept() {
    assert_rarely_rolled_back(RUNS, "after a switch, strict", |chance| {
        let errors = chance.one_of(&ERROR_SHARES);
        let slow = chance.one_of(&[0.001, 0.01, 0.05]);
        let before = requests(chance);
        let total = requests(chance);
        let mut seen =
            Network { old: observe(before, errors, slow, chance), new: Counts::default() };
        (0..LOOKS).any(|look| {
            let more = total * (look + 1) / LOOKS - total * look / LOOKS;
            add(&mut seen.new, observe(more, errors, slow, chance));
            fails(&[], seen, &strict())
        })
    });
}

#[test]
fn hiccups_that_hit_both_versions_are_kept() {
    assert_rarely_rolled_back(RUNS, "hiccups, strict", |chance| {
        let (total, errors) = (requests(chance), chance.one_of(&ERROR_SHARES));
        let to_new = chance.one_of(&NEW_SHARES);
        let mut seen = Network::default();
        (0..LOOKS).any(|look| {
            let more = total * (look + 1) / LOOKS - total * look / LOOKS;
            let hiccup = if chance.unit() < 0.05 { chance.between(0.1, 1.0) } else { 0.0 };
            let (errors, slow) = (f64::max(errors, hiccup), f64::max(0.01, hiccup));
            let new = chance.successes(more, to_new);
            add(&mut seen.old, observe(more - new, errors, slow, chance));
            add(&mut seen.new, observe(new, errors, slow, chance));
            fails(&[], seen, &strict())
        })
    });
}

/// Networks of very different size, of which some fail often with any version.
struct Crowd {
    sizes: Vec<f64>,
    errors: Vec<f64>,
}

impl Crowd {
    fn new(chance: &mut Chance) -> Self {
        let many = chance.one_of(&[2_u32, 5, 12, 40, 150]);
        let slope = chance.between(0.0, 1.3);
        let often = chance.one_of(&[0.0, 0.05, 0.2]);
        let sizes: Vec<f64> = (1..=many).map(|rank| f64::from(rank).powf(-slope)).collect();
        let sum: f64 = sizes.iter().sum();
        let base = chance.one_of(&[0.0, 0.001, 0.02]);
        let errors = sizes
            .iter()
            .map(|_| if chance.unit() < often { chance.between(0.1, 1.0) } else { base })
            .collect();
        Self { sizes: sizes.iter().map(|size| size / sum).collect(), errors }
    }

    /// `to_new` is the share of each network that the new version serves.
    fn run(&self, total: u64, to_new: &[f64], limits: &Limits, chance: &mut Chance) -> bool {
        let mut seen = vec![Network::default(); self.sizes.len()];
        (0..LOOKS).any(|look| {
            let more = total * (look + 1) / LOOKS - total * look / LOOKS;
            for (network, sum) in seen.iter_mut().enumerate() {
                let (size, errors) = (self.sizes[network] * real(more), self.errors[network]);
                let whole = rounded(size.floor()) + u64::from(chance.unit() < size.fract());
                let new = chance.successes(whole, to_new[network]);
                add(&mut sum.old, observe(whole - new, errors, 0.01, chance));
                add(&mut sum.new, observe(new, errors, 0.01, chance));
            }
            fails(&seen, Network::default(), limits)
        })
    }
}

#[test]
fn clients_of_all_kinds_whose_requests_go_to_either_version_are_no_reason() {
    assert_rarely_rolled_back(CROWD_RUNS, "clients, strict", |chance| {
        let (crowd, total) = (Crowd::new(chance), requests(chance));
        let to_new = vec![chance.one_of(&NEW_SHARES); crowd.sizes.len()];
        crowd.run(total, &to_new, &strict(), chance)
    });
}

/// A client stays with its version, so that those who fail often may by chance be with the new one.
#[test]
fn clients_of_all_kinds_that_stay_with_their_version_are_rarely_a_reason() {
    assert_rarely_rolled_back(CROWD_RUNS, "clients that stay", |chance| {
        let (crowd, total) = (Crowd::new(chance), requests(chance));
        let share = chance.one_of(&[0.1, 0.25, 0.5]);
        let to_new: Vec<f64> =
            crowd.sizes.iter().map(|_| f64::from(u8::from(chance.unit() < share))).collect();
        crowd.run(total, &to_new, &Limits::default(), chance)
    });
}

/// Whatever one network sends, to which version it likes.
#[test]
fn one_network_never_rolls_back() {
    assert_rarely_rolled_back(CROWD_RUNS, "one network, strict", |chance| {
        let many = chance.one_of(&[1_u64, 2, 5, 12, 40, 150]);
        let errors = chance.one_of(&ERROR_SHARES);
        let each = requests(chance) / many + 1;
        let mut networks: Vec<Network> = (0..many)
            .map(|_| Network {
                old: observe(each, errors, 0.01, chance),
                new: observe(each, errors, 0.01, chance),
            })
            .collect();
        (0..LOOKS).any(|_| {
            let mut flood = |most: f64| {
                let requests = rounded(most * chance.unit().powi(6));
                let (errors, slow) = (chance.one_of(&[0.0, 0.5, 1.0]), chance.one_of(&[0.0, 1.0]));
                observe(requests, errors, slow, chance)
            };
            let all = real(each * many);
            networks.push(Network { old: flood(9.0 * all), new: flood(1e6 * all) });
            let fails = fails(&networks, Network::default(), &strict());
            networks.pop();
            fails
        })
    });
}
