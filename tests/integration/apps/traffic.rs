//! Three sites on one server, deployed under load: none loses a request, none is answered by another's.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

/// Each site with what is deployed: two versions that come up, and between them one that never does.
const SITES: [&str; 3] = ["shop", "blog", "chat"];

struct Watched {
    site: &'static str,
    answers: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
}

impl Watched {
    /// Asks on one connection after the other, a few requests on each.
    fn ask_until(&self, vhost: &Vhost, ended: &AtomicBool) {
        let host = format!("{}.test", self.site);
        while !ended.load(Ordering::SeqCst) {
            let mut connection = vhost.connect();
            for _ in 0..10 {
                let response = connection.get(&host, "/");
                let is_own = response.backend().is_some_and(|of| of.starts_with(self.site));
                if response.status == 200 && is_own {
                    self.answers.fetch_add(1, Ordering::SeqCst);
                } else {
                    let said = format!("{host}: {} by {:?}", response.status, response.backend());
                    self.failures.lock().unwrap().push(said);
                }
            }
        }
    }
}

#[test]
fn three_sites_are_deployed_under_load_and_none_loses_a_request_or_answers_for_another() {
    let vhost = empty();
    let versions: Vec<[Backend; 3]> = SITES
        .iter()
        .map(|site| [1, 2, 3].map(|version| Backend::start(&format!("{site}-{version}"))))
        .collect();
    for (site, [first, ..]) in SITES.iter().zip(&versions) {
        let host = format!("{site}.test");
        vhost.ctl_ok(&["deploy", site, &first.address(), "--host", &host, "--release", "v1"]);
    }
    let watched = SITES.map(|site| Watched {
        site,
        answers: AtomicUsize::new(0),
        failures: std::sync::Mutex::default(),
    });
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for of in &watched {
            for _ in 0..2 {
                scope.spawn(|| of.ask_until(&vhost, &ended));
            }
        }
        let wait_for_traffic = || {
            let before: Vec<_> =
                watched.iter().map(|of| of.answers.load(Ordering::SeqCst)).collect();
            eventually("every site is asked", SOON, || {
                let now = watched.iter().map(|of| of.answers.load(Ordering::SeqCst));
                now.zip(&before).all(|(now, before)| now > before + 10)
            });
        };
        for (at, site) in SITES.iter().enumerate() {
            wait_for_traffic();
            vhost.ctl_ok(&["deploy", site, &versions[at][1].address(), "--release", "v2"]);
            wait_for_traffic();
            versions[at][2].set_health(503);
            let bad = versions[at][2].address();
            let failed =
                vhost.ctl(&["deploy", site, &bad, "--release", "v3", "--timeout", "200ms"]);
            assert_eq!(failed.code, 6, "{failed:?}");
        }
        wait_for_traffic();
        vhost.ctl_ok(&["undo", "blog"]);
        wait_for_traffic();
        ended.store(true, Ordering::SeqCst);
    });
    for of in &watched {
        let failures = of.failures.lock().unwrap();
        assert!(failures.is_empty(), "{} of {}: {:?}", failures.len(), of.site, &failures[..1]);
    }
    for (site, version) in [("shop", "2"), ("blog", "1"), ("chat", "2")] {
        assert_eq!(served_by(&vhost, &format!("{site}.test")), format!("{site}-{version}"));
    }
    for [_, _, bad] in &versions {
        assert_eq!(bad.requests(), 0, "what is not healthy gets no request");
    }
}
