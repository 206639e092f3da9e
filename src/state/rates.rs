//! How many requests a domain takes: buckets of tokens, shared by every snapshot that holds the domain.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::HeaderValue;

use super::rate_store::{RateStore, nanos};
use crate::model::{HostOptions, RateLimit, UsedRate, UsedRates};
use crate::places::client_network;

/// After so many requests of a domain, clients that have been quiet are forgotten.
const SWEEP_EVERY: u32 = 16_384;

/// With more clients than this to remember, new ones share buckets: memory has a bound.
const MOST_CLIENTS: usize = 100_000;

/// The number of buckets that they share then.
const SHARED_BUCKETS: u128 = 1 << 16;

/// The names of the two limits in answers.
const CLIENT: &str = "client";
const DOMAIN: &str = "domain";

type OneStore = RateStore<InMemoryState>;
type OneBucket = RateLimiter<NotKeyed, OneStore, DefaultClock, StateInformationMiddleware>;
type ClientStore = RateStore<DashMapStateStore<u128>>;
type Buckets = RateLimiter<u128, ClientStore, DefaultClock, StateInformationMiddleware>;

/// The buckets of one domain.
#[derive(Debug)]
pub struct Rates {
    policy: HeaderValue,
    all: Option<Arc<Limiter<All>>>,
    client: Option<Arc<Limiter<Clients>>>,
}

/// What holds a limit, and the limit that it was made for.
#[derive(Debug)]
struct Limiter<L> {
    limit: RateLimit,
    limiter: L,
}

/// The bucket of all clients.
#[derive(Debug)]
struct All {
    bucket: OneBucket,
    store: OneStore,
}

/// The buckets of clients.
#[derive(Debug)]
struct Clients {
    buckets: Arc<Buckets>,
    store: ClientStore,
    asked: AtomicU32,
    crowded: Arc<AtomicBool>,
}

/// What a limit says of a request.
#[derive(Debug, Clone)]
pub struct Allowance {
    /// Which limit it is: `domain` or `client`.
    pub policy: &'static str,
    /// Requests that may follow at once.
    pub left: u32,
    /// When the next one may come; nothing when this one was taken.
    pub wait: Option<Duration>,
}

impl Rates {
    /// The buckets of a domain with these options; those of `before` go on where their limit is the
    /// same.
    pub(super) fn of(options: &HostOptions, before: Option<&Self>) -> Option<Box<Self>> {
        let options = options.get();
        if options.rate_limit.is_none() && options.client_rate_limit.is_none() {
            return None;
        }
        let all = options.rate_limit.as_ref().map(|limit| {
            let kept = before.and_then(|rates| rates.all.as_ref());
            let kept = kept.filter(|kept| kept.limit == *limit).map(Arc::clone);
            kept.unwrap_or_else(|| {
                Arc::new(Limiter { limit: limit.clone(), limiter: All::new(limit) })
            })
        });
        let client = options.client_rate_limit.as_ref().map(|limit| {
            let kept = before.and_then(|rates| rates.client.as_ref());
            let kept = kept.filter(|kept| kept.limit == *limit).map(Arc::clone);
            kept.unwrap_or_else(|| {
                Arc::new(Limiter { limit: limit.clone(), limiter: Clients::new(limit) })
            })
        });
        let limits =
            [(CLIENT, options.client_rate_limit.as_ref()), (DOMAIN, options.rate_limit.as_ref())];
        Some(Box::new(Self { policy: policy(limits), all, client }))
    }

    /// The value of `RateLimit-Policy`: written once, not for each request.
    pub fn policy(&self) -> &HeaderValue {
        &self.policy
    }

    /// Takes a request of `client` in, if both limits allow it. What the limits say is the answer: of
    /// the one that refuses, or of both. The client's is asked first, so that one client can't use up
    /// what all have.
    pub fn take(&self, client: IpAddr) -> [Option<Allowance>; 2] {
        let of_client = self.client.as_ref().map(|of| {
            let (left, wait) = of.limiter.take(client);
            Allowance { policy: CLIENT, left, wait }
        });
        if of_client.as_ref().is_some_and(|allowance| allowance.wait.is_some()) {
            return [of_client, None];
        }
        let of_all = self.all.as_ref().map(|of| {
            let (left, wait) = outcome(of.limiter.bucket.check());
            Allowance { policy: DOMAIN, left, wait }
        });
        [of_client, of_all]
    }

    /// The limit that each client has.
    pub(super) fn client_limit(&self) -> Option<&RateLimit> {
        self.client.as_ref().map(|of| &of.limit)
    }

    /// Calls back with each client that has used anything: how long it takes until its bucket is full again, and how
    /// long for an empty one.
    pub(super) fn each_client(&self, mut with: impl FnMut(u128, Duration, Duration)) {
        if let Some(of) = &self.client {
            let full = quota(&of.limit).burst_size_replenished_in();
            of.limiter.store.each_used(|client, full_in| with(client, full_in, full));
        }
    }

