//! From nothing to the first answer.

use super::columns;
use crate::common::figures::{megabytes, millis};
use crate::lab::Lab;
use crate::proxies::{More, Running};
use crate::proxy::Proxy;
use crate::table::{Kind, Table};

pub(crate) fn measure(lab: &Lab) -> Table {
    let takes_part = |proxy| proxy != Proxy::Relay;
    let about = "from the start of the process to its first answer, with one domain";
    let mut table = Table::new("cold-start", about, &columns(lab, takes_part));
    for round in 0..lab.pace.rounds {
        for proxy in lab.order(round, takes_part) {
            let running = Running::start(lab, proxy, &More::default());
            let at = (proxy.name(), round);
            table.add(at, ("first answer", "ms"), Kind::Told, millis(running.took));
            let cpu = running.process.cpu().total();
            table.add(at, ("CPU", "ms"), Kind::Told, millis(cpu));
            let memory = megabytes(running.process.resident());
            table.add(at, ("memory", "MB"), Kind::Told, memory);
        }
    }
    table
}
