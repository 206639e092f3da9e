use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::History;
use super::report::report;
use super::{Query, Report};
use crate::model::{
    Backend, BackendState, Change, DomainName, StatsSort, StatsWindow, VirtualHost,
};
use crate::state::{Ended, Snapshot, Traffic};

pub(super) fn domain(name: &str, live: &str) -> Change {
    Change::PutDomain(VirtualHost {
        domain: name.parse().unwrap(),
        live: live.parse().unwrap(),
        previous: None,
        beside: crate::model::Beside::default(),
        top: crate::model::TopOptions { http_to_https: false, ..Default::default() },
        options: crate::model::HostOptions::default(),
    })
}

fn backend(id: &str, tag: &str) -> Change {
    Change::PutBackend(Backend {
        id: id.parse().unwrap(),
        address: "127.0.0.1:1".parse().unwrap(),
        tags: [tag.parse().unwrap()].into(),
        options: crate::model::BackendOptions::default(),
        state: BackendState::Ready,
    })
}

fn name(name: &str) -> DomainName {
    name.parse().unwrap()
}

pub(super) fn live(snapshot: &Snapshot, domain: &str) -> Arc<Traffic> {
    Arc::clone(&snapshot.domain(&name(domain)).unwrap().live().traffic)
}

pub(super) fn count(traffic: &Traffic, times: u64, millis: u64) {
    for _ in 0..times {
        traffic.count(
            &Ended {
                status: Some(200),
                failed: millis >= 1000,
                took: Duration::from_millis(millis),
                received: 1,
                sent: 10,
                retries: 0,
                is_backends_fault: millis >= 1000,
            },
            || 1,
        );
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn query(window: StatsWindow) -> Query {
    Query { domain: None, backend: None, window, sort: StatsSort::Rate, limit: 10 }
}

fn requests(history: &History, snapshot: &Snapshot, now: Duration) -> [u64; 3] {
    [StatsWindow::TenSecs, StatsWindow::Minute, StatsWindow::Start].map(|window| {
        let report = report(history, snapshot, &query(window), now);
        let of_domains: u64 =
            report.domains.iter().map(|domain| domain.figures.counters.requests).sum();
        assert_eq!(report.total.counters.requests, of_domains, "{window}");
        assert_eq!(report.total.latency.total(), of_domains, "{window}");
        of_domains
    })
}

#[test]
fn windows_hold_what_came_in_them_to_the_moment() {
    let snapshot = Snapshot::default().after(vec![domain("a.test", "a")], 1);
    let traffic = live(&snapshot, "a.test");
    let mut history = History::default();
    count(&traffic, 3, 10);
    assert_eq!(requests(&history, &snapshot, SECOND), [3, 3, 3], "before the first tick");
    history.tick(&snapshot, 5 * SECOND);
    assert_eq!(requests(&history, &snapshot, 6 * SECOND), [3, 3, 3]);
    count(&traffic, 2, 10);
    history.tick(&snapshot, 10 * SECOND);
    history.tick(&snapshot, 15 * SECOND);
    count(&traffic, 1, 10);
    assert_eq!(requests(&history, &snapshot, 16 * SECOND), [3, 6, 6]);
    for tick in 4..=15 {
        history.tick(&snapshot, tick * 5 * SECOND);
    }
    assert_eq!(requests(&history, &snapshot, 76 * SECOND), [0, 1, 6]);
    history.tick(&snapshot, 80 * SECOND);
    assert_eq!(requests(&history, &snapshot, 81 * SECOND), [0, 0, 6]);
}

#[test]
fn rates_are_of_the_time_that_was_covered() {
    let snapshot = Snapshot::default().after(vec![domain("a.test", "a")], 1);
    let mut history = History::default();
    history.tick(&snapshot, 5 * SECOND);
    history.tick(&snapshot, 10 * SECOND);
    // A tick that came late.
    count(&live(&snapshot, "a.test"), 40, 10);
    history.tick(&snapshot, 20 * SECOND);
    count(&live(&snapshot, "a.test"), 20, 10);
    let report = report(&history, &snapshot, &query(StatsWindow::TenSecs), 25 * SECOND);
    assert_eq!(report.span, 20 * SECOND);
    let figures = &report.domains[0].figures;
    assert!((figures.rate_of(figures.counters.requests) - 3.0).abs() < 1e-9);
    for rates in [&report.domains[0].rates, &report.rates] {
        let rates: Vec<_> = rates.iter().map(|rate| format!("{rate:.2}")).collect();
        assert_eq!(rates, ["0.00", "0.00", "4.00"]);
    }
}

#[test]
fn a_window_has_quantiles_and_errors_of_its_own() {
    let snapshot = Snapshot::default().after(vec![domain("a.test", "a")], 1);
    let traffic = live(&snapshot, "a.test");
    let mut history = History::default();
    count(&traffic, 100, 1000);
    for tick in 1..=3 {
        history.tick(&snapshot, tick * 5 * SECOND);
    }
    count(&traffic, 100, 10);
    let of = |window| report(&history, &snapshot, &query(window), 16 * SECOND).domains.remove(0);
    let lately = of(StatsWindow::TenSecs).figures;
    assert!(lately.latency.quantile(0.99).unwrap() < Duration::from_millis(11));
    assert!(lately.error_share() < 1e-9);
    let all = of(StatsWindow::Start).figures;
    assert!(all.latency.quantile(0.99).unwrap() > Duration::from_millis(980));
    assert!((all.error_share() - 0.5).abs() < 1e-9);
}

#[test]
fn what_is_gone_is_forgotten_but_in_the_total() {
    let changes = vec![domain("a.test", "a"), domain("b.test", "a"), backend("x", "a")];
    let before = Snapshot::default().after(changes, 1);
    let mut history = History::default();
    count(&live(&before, "a.test"), 5, 10);
    count(before.backend(&"x".parse().unwrap()).unwrap().live.traffic(), 5, 10);
    history.tick(&before, 5 * SECOND);
    assert_eq!((history.tags.len(), history.backends.len()), (1, 1), "no room for what is idle");

    let after = before.after(
        vec![Change::DropDomain(name("a.test")), Change::DropBackend("x".parse().unwrap())],
        2,
    );
    // A request that began before it was removed.
    let under_way = live(&before, "a.test");
    drop(before);
    history.tick(&after, 10 * SECOND);
    count(&under_way, 1, 10);
    drop(under_way);
    history.tick(&after, 15 * SECOND);
    assert_eq!((history.tags.len(), history.backends.len()), (0, 0));
    for window in [StatsWindow::Minute, StatsWindow::Start] {
        let report = report(&history, &after, &query(window), 16 * SECOND);
        assert_eq!(report.total.counters.requests, 6);
        assert_eq!(report.domains.len(), 1);
        assert_eq!(report.domains[0].figures.counters.requests, 0);
    }
}

#[test]
fn a_domain_that_came_again_counts_from_nothing() {
    let before = Snapshot::default().after(vec![domain("a.test", "a")], 1);
    let mut history = History::default();
    count(&live(&before, "a.test"), 5, 10);
    history.tick(&before, 5 * SECOND);
    let again = before
        .after(vec![Change::DropDomain(name("a.test"))], 2)
        .after(vec![domain("a.test", "a")], 3);
    drop(before);
    count(&live(&again, "a.test"), 2, 10);
    let report = report(&history, &again, &query(StatsWindow::Minute), 6 * SECOND);
    assert_eq!(report.domains[0].figures.counters.requests, 2);
    assert_eq!(report.total.counters.requests, 7);
}

#[test]
fn tags_stand_side_by_side_after_a_switch() {
    let changes = vec![domain("a.test", "a"), backend("x", "a"), backend("y", "b")];
    let before = Snapshot::default().after(changes, 1);
    let mut history = History::default();
    count(&live(&before, "a.test"), 5, 10);
    history.tick(&before, 5 * SECOND);
    let after = before.after(vec![domain("a.test", "b")], 2);
    count(&live(&after, "a.test"), 2, 10);
    let report = report(&history, &after, &query(StatsWindow::Minute), 6 * SECOND);
    let tags: Vec<_> = report.domains[0]
        .tags
        .iter()
        .map(|of| (of.tag.as_str(), of.figures.counters.requests))
        .collect();
    assert_eq!(tags, [("b", 2), ("a", 5)]);
    assert_eq!(report.domains[0].figures.counters.requests, 7);
}

fn names(report: &Report) -> Vec<String> {
    report.domains.iter().map(|of| of.node.virtual_host.domain.to_string()).collect()
}

#[test]
fn the_first_of_many_are_those_that_were_asked_for() {
    let names_of_all = ["a.test", "b.test", "c.test", "d.test"];
    let changes = names_of_all.iter().map(|name| domain(name, "a"));
    let snapshot = Snapshot::default().after(changes.collect(), 1);
    count(&live(&snapshot, "b.test"), 9, 10);
    count(&live(&snapshot, "c.test"), 2, 1000);
    let _guard = snapshot.domain(&name("d.test")).unwrap().live().in_flight.enter();
    let history = History::default();
    for (sort, expected) in [
        (StatsSort::Rate, ["b.test", "c.test", "a.test"]),
        (StatsSort::Errors, ["c.test", "a.test", "b.test"]),
        (StatsSort::P99, ["c.test", "b.test", "a.test"]),
        (StatsSort::InFlight, ["d.test", "a.test", "b.test"]),
        (StatsSort::Name, ["a.test", "b.test", "c.test"]),
    ] {
        let query = Query { sort, limit: 3, ..query(StatsWindow::Minute) };
        let report = report(&history, &snapshot, &query, SECOND);
        assert_eq!(names(&report), expected, "{sort:?}");
        assert_eq!((report.more_domains, report.total.in_flight), (1, 1));
    }
}

#[test]
fn a_question_about_one_has_an_answer_about_one() {
    let changes =
        vec![domain("a.test", "a"), domain("b.test", "b"), backend("x", "a"), backend("y", "b")];
    let snapshot = Snapshot::default().after(changes, 1);
    let history = History::default();
    let asked = |domain: Option<&str>, backend: Option<&str>| {
        let query = Query {
            domain: domain.map(name),
            backend: backend.map(|id| id.parse().unwrap()),
            ..query(StatsWindow::Minute)
        };
        let report = report(&history, &snapshot, &query, SECOND);
        let ids = report.backends.iter().map(|of| of.node.backend.id.to_string());
        (names(&report), ids.collect::<Vec<_>>())
    };
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(asked(Some("b.test"), None), (words(&["b.test"]), words(&["y"])));
    assert_eq!(asked(None, Some("x")), (words(&[]), words(&["x"])));
    assert_eq!(asked(Some("b.test"), Some("x")), (words(&["b.test"]), words(&["x"])));
}

#[test]
fn a_hundred_thousand_domains_cost_milliseconds() {
    let changes = (0..100_000).map(|n| domain(&format!("d{n}.test"), "a")).collect();
    let snapshot = Snapshot::default().after(changes, 1);
    for n in 0..1_000 {
        count(&live(&snapshot, &format!("d{}.test", n * 97)), 1 + n % 7, 10 + n % 90);
    }
    let mut history = History::default();
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let begin = Instant::now();
        work();
        let took = begin.elapsed();
        println!("{what}: {took:?}");
        // A debug build on a busy machine; what walked all domains for each would take minutes.
        assert!(took < 10 * SECOND, "{what} took {took:?}");
    };
    timed("tick", &mut || history.tick(&snapshot, 5 * SECOND));
    for sort in [StatsSort::Rate, StatsSort::P99] {
        timed("report", &mut || {
            let query = Query { sort, limit: 100, ..query(StatsWindow::Minute) };
            assert_eq!(report(&history, &snapshot, &query, 6 * SECOND).domains.len(), 100);
        });
    }
}

#[test]
fn two_tags_have_their_traffic_of_the_last_time_side_by_side() {
    let snapshot = Snapshot::default().after(vec![domain("a.test", "a"), domain("b.test", "a")], 1);
    let mut history = History::default();
    let side = |history: &History, last: u64, now: u64| {
        let domains = [name("a.test"), name("b.test")];
        let (last, now) = (Duration::from_secs(last), Duration::from_secs(now));
        super::side_by_side::traffic(history, &snapshot, &domains, &"a".parse().unwrap(), last, now)
    };
    count(&live(&snapshot, "a.test"), 3, 10);
    count(&live(&snapshot, "b.test"), 1, 1_000);
    assert_eq!(side(&history, 600, 1).counters.requests, 4, "before the first tick");
    for tick in 1..=20 {
        history.tick(&snapshot, tick * 5 * SECOND);
    }
    count(&live(&snapshot, "a.test"), 2, 10);
    assert_eq!(side(&history, 10, 101).counters.requests, 2);
    assert_eq!(side(&history, 60, 101).counters.requests, 2);
    let all = side(&history, 600, 101);
    assert_eq!((all.counters.requests, all.counters.errors, all.took.total()), (6, 1, 6));
    assert_eq!(all.counters.classes.iter().sum::<u64>(), 6);
    assert_eq!(history.covered(10, 101 * SECOND), 101 * SECOND);
    for tick in 21..=300 {
        history.tick(&snapshot, tick * 5 * SECOND);
    }
    assert_eq!(side(&history, 600, 1_501).counters.requests, 0, "long ago");
    let covered = history.covered(10, 1_501 * SECOND);
    assert!((600..=665).contains(&covered.as_secs()), "{covered:?}");
}

#[test]
fn the_most_requests_at_once_are_known_for_ten_minutes() {
    let changes = vec![domain("one.test", "a"), domain("two.test", "a"), backend("w", "a")];
    let snapshot = Snapshot::default().after(changes, 1);
    let counts = |of: &str| {
        let node = snapshot.domain(&name(of)).unwrap();
        Arc::clone(node.in_flight_on(&"a".parse().unwrap()).unwrap())
    };
    let step = |of: &str| crate::model::SwitchStep {
        domain: name(of),
        from: "a".parse().unwrap(),
        to: "b".parse().unwrap(),
    };
    let (one, both) = (vec![step("one.test")], vec![step("one.test"), step("two.test")]);
    let mut history = History::default();
    let ticks = |history: &mut History, number: u32| {
        (0..number).for_each(|_| history.tick(&snapshot, SECOND));
    };
    let held: Vec<_> = (0..3).map(|_| counts("one.test").enter()).collect();
    ticks(&mut history, 11);
    drop(held);
    let other = counts("two.test").enter();
    ticks(&mut history, 12);
    drop(other);
    assert_eq!(history.peaks.together(&one, &snapshot), 3);
    // They had them in different minutes: 3 and 0, then 0 and 1.
    assert_eq!(history.peaks.together(&both, &snapshot), 3);
    ticks(&mut history, 8 * 12);
    assert_eq!(history.peaks.together(&one, &snapshot), 3);
    ticks(&mut history, 3 * 12);
    assert_eq!(history.peaks.together(&both, &snapshot), 0);
    // What has no minute yet counts as it is.
    let _held = counts("two.test").enter();
    assert_eq!(history.peaks.together(&both, &snapshot), 1);
}
