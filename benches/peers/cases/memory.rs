//! What a connection takes that stands idle.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::columns;
use crate::common::figures::to_float;
use crate::lab::Lab;
use crate::load::idle;
use crate::proxies::{More, Running};
use crate::proxy::Proxy;
use crate::table::{Kind, Table};

pub(crate) fn plain(lab: &Lab) -> Table {
    measure(lab, "idle", "idle HTTP/1.1 connections, each after an answer", None)
}

pub(crate) fn tls(lab: &Lab) -> Table {
    let config = lab.client(false).http1();
    measure(
        lab,
        "idle-tls",
        "idle HTTP/1.1 connections over TLS 1.3, each after an answer",
        Some(&config),
    )
}

fn measure(lab: &Lab, name: &str, about: &str, tls: Option<&Arc<ClientConfig>>) -> Table {
    let count = lab.pace.idle;
    let takes_part = |proxy| proxy != Proxy::Relay;
    let about = format!("{count} {about}");
    let mut table = Table::new(name, &about, &columns(lab, takes_part));
    // Memory hardly differs from round to round.
    let rounds = if lab.pace.is_quick { 1 } else { lab.pace.rounds.min(3) };
    for round in 0..rounds {
        for proxy in lab.order(round, takes_part) {
            let running = Running::start(lab, proxy, &More::default());
            let address = if tls.is_some() { running.https } else { running.http };
            let measured = idle::open(address, tls, 50).and_then(|warm| {
                drop(warm);
                let before = settled(&running, Duration::ZERO);
                let held = idle::open(address, tls, count)?;
                let after = settled(&running, Duration::ZERO);
                drop(held);
                Ok(after.saturating_sub(before))
            });
            match measured {
                Ok(bytes) => {
                    let each = to_float(usize::try_from(bytes).unwrap_or(usize::MAX) / 1024)
                        / to_float(count);
                    table.add((proxy.name(), round), ("memory", "KiB each"), Kind::Judged, each);
                }
                Err(error) => table.note(format!("{}: {error}", proxy.name())),
            }
        }
    }
    table
}

/// Resident memory once it stands still, after so long at least: what a start took for a moment goes
/// back to the system within ten seconds.
pub(crate) fn settled(running: &Running, at_least: Duration) -> u64 {
    std::thread::sleep(at_least);
    let mut last = running.process.resident();
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = running.process.resident();
        if now.abs_diff(last) < 256 * 1024 {
            return now;
        }
        last = now;
    }
}
