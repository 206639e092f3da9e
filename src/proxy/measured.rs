//! The pure parts of a request's way, for `benches/hot_path.rs`; nothing else uses this.

use std::net::IpAddr;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::counters::Sample;
use crate::heads::{RequestHead, ResponseHead};
use crate::model::{Balance, ForwardedHeaders};
use crate::places::client_network;
use crate::proxy::balance::{Choice, Terms, choose};
use crate::proxy::carry::claims::forward;
use crate::proxy::carry::headers::{strip_hop_by_hop, to_origin_form};
use crate::proxy::carry::hop::Hop;
use crate::proxy::client::forwarded::Sources;
use crate::proxy::client::sender::Client;
use crate::proxy::host::split::tag_of;
use crate::proxy::limits::RateFields;
use crate::proxy::options::forwarded_names;
use crate::proxy::wire::request::original_host;
use crate::stable_hash::stable_hash;
use crate::state::{DomainNode, Pool, Rates, Way};

/// Chooses a backend, by the key where that is what `balance` says, and lets it go. Says whether there
/// was one.
pub fn pick(pool: &Pool, balance: &Balance, key: Option<u64>) -> bool {
    let terms = Terms { balance, key, most: None, slow_start: Duration::ZERO, tried: &[] };
    matches!(choose(pool, &terms), Choice::Chosen(_))
}

/// Takes a request in by what its domain's rate limits say, and writes what its answer says of them.
pub fn take(rates: &Rates, client: IpAddr) -> bool {
    RateFields::take(rates, client).is_some_and(|fields| !fields.is_refused())
}

/// Deals a request out among the tags of a domain that is split, and counts what came of it for a trial. Says whether
/// it got another tag than the live one.
pub fn deal(domain: &DomainNode, request: &Request, ip: IpAddr) -> bool {
    let virtual_host = &domain.virtual_host;
    let Some(split) = &virtual_host.beside.split else { return false };
    let origin = Some(ip);
    let client = Client { peer: ip, ip, trusted: false, secure: true, origin, by_header: false };
    let options = virtual_host.options.get();
    let tag = tag_of(split, options, &request.0, Some(client), &mut None);
    let way = tag.and_then(|tag| domain.way_to(tag, Way::Share)).unwrap_or(Way::Live);
    if let Some(on_trial) = domain.on_trial() {
        let network = stable_hash(&client_network(ip).octets());
        let first_byte = Some(Duration::from_millis(1));
        let sample = Sample { network, failed: false, first_byte };
        on_trial.count(way, domain.tag_of(way).tag(), sample);
    }
    way != Way::Live
}

/// The head of a request.
#[derive(Debug)]
pub struct Request(RequestHead);

impl Request {
    /// One with these fields.
    pub fn new(target: &str, fields: &[(&str, &str)]) -> Self {
        let mut head = RequestHead::new(Method::GET, target.as_bytes());
        for (name, value) in fields {
            head.headers.append(*name, value);
        }
        Self(head)
    }

    /// Makes of it the head that a backend gets of a stranger's request.
    #[must_use]
    pub fn edited(&self, ip: IpAddr) -> Self {
        let mut head = self.0.copy();
        to_origin_form(&mut head);
        let origin = Some(ip);
        let client =
            Client { peer: ip, ip, trusted: false, secure: true, origin, by_header: false };
        let sources = Sources { trusted: &[], header: None };
        let hop = Hop { client, sources, host: original_host(&self.0), port: None };
        forward(&mut head, &hop, forwarded_names(&[ForwardedHeaders::XForwarded]));
        Self(head)
    }
}

/// The head of an answer.
#[derive(Debug)]
pub struct Answer(ResponseHead);

impl Answer {
    /// One with these fields.
    pub fn new(fields: &[(&str, &str)]) -> Self {
        let mut head = ResponseHead::new(StatusCode::OK);
        for (name, value) in fields {
            head.headers.append(*name, value);
        }
        Self(head)
    }

    /// Edits it as it goes to a client.
    pub fn edit(&mut self) {
        strip_hop_by_hop(&mut self.0);
    }
}
