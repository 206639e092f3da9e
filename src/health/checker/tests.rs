use std::net::SocketAddr;

use serde_json::json;

use super::*;
use crate::health::testing::{Server, backend, nobody, quick_check, secs, until};
use crate::model::{Backend, Change, HealthStatus, Scheme, UpstreamFailure};
use crate::state::{Publisher, publication};

/// A published state that one test edits.
struct World {
    publisher: Publisher,
    reader: Reader,
    checker: Checker,
}

impl World {
    fn start(check: HealthCheckOptions, backends: Vec<Backend>) -> Self {
        let changes = backends.into_iter().map(Change::PutBackend).collect();
        let (publisher, reader) = publication(Snapshot::default().after(changes, 1));
        let settings = HealthSettings {
            check,
            resolve_interval: Duration::from_millis(50),
            max_ejected_percent: 100,
        };
        let checker = spawn(settings, reader.clone());
        Self { publisher, reader, checker }
    }

    fn change(&self, change: Change) {
        let before = self.reader.load();
        self.publisher.publish(before.after(vec![change], before.revision() + 1));
    }

    fn node(&self) -> Arc<BackendNode> {
        Arc::clone(self.reader.load().backend(&"w1".parse().unwrap()).expect("it is there"))
    }

    fn health(&self) -> HealthStatus {
        self.node().live.health()
    }

    async fn until_health(&self, status: HealthStatus) {
        until(status.as_str(), || self.health() == status).await;
    }
}

fn at(address: SocketAddr) -> Backend {
    backend("w1", &address.to_string(), Scheme::Http)
}

/// Without probes after the first verdict, whatever happens next is not the schedule's doing.
fn seldom() -> HealthCheckOptions {
    HealthCheckOptions { interval_secs: Some(secs(3600.0)), ..quick_check() }
}

#[tokio::test]
async fn a_backend_becomes_healthy_goes_and_comes_back() {
    let server = Server::start(200).await;
    let world = World::start(quick_check(), vec![at(server.address)]);
    world.until_health(HealthStatus::Healthy).await;
    let report = world.node().live.health_report();
    assert_eq!((report.last_status, report.last_error), (Some(200), None));
    assert!(report.since_ms.is_some() && report.checked_ms.is_some());
    assert!(report.latency_ms.is_some() && report.failed_ms.is_none());

    server.answer(500);
    world.until_health(HealthStatus::Unhealthy).await;
    let report = world.node().live.health_report();
    assert_eq!(report.last_status, Some(500));
    assert_eq!(report.last_error.as_deref(), Some("status 500, expected 200-399"));
    assert!(report.failed_ms.is_some());

    server.answer(200);
    world.until_health(HealthStatus::Healthy).await;
}

#[tokio::test]
async fn the_first_verdict_does_not_wait_for_the_interval() {
    let server = Server::start(200).await;
    let world = World::start(seldom(), vec![at(server.address)]);
    world.until_health(HealthStatus::Healthy).await;
    assert_eq!(server.requests(), 2, "as many probes as the threshold wants");
}

#[tokio::test]
async fn a_new_backend_is_probed_at_once_and_a_removed_one_no_more() {
    let server = Server::start(200).await;
    let world = World::start(quick_check(), Vec::new());
    world.change(Change::PutBackend(at(server.address)));
    world.until_health(HealthStatus::Healthy).await;
    world.change(Change::DropBackend("w1".parse().unwrap()));
    let watch = &world.checker.watch;
    until("nobody is watched", || watch.watched.lock().is_empty()).await;
    let seen = server.requests();
    // Another backend's probes tell that time has passed.
    let other = Server::start(200).await;
    world.change(Change::PutBackend(at(other.address)));
    until("ten probes elsewhere", || other.requests() > 10).await;
    assert!(server.requests() <= seen + 1, "at most the one that was under way");
}

#[tokio::test]
async fn a_moved_backend_is_judged_anew() {
    let (old, new) = (Server::start(200).await, Server::start(500).await);
    let world = World::start(quick_check(), vec![at(old.address)]);
    world.until_health(HealthStatus::Healthy).await;
    world.change(Change::PutBackend(at(new.address)));
    assert_eq!(world.health(), HealthStatus::Unknown);
    world.until_health(HealthStatus::Unhealthy).await;
    assert_eq!(world.checker.watch.watched.lock().len(), 1);
}

#[tokio::test]
async fn a_disabled_backend_is_not_probed_and_starts_over_when_ready() {
    let server = Server::start(200).await;
    let world = World::start(quick_check(), vec![at(server.address)]);
    world.until_health(HealthStatus::Healthy).await;
    world.change(Change::PutBackend(Backend {
        state: BackendState::Disabled,
        ..at(server.address)
    }));
    world.until_health(HealthStatus::Unknown).await;
    server.answer(500);
    world.change(Change::PutBackend(at(server.address)));
    world.until_health(HealthStatus::Unhealthy).await;
}

