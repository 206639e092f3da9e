//! SIGKILL at any moment of a deploy: the version before or the one after, whole, and no backend of neither.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::*;

/// What the deploy passes on its way: when it begins, and with its one commit.
pub(crate) const POINTS: [&str; 10] = [
    "operation",
    "operation.done",
    "commit",
    "commit.change",
    "3*off->commit.change",
    "commit.revision",
    "commit.operation",
    "commit.event",
    "commit.done",
    "published",
];

/// The live tag of both domains, and the addresses by tag.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    live: [String; 2],
    backends: Vec<(String, String)>,
}

fn found(vhost: &Vhost) -> Found {
    let live = ["a.test", "b.test"].map(|domain| vhost.live(domain));
    let list = vhost.rpc("backend.list", json!({})).expect("backend.list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut backends: Vec<_> = list["backends"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|of| (text(&of["tags"][0]), text(&of["address"])))
        .collect();
    backends.sort();
    Found { live, backends }
}

impl Found {
    /// After a deploy of `addresses`.
    fn after(&self, addresses: &[String]) -> Self {
        let from = &self.live[0];
        let to = if from == "a" { "b" } else { "a" }.to_owned();
        let kept = self.backends.iter().filter(|(tag, _)| tag == from).cloned();
        let new = addresses.iter().map(|address| (to.clone(), address.clone()));
        let mut backends: Vec<_> = kept.chain(new).collect();
        backends.sort();
        Self { live: [to.clone(), to], backends }
    }
}

fn params(addresses: &[String]) -> Value {
    json!({
        "app": "shop",
        "addresses": addresses,
        "hosts": ["a.test", "b.test"],
        "switch": {"no_drain": true},
    })
}

#[test]
fn a_deploy_that_is_killed_at_any_step_is_there_whole_or_not_at_all() {
    let sites = ["one", "two", "three"].map(Backend::start);
    let addresses: Vec<_> = sites.iter().map(Backend::address).collect();
    let mut vhost = empty();
    vhost.rpc("app.deploy", params(&addresses[..1])).expect("the first deploy");
    for (round, point) in POINTS.into_iter().enumerate() {
        let before = found(&vhost);
        // Others than those that are live, in turn.
        let next = [addresses[1 + round % 2].clone(), addresses[0].clone()];
        vhost.kill();
        vhost.crash_at(Some(point));
        vhost.restart();
        let answer = vhost.rpc_connection().try_call("app.deploy", &params(&next), |_| {});
        assert!(answer.is_err(), "{point}: the server has ended: {answer:?}");
        vhost.kill();
        vhost.crash_at(None);
        vhost.restart();
        let now = found(&vhost);
        let is_whole = now == before || now == before.after(&next);
        assert!(is_whole, "{point}: {now:?} after {before:?}");
        let event = vhost.newest_event();
        if point == "operation.done" {
            assert_eq!(event["kind"], "deploy");
            assert_eq!(event["outcome"]["state"], "gate_failed", "{event}");
            assert!(event["outcome"]["cause"].as_str().unwrap().contains("the server stopped"));
        }
    }
}

#[test]
fn of_a_hundred_deploys_that_are_killed_every_acknowledged_one_is_there() {
    let sites: Vec<_> = (0..4).map(|n| Backend::start(&format!("n{n}"))).collect();
    let addresses: Vec<_> = sites.iter().map(Backend::address).collect();
    let mut random = fastrand::Rng::new();
    let mut vhost = Setup::new().lifetime(Duration::from_mins(3)).start();
    vhost.rpc("app.deploy", params(&addresses[..1])).expect("the first deploy");
    let (mut state, mut acknowledged, mut cut) = (found(&vhost), 0, 0);
    for round in 0..100 {
        let socket = vhost.socket();
        let moment = Duration::from_millis(60).mul_f64(random.f64());
        let next: Vec<String> = random.choose_multiple(addresses.iter().cloned(), 2);
        let answer = std::thread::scope(|scope| {
            let call = scope.spawn(|| {
                RpcConnection::connect(&socket).try_call("app.deploy", &params(&next), |_| {})
            });
            // Not a wait for something: the moment itself is what is tried.
            std::thread::sleep(moment);
            vhost.signal(Signal::SIGKILL);
            call.join().expect("the call ends")
        });
        vhost.kill();
        vhost.restart();
        let now = found(&vhost);
        let after = state.after(&next);
        let live: Vec<_> = state.backends.iter().filter(|(tag, _)| *tag == state.live[0]).collect();
        let is_same = live.len() == next.len() && live.iter().all(|(_, at)| next.contains(at));
        if let Ok(answer) = answer {
            answer.unwrap_or_else(|fault| panic!("round {round}: {fault:?}"));
            acknowledged += 1;
            assert_eq!(now, if is_same { state.clone() } else { after }, "round {round}");
        } else {
            cut += 1;
            assert!(now == state || now == after, "round {round}: {now:?} after {state:?}");
        }
        state = now;
    }
    assert!(acknowledged > 5 && cut > 5, "{acknowledged} acknowledged, {cut} cut");
}
