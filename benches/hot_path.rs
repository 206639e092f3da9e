//! What a request pays in vhost's own code: to choose a backend, for rate limits, to edit the heads, and for its line
//! in the access log. Finding the domain is in `lookup.rs`.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::json;
use vhost::model::AccessFormat;
use vhost::model::{
    Backend, BackendState, Balance, Beside, Change, Course, GuardRules, HealthReport, HealthStatus,
    PoolName, Rollout, Share, Split, Tag, Trial, VirtualHost,
};
use vhost::proxy::measured::{Answer, Request, deal, pick, take};
use vhost::state::{Pool, Snapshot};
use vhost::telemetry::{AccessLine, AccessLogSettings, LineLayout};

const POOLS: [usize; 3] = [1, 10, 100];

/// A pool of healthy backends.
fn pool(backends: usize) -> Arc<Pool> {
    let changes = (0..backends).map(|index| {
        Change::PutBackend(Backend {
            id: format!("web-{index}").parse().expect("an id"),
            address: "127.0.0.1:9".parse().expect("an address"),
            tags: ["a".parse().expect("a tag")].into(),
            options: vhost::model::BackendOptions::default(),
            state: BackendState::Ready,
        })
    });
    let snapshot = Snapshot::default().after(changes.collect(), 1);
    for node in snapshot.backends() {
        node.live.set_health_report(HealthReport {
            status: HealthStatus::Healthy,
            ..HealthReport::default()
        });
    }
    Arc::clone(
        snapshot.pool(&PoolName::new(None, &"a".parse().expect("a tag"))).expect("it has backends"),
    )
}

fn balancing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    for size in POOLS {
        let pool = pool(size);
        for word in Balance::WORDS {
            let balance: Balance = word.parse().expect("a method");
            group.bench_with_input(BenchmarkId::new(word, size), &pool, |bencher, pool| {
                bencher.iter(|| assert!(pick(black_box(pool), &balance, black_box(Some(7)))));
            });
        }
    }
    group.finish();
}

/// What a domain that is split, with a rollout under way, costs each of its requests: its client is dealt out, and how
/// it went is counted.
fn splitting(criterion: &mut Criterion) {
    let tag: Tag = "b".parse().expect("a tag");
    let mut group = criterion.benchmark_group("split, with a rollout");
    for by in ["cookie", "client"] {
        let mut host: VirtualHost = serde_json::from_value(json!({
            "domain": "example.com", "live": "a", "options": { "split": { "by": by } },
        }))
        .expect("a domain");
        let steps = "10%:5m".parse().expect("steps");
        let rollout = Rollout { steps, at: 0, since_ms: 0, paused_ms: None, max_wait_ms: 0 };
        let trial = Trial {
            id: 7,
            from: host.live.clone(),
            to: tag.clone(),
            rules: Some(GuardRules::default()),
            began_ms: 0,
            course: Course::Rollout(rollout),
            baseline: None,
        };
        let split = Split::new(7).with(&tag, Share::of_parts(100_000));
        host.beside = Beside { split, trial: Some(trial), previews: Vec::new() };
        let snapshot = Snapshot::default().after(vec![Change::PutDomain(host)], 1);
        let node = snapshot.domains().next().expect("a domain");
        let request = Request::new("/", &[("Cookie", "session=1; vhost_split=0123456789abcdef")]);
        let ip: IpAddr = "203.0.113.9".parse().expect("an address");
        group.bench_function(by, |bencher| {
            bencher.iter(|| black_box(deal(black_box(node), black_box(&request), ip)));
        });
    }
    group.finish();
}

/// What a domain with rate limits costs each of its requests.
fn limiting(criterion: &mut Criterion) {
    let limit = json!({ "requests": 1_000_000_000 });
    let options = json!({ "rate_limit": limit, "client_rate_limit": limit });
    let virtual_host: VirtualHost = serde_json::from_value(json!({
        "domain": "example.com", "live": "a", "http_to_https": false, "options": options,
    }))
    .expect("a domain");
    let snapshot = Snapshot::default().after(vec![Change::PutDomain(virtual_host)], 1);
    let rates = snapshot.route("example.com").and_then(|node| node.rates()).expect("limits");
    let ip: IpAddr = "203.0.113.9".parse().expect("an address");
    criterion.bench_function("rate limits, of a domain and of a client", |bencher| {
        bencher.iter(|| assert!(take(black_box(rates), black_box(ip))));
    });
}

/// As a browser sends it.
fn request() -> Request {
    let fields = [
        ("host", "shop.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("cookie", "session=0123456789abcdef0123456789abcdef"),
        ("sec-fetch-mode", "navigate"),
    ];
    Request::new("/products/42?from=home", &fields)
}

/// As an application answers it.
fn response() -> Answer {
    Answer::new(&[
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "5120"),
        ("cache-control", "private, max-age=0"),
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
    ])
}

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heads");
    let ip: IpAddr = "203.0.113.9".parse().expect("an address");
    group.bench_function("request, to a backend", |bencher| {
        let request = request();
        bencher.iter(|| black_box(&request).edited(ip));
    });
    group.bench_function("answer, to a client", |bencher| {
        bencher.iter_batched_ref(response, Answer::edit, BatchSize::SmallInput);
    });
    group.finish();
}

/// A line of a browser's request, with all that there is to tell.
fn logging(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("access-log line");
    let domain = "*.example.com".parse().expect("a domain");
    let line = AccessLine {
        time_ms: 1_795_693_831_007,
        request_id: Some("6f1c2d0f4f8b4c1e9a3b5d7e0f112233"),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
        client_ip: Some("203.0.113.9".parse().expect("an address")),
        peer_ip: Some("203.0.113.9".parse().expect("an address")),
        method: "GET",
        host: Some("shop.example.com"),
        path: "/products/42",
        query: Some("from=home"),
        protocol: "HTTP/1.1",
        tls: Some("TLSv1.3"),
        status: Some(200),
        bytes_in: 0,
        bytes_out: 5120,
        duration: Duration::from_micros(12_045),
        upstream: Some(Duration::from_micros(11_999)),
        domain: Some(&domain),
        tag: Some("a"),
        backend_id: Some("web-v1"),
        tries: 1,
        reason: None,
        referer: Some(b"https://shop.example.com/"),
        user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ..AccessLine::default()
    };
    for (name, format) in [
        ("json", AccessFormat::Json),
        ("text", AccessFormat::Text),
        ("common", AccessFormat::Common),
        ("combined", AccessFormat::Combined),
    ] {
        let layout = LineLayout::of(&AccessLogSettings { format, ..AccessLogSettings::default() });
        group.bench_function(name, |bencher| bencher.iter(|| layout.written(black_box(&line))));
    }
    group.finish();
}

criterion_group!(benches, balancing, splitting, limiting, heads, logging);
criterion_main!(benches);