#[tokio::test]
async fn traffic_puts_a_backend_out_at_once_and_probes_bring_it_back() {
    let server = Server::start(200).await;
    let world = World::start(seldom(), vec![at(server.address)]);
    world.until_health(HealthStatus::Healthy).await;
    let live = Arc::clone(&world.node().live);
    server.answer(0);
    for _ in 0..3 {
        live.note_failure(UpstreamFailure::Reset, || "connection reset".into());
    }
    world.until_health(HealthStatus::Unhealthy).await;
    let report = live.health_report();
    assert_eq!(report.last_error.as_deref(), Some("traffic failed: connection reset"));
    assert!(report.failed_ms.is_some());
    until("a probe follows", || server.requests() == 3).await;
    live.note_success();
    assert_eq!(world.health(), HealthStatus::Unhealthy, "traffic does not bring it back");
}

#[tokio::test]
async fn a_backend_that_traffic_put_out_comes_back_by_probes() {
    let server = Server::start(200).await;
    let world = World::start(seldom(), vec![at(server.address)]);
    world.until_health(HealthStatus::Healthy).await;
    let (live, since) = (Arc::clone(&world.node().live), server.requests());
    for _ in 0..3 {
        live.note_failure(UpstreamFailure::Status5xx, || "status 500".into());
    }
    world.until_health(HealthStatus::Unhealthy).await;
    world.until_health(HealthStatus::Healthy).await;
    assert_eq!(server.requests(), since + 2, "after as many probes as the threshold wants");
    live.note_failure(UpstreamFailure::Status5xx, || "status 500".into());
    until("it was looked at", || server.requests() == since + 3).await;
    assert_eq!(world.health(), HealthStatus::Healthy, "the row before has been paid for");
}

#[tokio::test]
async fn failures_of_traffic_with_successes_between_put_nobody_out() {
    let server = Server::start(200).await;
    let world = World::start(seldom(), vec![at(server.address)]);
    world.until_health(HealthStatus::Healthy).await;
    let live = Arc::clone(&world.node().live);
    for round in 0..5 {
        live.note_failure(UpstreamFailure::Closed, || format!("failure {round}"));
        let seen = Some(format!("traffic failed: failure {round}"));
        let looked = server.requests();
        until("it was taken in", || {
            live.health_report().last_error == seen || server.requests() > looked
        })
        .await;
        live.note_success();
        assert_eq!(world.health(), HealthStatus::Healthy, "round {round}");
    }
}

#[tokio::test]
async fn a_hanging_probe_does_not_keep_traffic_from_putting_a_backend_out() {
    let server = Server::start(0).await;
    let check = HealthCheckOptions { timeout_secs: Some(secs(3600.0)), ..quick_check() };
    let world = World::start(check, vec![at(server.address)]);
    until("the probe hangs", || server.requests() == 1).await;
    for _ in 0..3 {
        world.node().live.note_failure(UpstreamFailure::Timeout, || "timed out".into());
    }
    world.until_health(HealthStatus::Unhealthy).await;
}

#[tokio::test]
async fn the_gate_and_the_schedule_share_their_rows() {
    let server = Server::start(200).await;
    let world = World::start(seldom(), vec![at(server.address)]);
    world.until_health(HealthStatus::Healthy).await;
    server.answer(503);
    let node = world.node();
    for expected in [HealthStatus::Healthy, HealthStatus::Healthy, HealthStatus::Unhealthy] {
        let verdict = world.checker.probe_now(&node).await;
        assert!(!verdict.passed);
        assert_eq!(verdict.report.status, expected);
        assert_eq!(world.health(), expected, "what is answered is published");
    }
    server.answer(200);
    let verdict = world.checker.probe_now(&node).await;
    assert!(verdict.passed && verdict.report.status != HealthStatus::Healthy, "one is not enough");
    let verdict = world.checker.probe_now(&node).await;
    assert_eq!(verdict.report.status, HealthStatus::Healthy);
}

