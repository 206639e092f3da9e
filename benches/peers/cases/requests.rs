//! Requests, handshakes and messages: what one costs the proxy, and how long it takes.

use super::columns;
use crate::common::figures::{megabytes, to_float};
use crate::lab::Lab;
use crate::load::h2load::H2load;
use crate::load::wrk::Wrk;
use crate::load::{Latency, Load, handshakes, web_socket};
use crate::process::Cpu;
use crate::proxies::{More, Running};
use crate::proxy::Proxy;
use crate::table::{Kind, Table};

pub(crate) struct Work {
    pub(crate) name: &'static str,
    about: &'static str,
    load: Kinds,
    /// The same at a steady rate that leaves everybody room: what latencies are read from. Without it
    /// they are those of the load itself.
    steady: Option<H2load>,
    /// Whether a relay that knows no protocol can do it.
    relay: bool,
    pub(crate) is_core: bool,
}

enum Kinds {
    Wrk(Wrk),
    H2load(H2load),
    Handshakes { resumed: bool },
    WebSocket,
}

const STEADY: H2load =
    H2load { path: "/", connections: 32, streams: 1, http2: false, tls: false, rate: Some(8000) };

const H2: H2load =
    H2load { path: "/", connections: 4, streams: 100, http2: true, tls: true, rate: None };

pub(crate) const CASES: [Work; 10] = [
    Work {
        name: "keep-alive",
        about: "HTTP/1.1, small answers, 64 connections that are kept; latency at 8,000 a second",
        load: Kinds::Wrk(Wrk::SMALL),
        steady: Some(STEADY),
        relay: true,
        is_core: true,
    },
    Work {
        name: "new-connection",
        about: "HTTP/1.1, small answers, a connection for each request, 64 at once",
        load: Kinds::Wrk(Wrk { closes: true, ..Wrk::SMALL }),
        steady: None,
        relay: true,
        is_core: true,
    },
    Work {
        name: "64k",
        about: "HTTP/1.1, answers of 64 KiB, 32 connections; latency at 2,000 a second",
        load: Kinds::Wrk(Wrk { path: "/64k", connections: 32, ..Wrk::SMALL }),
        steady: Some(H2load { path: "/64k", rate: Some(2000), ..STEADY }),
        relay: true,
        is_core: false,
    },
    Work {
        name: "10m",
        about: "HTTP/1.1, answers of 10 MiB, 4 connections",
        load: Kinds::Wrk(Wrk { path: "/10m", connections: 4, ..Wrk::SMALL }),
        steady: None,
        relay: true,
        is_core: false,
    },
    Work {
        name: "upload",
        about: "HTTP/1.1, uploads of 1 MiB, 8 connections",
        load: Kinds::Wrk(Wrk { connections: 8, body: 1 << 20, ..Wrk::SMALL }),
        steady: None,
        relay: true,
        is_core: false,
    },
    Work {
        name: "tls",
        about: "TLS 1.3, HTTP/1.1, small answers, 64 connections that are kept; latency at 8,000 a second",
        load: Kinds::Wrk(Wrk { tls: true, ..Wrk::SMALL }),
        steady: Some(H2load { tls: true, ..STEADY }),
        relay: false,
        is_core: true,
    },
    Work {
        name: "handshake",
        about: "TLS 1.3, a full handshake (ECDSA P-256) and a small answer on each connection, 8 clients",
        load: Kinds::Handshakes { resumed: false },
        steady: None,
        relay: false,
        is_core: true,
    },
    Work {
        name: "resumption",
        about: "the same, resumed by tickets",
        load: Kinds::Handshakes { resumed: true },
        steady: None,
        relay: false,
        is_core: false,
    },
    Work {
        name: "http2",
        about: "HTTP/2 over TLS, small answers, 4 connections of 100 streams; latency at 8,000 a second",
        load: Kinds::H2load(H2),
        steady: Some(H2load { rate: Some(8000), ..H2 }),
        relay: false,
        is_core: true,
    },
    Work {
        name: "websocket",
        about: "WebSocket messages of 125 bytes that come back, 32 connections",
        load: Kinds::WebSocket,
        steady: None,
        relay: true,
        is_core: false,
    },
];

