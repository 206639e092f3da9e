//! What streams that nobody reads do to clients that read.

use std::time::{Duration, Instant};

use serde_json::json;

use super::memory::settled;
use crate::common::figures::{megabytes, to_float};
use crate::common::rpc::RpcConnection;
use crate::helpers::HELD;
use crate::lab::Lab;
use crate::load::{paced, unread};
use crate::proxies::{More, Running};
use crate::proxy::Proxy;
use crate::table::{Kind, Table};

const CONNECTIONS: usize = 40;

const STREAMS: u32 = 100;

/// Requests a second of the clients that read.
const STEADY: u32 = 4000;

/// How long it may take until all streams are with the backend.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn measure(lab: &Lab) -> Table {
    let mut table = Table::new(
        "unread-streams",
        "latency at 4,000 requests a second, beside 40 HTTP/2 connections of 100 streams whose answers \
         of 10 MiB nobody reads, and alone before. The goal is twice the p99",
        &[("beside", false), ("alone", false)],
    );
    for round in 0..lab.pace.rounds {
        let running = Running::start(lab, Proxy::Vhost, &More::default());
        paced::run(running.http, STEADY, 1);
        settled(&running, Duration::ZERO);
        phase(lab, &running, &mut table, ("alone", round));
        match unread::open(running.http, CONNECTIONS, STREAMS, HELD) {
            Ok(held) => {
                if !wait_until_all_run(&running) {
                    table.note(format!("{} streams run", streams(&running)));
                }
                settled(&running, Duration::ZERO);
                phase(lab, &running, &mut table, ("beside", round));
                drop(held);
            }
            Err(error) => table.note(format!("they can't be opened: {error}")),
        }
    }
    table
}

fn phase(lab: &Lab, running: &Running, table: &mut Table, at: (&str, usize)) {
    let (others, seconds) = (streams(running), lab.pace.seconds);
    let before = running.process.cpu();
    let seen = paced::run(running.http, STEADY, seconds);
    let cpu = running.process.cpu().since(before).total().as_secs_f64();
    // Of the whole time: whoever waits should cost nothing.
    table.add(
        at,
        ("CPU", "ms a second"),
        Kind::Told,
        cpu * 1e3 / Duration::from_secs(seconds).as_secs_f64(),
    );
    table.add(at, ("p50", "ms"), Kind::Told, seen.latency.p50);
    table.add(at, ("p99", "ms"), Kind::Told, seen.latency.p99);
    table.add(at, ("p99.9", "ms"), Kind::Told, seen.latency.p999);
    table.add(at, ("requests failed", ""), Kind::Told, to_float(seen.failed));
    table.add(at, ("connections closed", ""), Kind::Told, to_float(seen.closed));
    table.add(at, ("streams", ""), Kind::Told, to_float(others));
    table.add(at, ("memory", "MB"), Kind::Told, megabytes(running.process.resident()));
    table.add(at, ("peak memory", "MB"), Kind::Told, megabytes(running.process.peak()));
}

fn wait_until_all_run(running: &Running) -> bool {
    let all = CONNECTIONS * usize::try_from(STREAMS).expect("few");
    let deadline = Instant::now() + PATIENCE;
    while streams(running) < all {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Requests that run.
fn streams(running: &Running) -> usize {
    let mut connection = RpcConnection::connect(&running.directory().join("admin.sock"));
    let state = connection.call("state.get", &json!({})).expect("it answers");
    state["in_flight"].as_u64().and_then(|count| usize::try_from(count).ok()).expect("a number")
}