    /// What was used of the limit that all clients share.
    pub(super) fn used_by_all(&self) -> Option<UsedRate> {
        let of = self.all.as_ref()?;
        let full_in = Some(of.limiter.store.used()).filter(|full_in| !full_in.is_zero());
        let full_in_ns = full_in.map(|full_in| (Ipv6Addr::UNSPECIFIED, nanos(full_in)));
        Some(UsedRate { limit: of.limit.clone(), full_in_ns: full_in_ns.into_iter().collect() })
    }

    /// Goes on with what was used before, where the limit is the same.
    pub(super) fn resume(&self, used: &UsedRates) {
        // Whatever was said: no bucket is emptier than empty.
        let full_in =
            |limit, ns| Duration::from_nanos(ns).min(quota(limit).burst_size_replenished_in());
        if let (Some(of), Some(used)) = (&self.all, &used.all)
            && of.limit == used.limit
        {
            for (_, ns) in &used.full_in_ns {
                of.limiter.store.resume(full_in(&of.limit, *ns));
            }
        }
        if let (Some(of), Some(used)) = (&self.client, &used.client)
            && of.limit == used.limit
        {
            for (client, ns) in &used.full_in_ns {
                of.limiter.store.resume_one(client.to_bits(), full_in(&of.limit, *ns));
            }
        }
    }
}

impl All {
    fn new(limit: &RateLimit) -> Self {
        let store = OneStore::new();
        let bucket = OneBucket::new(quota(limit), store.clone(), DefaultClock::default());
        Self { bucket, store }
    }
}

impl Clients {
    fn new(limit: &RateLimit) -> Self {
        let store = ClientStore::new();
        let buckets = Buckets::new(quota(limit), store.clone(), DefaultClock::default());
        Self {
            buckets: Arc::new(buckets),
            store,
            asked: AtomicU32::new(0),
            crowded: Arc::default(),
        }
    }

    fn take(&self, client: IpAddr) -> (u32, Option<Duration>) {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep();
        }
        let mut key = client_network(client).to_bits();
        if self.crowded.load(Ordering::Relaxed) {
            // Any spread will do; the upper bits are zero for IPv4 only, so they tell the two apart.
            key =
                (key ^ key >> 64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16 & (SHARED_BUCKETS - 1);
        }
        outcome(self.buckets.check_key(&key))
    }

    /// Forgets clients whose bucket is full again. Where there is a runtime that is not the request's
    /// work.
    fn sweep(&self) {
        let (buckets, crowded) = (Arc::clone(&self.buckets), Arc::clone(&self.crowded));
        let sweep = move || {
            buckets.retain_recent();
            buckets.shrink_to_fit();
            crowded.store(buckets.len() > MOST_CLIENTS, Ordering::Relaxed);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(sweep)),
            Err(_) => sweep(),
        }
    }
}

/// The limits as draft-ietf-httpapi-ratelimit-headers-10 §3 writes them.
fn policy(limits: [(&str, Option<&RateLimit>); 2]) -> HeaderValue {
    let written = limits.into_iter().filter_map(|(name, limit)| {
        let RateLimit { requests, per_secs, .. } = limit?;
        Some(format!("\"{name}\";q={requests};w={per_secs}"))
    });
    let written: Vec<_> = written.collect();
    // Names, numbers and signs fit any header.
    HeaderValue::try_from(written.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

fn quota(limit: &RateLimit) -> Quota {
    let period = Duration::from_secs(limit.per_secs.get().into()) / limit.requests.get();
    let burst = limit.burst.unwrap_or(limit.requests);
    // A period is at least a quarter of a nanosecond; what rounds to zero is no limit to speak of.
    Quota::with_period(period.max(Duration::from_nanos(1)))
        .unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX))
        .allow_burst(burst)
}

