//! The metrics of domains and their tags.

use super::family::{
    BYTES, DRAIN_REMAINING, IN_FLIGHT, LIVE_TAG, RELEASE_INFO, REQUEST_DURATION, REQUESTS, RETRIES,
    SPLIT_SHARE, SWITCHES,
};
use super::ledger::{DomainView, OTHER};
use super::text::Text;
use super::totals::{Flow, Totals};
use crate::model::{AppName, PoolName, StatusClass, SwitchEnd, TagShare};

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
            tag: tag.tag().as_str(),
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
        let classes = StatusClass::ALL.into_iter().zip(totals.classes);
        classes.map(|(class, count)| ([row.domain, row.tag, class.as_str()], count))
    });
    text.counts(&REQUESTS, requests);
    let durations = with_totals().map(|(row, totals)| ([row.domain, row.tag], totals.durations));
    text.durations(&REQUEST_DURATION, durations);
    text.counts(&IN_FLIGHT, rows.iter().map(|row| ([row.domain, row.tag], row.in_flight as u64)));
}

fn write_flows(seen: &DomainView, text: &mut Text) {
    let listed = seen.listed.iter().map(|listed| (listed.name.as_str(), listed.flow));
    let other = seen.other.iter().map(|other| (OTHER, other.totals.flow));
    let flows: Vec<(&str, Flow)> = listed.chain(other).collect();
    let bytes = flows.iter().flat_map(|(domain, flow)| {
        [([*domain, "received"], flow.received), ([*domain, "sent"], flow.sent)]
    });
    text.counts(&BYTES, bytes);
    text.counts(&RETRIES, flows.iter().map(|(domain, flow)| ([*domain], flow.retries)));
}

fn write_tags(seen: &DomainView, text: &mut Text) {
    let live = seen.listed.iter();
    let live = live.map(|of| {
        let PoolName { app, tag } = &of.node.live().pool;
        ([of.name.as_str(), app.as_ref().map_or("", AppName::as_str), tag.as_str()], 1)
    });
    text.counts(&LIVE_TAG, live);
    let shares = seen.listed.iter().flat_map(|of| {
        let shares = of.node.virtual_host.shares().into_iter();
        shares.map(|TagShare { tag, share }| {
            SPLIT_SHARE.number([of.name.as_str(), tag.as_str()], share.fraction())
        })
    });
    text.add(SPLIT_SHARE.with(shares.collect()));
    let releases = seen.listed.iter().flat_map(|of| {
        let named = of.node.tags().iter();
        let named =
            named.filter_map(|tag| Some((tag.tag().as_str(), tag.release.as_ref()?.as_str())));
        named.map(|(tag, release)| ([of.name.as_str(), tag, release], 1))
    });
    text.counts(&RELEASE_INFO, releases);
    let listed = seen.listed.iter().flat_map(|of| {
        let left = of.node.left().skip(1);
        left.map(|(tag, requests)| ([of.name.as_str(), tag.as_str()], requests as u64))
    });
    let other = seen.other.iter().map(|other| ([OTHER, OTHER], other.left as u64));
    text.counts(&DRAIN_REMAINING, listed.chain(other));
}

fn write_switches(seen: &DomainView, text: &mut Text) {
    let listed = seen.listed.iter();
    let listed = listed.filter_map(|of| Some((of.name.as_str(), of.node.switches().counts()?)));
    let other = seen.other.iter().map(|other| (OTHER, other.switches));
    let switches = listed.chain(other).flat_map(|(domain, counts)| {
        let ends = SwitchEnd::ALL.into_iter().zip(counts);
        ends.map(move |(end, count)| ([domain, end.as_str()], count))
    });
    text.counts(&SWITCHES, switches);
}
