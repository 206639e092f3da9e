use std::time::Duration;

use super::*;
use serde_json::json;

use crate::model::{
    Actor, Backend, BackendState, CertificateNews, EventKind, HealthReport, HealthStatus, Outcome,
    SwitchOptions, TlsMode, VirtualHost,
};
use crate::state::{Reader, Snapshot, publication};
use crate::store::Store;

/// A control plane over a store of its own, with backends that answer as their id says.
struct Plane {
    control: ControlPlane,
    reader: Reader,
    directory: tempfile::TempDir,
}

const ACTOR: Actor = Actor::File;
const LONG: Duration = Duration::from_mins(1);

impl Plane {
    /// `example.com` and `shop.test` live on `a`, with `a1`, `a2` and `b1` ready.
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let (publisher, reader) = publication(Snapshot::default());
        let options = ControlOptions {
            gate_timeout: Duration::from_millis(50),
            drain_timeout: Duration::from_millis(50),
            min_healthy_percent: 100,
            min_capacity_percent: 50,
            max_requests_per_backend: None,
            health_check: crate::model::HealthCheckOptions::default(),
            health_check_written: serde_json::Map::new(),
            hooks: crate::control::Hooks::default(),
            reach: Reach::default(),
        };
        let probe: gate::ProbeNow = std::sync::Arc::new(|node| {
            let succeeded = !node.backend.id.as_str().starts_with("sick");
            let status = if succeeded { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
            let report = HealthReport { status, ..HealthReport::default() };
            Box::pin(std::future::ready(Probed { succeeded, report }))
        });
        let control = ControlPlane::new(
            store,
            publisher,
            reader.clone(),
            options,
            Services {
                probe,
                baseline: std::sync::Arc::new(|_, _, _| None),
                peak: std::sync::Arc::new(|_| 0),
                smoke: std::sync::Arc::new(|_| Box::pin(std::future::ready(Vec::new()))),
            },
            std::sync::Arc::default(),
            crate::counters::Elsewhere::default(),
        );
        let plane = Self { control, reader, directory };
        for (id, tag) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("sick", "s")] {
            plane.control.add_backend(ACTOR, backend(id, tag)).await.unwrap();
        }
        for domain in ["example.com", "shop.test"] {
            let new = NewDomain { virtual_host: virtual_host(domain), force: false };
            plane.control.add_domain(ACTOR, new).await.unwrap();
        }
        plane
    }

    async fn switch(
        &self,
        domains: &[&str],
        to: &str,
    ) -> Result<crate::model::SwitchReport, ControlError> {
        let domains = domains.iter().map(|domain| domain.parse().unwrap()).collect();
        let target = SwitchTarget::Tag(to.parse().unwrap());
        self.control.switch(ACTOR, domains, target, SwitchOptions::default(), |_| {}).await
    }

    fn live(&self, domain: &str) -> String {
        let snapshot = self.reader.load();
        snapshot.domain(&domain.parse().unwrap()).unwrap().virtual_host.live.to_string()
    }

    /// Makes the database refuse `what`, as a full disk would.
    fn refuse(&self, what: &str) {
        let database = rusqlite::Connection::open(self.directory.path().join("state.db")).unwrap();
        let trigger = format!(
            "CREATE TRIGGER full BEFORE {what} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        );
        database.execute_batch(&trigger).unwrap();
    }
}

fn backend(id: &str, tag: &str) -> Backend {
    Backend {
        id: id.parse().unwrap(),
        address: "127.0.0.1:9".parse().unwrap(),
        tags: [tag.parse().unwrap()].into(),
        options: crate::model::BackendOptions::default(),
        state: crate::model::BackendState::Ready,
    }
}

