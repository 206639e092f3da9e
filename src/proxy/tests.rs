//! The whole request path over a pipe, with small backends on sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::connection::{Arrival, Connection};
use super::exchange::Http1;
use super::explain::Explainer;
use super::wire::clock::Clock;
use super::wire::head::{H2_PREFACE, Whole};
use super::wire::request::Wire;
use super::wire::strict::Body;
use super::{Front, HostServices, ProxyOptions, UpstreamOptions, front};
use crate::counters::Metrics;
use crate::heads::RequestHead;
use crate::link::Transport;
use crate::model::{
    Backend, BackendState, Change, HealthReport, HealthStatus, HostOptions, UnderscoresInHeaders,
    VirtualHost,
};
use crate::state::{Endpoints, Publisher, Reader, Snapshot, publication};

mod allocations;
mod explained;

const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) fn options() -> ProxyOptions {
    ProxyOptions {
        threads: 1,
        idle_timeout: DEADLINE,
        header_timeout: DEADLINE,
        read_timeout: DEADLINE,
        write_timeout: DEADLINE,
        half_close_timeout: DEADLINE,
        websocket_idle_timeout: DEADLINE,
        handshakes: crate::proxy::HandshakeLimits { total: Duration::from_secs(5), at_once: 100 },
        max_header_bytes: 4096,
        trusted_proxies: Vec::new(),
        client_ip_header: None,
        underscores_in_headers: UnderscoresInHeaders::Drop,
        forwarded_headers: crate::proxy::forwarded_names(&[
            crate::model::ForwardedHeaders::XForwarded,
        ]),
        proxy_protocol: false,
        proxy_protocol_http: false,
        limits: crate::proxy::RequestLimits {
            headers: 100,
            uri_bytes: 2048,
            body_bytes_per_sec: 0,
            body_grace: DEADLINE,
        },
        connections: crate::proxy::ConnectionLimits {
            in_all: 1000,
            per_client: 1000,
            silent: 1000,
            client_requests: 1000,
            requests: 1000,
            h2_streams: 100,
            h2_control_frames_per_sec: 1000,
        },
        memory: crate::proxy::MemoryLimits {
            per_connection: 2 << 20,
            per_client: 64 << 20,
            in_all: 1 << 30,
            h2_send_buffer: 64 << 10,
        },
        access_log: crate::telemetry::AccessLog::default(),
        upstream: UpstreamOptions {
            connect_timeout: DEADLINE,
            read_timeout: DEADLINE,
            write_timeout: DEADLINE,
            idle_timeout: DEADLINE,
            max_tries: 3,
            count_5xx: false,
            max_requests: None,
            queue_size: 10,
            queue_timeout: DEADLINE,
            retry_budget_percent: 20,
            slow_start: Duration::ZERO,
        },
    }
}

/// A proxy whose one domain, `example.com`, is served by `backends`.
struct Proxy {
    front: Arc<Front>,
    explainer: Explainer,
    metrics: Arc<Metrics>,
    reader: Reader,
    _publisher: Publisher,
}

fn proxy_with(options: ProxyOptions, backends: &[(&str, HealthStatus)]) -> Proxy {
    proxy_of(options, backends, HostOptions::default())
}

fn proxy_of(
    options: ProxyOptions,
    backends: &[(&str, HealthStatus)],
    host_options: HostOptions,
) -> Proxy {
    let ready = |(index, (address, _)): (usize, &(&str, HealthStatus))| {
        Change::PutBackend(Backend {
            id: format!("b{index}").parse().unwrap(),
            address: address.parse().unwrap(),
            tags: ["a".parse().unwrap()].into(),
            options: crate::model::BackendOptions::default(),
            state: BackendState::Ready,
        })
    };
    let mut changes: Vec<_> = backends.iter().enumerate().map(ready).collect();
    changes.push(Change::PutDomain(VirtualHost {
        domain: "example.com".parse().unwrap(),
        live: "a".parse().unwrap(),
        previous: None,
        beside: crate::model::Beside::default(),
        top: crate::model::TopOptions {
            aliases: vec!["www.example.com".parse().unwrap()],
            http_to_https: false,
            ..Default::default()
        },
        options: host_options,
    }));
    let snapshot = Snapshot::default().after(changes, 1);
    for (node, (_, status)) in snapshot.backends().zip(backends) {
        node.live.set_health_report(HealthReport { status: *status, ..Default::default() });
    }
    let (publisher, reader) = publication(snapshot);
    let metrics = Arc::<Metrics>::default();
    let options = Arc::new(ArcSwap::from_pointee(options));
    let hosts = host_services();
    let explainer = Explainer::new(Arc::clone(&options), None, hosts.clone());
    let front = Arc::new(front(options, reader.clone(), Arc::clone(&metrics), None, hosts));
    Proxy { front, explainer, metrics, reader, _publisher: publisher }
}

