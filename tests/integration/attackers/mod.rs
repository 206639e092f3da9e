//! Attackers under steady honest traffic: floods, hoards, slow readers and writers, provoked resets,
//! handshakes, logins and names. In each, honest clients lose nothing, the server's memory stays below what
//! docs/limits.md says, and afterwards its memory and counters are what they were. `./dev attackers` runs
//! them one by one and prints a table.

mod admin;
mod attacker;
mod connections;
mod crowd;
mod floods;
mod handshakes;
mod hoards;
mod honest;
mod logins;
mod names;
mod places;
mod readers;
mod requests;
mod sampler;
mod stage;
mod table;
mod transfers;
mod writers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use attacker::Attacker;
use honest::{Exchange, Honest, Phase};
use sampler::Sampler;
use stage::Stage;
use table::Row;

use crate::harness::*;

/// How soon something that is to happen must have happened.
const SOON: Duration = Duration::from_secs(30);

/// How long honest traffic runs alone at least, to compare with.
const QUIET: Duration = Duration::from_millis(700);

/// Exchanges of each honest client that are enough to compare.
const ENOUGH: usize = 10;

/// Attacks at once, however many tests are: each wants a part of a core and of the open files.
static TURNS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];

/// An attack to be: on which site, from how many addresses, and by how many connections.
struct Attack {
    name: &'static str,
    stage: Stage,
    /// Addresses of the attackers; the honest clients have another one.
    sources: usize,
    /// Connections that only stand, and those that carry something.
    standing: usize,
    carrying: usize,
    /// Requests at once on connections of HTTP/2.
    requests: usize,
    honest: Vec<honest::Kind>,
}

impl Attack {
    /// By four addresses, on the usual site, with the usual honest clients.
    fn new(name: &'static str) -> Self {
        Self {
            name,
            stage: Stage::new(),
            sources: 4,
            standing: 0,
            carrying: 0,
            requests: 0,
            honest: honest::USUAL.into(),
        }
    }

    /// By a single address.
    fn of_one_address(self) -> Self {
        self.of_addresses(1)
    }

    fn of_addresses(self, sources: usize) -> Self {
        Self { sources, ..self }
    }

    /// On a site with other settings.
    fn on(mut self, setup: impl FnOnce(Setup, &Stage) -> Setup) -> Self {
        self.stage.setup = setup(self.stage.setup.clone(), &self.stage);
        self
    }

    /// With so many connections that only stand, and so many that carry something.
    fn with_connections(self, standing: usize, carrying: usize) -> Self {
        Self { standing, carrying, ..self }
    }

    /// With so many requests at once on connections of HTTP/2.
    fn with_requests(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    /// With one more kind of honest client.
    fn beside(mut self, kind: &'static str, client: fn(&Stage, &Vhost) -> Exchange) -> Self {
        self.honest.push((kind, client));
        self
    }

    /// Attacks, and holds everything that is promised. `attack` runs while `Attacker::goes_on`; what else it
    /// expects of the server it asserts.
    #[track_caller]
    fn run(self, attack: impl FnOnce(&Attacker<'_>)) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let turn = &TURNS[NEXT.fetch_add(1, Ordering::Relaxed) % TURNS.len()];
        let _turn = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let row = self.attacked(attack);
        row.write();
        assert!(row.wrong.is_empty(), "{}: {}\n{row}", self.name, row.wrong.join("; "));
    }

    fn attacked(&self, attack: impl FnOnce(&Attacker<'_>)) -> Row {
        let vhost = self.stage.start();
        let kinds: Vec<_> = self.honest.iter().map(|(kind, _)| *kind).collect();
        let honest = Honest::new(&kinds);
        let may_grow_kb =
            sampler::memory(self.standing, self.carrying, self.requests, self.sources);
        let mut row = Row::new(self.name, may_grow_kb);
        std::thread::scope(|scope| {
            for (index, (_, client)) in self.honest.iter().enumerate() {
                let (honest, exchange) = (&honest, client(&self.stage, &vhost));
                scope.spawn(move || honest.run(index, exchange));
            }
            let _end = EndOnDrop(&honest);
            let begun = Instant::now();
            eventually("honest traffic is quiet and steady", SOON, || {
                begun.elapsed() > QUIET && honest.least_done(Phase::Quiet) >= ENOUGH
            });
            let sampler = Sampler::start(scope, &vhost);
            let attacker = Attacker::new(&vhost, &self.stage, &honest, self.sources);
            honest.set_phase(Phase::Attacked);
            let outcome = catch_unwind(AssertUnwindSafe(|| attack(&attacker)));
            row.connections = attacker.connections();
            row.wrong.extend(outcome.err().map(|panic| table::words_of(panic.as_ref())));
            row.wrong.extend(attacker.complaints());
            honest.set_phase(Phase::Afterwards);
            sampler.end(&mut row, may_grow_kb, kinds.len());
        });
        honest.judge(&mut row);
        row.wrong.extend(sampler::left_behind(&vhost, self.stage.metrics));
        row
    }
}

/// Ends the honest clients also when the test panics.
struct EndOnDrop<'a>(&'a Honest);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set_phase(Phase::Ended);
    }
}
