//! Clients that mean no harm: each does one exchange after the other, and each of these is to succeed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::stage::Stage;
use super::table::{Row, words_of};
use crate::harness::*;

/// Exchanges of each client during an attack, however busy the machine is: with fewer it is locked out.
const LEAST_SERVED: usize = 3;

/// The pause between two exchanges of a client.
const PACE: Duration = Duration::from_millis(8);

/// Does one exchange.
pub(super) type Exchange = Box<dyn FnMut() -> Result<(), String> + Send>;

/// A kind of client, and what makes one.
pub(super) type Kind = (&'static str, fn(&Stage, &Vhost) -> Exchange);

/// The kinds of clients that each attack has beside it.
pub(super) const USUAL: [Kind; 4] =
    [("HTTP/1 kept", kept), ("HTTP/1 new", new), ("TLS new", tls), ("HTTP/2", http2)];

fn kept(_: &Stage, vhost: &Vhost) -> Exchange {
    asks("example.com", "", vhost)
}

/// Asks for `/` with these header lines, on one connection as long as that lasts.
pub(super) fn asks(host: &'static str, headers: &str, vhost: &Vhost) -> Exchange {
    let (address, mut kept) = (vhost.http(), None);
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    Box::new(move || {
        let client = match kept.take() {
            Some(client) => client,
            None => Client::try_connect(address).map_err(text)?,
        };
        let mut client: Client = client;
        client.try_send(&request).map_err(text)?;
        let response = client.try_read_response().map_err(text)?;
        if !response.closes() {
            kept = Some(client);
        }
        served(&response)
    })
}

fn new(_: &Stage, vhost: &Vhost) -> Exchange {
    let address = vhost.http();
    Box::new(move || {
        let mut client = Client::try_connect(address).map_err(text)?;
        served(&client.try_get("example.com", "/").map_err(text)?)
    })
}

fn tls(stage: &Stage, vhost: &Vhost) -> Exchange {
    let (client, address) = (stage.tls(), vhost.https());
    Box::new(move || {
        let mut client = client.connect(address, Some("example.com")).map_err(text)?;
        served(&client.try_get("example.com", "/").map_err(text)?)
    })
}

fn http2(stage: &Stage, vhost: &Vhost) -> Exchange {
    let (client, address) = (stage.tls(), vhost.https());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut kept: Option<H2> = None;
    Box::new(move || {
        runtime.block_on(async {
            let mut h2 = match kept.take() {
                Some(h2) => h2,
                None => client.connect_h2(address, Some("example.com")).await.map_err(text)?.0,
            };
            let response = h2.get("example.com", "/").await.map_err(text)?;
            kept = Some(h2);
            match response.status.as_u16() {
                200 => Ok(()),
                status => Err(format!("status {status}")),
            }
        })
    })
}

pub(super) fn served(response: &Response) -> Result<(), String> {
    match response.status {
        200 => Ok(()),
        status => Err(format!("status {status}")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
pub(super) fn text(error: impl ToString) -> String {
    error.to_string()
}

/// What runs beside the honest clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// No attack.
    Quiet,
    Attacked,
    Afterwards,
    /// The clients end.
    Ended,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Quiet, Self::Attacked, Self::Afterwards, Self::Ended];
}

/// All honest clients of one attack.
pub(super) struct Honest {
    phase: AtomicU8,
    records: Vec<Record>,
}

/// What one client has seen.
struct Record {
    kind: &'static str,
    /// How long exchanges took, by the phase in which they began.
    times: [Mutex<Vec<Duration>>; Phase::ALL.len()],
    lost: Mutex<Vec<String>>,
}

impl Honest {
    pub(super) fn new(kinds: &[&'static str]) -> Self {
        let record = |kind: &&'static str| Record {
            kind,
            times: Default::default(),
            lost: Mutex::default(),
        };
        Self { phase: AtomicU8::default(), records: kinds.iter().map(record).collect() }
    }

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::SeqCst))]
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// Runs the client at `index` to the end of the attack.
    pub(super) fn run(&self, index: usize, mut exchange: Exchange) {
        let record = &self.records[index];
        loop {
            let phase = self.phase();
            if phase == Phase::Ended {
                return;
            }
            let begun = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(&mut exchange))
                .unwrap_or_else(|panic| Err(words_of(panic.as_ref())));
            match outcome {
                Ok(()) => lock(&record.times[phase as usize]).push(begun.elapsed()),
                Err(error) => {
                    let after = begun.elapsed();
                    lock(&record.lost)
                        .push(format!("{}, {phase:?}, after {after:?}: {error}", record.kind));
                }
            }
            std::thread::sleep(PACE);
        }
    }

    /// Exchanges that went well in a phase, of the client that had fewest.
    pub(super) fn least_done(&self, phase: Phase) -> usize {
        let done = self.records.iter().map(|record| lock(&record.times[phase as usize]).len());
        done.min().unwrap_or_default()
    }

    pub(super) fn lost(&self) -> usize {
        self.records.iter().map(|record| lock(&record.lost).len()).sum()
    }

    /// What they say when all is over.
    pub(super) fn judge(&self, row: &mut Row) {
        for record in &self.records {
            let sorted = |phase: Phase| {
                let mut times = lock(&record.times[phase as usize]).clone();
                times.sort_unstable();
                times
            };
            let (quiet, attacked) = (sorted(Phase::Quiet), sorted(Phase::Attacked));
            row.honest += attacked.len();
            if attacked.len() < LEAST_SERVED {
                row.wrong.push(format!("{}: only {} were served", record.kind, attacked.len()));
            }
            for (percent, worst) in [(50, &mut row.p50), (99, &mut row.p99)] {
                let at = |times: &[Duration]| times.get(times.len() * percent / 100).copied();
                if let (Some(quiet), Some(attacked)) = (at(&quiet), at(&attacked)) {
                    *worst = worst.max(attacked.as_secs_f64() / quiet.as_secs_f64());
                }
            }
            let lost = lock(&record.lost);
            row.lost += lost.len();
            row.wrong.extend(lost.first().map(|first| format!("{} lost: {first}", lost.len())));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
