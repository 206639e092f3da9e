//! SIGKILL at any moment: what was acknowledged is there, and nothing is there by half.

mod image;
mod points;
mod synced;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::*;

const ROUNDS: usize = 100;

/// The longest time that a round's commands run before the kill.
const LONGEST: Duration = Duration::from_millis(60);

/// What one worker has been promised: the state after its last acknowledged command, and the state
/// that the command under way leads to, if there is one.
#[derive(Clone)]
struct Promise<T> {
    acknowledged: T,
    in_doubt: Option<T>,
    revision: u64,
}

impl<T: Clone + PartialEq + std::fmt::Debug> Promise<T> {
    fn new(state: T) -> Self {
        Self { acknowledged: state, in_doubt: None, revision: 0 }
    }

    /// Sends commands until the server dies. `next` gives a method, its parameters, and the state
    /// that they lead to.
    fn keep_going(
        &mut self,
        socket: &std::path::Path,
        mut next: impl FnMut(&T) -> (&'static str, Value, T),
    ) -> usize {
        let Ok(mut connection) = RpcConnection::try_connect(socket) else { return 0 };
        let mut acknowledged = 0;
        loop {
            let (method, params, after) = next(&self.acknowledged);
            self.in_doubt = Some(after.clone());
            match connection.try_call(method, &params, |_| {}) {
                Ok(Ok(result)) => {
                    self.acknowledged = after;
                    self.in_doubt = None;
                    self.revision = result["revision"].as_u64().expect("a revision");
                    acknowledged += 1;
                }
                Ok(Err(fault)) => panic!("{method} {params}: {fault:?}"),
                Err(_) => return acknowledged,
            }
        }
    }

    /// Compares with what a restart found, and goes on from there.
    fn settle(&mut self, found: T, context: &str) {
        assert!(
            found == self.acknowledged || Some(&found) == self.in_doubt.as_ref(),
            "{context}\nfound {found:?}\nacknowledged {:?}\nin doubt {:?}",
            self.acknowledged,
            self.in_doubt
        );
        self.acknowledged = found;
        self.in_doubt = None;
    }
}

/// The live tags of the two domains that always move together.
type Live = (String, String);
/// Tags and weight by id.
type Backends = BTreeMap<String, (BTreeSet<String>, u64)>;
/// Names, each with its alias.
type Domains = BTreeMap<String, String>;

struct Promises {
    live: Promise<Live>,
    backends: Promise<Backends>,
    domains: Promise<Domains>,
}

fn switch(live: &Live) -> (&'static str, Value, Live) {
    let tag = if live.0 == "a" { "b" } else { "a" };
    let options = json!({"force": true, "no_drain": true});
    let params = json!({"domains": ["one.test", "two.test"], "tag": tag, "options": options});
    ("switch.start", params, (tag.into(), tag.into()))
}

fn change_backend(
    backends: &Backends,
    random: &mut fastrand::Rng,
) -> (&'static str, Value, Backends) {
    let mut after = backends.clone();
    let known: Vec<_> = backends.keys().cloned().collect();
    if known.len() < 4 {
        let id = format!("n{}", known.len());
        let params = json!({"id": id, "address": "127.0.0.1:9", "tags": ["x"]});
        after.insert(id, (["x".to_owned()].into(), 1));
        return ("backend.add", params, after);
    }
    let id = random.choice(&known).expect("there are some").clone();
    let (tags, weight) = after.get_mut(&id).expect("it is known");
    if random.bool() {
        *weight = random.u64(1..=1000);
        return ("backend.set", json!({"id": id, "weight": *weight}), after);
    }
    let tag = format!("t{}", random.u8(0..5));
    let params = json!({"id": id, "tags": [tag]});
    if tags.remove(&tag) {
        ("backend.untag", params, after)
    } else {
        tags.insert(tag);
        ("backend.tag", params, after)
    }
}

fn change_domain(domains: &Domains, random: &mut fastrand::Rng) -> (&'static str, Value, Domains) {
    let name = format!("d{}.test", random.u8(0..8));
    let mut after = domains.clone();
    if after.remove(&name).is_some() {
        return ("domain.remove", json!({"domain": name}), after);
    }
    let alias = format!("www.{name}");
    let params = json!({"domain": name, "tag": "a", "aliases": [alias]});
    after.insert(name, alias);
    ("domain.add", params, after)
}

/// What the server says its state is, sorted to the workers.
fn found(vhost: &Vhost) -> (u64, Live, Backends, Domains) {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let list = vhost.rpc("domain.list", json!({})).expect("domain.list");
    let mut live = BTreeMap::new();
    let mut domains = Domains::new();
    for domain in list["domains"].as_array().expect("a list") {
        let name = text(&domain["domain"]);
        if name.starts_with('d') {
            domains.insert(name, text(&domain["aliases"][0]));
        } else {
            live.insert(name, text(&domain["live"]));
        }
    }
    let live = (live["one.test"].clone(), live["two.test"].clone());
    let list = vhost.rpc("backend.list", json!({})).expect("backend.list");
    let backends = list["backends"].as_array().expect("a list").iter().filter_map(|backend| {
        let id = text(&backend["id"]);
        let tags = backend["tags"].as_array().expect("a list").iter().map(text).collect();
        let weight = backend["weight"].as_u64().expect("a number");
        id.starts_with('n').then_some((id, (tags, weight)))
    });
    (list["revision"].as_u64().expect("a revision"), live, backends.collect(), domains)
}

/// `VHOST_TEST_SEED` repeats a run as far as chance decides it.
fn seed() -> u64 {
    if let Ok(seed) = std::env::var("VHOST_TEST_SEED") {
        return seed.parse().expect("VHOST_TEST_SEED is a number");
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    now.subsec_nanos().into()
}

#[test]
fn after_a_kill_at_any_moment_every_acknowledged_change_is_there_and_no_half_change() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut vhost = Setup::new()
        .set("logging.level", "\"warn\"")
        .set("health_check.interval_secs", 600)
        .lifetime(Duration::from_mins(2))
        .domain("one.test", "a")
        .domain("two.test", "a")
        .backend("a1", refusing_address(), &["a"])
        .backend("b1", refusing_address(), &["b"])
        .start();
    let mut promises = Promises {
        live: Promise::new(("a".into(), "a".into())),
        backends: Promise::new(Backends::new()),
        domains: Promise::new(Domains::new()),
    };
    let mut acknowledged = 0;
    let mut in_doubt = 0;
    for round in 0..ROUNDS {
        let (mut backend_chance, mut domain_chance) = (random.fork(), random.fork());
        let moment = LONGEST.mul_f64(random.f64());
        let socket = vhost.socket();
        let Promises { live, backends, domains } = &mut promises;
        acknowledged += std::thread::scope(|scope| {
            let workers = [
                scope.spawn(|| live.keep_going(&socket, switch)),
                scope.spawn(|| {
                    backends.keep_going(&socket, |state| change_backend(state, &mut backend_chance))
                }),
                scope.spawn(|| {
                    domains.keep_going(&socket, |state| change_domain(state, &mut domain_chance))
                }),
            ];
            // Not a wait for something: the moment itself is what is tried.
            std::thread::sleep(moment);
            vhost.signal(Signal::SIGKILL);
            workers
                .map(|worker| worker.join().expect("no command is refused"))
                .iter()
                .sum::<usize>()
        });
        vhost.kill();
        in_doubt += usize::from(promises.live.in_doubt.is_some())
            + usize::from(promises.backends.in_doubt.is_some())
            + usize::from(promises.domains.in_doubt.is_some());
        vhost.restart();

        let context = format!("round {round}, VHOST_TEST_SEED={seed}");
        let (revision, live, backends, domains) = found(&vhost);
        let reached = promises.live.revision.max(promises.backends.revision);
        let reached = reached.max(promises.domains.revision);
        assert!(revision >= reached, "{context}: revision {revision} after {reached}");
        let newest = vhost.newest_event()["revision"].clone();
        assert_eq!(newest, revision, "{context}: the history ends where the state is");
        promises.live.settle(live, &context);
        promises.backends.settle(backends, &context);
        promises.domains.settle(domains, &context);
    }
    assert!(acknowledged > ROUNDS, "only {acknowledged} commands were acknowledged");
    assert!(in_doubt > ROUNDS / 4, "only {in_doubt} commands were cut");
}
