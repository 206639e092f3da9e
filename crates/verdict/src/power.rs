//! How many requests it takes to prove that a new version is worse: prints the tables of
//! docs/rollout.md.

use super::chance::{Chance, normal_above, rounded};
use super::counts::real;
use super::proportions::is_not;
use super::*;

const RUNS: u64 = 400;

/// What half of the default risk is.
const RISK: f64 = 0.0025;

/// Where the old version's requests come from.
#[derive(Clone, Copy)]
enum Baseline {
    /// Meanwhile, with this share for the new version.
    Split(f64),
    /// Before the switch, so many.
    Before(u64),
}

/// Requests of the new version when it is first proven to be worse, sorted. Looks after each
/// twentieth more.
fn needed(
    old: f64,
    new: f64,
    baseline: Baseline,
    proof: impl Fn(&Pair<Share>) -> bool,
) -> Vec<u64> {
    const GIVE_UP: u64 = 20_000_000;
    let mut all: Vec<u64> = (0..RUNS)
        .map(|seed| {
            let mut chance = Chance::new(seed);
            let mut seen = Pair { old: (0, 0), new: (0, 0) };
            if let Baseline::Before(requests) = baseline {
                seen.old = (chance.successes(requests, old), requests);
            }
            let mut requests = 10;
            while requests < GIVE_UP {
                let more = requests - seen.new.1;
                seen.new = (seen.new.0 + chance.successes(more, new), requests);
                if let Baseline::Split(share) = baseline {
                    let total = rounded(real(requests) / share) - requests;
                    let more = chance.successes(total - seen.old.1, old);
                    seen.old = (seen.old.0 + more, total);
                }
                let shares = seen.map(|(hits, of)| Share::of_counts(hits, of));
                if proof(&shares) {
                    return requests;
                }
                requests += (requests / 20).max(1);
            }
            GIVE_UP
        })
        .collect();
    all.sort_unstable();
    all
}

fn cell(all: &[u64]) -> String {
    let at = |percent: usize| all[all.len() * percent / 100];
    if at(90) >= 10_000_000 {
        "never".into()
    } else {
        format!("{} / {}", short(at(50)), short(at(90)))
    }
}

/// Two digits say enough.
fn short(requests: u64) -> String {
    let step = 10_u64.pow(requests.ilog10().saturating_sub(1));
    let digits = ((requests + step / 2) / step * step).to_string();
    let (thousands, rest) = digits.split_at(digits.len().saturating_sub(3));
    if thousands.is_empty() { rest.into() } else { format!("{thousands},{rest}") }
}

#[test]
#[ignore = "prints the table of errors in docs/rollout.md"]
fn errors() {
    println!(
        "| limit | old version fails | new version fails | half of the traffic | a tenth of the traffic | after a switch |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for margin in [0.0, 0.01] {
        for old in [0.001, 0.01, 0.1] {
            for points in [0.5, 1.0, 2.0, 5.0, 30.0] {
                let new = old + points / 100.0;
                if points / 100.0 <= margin {
                    continue;
                }
                let of = |baseline| {
                    cell(&needed(old, new, baseline, |shares| exceeds(shares, margin, RISK)))
                };
                println!(
                    "| {} % | {:.1} % | +{points} points | {} | {} | {} |",
                    margin * 100.0,
                    old * 100.0,
                    of(Baseline::Split(0.5)),
                    of(Baseline::Split(0.1)),
                    of(Baseline::Before(10_000)),
                );
            }
        }
    }
}

fn is_slower(shares: &Pair<Share>) -> bool {
    exceeds(shares, SLOW_MARGIN, RISK)
        && shares.new.estimate() > SLOW_SHARE
        && is_not(shares.new, SLOW_SHARE, RISK)
}

#[test]
#[ignore = "prints the table of latencies in docs/rollout.md"]
fn latencies() {
    let bounds: Vec<u64> = (0..600).map(|power| rounded(1.03_f64.powi(power) * 50.0)).collect();
    println!(
        "| p95 of the new version | spread | half of the traffic | a tenth of the traffic | after a switch |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for times in [1.75, 2.0, 3.0, 5.0] {
        for spread in [0.5, 1.0] {
            let mut counts = vec![0; bounds.len() + 1];
            let mut chance = Chance::new(1);
            for _ in 0..2_000 {
                let latency = rounded(20_000.0 * (spread * chance.normal()).exp());
                counts[bounds.partition_point(|bound| *bound < latency)] += 1;
            }
            let histogram = Histogram { bounds: &bounds, counts: &counts };
            let threshold = slow_threshold(histogram, 1.5, 0).unwrap();
            let above =
                |times: f64| normal_above((real(threshold) / (20_000.0 * times)).ln() / spread);
            let (old, new) = (above(1.0), above(times));
            let of = |baseline| cell(&needed(old, new, baseline, is_slower));
            println!(
                "| x {times} ({:.1} % to {:.1} % slow) | {spread} | {} | {} | {} |",
                old * 100.0,
                new * 100.0,
                of(Baseline::Split(0.5)),
                of(Baseline::Split(0.1)),
                of(Baseline::Before(10_000)),
            );
        }
    }
}

/// Of the new version, until the guard rolls back; half of the traffic goes to it.
fn needed_of_clients(sizes: &[f64], old: f64, new: f64) -> Vec<u64> {
    let sum: f64 = sizes.iter().sum();
    let mut all: Vec<u64> = (0..RUNS / 4)
        .map(|seed| {
            let mut chance = Chance::new(seed);
            let mut networks = vec![Network::default(); sizes.len()];
            let mut requests = 100_u64;
            let mut more = requests;
            while requests < 2_000_000 {
                for (network, size) in networks.iter_mut().zip(sizes) {
                    let mean = real(more) * size / sum;
                    let each = rounded(mean.floor()) + u64::from(chance.unit() < mean.fract());
                    network.old.requests += each;
                    network.new.requests += each;
                    network.old.failures += chance.successes(each, old);
                    network.new.failures += chance.successes(each, new);
                }
                let rest = Network::default();
                let traffic = Traffic { networks: &networks, rest, counts_slow: false };
                if judge(&traffic, &Limits::default()).so_far() == Verdict::Fail {
                    return requests;
                }
                more = (requests / 20).max(1);
                requests += more;
            }
            20_000_000
        })
        .collect();
    all.sort_unstable();
    all
}

#[test]
#[ignore = "prints the table of clients in docs/rollout.md"]
fn clients() {
    println!("| client networks | +2 points | +5 points | +30 points |");
    println!("| --- | --- | --- | --- |");
    for (name, many, slope) in [
        ("1", 1, 0.0),
        ("2, equal", 2, 0.0),
        ("3, the busiest makes half", 3, 1.0),
        ("10, equal", 10, 0.0),
        ("10, the busiest makes a third", 10, 1.0),
        ("100, equal", 100, 0.0),
        ("100, the busiest makes a fifth", 100, 1.0),
        ("500, the busiest makes a seventh", 500, 1.0),
    ] {
        let sizes: Vec<f64> = (1..=many).map(|rank| f64::from(rank).powf(-slope)).collect();
        let of = |points: f64| cell(&needed_of_clients(&sizes, 0.001, 0.001 + points / 100.0));
        println!("| {name} | {} | {} | {} |", of(2.0), of(5.0), of(30.0));
    }
}