/// What hosts need, with a key that is lost.
pub(crate) fn host_services() -> HostServices {
    let directory = tempfile::tempdir().expect("a directory");
    HostServices::open(directory.path()).expect("a key")
}

fn proxy(backends: &[&str]) -> Proxy {
    let healthy: Vec<_> = backends.iter().map(|b| (*b, HealthStatus::Healthy)).collect();
    proxy_with(options(), &healthy)
}

fn connection() -> Arc<Connection> {
    Arc::new(Connection {
        peer: "192.0.2.1".parse().unwrap(),
        client: "192.0.2.1".parse().unwrap(),
        is_known: true,
        trusted: false,
        uses: None,
        requests: std::sync::atomic::AtomicU32::new(0),
        tls: None,
        port: std::sync::OnceLock::new(),
        accepted: AtomicBool::new(false),
        upgraded: AtomicBool::new(false),
        given_up: super::client::given_up::GivenUp::default(),
        budget: super::memory::Budgets::default().open(None, options().memory, &Metrics::default()),
    })
}

impl Proxy {
    /// A client's connection.
    fn connect(&self) -> Client {
        self.connect_as(connection())
    }

    fn connect_as(&self, connection: Arc<Connection>) -> Client {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let front = Arc::clone(&self.front);
        let serving = tokio::spawn(async move {
            let (_stopping, stopped) = watch::channel(false);
            front.serve_http1(Transport::Other(Box::new(server)), connection, &stopped).await;
        });
        Client { stream: client, got: Vec::new(), serving }
    }

    fn connect_http2(&self) -> Client {
        let (stream, server) = tokio::io::duplex(64 * 1024);
        let front = Arc::clone(&self.front);
        let serving = tokio::spawn(async move {
            let (_stopping, stopped) = watch::channel(false);
            front.http2(Box::new(server), connection(), &stopped).await;
        });
        Client { stream, got: Vec::new(), serving }
    }

    /// What a client gets that sends `request` and reads until the connection ends.
    async fn exchange(&self, request: &str) -> String {
        let mut client = self.connect();
        client.send(request).await;
        client.rest().await
    }

    /// Waits until nothing is in flight.
    async fn settled(&self) {
        let snapshot = self.reader.load();
        let in_flight = || snapshot.backends().any(|node| node.live.in_flight() > 0);
        let settling = async {
            while in_flight() || self.metrics.busy.count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, settling).await.expect("nothing stays in flight");
    }

    fn refused(&self) -> Vec<(String, u64)> {
        self.metrics.refused().into_iter().collect()
    }
}

struct Client {
    stream: DuplexStream,
    got: Vec<u8>,
    serving: JoinHandle<()>,
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `end` has come. What came after it is left for the next call.
    async fn until(&mut self, end: &str) -> String {
        let position = |got: &[u8]| got.windows(end.len()).position(|part| part == end.as_bytes());
        let reading = async {
            while position(&self.got).is_none() {
                assert_ne!(self.stream.read_buf(&mut self.got).await.unwrap(), 0, "not closed");
            }
        };
        let came = timeout(DEADLINE, reading).await;
        assert!(came.is_ok(), "{end:?} did not come, but {:?}", String::from_utf8_lossy(&self.got));
        let rest = self.got.split_off(position(&self.got).unwrap() + end.len());
        String::from_utf8(std::mem::replace(&mut self.got, rest)).unwrap()
    }

    /// Reads until the proxy closes.
    async fn rest(mut self) -> String {
        timeout(DEADLINE, self.stream.read_to_end(&mut self.got)).await.expect("closed").unwrap();
        timeout(DEADLINE, self.serving).await.expect("ends").unwrap();
        String::from_utf8(self.got).unwrap()
    }
}

