//! Two tags of a domain side by side.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stats::rounded;
use crate::control::{ControlError, TrialError, find};
use crate::counters::LatencyCells;
use crate::model::{DomainName, Millis, Share, StatusClass, Tag, VirtualHost, nonzero_millis};
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::run::{Answered, Run, methods};
use crate::state::{DomainNode, Snapshot};
use crate::stats::{Counters, MOST_MINUTES, SideBySide, TagTraffic};
use verdict::{Histogram, Pair, QuantileComparison, QuantileRange};

methods! {
    /// Two tags of a domain side by side: their traffic of the last minutes, and which differences are real.
    Compare, "stats.compare", CompareParams => CompareReport, faults [NotFound, Conflict];
}

/// What `stats.compare` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareParams {
    /// The domain, or an app, all of whose domains are taken together.
    pub domain: DomainName,
    /// The one tag. The default is the live one; while something is on trial, the tag to which it would go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Tag>,
    /// The other tag. The default is the tag on trial; else the one that has a share; else the previous one, or the
    /// other one if there are two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Tag>,
    /// The time that the figures cover, in milliseconds, up to ten minutes. That is the default too.
    #[serde(default, deserialize_with = "nonzero_millis", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub last_ms: Option<u64>,
}

/// The answer of `stats.compare`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CompareReport {
    /// The revision of the state.
    pub revision: u64,
    /// The domains, taken together.
    pub domains: Vec<DomainName>,
    /// The requested time, in milliseconds.
    pub last_ms: u64,
    /// The time that the figures really cover, in milliseconds: up to a minute more than requested, and less just
    /// after a start.
    pub covered_ms: Millis,
    /// The one tag.
    pub old: TagSide,
    /// The other one.
    pub new: TagSide,
    /// How far the new tag's share of errors is above the old one's, in points of percent.
    pub error_difference: Difference,
    /// The same of the requests that backends failed.
    pub fault_difference: Difference,
    /// Whether the medians really differ: their ranges have no value in common.
    pub p50_differs: bool,
    /// The same of the 95th percentiles.
    pub p95_differs: bool,
    /// The same of the 99th percentiles.
    pub p99_differs: bool,
    /// The requests by the class of their status; classes that do not occur are left out.
    pub statuses: Vec<StatusRow>,
}

/// The traffic of one tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TagSide {
    /// The tag.
    pub tag: Tag,
    /// What share of the clients it has now, of the first domain.
    pub share: Share,
    /// Requests that ended in the time.
    pub requests: u64,
    /// The same per second.
    pub rate: f64,
    /// Requests that failed on the server's side: with status 500 or above, or with an answer that broke off. One
    /// that the tag on trial failed counts, also if the old tag answered it instead.
    pub errors: u64,
    /// Their share of the requests, 0 to 1.
    pub error_share: f64,
    /// Requests that backends failed.
    pub faults: u64,
    /// Their share of the requests, 0 to 1.
    pub fault_share: f64,
    /// The duration that half of the requests did not exceed; absent if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<Quantile>,
    /// The duration that 95 % of the requests did not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<Quantile>,
    /// The duration that 99 % of the requests did not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<Quantile>,
    /// Bytes of request bodies.
    pub received_bytes: u64,
    /// Bytes of response bodies.
    pub sent_bytes: u64,
}

/// A duration that a part of the requests did not exceed, with the range in which it lies with 95 % certainty, were
/// there more requests of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Quantile {
    /// The duration, accurate to two per cent.
    pub ms: f64,
    /// The lower end of the range.
    pub low_ms: f64,
    /// The upper end of the range; absent if that isn't known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_ms: Option<f64>,
}

/// How much higher a share is with the new tag, in points of percent: negative where it is lower.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Difference {
    /// As counted.
    pub points: f64,
    /// The lower end of the interval in which it lies with 95 % certainty.
    pub low: f64,
    /// The upper end of it.
    pub high: f64,
    /// Whether it is real: 0 is outside of the interval.
    pub is_real: bool,
}

/// The requests that were answered with one class of status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StatusRow {
    /// The class; `none` is no answer, for nobody was left to have it.
    pub class: StatusClass,
    /// Those of the old tag.
    pub old: u64,
    /// Those of the new tag.
    pub new: u64,
    /// How much larger their share is with the new tag.
    pub difference: Difference,
}

impl Run for Compare {
    async fn run(server: &Dispatch, params: CompareParams, _: &Call) -> Answered<Self> {
        let CompareParams { domain, old, new, last_ms } = params;
        let (longest, asked) = (MOST_MINUTES * 60_000, last_ms.unwrap_or(u64::MAX));
        let last_ms = asked.min(longest);
        let domains = server.control.domains_of(&domain)?;
        let snapshot = server.control.snapshot();
        let nodes = domains.iter().map(|domain| find::domain(&snapshot, domain));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let tags = tags(&snapshot, nodes[0], old, new)?;
        for tag in &tags {
            known(&snapshot, nodes[0], tag)?;
        }
        let shares = tags.each_ref().map(|tag| nodes[0].virtual_host.share_of(tag));
        let last = Duration::from_millis(last_ms);
        let seen = server.facts.stats.side_by_side(domains.clone(), tags.clone(), last).await;
        let seen = seen.ok_or(ControlError::Stopping)?;
        Ok(report(domains, last_ms, tags, shares, &seen))
    }
}

