//! The metrics of domains and their tags.

use super::Text;
use super::family::{
    BYTES, DRAIN_REMAINING, IN_FLIGHT, LIVE_TAG, REQUEST_DURATION, REQUESTS, RETRIES, SWITCHES,
};
use super::ledger::{DomainView, OTHER};
use super::totals::{Flow, Totals, float};
use crate::model::{StatusClass, SwitchEnd};

/// A domain on one tag.
struct Row<'a> {
    domain: &'a str,
    tag: &'a str,
    in_flight: usize,
    /// No series before the first request.
    totals: Option<Totals>,
}

pub(super) fn write(seen: &DomainView, text: &mut Text) {
    write_traffic(&rows(seen), text);
    write_flows(seen, text);
    write_tags(seen, text);
    write_switches(seen, text);
}

fn rows(seen: &DomainView) -> Vec<Row<'_>> {
    let listed = seen.listed.iter().flat_map(|listed| {
        listed.node.tags().iter().map(|tag| Row {
            domain: &listed.name,
            tag: tag.tag.as_str(),
            in_flight: tag.requests(),
            totals: Totals::of(&tag.traffic),
        })
    });
    let other = seen.other.iter().map(|other| Row {
        domain: OTHER,
        tag: OTHER,
        in_flight: other.in_flight,
        totals: Some(other.totals),
    });
    listed.chain(other).collect()
}

fn write_traffic(rows: &[Row<'_>], text: &mut Text) {
    let with_totals =
        || rows.iter().filter_map(|row| row.totals.as_ref().map(|totals| (row, totals)));
    let requests = with_totals().flat_map(|(row, totals)| {
        StatusClass::ALL.into_iter().zip(totals.classes).map(|(class, count)| {
            REQUESTS.number([row.domain, row.tag, class.as_str()], float(count))
        })
    });
    text.add(REQUESTS.with(requests.collect()));
    let durations = with_totals()
        .map(|(row, totals)| REQUEST_DURATION.durations([row.domain, row.tag], &totals.durations));
    text.add(REQUEST_DURATION.with(durations.collect()));
    let in_flight =
        rows.iter().map(|row| IN_FLIGHT.number([row.domain, row.tag], float(row.in_flight as u64)));
    text.add(IN_FLIGHT.with(in_flight.collect()));
}

fn write_flows(seen: &DomainView, text: &mut Text) {
    let listed = seen.listed.iter().map(|listed| (listed.name.as_str(), listed.flow));
    let other = seen.other.iter().map(|other| (OTHER, other.totals.flow));
    let flows: Vec<(&str, Flow)> = listed.chain(other).collect();
    let bytes = flows.iter().flat_map(|(domain, flow)| {
        [("received", flow.received), ("sent", flow.sent)]
            .map(|(direction, bytes)| BYTES.number([*domain, direction], float(bytes)))
    });
    text.add(BYTES.with(bytes.collect()));
    let retries = flows.iter().map(|(domain, flow)| RETRIES.number([*domain], float(flow.retries)));
    text.add(RETRIES.with(retries.collect()));
}

fn write_tags(seen: &DomainView, text: &mut Text) {
    let live = seen
        .listed
        .iter()
        .map(|listed| LIVE_TAG.number([&listed.name, listed.node.virtual_host.live.as_str()], 1.0));
    text.add(LIVE_TAG.with(live.collect()));
    let listed = seen.listed.iter().flat_map(|listed| {
        listed.node.left().skip(1).map(|(tag, requests)| {
            DRAIN_REMAINING.number([&listed.name, tag.as_str()], float(requests as u64))
        })
    });
    let other = seen
        .other
        .iter()
        .map(|other| DRAIN_REMAINING.number([OTHER, OTHER], float(other.left as u64)));
    text.add(DRAIN_REMAINING.with(listed.chain(other).collect()));
}

fn write_switches(seen: &DomainView, text: &mut Text) {
    let listed = seen.listed.iter().filter_map(|listed| {
        let counts = listed.node.switches().counts()?;
        Some((listed.name.as_str(), counts))
    });
    let other = seen.other.iter().map(|other| (OTHER, other.switches));
    let switches = listed.chain(other).flat_map(|(domain, counts)| {
        SwitchEnd::ALL
            .into_iter()
            .zip(counts)
            .map(move |(end, count)| SWITCHES.number([domain, end.as_str()], float(count)))
    });
    text.add(SWITCHES.with(switches.collect()));
}
