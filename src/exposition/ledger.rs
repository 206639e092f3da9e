//! Which domains have series of their own, and the sums of all others.
//!
//! A counter must never decrease: Prometheus would take that for a restart, and count everything
//! again. So the choice for a domain stays as long as the domain exists, and a sum keeps the counts
//! of members that have left it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::sync::Arc;

use super::totals::{Flow, Totals, add};
use crate::model::{DomainName, SwitchEnd};
use crate::state::{DomainNode, Snapshot, Switches, Traffic};

/// The label of domains without series of their own, and of their tags.
pub(super) const OTHER: &str = "other";

/// The state that is kept between scrapes.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    limit: usize,
    listed: BTreeMap<DomainName, Lasting<Traffic, Flow>>,
    folded: BTreeSet<DomainName>,
    folded_traffic: Lasting<Traffic, Totals>,
    folded_switches: Lasting<Switches, Ends>,
    /// Whether there ever was a domain without series of its own: the sum stays.
    has_folded: bool,
}

/// The domains of one scrape.
pub(super) struct DomainView {
    /// Those with series of their own, by name.
    pub(super) listed: Vec<Listed>,
    /// The others; `None` if there never was one.
    pub(super) other: Option<Other>,
}

/// A domain with series of its own.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) node: Arc<DomainNode>,
    /// Of all its tags, including former ones.
    pub(super) flow: Flow,
}

/// All domains without series of their own, including removed ones.
#[derive(Default)]
pub(super) struct Other {
    pub(super) totals: Totals,
    pub(super) switches: [u64; SwitchEnd::ALL.len()],
    pub(super) in_flight: usize,
    /// Those of them on tags that are not live.
    pub(super) left: usize,
}

impl Ledger {
    /// At most `limit` domains have series of their own.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The current counts.
    pub(super) fn look(&mut self, snapshot: &Snapshot) -> DomainView {
        self.decide(snapshot);
        let mut listed = Vec::with_capacity(self.listed.len());
        let mut other = Other::default();
        let (mut traffic, mut switches) = (Vec::new(), Vec::new());
        for node in snapshot.domains() {
            let counted = node.tags().iter().map(|tag| &tag.traffic);
            let counted = counted.filter(|traffic| traffic.counts().is_some()).cloned();
            if let Some(lasting) = self.listed.get_mut(&node.virtual_host.domain) {
                let flow = lasting.sum(counted.collect(), Flow::of);
                let name = node.virtual_host.domain.to_string();
                listed.push(Listed { name, node: Arc::clone(node), flow });
                continue;
            }
            traffic.extend(counted);
            if node.switches().counts().is_some() {
                switches.push(Arc::clone(node.switches()));
            }
            other.in_flight += node.in_flight().map(|(_, requests)| requests).sum::<usize>();
            other.left += node.left_behind();
        }
        let of = |traffic: &Traffic| Totals::of(traffic).unwrap_or_default();
        other.totals = self.folded_traffic.sum(traffic, of);
        let of = |switches: &Switches| Ends(switches.counts().unwrap_or_default());
        other.switches = self.folded_switches.sum(switches, of).0;
        DomainView { listed, other: self.has_folded.then_some(other) }
    }

    /// Whether a domain has series of its own.
    pub(super) fn lists(&self, domain: &DomainName) -> bool {
        self.listed.contains_key(domain)
    }

    /// Drops removed domains, and decides about new ones: those with the most requests get the free
    /// places.
    fn decide(&mut self, snapshot: &Snapshot) {
        // A name that was a domain's may have become another's alias.
        let is_there = |name: &DomainName| {
            snapshot.domain(name).is_some_and(|node| node.virtual_host.domain == *name)
        };
        self.listed.retain(|name, _| is_there(name));
        self.folded.retain(is_there);
        let is_new = |node: &&Arc<DomainNode>| {
            let name = &node.virtual_host.domain;
            !self.listed.contains_key(name) && !self.folded.contains(name)
        };
        let mut new: Vec<_> = snapshot.domains().filter(is_new).collect();
        let room = self.limit.saturating_sub(self.listed.len());
        if new.len() > room {
            new.sort_by_key(|node| Reverse(requests(node)));
        }
        // A domain with this name can't be distinguished from the others.
        let (nameless, named): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|node| node.virtual_host.domain.to_string() == OTHER);
        let name = |node: &Arc<DomainNode>| node.virtual_host.domain.clone();
        let mut named = named.into_iter().map(name);
        self.listed.extend(named.by_ref().take(room).map(|name| (name, Lasting::default())));
        self.folded.extend(named.chain(nameless.into_iter().map(name)));
        self.has_folded |= !self.folded.is_empty();
    }
}

fn requests(node: &DomainNode) -> u64 {
    let counts = node.tags().iter().filter_map(|tag| tag.traffic.counts());
    counts.map(crate::state::TrafficCounts::requests).sum()
}

