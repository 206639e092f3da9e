//! The promise of an upgrade, under load: nothing is refused, nothing is lost, and nothing goes to a wrong tag.

use std::sync::atomic::Ordering;

use super::*;
use crate::soak::traffic::{Site, TRAFFIC};
use crate::soak::{EndOnDrop, Progress, Timeline, judge_orders, tag_after, work};

const UPGRADES: usize = 50;

/// Each so many, the program is one that can't serve.
const BROKEN: usize = 5;

/// In the middle of each so many, there is a switch.
const SWITCHED: usize = 10;

/// Switches, however often it has to be asked for: one that waits when another process takes over is refused.
fn switch(vhost: &Vhost, tag: &str) {
    eventually("it is switched", SOON, || {
        // The WebSockets never end.
        let switch = vhost.ctl(&["switch", HOST, tag, "--no-drain"]);
        let again = switch.stderr.contains("was upgraded while this waited");
        assert!(switch.code == 0 || again, "{switch:?}");
        switch.code == 0
    });
}

#[test]
fn fifty_upgrades_under_all_kinds_of_traffic_lose_and_misroute_nothing() {
    let ids = ["a1", "a2", "b1", "b2", "c1", "c2"];
    let backends: Vec<_> = ids.iter().map(|id| Backend::start(id)).collect();
    let mut setup = Setup::new()
        .set("logging.level", "\"info\"")
        .set("proxy.max_requests_per_connection", 1_000_000)
        .domain_with(HOST, "a", "http_to_https = false\ntls = \"internal\"")
        .lifetime(Duration::from_mins(5));
    for backend in &backends {
        setup = setup.backend(backend.id(), backend.address(), &[&backend.id()[..1]]);
    }
    let vhost = setup.start();
    vhost.wait_until_healthy(6);
    let mut sockets: Vec<_> = (0..3).map(|_| WebSocket::open(vhost.http(), HOST)).collect();

    let (timeline, site) = (Timeline::default(), Site::closing(&vhost));
    let clients: Vec<_> = TRAFFIC
        .iter()
        .flat_map(|(kind, count, start)| (0..*count).map(|_| (*kind, *start, Progress::default())))
        .collect();
    let mut switches = 0;
    std::thread::scope(|scope| {
        for (kind, start, progress) in &clients {
            let (site, timeline) = (&site, &timeline);
            scope.spawn(move || work(kind, *start, site, timeline, progress));
        }
        let _end = EndOnDrop(&timeline);
        for number in 1..=UPGRADES {
            let before = serving(&vhost);
            let broken = number % BROKEN == 0;
            let upgrade = vhost.ctl_in_background(if broken {
                &["upgrade", "/bin/false"]
            } else {
                &["upgrade"]
            });
            if number % SWITCHED == 0 {
                switches += 1;
                timeline.begun.store(switches, Ordering::SeqCst);
                switch(&vhost, tag_after(switches));
                timeline.acknowledged.store(switches, Ordering::SeqCst);
            }
            let upgrade = upgrade.wait();
            assert_eq!(upgrade.code == 0, !broken, "upgrade {number}: {upgrade:?}");
            assert_eq!(serving(&vhost) == before, broken, "upgrade {number}");
            for socket in &mut sockets {
                socket.echo("still there").expect("it lives through all of them");
            }
            let done: Vec<_> =
                clients.iter().map(|(.., of)| of.exchanges.load(Ordering::SeqCst)).collect();
            eventually("every client goes on", SOON, || {
                clients
                    .iter()
                    .zip(&done)
                    .all(|((.., of), done)| of.exchanges.load(Ordering::SeqCst) > *done)
            });
            let failures = timeline.failures.lock().unwrap();
            assert!(failures.len() < 20, "after {number} upgrades: {failures:#?}");
        }
    });
    let failures = timeline.failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed: {failures:#?}", failures.len());
    judge_orders(&site, &backends);
    for socket in sockets {
        socket.close().expect("it closes");
    }
    eventually("the old processes have ended", SOON, || replaced(&vhost).is_empty());
    assert_eq!(vhost.live(HOST), tag_after(switches));
}