fn outcome(
    checked: Result<
        governor::middleware::StateSnapshot,
        governor::NotUntil<<DefaultClock as Clock>::Instant>,
    >,
) -> (u32, Option<Duration>) {
    match checked {
        Ok(state) => (state.remaining_burst_capacity(), None),
        Err(until) => (0, Some(until.wait_time_from(DefaultClock::default().now()))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(client_burst: u32) -> HostOptions {
        let limit = json!({ "requests": 1, "per_secs": 3600, "burst": client_burst });
        let values = json!({ "client_rate_limit": limit, "rate_limit": { "requests": 5, "per_secs": 3600 } });
        HostOptions::read(values.as_object().unwrap().clone()).unwrap()
    }

    fn is_taken(rates: &Rates, client: &str) -> bool {
        rates
            .take(client.parse().unwrap())
            .iter()
            .flatten()
            .all(|allowance| allowance.wait.is_none())
    }

    #[test]
    fn a_client_of_ipv6_is_its_network_and_others_have_their_own() {
        let rates = Rates::of(&options(2), None).unwrap();
        assert_eq!(rates.policy(), "\"client\";q=1;w=3600, \"domain\";q=5;w=3600");
        assert!(is_taken(&rates, "2001:db8::1"));
        assert!(is_taken(&rates, "2001:db8::2"));
        assert!(!is_taken(&rates, "2001:db8::3"), "the same /64");
        assert!(is_taken(&rates, "2001:db8:0:1::1"));
        assert!(is_taken(&rates, "192.0.2.1"));
        assert!(is_taken(&rates, "::ffff:192.0.2.1"));
        assert!(!is_taken(&rates, "192.0.2.1"), "however it is written");
        assert!(!is_taken(&rates, "192.0.2.9"), "five were taken in all");
        let [client, all] = rates.take("192.0.2.8".parse().unwrap());
        assert!(client.unwrap().wait.is_none());
        let all = all.unwrap();
        assert!((Duration::from_mins(10)..=Duration::from_mins(12)).contains(&all.wait.unwrap()));
    }

    #[test]
    fn what_was_taken_stays_so_while_the_limit_is_the_same() {
        let before = Rates::of(&options(1), None).unwrap();
        assert!(is_taken(&before, "192.0.2.1"));
        let same = Rates::of(&options(1), Some(&before)).unwrap();
        assert!(!is_taken(&same, "192.0.2.1"));
        let other = Rates::of(&options(3), Some(&before)).unwrap();
        assert!(is_taken(&other, "192.0.2.1"), "another limit begins anew");
        assert!(Rates::of(&HostOptions::default(), Some(&before)).is_none());
    }

    #[test]
    fn what_was_taken_stays_so_in_a_successor() {
        let snapshot = |limit: u32| {
            let domain = crate::model::VirtualHost {
                domain: "a.test".parse().unwrap(),
                live: "a".parse().unwrap(),
                previous: None,
                beside: crate::model::Beside::default(),
                top: crate::model::TopOptions::default(),
                options: options(limit),
            };
            crate::state::Snapshot::default()
                .after(vec![crate::model::Change::PutDomain(domain)], 1)
        };
        let rates_of = |snapshot: &crate::state::Snapshot, client: &str| {
            is_taken(snapshot.domain(&"a.test".parse().unwrap()).unwrap().rates().unwrap(), client)
        };
        let before = snapshot(1);
        for client in ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"] {
            assert!(rates_of(&before, client));
        }
        // Over the wire.
        let used = serde_json::to_string(&crate::state::used_rates(&before)).unwrap();
        let used: Vec<UsedRates> = serde_json::from_str(&used).unwrap();
        assert_eq!(used[0].client.as_ref().unwrap().full_in_ns.len(), 4);
        let after = snapshot(1);
        crate::state::resume_rates(&after, &used);
        assert!(!rates_of(&after, "192.0.2.1"));
        assert!(!rates_of(&after, "2001:db8::2"), "the same network");
        assert!(rates_of(&after, "192.0.2.4"));
        assert!(!rates_of(&after, "192.0.2.5"), "five were taken in all");
        let other = snapshot(2);
        crate::state::resume_rates(&other, &used);
        assert!(rates_of(&other, "192.0.2.1"), "another limit of clients begins anew");
        assert!(!rates_of(&other, "192.0.2.1"), "the one of all goes on");
        // No bucket is emptier than empty.
        let mut endless = used.clone();
        endless[0].client.as_mut().unwrap().full_in_ns[0].1 = u64::MAX;
        let after = snapshot(1);
        crate::state::resume_rates(&after, &endless);
        let client = endless[0].client.as_ref().unwrap().full_in_ns[0].0;
        let rates = after.domain(&"a.test".parse().unwrap()).unwrap().rates().unwrap();
        let [of_client, _] = rates.take(client.into());
        assert!(of_client.unwrap().wait.unwrap() <= Duration::from_hours(1));
    }

    #[test]
    fn memory_has_a_bound_whoever_asks() {
        let values = json!({ "client_rate_limit": { "requests": 1, "per_secs": 3600 } });
        let options = HostOptions::read(values.as_object().unwrap().clone()).unwrap();
        let rates = Rates::of(&options, None).unwrap();
        for client in 0..400_000_u32 {
            let _ = rates.take(std::net::Ipv4Addr::from_bits(client).into());
        }
        let clients = &rates.client.as_ref().unwrap().limiter;
        let most = MOST_CLIENTS + 2 * SWEEP_EVERY as usize + (1 << 16);
        assert!(clients.buckets.len() <= most, "{}", clients.buckets.len());
    }

    #[test]
    fn quiet_clients_are_forgotten() {
        let values = json!({ "client_rate_limit": { "requests": 1_000_000 } });
        let options = HostOptions::read(values.as_object().unwrap().clone()).unwrap();
        let rates = Rates::of(&options, None).unwrap();
        for client in 0..SWEEP_EVERY * 3 {
            let _ = rates.take(std::net::Ipv4Addr::from_bits(client).into());
        }
        let clients = &rates.client.as_ref().unwrap().limiter;
        assert!(clients.buckets.len() <= SWEEP_EVERY as usize, "{}", clients.buckets.len());
    }
}
