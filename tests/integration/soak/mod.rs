//! The product's promise, under load: a deploy loses nothing.

pub(crate) mod traffic;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::harness::*;
use traffic::{HOST, Site, Start, TRAFFIC};

const SWITCHES: usize = 200;

/// The pause between two exchanges of a client: all kinds share the machine's cores, and the slow ones set the pace.
const PACE: Duration = Duration::from_millis(3);

/// Three, so that an answer of the tag before can't be taken for one of the tag after next.
const TAGS: [&str; 3] = ["a", "b", "c"];

/// The tag that is live after so many switches.
pub(crate) fn tag_after(switches: usize) -> &'static str {
    TAGS[switches % TAGS.len()]
}

/// What clients compare their answers with.
#[derive(Default)]
pub(crate) struct Timeline {
    /// Switches that have been asked for.
    pub(crate) begun: AtomicUsize,
    /// Switches that have been acknowledged.
    pub(crate) acknowledged: AtomicUsize,
    ended: AtomicBool,
    pub(crate) failures: Mutex<Vec<String>>,
}

impl Timeline {
    /// The tag that answered a request sent after `floor` acknowledgements must have been live at
    /// that moment or since.
    fn judge(&self, floor: usize, backend: &str) -> Result<(), String> {
        let ceiling = self.begun.load(Ordering::SeqCst);
        let tag = &backend[..1];
        if (floor..=ceiling).any(|switches| tag_after(switches) == tag) {
            Ok(())
        } else {
            Err(format!(
                "misrouted: `{backend}` answered a request sent after `{}` was acknowledged (switches {floor} to {ceiling})",
                tag_after(floor)
            ))
        }
    }
}

/// A client at work: how far it has seen, and how much it has done.
#[derive(Default)]
pub(crate) struct Progress {
    /// An exchange has ended that began after so many acknowledgements.
    pub(crate) seen: AtomicUsize,
    pub(crate) exchanges: AtomicUsize,
}

pub(crate) fn work(
    kind: &str,
    start: Start,
    site: &Site,
    timeline: &Timeline,
    progress: &Progress,
) {
    let mut exchange = start(site);
    while !timeline.ended.load(Ordering::SeqCst) {
        let floor = timeline.acknowledged.load(Ordering::SeqCst);
        let judge = |served: Vec<String>| {
            served.iter().try_for_each(|backend| timeline.judge(floor, backend))
        };
        if let Err(failure) = exchange().and_then(judge) {
            // With connections of its own that nothing has happened to.
            exchange = start(site);
            timeline.failures.lock().unwrap().push(format!("{kind}: {failure}"));
        }
        progress.exchanges.fetch_add(1, Ordering::SeqCst);
        progress.seen.fetch_max(floor, Ordering::SeqCst);
        std::thread::sleep(PACE);
    }
}

/// Every numbered request has reached one backend, once.
pub(crate) fn judge_orders(site: &Site, backends: &[Backend]) {
    let mut seen = HashMap::<String, usize>::new();
    for (order, times) in backends.iter().flat_map(Backend::orders) {
        *seen.entry(order).or_default() += times;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{} came more than once: {twice:#?}", twice.len());
    assert_eq!(seen.len(), site.orders(), "each that was sent has come");
}

/// Ends the clients also when the test panics.
pub(crate) struct EndOnDrop<'a>(pub(crate) &'a Timeline);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

#[test]
fn two_hundred_switches_under_all_kinds_of_traffic_lose_and_misroute_nothing() {
    let backends: Vec<_> =
        ["a1", "a2", "b1", "b2", "c1", "c2"].iter().map(|id| Backend::start(id)).collect();
    let mut setup = Setup::new()
        .set("logging.level", "\"info\"")
        // Each client of kept connections sends more than the default takes.
        .set("proxy.max_requests_per_connection", 1_000_000)
        .domain_with(HOST, "a", "http_to_https = false\ntls = \"internal\"")
        .lifetime(Duration::from_mins(5));
    for backend in &backends {
        setup = setup.backend(backend.id(), backend.address(), &[&backend.id()[..1]]);
    }
    let vhost = setup.start();
    vhost.wait_until_healthy(6);

    let timeline = Timeline::default();
    let site = Site::of(&vhost);
    let clients: Vec<_> = TRAFFIC
        .iter()
        .flat_map(|(kind, count, start)| (0..*count).map(|_| (*kind, *start, Progress::default())))
        .collect();
    std::thread::scope(|scope| {
        for (kind, start, progress) in &clients {
            let (site, timeline) = (&site, &timeline);
            scope.spawn(move || work(kind, *start, site, timeline, progress));
        }
        let _end = EndOnDrop(&timeline);
        let mut connection = vhost.rpc_connection();
        for number in 1..=SWITCHES {
            timeline.begun.store(number, Ordering::SeqCst);
            let tag = tag_after(number);
            // The command line most deployers use, and the socket, which tells the moment.
            if number % 10 == 0 {
                vhost.ctl_ok(&["switch", HOST, tag]);
            } else {
                let params = json!({"domains": [HOST], "tag": tag});
                let report = connection
                    .try_call("switch.start", &params, |progress| {
                        if progress["phase"] == "switched" {
                            timeline.acknowledged.store(number, Ordering::SeqCst);
                        }
                    })
                    .expect("an answer")
                    .unwrap_or_else(|fault| panic!("switch {number}: {fault:?}"));
                assert_eq!(report["outcome"]["state"], "done", "switch {number}: {report}");
            }
            timeline.acknowledged.store(number, Ordering::SeqCst);
            eventually("every client has seen the new tag", Duration::from_secs(20), || {
                clients.iter().all(|(.., progress)| progress.seen.load(Ordering::SeqCst) >= number)
            });
            let failures = timeline.failures.lock().unwrap();
            assert!(failures.len() < 20, "after {number} switches: {failures:#?}");
        }
    });
    let failures = timeline.failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed: {failures:#?}", failures.len());
    for (kind, _, progress) in &clients {
        let exchanges = progress.exchanges.load(Ordering::SeqCst);
        println!("{kind}: {exchanges} exchanges");
        assert!(exchanges > SWITCHES, "{kind}: {exchanges} exchanges");
    }
    judge_orders(&site, &backends);
    eventually("nothing is in flight", Duration::from_secs(10), || vhost.in_flight() == 0);
    let refused = vhost.rpc("state.get", json!({})).unwrap()["refused"].clone();
    assert_eq!(refused, json!({}), "nothing was refused");
    for backend in &backends {
        assert_eq!(vhost.backend(backend.id())["failures"], 0);
    }
}
