//! What many domains cost: each request, the start, and memory.

use std::time::Duration;

use super::columns;
use super::memory::settled;
use super::requests::{cost_of, tell};
use crate::common::figures::{megabytes, millis, to_float};
use crate::lab::Lab;
use crate::load::wrk::Wrk;
use crate::proxies::{More, Running};
use crate::proxy::Proxy;
use crate::table::{Kind, Table};

pub(crate) const SIZES: [(&str, usize); 3] =
    [("domains-10", 10), ("domains-1000", 1000), ("domains-100000", 100_000)];

/// So many that what each takes can be told from noise.
const MANY: usize = 10_000;

pub(crate) fn measure(lab: &Lab, name: &str, count: usize) -> Table {
    // h2o compares the names of its hosts one by one.
    let takes_part = |proxy| !matches!(proxy, Proxy::Relay | Proxy::H2o);
    let about = format!("as keep-alive, for hosts all over {count} domains");
    let mut table = Table::new(name, &about, &columns(lab, takes_part));
    for round in 0..lab.pace.rounds {
        for proxy in lab.order(round, takes_part) {
            let empty = (count >= MANY).then(|| {
                let empty = Running::start(lab, proxy, &More::default());
                settled(&empty, Duration::ZERO)
            });
            let more = More { domains: count, ..More::default() };
            let running = Running::start(lab, proxy, &more);
            let at = (proxy.name(), round);
            table.add(at, ("start", "ms"), Kind::Told, millis(running.took));
            let pause = Duration::from_secs(if count < MANY { 0 } else { 12 });
            let memory = settled(&running, pause);
            table.add(at, ("memory", "MB"), Kind::Told, megabytes(memory));
            if let Some(empty) = empty {
                let above = usize::try_from(memory.saturating_sub(empty)).unwrap_or(usize::MAX);
                let each = to_float(above) / to_float(count);
                table.add(at, ("  above empty", "bytes each"), Kind::Told, each);
            }
            let wrk = Wrk { hosts: count, ..Wrk::SMALL };
            let cost = wrk
                .run(&running, 1)
                .and_then(|_| cost_of(&running, || wrk.run(&running, lab.pace.seconds)));
            match cost {
                Ok(cost) => tell(&mut table, at, &cost, &running),
                Err(why) => table.note(format!("{}: {why}", proxy.name())),
            }
        }
    }
    table
}