#[tokio::test]
async fn the_gate_may_ask_before_the_watch_has_seen_the_backend() {
    let server = Server::start(200).await;
    let port = server.address.port();
    let declared = backend("w1", &format!("localhost:{port}"), Scheme::Http);
    let world = World::start(seldom(), vec![declared]);
    let node = world.node();
    assert!(node.live.endpoints().is_empty(), "nothing has run yet");
    let verdict = world.checker.probe_now(&node).await;
    assert!(verdict.passed, "{:?}", verdict.report);
    assert_eq!(world.checker.watch.watched.lock().len(), 1);
    world.until_health(HealthStatus::Healthy).await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_the_reason() {
    let world = World::start(quick_check(), vec![backend("w1", "nobody.invalid:80", Scheme::Http)]);
    world.until_health(HealthStatus::Unhealthy).await;
    let error = world.node().live.health_report().last_error.expect("a reason");
    assert!(error.starts_with("name `nobody.invalid` did not resolve: "), "{error}");
    assert!(error.len() > "name `nobody.invalid` did not resolve: ".len(), "{error}");
}

#[tokio::test]
async fn new_addresses_are_probed_at_once() {
    let server = Server::start(200).await;
    let port = server.address.port();
    let declared = backend("w1", &format!("nobody.invalid:{port}"), Scheme::Http);
    let world = World::start(seldom(), vec![declared]);
    world.until_health(HealthStatus::Unhealthy).await;
    let monitor = world.checker.watch.monitor(&world.node());
    monitor.set_addresses(&[server.address]);
    world.until_health(HealthStatus::Healthy).await;
}

#[tokio::test]
async fn of_a_names_addresses_the_one_that_answers_goes_first() {
    let server = Server::start(200).await;
    let port = server.address.port();
    let world =
        World::start(seldom(), vec![backend("w1", &format!("w1.test:{port}"), Scheme::Http)]);
    let node = world.node();
    let refused = SocketAddr::new("127.0.0.2".parse().unwrap(), nobody().await.port());
    node.live.set_endpoints(crate::state::Endpoints::Tcp(vec![refused, server.address]));
    assert!(world.checker.probe_now(&node).await.passed);
    let expected = crate::state::Endpoints::Tcp(vec![server.address, refused]);
    assert_eq!(**node.live.endpoints(), expected);
}

/// A backend with these keys of its own.
fn checked(address: SocketAddr, keys: serde_json::Value) -> Backend {
    let serde_json::Value::Object(keys) = keys else { panic!("{keys}") };
    let mut backend = at(address);
    backend.options.health_check = Some(Box::new(crate::model::record::read(keys).unwrap()));
    backend
}

#[tokio::test]
async fn a_backends_own_check_counts_and_a_change_takes_effect_at_once_without_a_reset() {
    let (server, other) = (Server::start(200).await, Server::start(500).await);
    let world = World::start(seldom(), vec![checked(server.address, json!({"path": "/up"}))]);
    world.until_health(HealthStatus::Healthy).await;
    assert!(server.last_request.lock().starts_with("GET /up "));
    let elsewhere = json!({"path": "/up", "port": other.address.port(), "unhealthy_threshold": 2});
    world.change(Change::PutBackend(checked(server.address, elsewhere)));
    until("it is asked elsewhere", || other.requests() > 0).await;
    assert!(other.last_request.lock().starts_with("GET /up "));
    until("the failure is seen", || world.node().live.health_report().last_status == Some(500))
        .await;
    world.until_health(HealthStatus::Unhealthy).await;
    // Back again: probes find it, and nothing is forgotten before.
    world.change(Change::PutBackend(at(server.address)));
    assert_eq!(world.health(), HealthStatus::Unhealthy);
    world.until_health(HealthStatus::Healthy).await;
    assert!(server.last_request.lock().starts_with("GET / "));
}

#[tokio::test]
async fn changed_settings_reach_backends_with_keys_of_their_own() {
    let server = Server::start(200).await;
    let world = World::start(seldom(), vec![checked(server.address, json!({"path": "/up"}))]);
    world.until_health(HealthStatus::Healthy).await;
    let check = HealthCheckOptions { host: "shop.test".parse().ok(), ..seldom() };
    let resolve_interval = Duration::from_secs(1);
    world.checker.set(HealthSettings { check, resolve_interval, max_ejected_percent: 50 });
    let asks = |head: &str| server.last_request.lock().to_lowercase().contains(head);
    until("the new host is asked for", || asks("host: shop.test")).await;
    assert!(asks("get /up "), "its own path stays");
    assert_eq!(world.health(), HealthStatus::Healthy);
}

#[tokio::test]
async fn a_probe_that_hangs_ends_when_something_else_is_to_be_asked() {
    let (silent, server) = (Server::start(0).await, Server::start(200).await);
    let slow = json!({"timeout_secs": 3600});
    let world = World::start(seldom(), vec![checked(silent.address, slow)]);
    until("the probe hangs", || silent.requests() == 1).await;
    let elsewhere = json!({"timeout_secs": 3600, "port": server.address.port()});
    world.change(Change::PutBackend(checked(silent.address, elsewhere)));
    world.until_health(HealthStatus::Healthy).await;
}

#[tokio::test]
async fn an_unhealthy_backend_is_found_long_before_the_interval() {
    let server = Server::start(500).await;
    let world = World::start(seldom(), vec![at(server.address)]);
    world.until_health(HealthStatus::Unhealthy).await;
    let seen = server.requests();
    server.answer(200);
    let came_up = Instant::now();
    world.until_health(HealthStatus::Healthy).await;
    assert!(came_up.elapsed() < Duration::from_secs(4), "{:?}", came_up.elapsed());
    assert!(server.requests() <= seen + 3, "it is not hammered");
}

#[tokio::test]
async fn the_watch_ends_with_the_handle_and_with_the_publisher() {
    type Kept = Box<dyn std::any::Any>;
    type End = fn(World) -> Kept;
    let ends: [(&str, End); 2] = [
        ("handle", |world| Box::new(world.publisher)),
        ("publisher", |world| Box::new(world.checker)),
    ];
    for (name, end) in ends {
        let server = Server::start(200).await;
        let world = World::start(quick_check(), vec![at(server.address)]);
        world.until_health(HealthStatus::Healthy).await;
        let watch = Arc::downgrade(&world.checker.watch);
        let keep = end(world);
        until(name, || watch.upgrade().is_none_or(|watch| watch.watched.lock().is_empty())).await;
        drop(keep);
    }
}
