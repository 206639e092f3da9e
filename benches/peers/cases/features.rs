//! What it costs to have everything on that tells what goes on.

use super::requests::{cost_of, tell};
use crate::common::server::free_address;
use crate::lab::Lab;
use crate::load::wrk::Wrk;
use crate::proxies::{More, Running, check};
use crate::proxy::Proxy;
use crate::table::Table;

/// What a file may have at its top. A build that doesn't know one is measured without.
const FEATURES: [(&str, &str); 2] = [
    ("metrics", "[metrics]\nenabled = true\nlisten_addr = \"@FREE@\"\n"),
    ("access log", "[access_log]\nenabled = true\n"),
];

pub(crate) fn measure(lab: &Lab) -> Table {
    let mut table = Table::new(
        "features",
        "as keep-alive: all on (metrics, access log, a probe a second) beside all off",
        &[("all on", false), ("all off", false)],
    );
    let mut on = More { probe_secs: 1, ..More::default() };
    for (name, text) in FEATURES {
        let text = text.replace("@FREE@", &free_address().to_string());
        let with = More { vhost: format!("{}{text}", on.vhost), ..on.clone() };
        if check(lab, &with) {
            on = with;
        } else {
            table.note(format!("this build has no {name}"));
        }
    }
    let off = More::default();
    for round in 0..lab.pace.rounds {
        let mut order = [("all on", &on), ("all off", &off)];
        order.rotate_left(round % 2);
        for (column, more) in order {
            let running = Running::start(lab, Proxy::Vhost, more);
            let cost = Wrk::SMALL
                .run(&running, 1)
                .and_then(|_| cost_of(&running, || Wrk::SMALL.run(&running, lab.pace.seconds)));
            match cost {
                Ok(cost) => tell(&mut table, (column, round), &cost, &running),
                Err(why) => table.note(format!("{column}: {why}")),
            }
        }
    }
    table
}