/// What a load cost a proxy.
pub(crate) struct Cost {
    pub(crate) load: Load,
    pub(crate) cpu: Cpu,
    pub(crate) latency: Latency,
}

pub(crate) fn measure(lab: &Lab, work: &Work) -> Table {
    let takes_part = |proxy| proxy != Proxy::Relay || work.relay;
    let mut table = Table::new(work.name, work.about, &columns(lab, takes_part));
    for round in 0..lab.pace.rounds {
        for proxy in lab.order(round, takes_part) {
            let running = Running::start(lab, proxy, &More::default());
            match cost(lab, &running, work) {
                Ok((cost, keeps_pace)) => {
                    tell(&mut table, (proxy.name(), round), &cost, &running);
                    if !keeps_pace {
                        table.note(format!("{}: fell behind the rate at times", proxy.name()));
                    }
                }
                Err(why) => table.note(format!("{}: {why}", proxy.name())),
            }
        }
    }
    table
}

/// What the work costs, and whether the steady rate was kept.
fn cost(lab: &Lab, running: &Running, work: &Work) -> Result<(Cost, bool), String> {
    let seconds = lab.pace.seconds;
    // What comes first warms up: pools are filled, and code and pages are touched.
    let steady = if let Some(steady) = &work.steady {
        Some(steady.run(running, seconds)?)
    } else {
        run(lab, running, &work.load, 1)?;
        None
    };
    let mut cost = cost_of(running, || run(lab, running, &work.load, seconds))?;
    let mut keeps_pace = true;
    if let (Some(seen), Some(rate)) = (steady, work.steady.and_then(|steady| steady.rate)) {
        let due = to_float(rate) * seen.took.as_secs_f64();
        keeps_pace = to_float(seen.count) > 0.9 * due;
        cost.latency = seen.latency;
    }
    Ok((cost, keeps_pace))
}

/// What a load costs, with the latency that it sees.
pub(crate) fn cost_of(
    running: &Running,
    load: impl FnOnce() -> Result<Load, String>,
) -> Result<Cost, String> {
    let before = running.process.cpu();
    let load = load()?;
    let cpu = running.process.cpu().since(before);
    Ok(Cost { cpu, latency: load.latency, load })
}

/// Puts a cost into a table.
pub(crate) fn tell(table: &mut Table, at: (&str, usize), cost: &Cost, running: &Running) {
    let each = |took: std::time::Duration| took.as_secs_f64() * 1e6 / to_float(cost.load.count);
    let rate = to_float(cost.load.count) / cost.load.took.as_secs_f64();
    table.add(at, ("CPU µs", "each"), Kind::Judged, each(cost.cpu.total()));
    table.add(at, ("  of it user", "µs"), Kind::Told, each(cost.cpu.user));
    table.add(at, ("done", "a second"), Kind::Told, rate);
    table.add(at, ("p50", "ms"), Kind::Told, cost.latency.p50);
    table.add(at, ("p99", "ms"), Kind::Judged, cost.latency.p99);
    table.add(at, ("p99.9", "ms"), Kind::Told, cost.latency.p999);
    table.add(at, ("peak memory", "MB"), Kind::Told, megabytes(running.process.peak()));
}

fn run(lab: &Lab, running: &Running, kind: &Kinds, seconds: u64) -> Result<Load, String> {
    match kind {
        Kinds::Wrk(wrk) => wrk.run(running, seconds),
        Kinds::H2load(h2load) => h2load.run(running, seconds),
        Kinds::WebSocket => web_socket::run(running.http, seconds),
        Kinds::Handshakes { resumed } => {
            handshakes::run(running.https, &lab.client(*resumed).http1(), *resumed, seconds)
        }
    }
}