/// A backend that answers each request with what `answer` makes of its head, and closes after an
/// empty one.
async fn backend(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut got = Vec::new();
                while stream.read_buf(&mut got).await.is_ok_and(|n| n > 0) {
                    let Some(end) = got.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
                    let answer = answer(std::str::from_utf8(&got[..end + 4]).unwrap());
                    got.clear();
                    if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A backend that answers nobody until it is released.
async fn backend_that_waits(released: watch::Receiver<bool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut released = released.clone();
            tokio::spawn(async move {
                let mut got = [0; 4096];
                while stream.read(&mut got).await.is_ok_and(|n| n > 0) {
                    released.wait_for(|released| *released).await.unwrap();
                    stream.write_all(with_length("waited").as_bytes()).await.unwrap();
                }
            });
        }
    });
    address
}

/// A backend that answers one request of a connection and closes at the next. It counts them all;
/// each ends with `abc`.
async fn backend_that_answers_once() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                for answered in [false, true] {
                    let mut got = Vec::new();
                    while !got.ends_with(b"abc") {
                        if stream.read_buf(&mut got).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    counter.fetch_add(1, Ordering::Relaxed);
                    if !answered {
                        stream.write_all(with_length("fine").as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (address, seen)
}

/// An address where nobody listens.
async fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

fn with_length(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[tokio::test]
async fn an_answer_before_the_connection_closes_says_so() {
    let broken = backend(|_| String::new()).await;
    let fine = backend(|_| with_length("fine")).await;
    let endless = backend(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned()
    })
    .await;
    let post =
        "POST / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let unknown = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    for (what, backend, request, status, end) in [
        ("a failure", &broken, GET, 502, "failed\n"),
        ("a refusal of a client that waits", &fine, unknown, 404, "name\n"),
        ("a backend's answer to a client that waits", &fine, post, 200, "fine"),
        (
            "no length for HTTP/1.0",
            &endless,
            "GET / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n",
            200,
            "abc",
        ),
        (
            "CONNECT",
            &fine,
            "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n",
            405,
            "allowed\n",
        ),
    ] {
        let proxy = proxy(&[backend]);
        let mut client = proxy.connect();
        client.send(request).await;
        let answer = client.until(end).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
        assert!(answer.to_lowercase().contains("connection: close\r\n"), "{what}: {answer}");
    }
}

#[tokio::test]
async fn what_is_refused_keeps_its_connection_where_it_can() {
    let proxy = proxy(&[&backend(|_| with_length("fine")).await]);
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(client.until("this name\n").await.starts_with("HTTP/1.1 404 "));
    client.send(GET).await;
    client.until("fine").await;
    assert_eq!(proxy.refused(), [("unknown_host".to_owned(), 1)]);
}

#[tokio::test]
async fn a_failed_connect_goes_elsewhere() {
    let (fine, nobody) = (backend(|_| with_length("fine")).await, nobody().await);
    let (fine, nobody) = (fine.as_str(), nobody.as_str());
    let here = |address: &str| -> SocketAddr { address.parse().unwrap() };
    for (what, names, answers) in [
        ("the other backend", &[&[nobody][..], &[fine]][..], true),
        ("its first address, whichever try it is", &[&[nobody], &[fine, nobody]], true),
        ("the same backend's next address", &[&[nobody, fine]], true),
        ("nowhere", &[&[nobody], &[nobody]], false),
    ] {
        let backends: Vec<_> =
            names.iter().map(|_| ("web.internal:80", HealthStatus::Healthy)).collect();
        let proxy = proxy_with(options(), &backends);
        for (node, addresses) in proxy.reader.load().backends().zip(names) {
            let addresses = addresses.iter().map(|address| here(address)).collect();
            node.live.set_endpoints(Endpoints::Tcp(addresses));
        }
        for _ in names {
            let mut client = proxy.connect();
            client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n").await;
            let answer = client.until(if answers { "fine" } else { "failed\n" }).await;
            assert_eq!(answer.starts_with("HTTP/1.1 200 "), answers, "{what}: {answer}");
            drop(client);
        }
        proxy.settled().await;
    }
}

#[tokio::test]
async fn a_kept_connection_that_closes_costs_one_replay_at_most() {
    for (method, answer, seen) in [("GET", "fine", 3), ("PUT", "fine", 3), ("POST", "failed\n", 2)]
    {
        let (address, counter) = backend_that_answers_once().await;
        let proxy = proxy(&[&address]);
        let request =
            format!("{method} / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc");
        let mut client = proxy.connect();
        client.send(&request).await;
        client.until("fine").await;
        proxy.settled().await;
        client.send(&request).await;
        client.until(answer).await;
        proxy.settled().await;
        assert_eq!(counter.load(Ordering::Relaxed), seen, "{method}");
    }
}

#[tokio::test]
async fn a_backend_sees_the_one_id_that_is_logged() {
    let proxy = proxy(&[&backend(with_length).await]);
    let ids = |head: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let ids = lines.filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id"));
        ids.map(|(_, id)| id.to_owned()).collect::<Vec<_>>()
    };
    for (sent, kept) in [
        ("X-Request-Id: one\r\nX-Request-Id: two\r\n", Some("one")),
        ("X-Request-Id: not one\r\nX-Request-Id: two\r\n", None),
        ("", None),
    ] {
        let request =
            format!("GET / HTTP/1.1\r\nHost: example.com\r\n{sent}Connection: close\r\n\r\n");
        let seen = ids(&proxy.exchange(&request).await);
        assert_eq!(seen.len(), 1, "{sent:?}: {seen:?}");
        match kept {
            Some(kept) => assert_eq!(seen, [kept]),
            None => assert_eq!(seen[0].len(), 32, "{sent:?}: a new one, not {seen:?}"),
        }
    }
}

#[tokio::test]
async fn every_refusal_has_its_reason() {
    let fine = backend(|_| with_length("fine")).await;
    for (request, status, reason) in [
        ("CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n", 405, "method_refused"),
        ("GET / HTTP/1.1\r\nHost: example.com\r\na b: c\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400, "bad_host"),
        (
            "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "bad_request",
        ),
    ] {
        let proxy = proxy(&[&fine]);
        let answer = proxy.exchange(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer:?}");
        assert_eq!(proxy.refused(), [(reason.to_owned(), 1)], "{request:?}");
    }
}

#[tokio::test]
async fn requests_that_come_early_are_answered_in_order() {
    let proxy = proxy(&[&backend(|head| with_length(head.split(' ').nth(1).unwrap())).await]);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let post = "POST /4 HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc";
    let mut client = proxy.connect();
    client.send(&[&get("/1"), &get("/2"), &get("/3"), post, &get("/5")[..9]].concat()).await;
    let answers = client.until("/4").await;
    let at: Vec<_> = ["/1", "/2", "/3", "/4"].map(|path| answers.find(path)).into();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{answers}");
    client.send(&get("/5")[9..]).await;
    client.until("/5").await;
    // And then as any kept connection.
    client.send(&get("/6")).await;
    client.until("/6").await;
    assert_eq!(proxy.refused(), []);
}

#[tokio::test]
async fn a_request_that_comes_while_another_runs_does_not_end_it() {
    let (release, released) = watch::channel(false);
    let slow = backend_that_waits(released).await;
    let proxy = proxy(&[&slow]);
    let mut client = proxy.connect();
    client.send(GET).await;
    let snapshot = proxy.reader.load();
    let backend = snapshot.backends().next().unwrap();
    timeout(DEADLINE, async {
        while backend.live.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the first request is on its way");
    assert_eq!(proxy.metrics.busy.count(), 1, "counted once");
    client.send(GET).await;
    release.send_replace(true);
    client.until("waited").await;
    client.until("waited").await;
    assert_eq!(proxy.refused(), []);
}

#[tokio::test]
async fn a_head_that_came_early_must_end_in_time_too() {
    let options = ProxyOptions { header_timeout: Duration::from_millis(50), ..options() };
    let fine = backend(|_| with_length("fine")).await;
    let proxy = proxy_with(options, &[(&fine, HealthStatus::Healthy)]);
    let answer = proxy.exchange(&format!("{GET}GET / HTTP/1.1\r\n")).await;
    assert!(answer.contains("\r\n\r\nfineHTTP/1.1 408 "), "{answer}");
    assert_eq!(proxy.refused(), [("head_timeout".to_owned(), 1)]);
}

/// A frame of HTTP/2 that carries a whole request head on `stream`.
fn headers_frame(stream: u8, block: &[u8]) -> Vec<u8> {
    let length = u8::try_from(block.len()).unwrap();
    [&[0, 0, length, 1, 5, 0, 0, 0, stream][..], block].concat()
}

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: u8 = 7;
/// `:method: GET`, `:scheme: http`, `:path: /`.
const GET_BLOCK: [u8; 3] = [0x82, 0x86, 0x84];

#[tokio::test]
async fn malformed_requests_of_http2_are_counted() {
    let proxy = proxy(&[&backend(|_| with_length("fine")).await]);
    let mut client = proxy.connect_http2();
    let authority = [&GET_BLOCK[..], &[0x01, 11], b"example.com"].concat();
    client.stream.write_all(H2_PREFACE).await.unwrap();
    client.stream.write_all(&SETTINGS).await.unwrap();
    client.stream.write_all(&headers_frame(1, &GET_BLOCK)).await.unwrap();
    client.stream.write_all(&headers_frame(3, &authority)).await.unwrap();
    timeout(DEADLINE, async {
        while !client.got.windows(4).any(|part| part == b"fine") {
            client.stream.read_buf(&mut client.got).await.unwrap();
        }
    })
    .await
    .expect("the other request is answered");
    assert_eq!(proxy.refused(), [("bad_host".to_owned(), 1)]);
}

#[tokio::test]
async fn an_idle_connection_of_http2_is_told_that_it_ends() {
    let options = ProxyOptions { idle_timeout: Duration::from_millis(50), ..options() };
    let proxy = proxy_with(options, &[]);
    let mut client = proxy.connect_http2();
    client.stream.write_all(H2_PREFACE).await.unwrap();
    client.stream.write_all(&SETTINGS).await.unwrap();
    timeout(DEADLINE, client.stream.read_to_end(&mut client.got)).await.expect("closed").unwrap();
    let mut rest = &client.got[..];
    let mut kinds = Vec::new();
    while let [0, high, low, kind, _, _, _, _, _, after @ ..] = rest {
        kinds.push(*kind);
        rest = &after[usize::from(*high) * 256 + usize::from(*low)..];
    }
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
}

/// A request that runs doesn't give the client more time.
#[tokio::test]
async fn a_header_block_of_http2_must_end_in_time() {
    let (_release, released) = watch::channel(false);
    let slow = backend_that_waits(released).await;
    let options = ProxyOptions { header_timeout: Duration::from_millis(100), ..options() };
    let proxy = proxy_with(options, &[(&slow, HealthStatus::Healthy)]);
    let mut client = proxy.connect_http2();
    let authority = [&GET_BLOCK[..], &[0x01, 11], b"example.com"].concat();
    let mut open = headers_frame(3, &authority);
    // It ends its stream, and not the block.
    open[4] = 1;
    let sent = [H2_PREFACE, &SETTINGS, &headers_frame(1, &authority), &open].concat();
    client.stream.write_all(&sent).await.unwrap();
    timeout(DEADLINE, client.stream.read_to_end(&mut client.got)).await.expect("closed").unwrap();
    assert!(proxy.refused().contains(&("head_timeout".to_owned(), 1)), "{:?}", proxy.refused());
}

/// Each request in flight holds one, and each that waits.
#[tokio::test]
async fn the_future_of_a_request_stays_small() {
    let proxy = proxy(&[]);
    let carrier = proxy.front.carrier.as_ref().expect("requests are carried by us");
    let connection = connection();
    let whole = Whole {
        head: RequestHead::new(Method::GET, b"/"),
        rest: BytesMut::new(),
        body: Body::Length(0),
    };
    let stream = Transport::Other(Box::new(std::io::Cursor::new(Vec::new())));
    let clock = Clock::default();
    let mut client = Http1::new(stream, clock, Arc::clone(&connection), whole, Duration::ZERO);
    let arrival = Arrival { connection, wire: Wire::Http1 { head: 30 } };
    let size = size_of_val(&carrier.carry(&mut client, arrival));
    assert!(size <= 4096, "{size}");
}