/// The two tags that are compared.
fn tags(
    snapshot: &Snapshot,
    node: &DomainNode,
    old: Option<Tag>,
    new: Option<Tag>,
) -> Result<[Tag; 2], ControlError> {
    let host = &node.virtual_host;
    let tags = match (old, new) {
        (Some(old), Some(new)) => [old, new],
        (None, Some(new)) if new != host.live => [host.live.clone(), new],
        (old, new) => {
            let [first, second] = usual(snapshot, host)?;
            match (old, new) {
                (Some(old), _) if old == first => [old, second],
                (Some(old), _) => [old, first],
                (None, Some(new)) if new == first => [second, new],
                (None, Some(new)) => [first, new],
                (None, None) => [first, second],
            }
        }
    };
    if tags[0] == tags[1] {
        return Err(TrialError::TagTwice { tag: tags[0].clone() }.into());
    }
    Ok(tags)
}

/// Those that are compared unless others are named.
fn usual(snapshot: &Snapshot, host: &VirtualHost) -> Result<[Tag; 2], ControlError> {
    if let Some(trial) = &host.beside.trial {
        return Ok([trial.from.clone(), trial.to.clone()]);
    }
    let live = host.live.clone();
    if let Some(beside) = host.beside.tags().first() {
        return Ok([live, Tag::clone(beside)]);
    }
    let known = snapshot.tags(host.app());
    if let Some(previous) = host.previous.clone()
        && known.contains(&&previous)
    {
        return Ok([live, previous]);
    }
    let mut others = known.iter().filter(|tag| ***tag != live);
    match (others.next(), others.next()) {
        (Some(only), None) => Ok([live, Tag::clone(only)]),
        _ => Err(ControlError::NoOtherTag {
            domain: host.domain.clone(),
            live,
            previous: host.previous.clone(),
            known: known.into_iter().cloned().collect(),
        }),
    }
}

/// The tag is one of the domain's app, or has served it.
fn known(snapshot: &Snapshot, node: &DomainNode, tag: &Tag) -> Result<(), ControlError> {
    let pool = node.virtual_host.pool(tag);
    if snapshot.pool(&pool).is_some() || node.tags().iter().any(|of| of.tag() == tag) {
        return Ok(());
    }
    let known = snapshot.tags(pool.app.as_ref()).into_iter().cloned().collect();
    Err(ControlError::UnknownTag { pool, near: None, known })
}

fn report(
    domains: Vec<DomainName>,
    last_ms: u64,
    [old_tag, new_tag]: [Tag; 2],
    [old_share, new_share]: [Share; 2],
    seen: &SideBySide,
) -> CompareReport {
    let [old, new] = &seen.sides;
    let [of_old, of_new] = [old, new].map(|side| side.took.histogram());
    let latencies = Pair {
        old: Histogram { bounds: &of_old.0, counts: of_old.1 },
        new: Histogram { bounds: &of_new.0, counts: of_new.1 },
    };
    let shares = |part: &dyn Fn(&Counters) -> u64| {
        let share =
            |of: &TagTraffic| verdict::Share::of_counts(part(&of.counters), of.counters.requests);
        Pair { old: share(old), new: share(new) }
    };
    let found = verdict::compare(shares(&|counters| counters.errors), latencies);
    let statuses = (0..).zip(StatusClass::ALL).filter_map(|(at, class)| {
        let [old, new] = [old, new].map(|side| side.counters.classes[at]);
        let row = || {
            let shares = shares(&|counters| counters.classes[at]);
            StatusRow { class, old, new, difference: difference_of(shares) }
        };
        (old + new > 0).then(row)
    });
    let [p50, p95, p99] = found.quantiles;
    CompareReport {
        revision: seen.revision,
        domains,
        last_ms,
        covered_ms: seen.covered.into(),
        old: side(old_tag, old_share, seen, old, |of| of.ranges.old, &found.quantiles),
        new: side(new_tag, new_share, seen, new, |of| of.ranges.new, &found.quantiles),
        error_difference: difference(&found),
        fault_difference: difference_of(shares(&|counters| counters.faults)),
        p50_differs: p50.differ,
        p95_differs: p95.differ,
        p99_differs: p99.differ,
        statuses: statuses.collect(),
    }
}

fn side(
    tag: Tag,
    share: Share,
    seen: &SideBySide,
    of: &TagTraffic,
    range: fn(&QuantileComparison) -> QuantileRange,
    quantiles: &[QuantileComparison; 3],
) -> TagSide {
    let counters = of.counters;
    let of_all = |part| verdict::Share::of_counts(part, counters.requests).estimate();
    let [p50, p95, p99] =
        quantiles.each_ref().map(|found| quantile(&of.took, found.quantile, range(found)));
    TagSide {
        tag,
        share,
        requests: counters.requests,
        rate: rounded(seen.rate_of(counters.requests)),
        errors: counters.errors,
        error_share: of_all(counters.errors),
        faults: counters.faults,
        fault_share: of_all(counters.faults),
        p50,
        p95,
        p99,
        received_bytes: counters.received_bytes,
        sent_bytes: counters.sent_bytes,
    }
}

fn quantile(took: &LatencyCells, share: f64, range: QuantileRange) -> Option<Quantile> {
    let millis = |time: Duration| rounded(time.as_secs_f64() * 1000.0);
    let end = |micros| millis(Duration::from_micros(micros));
    took.quantile(share).map(|took| Quantile {
        ms: millis(took),
        low_ms: end(range.low),
        high_ms: range.high.map(end),
    })
}

/// The difference of shares alone.
fn difference_of(shares: Pair<verdict::Share>) -> Difference {
    let none = Histogram { bounds: &[], counts: &[] };
    difference(&verdict::compare(shares, Pair { old: none, new: none }))
}

fn difference(found: &verdict::Comparison) -> Difference {
    let verdict::Difference { estimate, interval } = found.difference;
    let points = |share: f64| rounded(share * 100.0);
    Difference {
        points: points(estimate),
        low: points(interval.low),
        high: points(interval.high),
        is_real: found.errors_differ,
    }
}
