//! A new tag gets its share of the clients, and is judged by its own traffic.

mod guard;
mod net;
mod preview;
mod split;
mod steps;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

const HOST: &str = "example.com";

const SOON: Duration = Duration::from_secs(20);

/// A site on `a`, with another version on `b`.
struct Site {
    vhost: Vhost,
    a: Backend,
    b: Backend,
}

impl Site {
    fn start() -> Self {
        Self::start_with("", |setup| setup)
    }

    /// With further options of the domain, in TOML.
    fn start_with(options: &str, more: impl FnOnce(Setup) -> Setup) -> Self {
        let (a, b) = (Backend::start("a1"), Backend::start("b1"));
        let setup = Setup::new()
            .domain_with(HOST, "a", &format!("http_to_https = false\n{options}"))
            .backend("a1", a.address(), &["a"])
            .backend("b1", b.address(), &["b"]);
        let vhost = more(setup).start();
        vhost.wait_until_healthy(2);
        Self { vhost, a, b }
    }

    fn domain(&self) -> Value {
        self.vhost.rpc("domain.show", json!({ "domain": HOST })).expect("it is there")
    }

    /// The share of the new tag, where a rollout runs and somebody is there to say so.
    fn share(&self) -> Option<u64> {
        let mut connection = self.vhost.rpc_connection_if_any()?;
        let list =
            connection.try_call("rollout.list", &json!({ "domain": HOST }), |_| {}).ok()?.ok()?;
        list["trials"][0]["rollout"]["share"].as_u64()
    }

    /// What ran, or runs, for the domain; the newest first.
    fn trials(&self) -> Vec<Value> {
        let list = self.vhost.rpc("rollout.list", json!({ "domain": HOST })).expect("it is there");
        list["trials"].as_array().cloned().unwrap_or_default()
    }

    /// What the history says of the rollout or guard, the oldest first.
    fn story(&self) -> Vec<String> {
        let events =
            self.vhost.rpc("event.list", json!({ "domain": HOST, "limit": 100 })).expect("a list");
        let mut story: Vec<String> = events["events"]
            .as_array()
            .expect("events")
            .iter()
            .filter(|event| event["kind"] == "trial")
            .map(|event| {
                let news = event["news"].as_str().unwrap_or_default();
                let more = [&event["share"], &event["end"]].map(|value| match value {
                    Value::Null => String::new(),
                    Value::String(text) => format!(" {text}"),
                    other => format!(" {other}"),
                });
                format!("{news}{}", more.concat())
            })
            .collect();
        story.reverse();
        story
    }

    /// Asks from many addresses, on one connection after the other, until what runs meanwhile has ended.
    fn under_load<T>(&self, run: impl FnOnce(&Load) -> T) -> T {
        let load = Load::default();
        std::thread::scope(|scope| {
            for worker in 0..4_u8 {
                let load = &load;
                scope.spawn(move || load.ask(&self.vhost, worker));
            }
            // Whatever a test finds, the load ends.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&load)));
            load.is_over.store(true, Ordering::SeqCst);
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// What clients have got.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    asked: AtomicUsize,
    answers: Mutex<BTreeMap<(u16, String), usize>>,
}

impl Load {
    fn ask(&self, vhost: &Vhost, worker: u8) {
        let mut client: u8 = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            client = client % 60 + 1;
            let source = IpAddr::V4(Ipv4Addr::new(127, 0, worker + 10, client));
            let mut connection = Client::connect_from(source, vhost.http());
            for _ in 0..5 {
                let response = connection.get(HOST, "/");
                let from = response.backend().unwrap_or("-").to_owned();
                *self.answers.lock().unwrap().entry((response.status, from)).or_default() += 1;
                self.asked.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn count(&self, is_one: impl Fn(u16, &str) -> bool) -> usize {
        let answers = self.answers.lock().unwrap();
        answers.iter().filter(|((status, from), _)| is_one(*status, from)).map(|(_, n)| n).sum()
    }

    fn failed(&self) -> usize {
        self.count(|status, _| status >= 500)
    }

    /// Waits for so many further requests.
    fn wait_for(&self, more: usize) {
        let before = self.asked.load(Ordering::SeqCst);
        eventually("there is traffic", SOON, || self.asked.load(Ordering::SeqCst) >= before + more);
    }
}
