//! What an attack has in its hands.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::honest::{Honest, Phase};
use super::sampler::state;
use super::stage::Stage;
use super::{ENOUGH, SOON};
use crate::harness::*;

/// How long an attack goes on at least.
const LEAST: Duration = Duration::from_secs(2);

/// How long it goes on when honest clients are not served.
const LONGEST: Duration = Duration::from_secs(20);

/// Makes connections from addresses that no honest client has.
pub(super) struct Attacker<'a> {
    pub(super) vhost: &'a Vhost,
    pub(super) stage: &'a Stage,
    honest: &'a Honest,
    sources: Vec<IpAddr>,
    connections: AtomicUsize,
    begun: Instant,
    complaints: Mutex<Vec<String>>,
}

impl<'a> Attacker<'a> {
    pub(super) fn new(
        vhost: &'a Vhost,
        stage: &'a Stage,
        honest: &'a Honest,
        sources: usize,
    ) -> Self {
        Self {
            vhost,
            stage,
            honest,
            sources: (0..sources).map(|_| free_ip()).collect(),
            connections: AtomicUsize::new(0),
            begun: Instant::now(),
            complaints: Mutex::default(),
        }
    }

    /// Whether the attack is to go on: until it had its time, and honest clients had theirs.
    pub(super) fn goes_on(&self) -> bool {
        let time = self.begun.elapsed();
        let served = self.honest.least_done(Phase::Attacked) >= ENOUGH;
        time < LEAST || (!served && time < LONGEST && self.honest.lost() < ENOUGH)
    }

    /// Lets what was done have its effect.
    pub(super) fn hold(&self) {
        while self.goes_on() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs `work` on so many threads.
    #[expect(clippy::unused_self, reason = "it is the attacker's work")]
    pub(super) fn side_by_side(&self, threads: usize, work: impl Fn(usize) + Sync) {
        std::thread::scope(|scope| {
            for number in 0..threads {
                let work = &work;
                scope.spawn(move || work(number));
            }
        });
    }

    /// A connection from the next of its addresses.
    pub(super) fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.connect_with(address, None)
    }

    /// The same, with a receive buffer of so many bytes.
    pub(super) fn connect_with(
        &self,
        address: SocketAddr,
        receive_buffer: Option<usize>,
    ) -> io::Result<TcpStream> {
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        let stream =
            connect_from(self.sources[number % self.sources.len()], address, receive_buffer)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        Ok(stream)
    }

    /// Connections that were made.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What was refused for this reason so far.
    pub(super) fn refused(&self, reason: &str) -> u64 {
        state(self.vhost)["refused"][reason].as_u64().unwrap_or(0)
    }

    /// Writes down what the server should not have done, and goes on.
    pub(super) fn complain(&self, what: impl Into<String>) {
        self.complaints.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(what.into());
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        let mut complaints =
            self.complaints.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        complaints.sort_unstable();
        complaints.dedup();
        std::mem::take(&mut *complaints)
    }
}
