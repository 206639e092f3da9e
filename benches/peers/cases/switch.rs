//! A domain that moves to its other backend: what that takes, and what it does to requests. The
//! counterpart in nginx is a reload.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::columns;
use crate::common::figures::{millis, percentile, to_float};
use crate::common::rpc::RpcConnection;
use crate::lab::Lab;
use crate::load::paced;
use crate::proxies::{More, Running};
use crate::proxy::{HOST, Proxy};
use crate::table::{Kind, Table};

/// Domains that are there beside the one that moves.
const DOMAINS: usize = 1000;

/// Requests a second that go on beside, for everybody.
const STEADY: u32 = 4000;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn beside_reloads(lab: &Lab) -> Table {
    let takes_part = |proxy| matches!(proxy, Proxy::Vhost | Proxy::Other | Proxy::Nginx);
    let about = "one of 1,000 domains moves to its other backend; nginx reloads for it. \
                 Latency at 4,000 requests a second, alone and beside five moves a second";
    let mut table = Table::new("switch", about, &columns(lab, takes_part));
    for round in 0..lab.pace.rounds {
        for proxy in lab.order(round, takes_part) {
            let running = start(lab, proxy);
            let at = (proxy.name(), round);
            alone(lab, proxy, &running, &mut table, at);
            beside_load(lab, proxy, &running, 5, &mut table, at);
        }
    }
    table
}

pub(crate) fn at_a_rate(lab: &Lab) -> Table {
    let takes_part = |proxy| matches!(proxy, Proxy::Vhost | Proxy::Other);
    let about = "the same with 100 switches a second";
    let mut table = Table::new("switch-rate", about, &columns(lab, takes_part));
    for round in 0..lab.pace.rounds {
        for proxy in lab.order(round, takes_part) {
            let running = start(lab, proxy);
            beside_load(lab, proxy, &running, 100, &mut table, (proxy.name(), round));
        }
    }
    table
}

fn start(lab: &Lab, proxy: Proxy) -> Running {
    Running::start(lab, proxy, &More { domains: DOMAINS, ..More::default() })
}

/// The way in which a proxy is told.
enum Mover<'a> {
    Socket(RpcConnection),
    Reload { running: &'a Running, file: PathBuf, texts: [String; 2] },
}

impl<'a> Mover<'a> {
    fn new(lab: &Lab, proxy: Proxy, running: &'a Running) -> Self {
        if proxy != Proxy::Nginx {
            return Self::Socket(RpcConnection::connect(&running.directory().join("admin.sock")));
        }
        let file = running.directory().join("nginx.conf");
        let text = std::fs::read_to_string(&file).expect("it was written");
        let moved = text.replace(&lab.backend.to_string(), &lab.other.to_string());
        Self::Reload { running, file, texts: [text, moved] }
    }

    /// Moves the domain, away or back, and comes back when that is acknowledged: a reload isn't.
    fn go(&mut self, away: bool) {
        match self {
            Self::Socket(connection) => {
                let params = json!({
                    "domains": [HOST],
                    "tag": if away { "b" } else { "a" },
                    "options": {"force": true, "no_drain": true},
                });
                connection.call("switch.start", &params).expect("it switches");
            }
            Self::Reload { running, file, texts } => {
                std::fs::write(file, &texts[usize::from(away)]).expect("it is written");
                running.process.signal(Signal::SIGHUP);
            }
        }
    }

    /// How often it is measured, and how long it is left alone in between: a reload goes on in the
    /// background.
    fn times(&self, is_quick: bool) -> (usize, Duration) {
        match self {
            Self::Socket(_) => (if is_quick { 400 } else { 1000 }, Duration::ZERO),
            Self::Reload { .. } => (if is_quick { 6 } else { 20 }, Duration::from_millis(150)),
        }
    }
}

/// What a move takes while nothing else goes on.
fn alone(lab: &Lab, proxy: Proxy, running: &Running, table: &mut Table, at: (&str, usize)) {
    let mut mover = Mover::new(lab, proxy, running);
    let (times, pause) = mover.times(lab.pace.is_quick);
    let mut took = Vec::new();
    for turn in 0..times.min(50) {
        let away = turn % 2 == 0;
        let started = Instant::now();
        mover.go(away);
        wait_for(running.http, if away { b'b' } else { b'a' });
        took.push(started.elapsed());
        std::thread::sleep(pause);
    }
    table.add(at, ("until it is seen", "ms"), Kind::Judged, millis(percentile(&took, 50)));

    let mut known = running.process.pids();
    let (mut new, before) = (0, running.process.cpu());
    for turn in 0..times {
        mover.go(turn % 2 == 0);
        std::thread::sleep(pause);
        let pids = running.process.pids();
        new += pids.iter().filter(|pid| !known.contains(pid)).count();
        known = pids;
    }
    let cpu = running.process.cpu().since(before).total();
    let each = cpu.as_secs_f64() * 1e6 / to_float(times);
    table.add(at, ("CPU", "µs each"), Kind::Judged, each);
    table.add(at, ("processes started", "each"), Kind::Told, to_float(new) / to_float(times));
}

/// What requests see, alone and beside so many moves a second.
fn beside_load(
    lab: &Lab,
    proxy: Proxy,
    running: &Running,
    rate: u32,
    table: &mut Table,
    at: (&str, usize),
) {
    let seconds = lab.pace.seconds;
    let mut mover = Mover::new(lab, proxy, running);
    paced::run(running.http, STEADY, 1);
    let quiet = paced::run(running.http, STEADY, seconds);
    let mut turns = 0;
    let started = Instant::now();
    let ends = started + Duration::from_secs(seconds);
    let busy = std::thread::scope(|scope| {
        let load = scope.spawn(|| paced::run(running.http, STEADY, seconds));
        while Instant::now() < ends {
            mover.go(turns % 2 == 0);
            turns += 1;
            let next = started + Duration::from_secs(1) * turns / rate;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        load.join().expect("it ends")
    });
    let done = f64::from(turns) / started.elapsed().as_secs_f64();
    table.add(at, ("moves", "a second"), Kind::Told, done);
    table.add(at, ("p99 alone", "ms"), Kind::Told, quiet.latency.p99);
    table.add(at, ("p99 beside moves", "ms"), Kind::Judged, busy.latency.p99);
    table.add(at, ("  to alone", "times"), Kind::Told, busy.latency.p99 / quiet.latency.p99);
    table.add(at, ("connections closed", ""), Kind::Judged, to_float(busy.closed));
    table.add(at, ("requests failed", ""), Kind::Judged, to_float(busy.failed + quiet.failed));
}

/// Asks on new connections until the backend answers that is named so.
fn wait_for(http: SocketAddr, who: u8) {
    let deadline = Instant::now() + PATIENCE;
    while asked(http) != Some(who) {
        assert!(Instant::now() < deadline, "the move is not seen");
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Who answers now: the last byte that the backend says.
fn asked(http: SocketAddr) -> Option<u8> {
    let mut stream = TcpStream::connect(http).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET /who HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    answer.last().copied()
}