fn virtual_host(domain: &str) -> VirtualHost {
    VirtualHost {
        domain: domain.parse().unwrap(),
        live: "a".parse().unwrap(),
        previous: None,
        beside: crate::model::Beside::default(),
        top: crate::model::TopOptions { http_to_https: false, ..Default::default() },
        options: crate::model::HostOptions::default(),
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_saved_did_not_happen() {
    let plane = Plane::start().await;
    let before = plane.reader.load().revision();
    plane.refuse("INSERT ON events");
    let error = plane.switch(&["example.com"], "b").await.unwrap_err();
    assert!(error.in_full().contains("the disk is full"), "{}", error.in_full());
    assert_eq!((plane.live("example.com"), plane.reader.load().revision()), ("a".into(), before));
}

#[tokio::test]
async fn a_domain_gets_no_options_that_a_file_could_not_have() {
    let plane = Plane::start().await;
    let refused = |result: Result<_, ControlError>| match result {
        Err(error @ ControlError::OptionValue { .. }) => {
            (error.in_full(), error.hint().unwrap_or_default())
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is done"),
    };
    let virtual_host = VirtualHost {
        top: crate::model::TopOptions { tls: TlsMode::Internal, ..Default::default() },
        ..virtual_host("*")
    };
    let (message, hint) =
        refused(plane.control.add_domain(ACTOR, NewDomain { virtual_host, force: false }).await);
    assert_eq!(message, "the option `tls` of `*` does not fit");
    assert!(hint.contains("declare the names"), "{hint}");
    for (patch, words) in [
        (json!({"tls": {"cert": "a.pem", "key": "/a.key"}}), "from `/` on"),
        (json!({"hsts_max_age_secs": u32::MAX}), "use 0 to 126144000 seconds"),
    ] {
        let edit = DomainEdit { top: patch.as_object().unwrap().clone(), ..DomainEdit::default() };
        let domain = "example.com".parse().unwrap();
        let (_, hint) = refused(plane.control.set_domain(ACTOR, domain, edit).await);
        assert!(hint.contains(words), "{hint}");
    }
}

#[tokio::test]
async fn a_switch_whose_end_cannot_be_noted_is_still_a_switch() {
    let plane = Plane::start().await;
    plane.refuse("UPDATE ON events");
    let report = plane.switch(&["example.com"], "b").await.expect("it is made and saved");
    assert_eq!((plane.live("example.com"), report.outcome), ("b".into(), Outcome::Done));
}

#[tokio::test]
async fn a_gate_that_failed_is_told_also_when_it_cannot_be_noted() {
    let plane = Plane::start().await;
    plane.refuse("INSERT ON events");
    let error = plane.switch(&["example.com"], "s").await.unwrap_err();
    assert!(matches!(error, ControlError::GateFailed { .. }), "{}", error.in_full());
}

#[tokio::test]
async fn one_unknown_domain_keeps_all_where_they_are() {
    let plane = Plane::start().await;
    let error = plane.switch(&["example.com", "nobody.test"], "b").await.unwrap_err();
    assert!(matches!(error, ControlError::UnknownDomain { .. }), "{error}");
    assert_eq!(plane.live("example.com"), "a");
    let error = plane.switch(&[], "b").await.unwrap_err();
    assert!(matches!(error, ControlError::NoDomain), "{error}");
    let report = plane.switch(&["example.com", "shop.test"], "b").await.unwrap();
    assert_eq!((report.steps.len(), plane.live("example.com")), (2, plane.live("shop.test")));
}

#[tokio::test]
async fn domains_that_move_together_are_never_seen_apart() {
    use std::sync::atomic::{AtomicBool, Ordering};

    const MOVES: u64 = 100;
    let plane = Plane::start().await;
    let before = plane.reader.load().revision();
    let (reader, ended) = (plane.reader.clone(), std::sync::Arc::new(AtomicBool::new(false)));
    let has_ended = std::sync::Arc::clone(&ended);
    let looking = std::thread::spawn(move || {
        let [one, other] = ["example.com", "shop.test"].map(|domain| domain.parse().unwrap());
        let mut apart = 0_usize;
        while !has_ended.load(Ordering::Relaxed) {
            let snapshot = reader.load();
            let live = |domain| &snapshot.domain(domain).unwrap().virtual_host.live;
            apart += usize::from(live(&one) != live(&other));
        }
        apart
    });
    for turn in 0..MOVES {
        let to = if turn % 2 == 0 { "b" } else { "a" };
        let report = plane.switch(&["example.com", "shop.test"], to).await.unwrap();
        assert_eq!(report.revision, before + turn + 1, "one change each");
        assert_eq!((plane.live("example.com"), plane.live("shop.test")), (to.into(), to.into()));
    }
    ended.store(true, Ordering::Relaxed);
    assert_eq!(looking.join().unwrap(), 0, "a request sees one state, whole");
}

#[tokio::test]
async fn a_backend_that_is_made_ready_while_it_drains_is_not_removed() {
    let plane = Plane::start().await;
    let id: crate::model::BackendId = "a1".parse().unwrap();
    let node = plane.reader.load().backend(&id).unwrap().clone();
    let request = node.live.admit(None).expect("it is ready");
    let again = plane.control.clone();
    let draining = std::sync::Mutex::new(Some(request));
    let remove = plane.control.remove_backend(ACTOR, id.clone(), Some(LONG), false, |_| {
        let (again, id) = (again.clone(), "a1".parse().unwrap());
        if let Some(request) = draining.lock().unwrap().take() {
            tokio::spawn(async move {
                again.set_backend_state(ACTOR, id, BackendState::Ready, false).await.unwrap();
                drop(request);
            });
        }
    });
    let error = remove.await.unwrap_err();
    assert!(matches!(error, ControlError::MadeReady { .. }), "{error}");
    assert_eq!(plane.reader.load().backend(&id).unwrap().backend.state, BackendState::Ready);
}

#[tokio::test]
async fn a_backend_whose_requests_do_not_end_stays_draining() {
    let plane = Plane::start().await;
    let id: crate::model::BackendId = "a1".parse().unwrap();
    let node = plane.reader.load().backend(&id).unwrap().clone();
    let _request = node.live.admit(None).expect("it is ready");
    let error =
        plane.control.remove_backend(ACTOR, id.clone(), None, false, |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "1 request of `a1` had not ended after 50ms; it stays, draining");
    assert_eq!(plane.reader.load().backend(&id).unwrap().backend.state, BackendState::Draining);
    plane.control.remove_backend(ACTOR, id.clone(), None, true, |_| {}).await.unwrap();
    assert!(plane.reader.load().backend(&id).is_none());
}

#[tokio::test]
async fn the_fittest_backend_of_a_live_tag_wants_force_to_go() {
    use HealthStatus::{Healthy, Unhealthy, Unknown};
    for (leaving, other, refused) in [
        (Healthy, Healthy, false),
        (Healthy, Unknown, true),
        (Unknown, Unknown, false),
        (Unknown, Unhealthy, true),
        (Unhealthy, Unhealthy, false),
        (Unhealthy, Healthy, false),
    ] {
        let plane = Plane::start().await;
        for (id, status) in [("a1", leaving), ("a2", other)] {
            let snapshot = plane.reader.load();
            let node = snapshot.backend(&id.parse().unwrap()).unwrap();
            node.live.set_health_report(HealthReport { status, ..HealthReport::default() });
        }
        let id = "a1".parse().unwrap();
        let ended = plane.control.set_backend_state(ACTOR, id, BackendState::Disabled, false).await;
        assert_eq!(ended.is_err(), refused, "{leaving} beside {other}: {ended:?}");
        let id = "a2".parse().unwrap();
        let last = plane.control.set_backend_state(ACTOR, id, BackendState::Disabled, false).await;
        assert_eq!(last.is_err(), !refused, "the last ready one, {other}");
    }
}

#[tokio::test]
async fn a_wait_follows_the_domain_to_another_tag() {
    let plane = Plane::start().await;
    let domain = "example.com".parse().unwrap();
    let report = HealthReport { status: HealthStatus::Healthy, ..HealthReport::default() };
    plane.reader.load().backend(&"b1".parse().unwrap()).unwrap().live.set_health_report(report);
    let told = std::sync::atomic::AtomicBool::new(false);
    let wait = plane.control.wait_healthy(&domain, Some(LONG), |_| {
        told.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // `a` is never healthy here; `b` is.
    let (waited, switched) = tokio::join!(wait, plane.switch(&["example.com"], "b"));
    switched.unwrap();
    waited.unwrap();
    assert!(told.into_inner(), "it began while `a` was live");
}

#[tokio::test]
async fn a_wait_for_what_is_gone_is_no_success() {
    let plane = Plane::start().await;
    let domain = "example.com".parse().unwrap();
    let wait = plane.control.wait_healthy(&domain, Some(LONG), |_| {});
    let (waited, removed) = tokio::join!(wait, plane.control.remove_domain(ACTOR, domain.clone()));
    removed.unwrap();
    assert!(matches!(waited, Err(ControlError::UnknownDomain { .. })), "{waited:?}");
}

#[tokio::test]
async fn the_words_name_what_stands_in_the_way() {
    let plane = Plane::start().await;
    let tag: std::collections::BTreeSet<crate::model::Tag> = ["b".parse().unwrap()].into();
    let domain: crate::model::DomainName = "example.com".parse().unwrap();
    plane.switch(&["example.com"], "b").await.unwrap();
    plane.switch(&["example.com"], "a").await.unwrap();
    let b1: crate::model::BackendId = "b1".parse().unwrap();
    let state = BackendState::Disabled;
    plane.control.set_backend_state(ACTOR, b1.clone(), state, false).await.unwrap();
    let error = plane.switch(&["example.com"], "b").await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.hint().as_deref()),
        (
            "no backend with the tag `b` is ready: `b1` is disabled",
            Some("make one ready: `vhost ctl backend ready b1`")
        )
    );
    plane.control.untag_backend(ACTOR, b1, tag, false).await.unwrap();
    plane.control.add_backend(ACTOR, backend("c1", "c")).await.unwrap();
    let other = SwitchTarget::Other;
    let switch = plane.control.switch(ACTOR, vec![domain], other, SwitchOptions::default(), |_| {});
    assert_eq!(
        switch.await.unwrap_err().to_string(),
        "no backend carries `b`, the tag of `example.com` before"
    );
}

#[tokio::test]
async fn force_skips_the_proof_but_not_the_need_for_a_backend() {
    let plane = Plane::start().await;
    let forced = |to: &str| {
        let target = SwitchTarget::Tag(to.parse().unwrap());
        let options = SwitchOptions { force: true, ..SwitchOptions::default() };
        let domains = vec!["example.com".parse().unwrap()];
        plane.control.switch(ACTOR, domains, target, options, |_| {})
    };
    forced("s").await.unwrap();
    assert_eq!(plane.live("example.com"), "s");
    let id = "b1".parse().unwrap();
    plane.control.set_backend_state(ACTOR, id, BackendState::Disabled, false).await.unwrap();
    let error = forced("b").await.unwrap_err();
    assert!(matches!(error, ControlError::NoneReady { .. }), "{error}");
    assert_eq!(plane.live("example.com"), "s");
}

#[tokio::test]
async fn a_change_of_any_size_is_told_within_bounds_and_watched_in_pieces() {
    let plane = Plane::start().await;
    let domain: crate::model::DomainName = "example.com".parse().unwrap();
    let aliases: Vec<_> = (0..200).map(|n| format!("alias-{n}.example.com")).collect();
    let top = [("aliases".to_owned(), json!(aliases))].into_iter().collect();
    let edit = DomainEdit { top, ..DomainEdit::default() };
    plane.control.set_domain(ACTOR, domain.clone(), edit).await.unwrap();
    let mut watch = plane.control.watch_events(Some(domain.clone()), 1, None);
    let told = watch.next().await.unwrap();
    let EventKind::DomainSet { changed, .. } = &told[0].kind else { panic!("{told:?}") };
    assert!(changed[0].starts_with("aliases: none → alias-0.example.com,"), "{changed:?}");
    assert!(changed[0].ends_with('…') && changed[0].chars().count() == 501, "{changed:?}");

    // Far more than a watcher is given at once.
    let news = |n: u64| CertificateNews::Rejected { error: format!("{n}{}", "e".repeat(20_000)) };
    for n in 0..60 {
        plane.control.note_certificate(ACTOR, domain.clone(), news(n)).await;
    }
    let mut pieces = Vec::new();
    while pieces.iter().sum::<usize>() < 60 {
        pieces.push(watch.next().await.unwrap().len());
    }
    assert!(pieces.iter().all(|piece| *piece <= 27), "{pieces:?}");
    // And one that begins with the last ones gets them in pieces too.
    let mut late = plane.control.watch_events(None, 60, None);
    assert!(late.next().await.unwrap().len() <= 27);
}

#[tokio::test]
async fn a_read_of_the_history_holds_up_no_change() {
    let plane = Plane::start().await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (end, ending) = std::sync::mpsc::channel::<()>();
    let control = plane.control.clone();
    let reading = tokio::spawn(async move {
        control
            .reading(move |_| {
                let _ = begun.send(());
                let _ = ending.recv();
                Ok(())
            })
            .await
    });
    has_begun.await.unwrap();
    tokio::time::timeout(LONG, plane.switch(&["example.com"], "b"))
        .await
        .expect("in time")
        .unwrap();
    assert_eq!(plane.live("example.com"), "b");
    drop(end);
    reading.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_watcher_passes_what_does_not_concern_it_and_begins_no_later_than_the_newest() {
    let plane = Plane::start().await;
    let (own, other) = ("example.com".parse().unwrap(), "other.test".parse().unwrap());
    let news = || CertificateNews::Rejected { error: "wrong".into() };
    let note = |domain: &crate::model::DomainName| {
        plane.control.note_certificate(ACTOR, domain.clone(), news())
    };
    note(&own).await;
    let newest = plane.control.events(None, 1).await.unwrap()[0].id;
    let mut watch = plane.control.watch_events(Some(own.clone()), 20, Some(newest));
    note(&other).await;
    assert_eq!(watch.read().await.unwrap(), []);
    assert!(matches!(watch.place, super::history::Place::After { event } if event == newest + 1));

    // Its state was another one.
    let mut late = plane.control.watch_events(None, 20, Some(newest + 1_000));
    assert_eq!(late.read().await.unwrap(), []);
    note(&own).await;
    for watch in [&mut watch, &mut late] {
        let told = watch.read().await.unwrap();
        assert_eq!(told.iter().map(|event| event.id).collect::<Vec<_>>(), [newest + 2]);
    }
}
