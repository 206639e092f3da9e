//! Steady traffic, and its results.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::header;
use parking_lot::Mutex;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A name that curl and browsers resolve to this machine by themselves (RFC 6761 §6.3).
pub(super) const DOMAIN: &str = "demo.localhost";

/// The number of clients. Half of them keep their connection, half open a new one for each request;
/// half of either use TLS.
const CLIENTS: usize = 16;

/// Between two requests of a client.
const REQUEST_INTERVAL: Duration = Duration::from_millis(4);

/// The site and its addresses.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    /// The file of the one root that clients trust.
    pub(super) root: PathBuf,
}

/// The kind of a client.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// It keeps its connection.
    keep: bool,
    /// It speaks TLS.
    tls: bool,
}

/// Clients that send without an end, until they are stopped.
#[derive(Default)]
pub(super) struct Traffic {
    tally: Mutex<Tally>,
    /// The tag that must answer new requests.
    expected: watch::Sender<Option<Expected>>,
    stopping: AtomicBool,
    clients: Mutex<JoinSet<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expected {
    tag: &'static str,
    since: Instant,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    /// How many of them over TLS.
    pub(super) over_https: u64,
    /// Errors with their counts.
    pub(super) failed: BTreeMap<String, u64>,
    /// From the acknowledgement of the last switch to the first answer of the new tag to a later
    /// request.
    first: Option<Duration>,
}

impl Traffic {
    /// Starts clients that request the site.
    pub(super) fn start(site: &Site) -> Arc<Self> {
        let traffic = Arc::<Self>::default();
        let mut options = ConnectorOptions::new(CLIENTS);
        options.ca_file = Some(site.root.display().to_string());
        let connector = Arc::new(Connector::new(Some(options)));
        for number in 0..CLIENTS {
            let (own, connector, site) =
                (Arc::clone(&traffic), Arc::clone(&connector), site.clone());
            let manner = Manner { keep: number % 2 == 0, tls: number / 2 % 2 == 0 };
            traffic
                .clients
                .lock()
                .spawn(async move { own.client(&connector, &site, manner).await });
        }
        traffic
    }

    /// From now on either version may answer: a switch is about to begin.
    pub(super) fn expect_any(&self) {
        self.expected.send_replace(None);
    }

    /// From now on `tag` must answer every request. Returns the time to the first answer.
    pub(super) async fn expect_only(&self, tag: &'static str) -> Option<Duration> {
        self.tally.lock().first = None;
        self.expected.send_replace(Some(Expected { tag, since: Instant::now() }));
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if let Some(first) = self.tally.lock().first {
                return Some(first);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// What came of it so far.
    pub(super) fn tally(&self) -> Tally {
        self.tally.lock().clone()
    }

    /// Lets every client finish its request.
    pub(super) async fn stop(&self) -> Tally {
        self.stopping.store(true, Ordering::Relaxed);
        let mut clients = std::mem::take(&mut *self.clients.lock());
        while clients.join_next().await.is_some() {}
        self.tally.lock().clone()
    }

    async fn client(&self, connector: &Connector, site: &Site, manner: Manner) {
        while !self.stopping.load(Ordering::Relaxed) {
            let before = *self.expected.borrow();
            let answer = ask(connector, site, manner).await;
            // Either version may answer a request from before the switch.
            let expected = before.filter(|before| Some(*before) == *self.expected.borrow());
            let outcome = answer.and_then(|answer| match expected {
                Some(expected) if !answer.trim_end().ends_with(expected.tag) => {
                    Err(format!("answered by the old version: {}", answer.trim_end()))
                }
                _ => Ok(()),
            });
            self.note(outcome, expected, manner);
            tokio::time::sleep(REQUEST_INTERVAL).await;
        }
    }

    fn note(&self, outcome: Result<(), String>, expected: Option<Expected>, manner: Manner) {
        let mut tally = self.tally.lock();
        tally.sent += 1;
        tally.over_https += u64::from(manner.tls);
        match (outcome, expected) {
            (Err(reason), _) => *tally.failed.entry(reason).or_default() += 1,
            (Ok(()), Some(expected)) if tally.first.is_none() => {
                tally.first = Some(expected.since.elapsed());
            }
            (Ok(()), _) => {}
        }
    }
}

/// One request. Anything but a whole answer with status 200 is an error.
async fn ask(connector: &Connector, site: &Site, manner: Manner) -> Result<String, String> {
    let in_words = |error: Box<pingora::Error>| crate::upstream::reason(&error);
    let Manner { keep, tls } = manner;
    let address = if tls { site.https } else { site.http };
    let mut peer = HttpPeer::new(address, tls, DOMAIN.to_owned());
    peer.options.read_timeout = Some(Duration::from_secs(10));
    if !keep {
        // A key that no kept connection has.
        peer.group_key = fastrand::u64(1..);
    }
    let (mut session, _) = connector.get_http_session(&peer).await.map_err(in_words)?;
    let mut request = RequestHeader::build("GET", b"/", Some(2)).map_err(in_words)?;
    request.insert_header(header::HOST, DOMAIN).map_err(in_words)?;
    if !keep {
        request.insert_header(header::CONNECTION, "close").map_err(in_words)?;
    }
    session.write_request_header(Box::new(request)).await.map_err(in_words)?;
    session.finish_request_body().await.map_err(in_words)?;
    session.read_response_header().await.map_err(in_words)?;
    let status = session.response_header().map_or(0, |response| response.status.as_u16());
    let mut body = Vec::new();
    while let Some(piece) = session.read_response_body().await.map_err(in_words)? {
        body.extend_from_slice(&piece);
    }
    if keep {
        connector.release_http_session(session, &peer, None).await;
    }
    if status == 200 {
        String::from_utf8(body).map_err(|_| "the answer is not text".to_owned())
    } else {
        Err(format!("status {status}"))
    }
}
