//! Names that clients ask for and nobody declared: which may be ordered for, and how many.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::config::OnDemandSettings;
use crate::model::{DomainName, Pattern};

/// How long a name stays denied.
const DENIED: Duration = Duration::from_mins(5);

/// Denied names that are remembered. Beyond that nobody is asked any more for a while.
const MOST_DENIED: usize = 10_000;

const MINUTE: Duration = Duration::from_mins(1);

/// The limits of what clients can make us do.
#[derive(Debug, Default)]
pub(super) struct DemandLimits {
    asked: VecDeque<Instant>,
    denied: HashMap<DomainName, Instant>,
}

impl DemandLimits {
    /// Whether a name may be asked about now; it is counted if so. `have` is how many names have a
    /// certificate this way.
    pub(super) fn admit(
        &mut self,
        name: &DomainName,
        have: usize,
        settings: &OnDemandSettings,
        now: Instant,
    ) -> Result<(), &'static str> {
        if !is_askable(name) {
            return Err("not a name that is ordered for on demand");
        }
        while self.asked.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.asked.pop_front();
        }
        if have >= settings.most {
            return Err("`on_demand_most` is reached");
        }
        if self.asked.len() >= usize::try_from(settings.per_minute).unwrap_or(usize::MAX) {
            return Err("`on_demand_per_minute` is reached");
        }
        if self.denied.len() >= MOST_DENIED {
            return Err("too many names were denied lately");
        }
        self.asked.push_back(now);
        Ok(())
    }

    /// Remembers that a name is not allowed.
    pub(super) fn deny(&mut self, name: DomainName, now: Instant) {
        self.denied.insert(name, now);
    }

    /// The names whose denial is over, which are forgotten.
    pub(super) fn forgotten(&mut self, now: Instant) -> Vec<DomainName> {
        let over = |at: &Instant| now.duration_since(*at) >= DENIED;
        let names: Vec<_> =
            self.denied.iter().filter(|(_, at)| over(at)).map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.denied.remove(name);
        }
        names
    }

    /// When the next denial is over.
    pub(super) fn next(&self) -> Option<Instant> {
        self.denied.values().min().map(|at| *at + DENIED)
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

    #[test]
    fn clients_cannot_make_us_ask_without_end() {
        let settings = OnDemandSettings { ask: String::new(), per_minute: 2, most: 3 };
        let mut limits = DemandLimits::default();
        let start = Instant::now();
        let name = |text: &str| text.parse::<DomainName>().unwrap();
        for bad in ["localhost", "10.0.0.1", "[::1]", "*.a.b", "*"] {
            assert!(limits.admit(&name(bad), 0, &settings, start).is_err(), "{bad}");
        }
        assert!(limits.admit(&name("a.example"), 3, &settings, start).is_err());
        assert!(limits.admit(&name("a.example"), 0, &settings, start).is_ok());
        assert!(limits.admit(&name("b.example"), 0, &settings, start).is_ok());
        assert!(limits.admit(&name("c.example"), 0, &settings, start).is_err());
        let later = start + MINUTE;
        assert!(limits.admit(&name("c.example"), 0, &settings, later).is_ok());
        limits.deny(name("c.example"), later);
        assert_eq!(limits.next(), Some(later + DENIED));
        assert!(limits.forgotten(later).is_empty());
        assert_eq!(limits.forgotten(later + DENIED), [name("c.example")]);
    }
}