/// How switches ended, in the order of [`SwitchEnd::ALL`].
#[derive(Debug, Clone, Copy, Default)]
struct Ends([u64; SwitchEnd::ALL.len()]);

impl AddAssign for Ends {
    fn add_assign(&mut self, more: Self) {
        add(&mut self.0, more.0);
    }
}

/// A sum over counters that come and go, which keeps the counts of removed ones.
#[derive(Debug)]
struct Lasting<T, S> {
    /// By address.
    members: Vec<Arc<T>>,
    gone: S,
}

impl<T, S: Default> Default for Lasting<T, S> {
    fn default() -> Self {
        Self { members: Vec::new(), gone: S::default() }
    }
}

impl<T, S: AddAssign + Copy> Lasting<T, S> {
    /// The sum with these members.
    fn sum(&mut self, mut members: Vec<Arc<T>>, of: impl Fn(&T) -> S) -> S {
        members.sort_unstable_by_key(Arc::as_ptr);
        for member in &self.members {
            if members.binary_search_by_key(&Arc::as_ptr(member), Arc::as_ptr).is_err() {
                self.gone += of(member);
            }
        }
        self.members = members;
        let mut sum = self.gone;
        for member in &self.members {
            sum += of(member);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Change, VirtualHost};
    use crate::state::Ended;

    fn domain(name: &str, live: &str) -> Change {
        Change::PutDomain(VirtualHost {
            domain: name.parse().unwrap(),
            live: live.parse().unwrap(),
            previous: None,
            beside: crate::model::Beside::default(),
            top: crate::model::TopOptions { http_to_https: false, ..Default::default() },
            options: crate::model::HostOptions::default(),
        })
    }

    /// So many requests with a body of one byte.
    fn served(snapshot: &Snapshot, name: &str, requests: u64) {
        let ended = Ended {
            status: Some(200),
            failed: false,
            took: Duration::from_millis(1),
            received: 1,
            sent: 0,
            retries: 0,
            is_backends_fault: false,
        };
        let node = snapshot.domain(&name.parse().unwrap()).unwrap();
        for _ in 0..requests {
            node.live().traffic.count(&ended, || 1);
        }
    }

    fn names(seen: &DomainView) -> Vec<&str> {
        seen.listed.iter().map(|listed| listed.name.as_str()).collect()
    }

    fn other(seen: &DomainView) -> u64 {
        seen.other.as_ref().map_or(0, |other| other.totals.classes.iter().sum())
    }

    #[test]
    fn the_busiest_have_series_of_their_own_and_keep_them() {
        let all = ["a.test", "b.test", "c.test", "other"].map(|name| domain(name, "t"));
        let first = Snapshot::default().after(all.into(), 1);
        served(&first, "b.test", 2);
        served(&first, "c.test", 5);
        served(&first, "other", 1);
        let mut ledger = Ledger::new(2);
        let seen = ledger.look(&first);
        assert_eq!(names(&seen), ["b.test", "c.test"]);
        assert_eq!(other(&seen), 1);
        // A third one is busier by now, and one with series of its own goes.
        served(&first, "a.test", 100);
        let next = first.after(vec![Change::DropDomain("b.test".parse().unwrap())], 2);
        let seen = ledger.look(&next);
        assert_eq!(names(&seen), ["c.test"], "what is decided holds");
        assert_eq!(other(&seen), 101);
        let last = next.after(vec![domain("d.test", "t")], 3);
        assert_eq!(names(&ledger.look(&last)), ["c.test", "d.test"], "there is room again");
    }

    #[test]
    fn sums_never_fall() {
        let first =
            Snapshot::default().after(vec![domain("a.test", "t"), domain("b.test", "t")], 1);
        let mut ledger = Ledger::new(1);
        served(&first, "a.test", 3);
        served(&first, "b.test", 2);
        let seen = ledger.look(&first);
        assert_eq!((seen.listed[0].flow.received, other(&seen)), (3, 2));
        served(&first, "a.test", 1);
        served(&first, "b.test", 1);
        // No backend carries the first tag, so it is forgotten at the second switch.
        let second = first.after(vec![domain("a.test", "u"), domain("b.test", "u")], 2);
        let third = second.after(vec![domain("a.test", "v"), domain("b.test", "v")], 3);
        assert_eq!(third.domain(&"a.test".parse().unwrap()).unwrap().tags().len(), 2);
        let seen = ledger.look(&third);
        assert_eq!((seen.listed[0].flow.received, other(&seen)), (4, 3));
        let gone = ["a.test", "b.test"].map(|name| Change::DropDomain(name.parse().unwrap()));
        let seen = ledger.look(&third.after(gone.into(), 4));
        assert!(seen.listed.is_empty());
        assert_eq!(other(&seen), 3);
    }
}
