//! Names on demand: which may be checked, and how many ordered.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::config::OnDemandSettings;
use crate::model::{DomainName, Pattern};
use crate::places::ClientKey;

/// How long a name stays denied.
const DENIAL_LIFETIME: Duration = Duration::from_mins(5);

/// The most denied names to remember. Beyond that the oldest are forgotten, and would be checked
/// again.
const MAX_DENIED: usize = 10_000;

/// The most names that are being checked or wait for it.
const MAX_WAITING: usize = 256;

const MINUTE: Duration = Duration::from_mins(1);

/// The limits of on-demand names. Names that a limit refuses are not remembered: they were not
/// checked.
#[derive(Debug, Default)]
pub(super) struct DemandLimits {
    /// The names of this minute by client; a client that stands for many is not counted. The
    /// certificate store bounds the number of clients a minute.
    asked: HashMap<ClientKey, u32>,
    began: Option<Instant>,
    /// When orders for new names were begun.
    ordered: VecDeque<Instant>,
    denied: HashMap<DomainName, Instant>,
    /// The same in the order in which they were denied.
    order: VecDeque<(Instant, DomainName)>,
}

impl DemandLimits {
    /// Checks whether a client may have a name checked now, and counts it. `have` is the number of
    /// names with a certificate on demand, `waiting` the number that are being checked.
    pub(super) fn admit(
        &mut self,
        name: &DomainName,
        client: Option<ClientKey>,
        (have, waiting): (usize, usize),
        settings: &OnDemandSettings,
        now: Instant,
    ) -> Result<(), &'static str> {
        if !is_askable(name) {
            return Err("no certificate on demand for this kind of name");
        }
        if have >= settings.most {
            return Err("`on_demand_most` is reached");
        }
        if waiting >= MAX_WAITING {
            return Err("too many names are being checked");
        }
        if self.began.is_none_or(|began| now.duration_since(began) >= MINUTE) {
            self.began = Some(now);
            self.asked = HashMap::new();
        }
        if let Some(client) = client {
            let asked = self.asked.entry(client).or_default();
            if *asked >= settings.per_client {
                return Err("`on_demand_per_client` is reached");
            }
            *asked += 1;
        }
        Ok(())
    }

    /// Checks whether a new name may be ordered now, and counts it.
    pub(super) fn order(&mut self, settings: &OnDemandSettings, now: Instant) -> bool {
        while self.ordered.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.ordered.pop_front();
        }
        let most = usize::try_from(settings.per_minute).unwrap_or(usize::MAX);
        let may = self.ordered.len() < most;
        if may {
            self.ordered.push_back(now);
        }
        may
    }

    /// Remembers that a name is not allowed. Returns the name that is forgotten instead, if any.
    pub(super) fn deny(&mut self, name: DomainName, now: Instant) -> Option<DomainName> {
        self.order.push_back((now, name.clone()));
        self.denied.insert(name, now);
        (self.denied.len() > MAX_DENIED).then(|| self.forget_oldest()).flatten()
    }

    /// Removes and returns the names whose denial has expired.
    pub(super) fn forgotten(&mut self, now: Instant) -> Vec<DomainName> {
        let mut names = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            names.extend(self.forget_oldest());
        }
        names
    }

    /// When the next denial expires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.front().map(|(at, _)| *at + DENIAL_LIFETIME)
    }

    fn forget_oldest(&mut self) -> Option<DomainName> {
        let (at, name) = self.order.pop_front()?;
        // It may have been denied again since.
        (self.denied.get(&name) == Some(&at)).then(|| {
            self.denied.remove(&name);
            name
        })
    }
}

/// No addresses, no single labels, no wildcards.
fn is_askable(name: &DomainName) -> bool {
    let Pattern::Exact(text) = name.pattern() else { return false };
    let is_address = text.starts_with('[') || text.parse::<std::net::Ipv4Addr>().is_ok();
    text.contains('.') && !is_address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> OnDemandSettings {
        OnDemandSettings { ask: String::new(), per_client: 2, per_minute: 3, most: 3 }
    }

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn clients_cannot_make_us_ask_without_end_and_none_uses_up_what_others_have() {
        let (mut limits, start) = (DemandLimits::default(), Instant::now());
        let (one, other) = (Some(ClientKey::of_uid(1)), Some(ClientKey::of_uid(2)));
        let mut admit = |text: &str, client, counts, now| {
            limits.admit(&name(text), client, counts, &settings(), now)
        };
        for bad in ["localhost", "10.0.0.1", "[::1]", "*.a.b", "*"] {
            assert!(admit(bad, one, (0, 0), start).is_err(), "{bad}");
        }
        assert!(admit("a.example", one, (3, 0), start).is_err());
        assert!(admit("a.example", one, (0, MAX_WAITING), start).is_err());
        assert!(admit("a.example", one, (0, 0), start).is_ok());
        assert!(admit("b.example", one, (0, 0), start).is_ok());
        assert!(admit("c.example", one, (0, 0), start).is_err());
        assert!(admit("c.example", other, (0, 0), start).is_ok());
        assert!((0..9).all(|_| admit("c.example", None, (0, 0), start).is_ok()), "of many");
        assert!(admit("c.example", one, (0, 0), start + MINUTE).is_ok());
    }

    #[test]
    fn orders_for_new_names_are_bounded_in_all() {
        let (mut limits, start) = (DemandLimits::default(), Instant::now());
        assert_eq!((0..9).filter(|_| limits.order(&settings(), start)).count(), 3);
        assert!(limits.order(&settings(), start + MINUTE));
    }

    #[test]
    fn what_was_denied_is_remembered_for_a_while_and_within_a_bound() {
        let (mut limits, start) = (DemandLimits::default(), Instant::now());
        assert_eq!(limits.deny(name("a.example"), start), None);
        assert_eq!(limits.next(), Some(start + DENIAL_LIFETIME));
        let later = start + MINUTE;
        assert_eq!(limits.deny(name("a.example"), later), None);
        assert!(limits.forgotten(start + DENIAL_LIFETIME).is_empty(), "denied again meanwhile");
        assert_eq!(limits.forgotten(later + DENIAL_LIFETIME), [name("a.example")]);
        let all = (0..3 * MAX_DENIED).map(|n| name(&format!("n{n}.example")));
        let forgotten = all.filter_map(|name| limits.deny(name, later)).count();
        assert_eq!((forgotten, limits.denied.len()), (2 * MAX_DENIED, MAX_DENIED));
        assert_eq!(limits.order.len(), MAX_DENIED);
    }
}
