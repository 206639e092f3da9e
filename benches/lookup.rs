//! What a request pays to find its domain, at ten domains, a thousand, and a hundred thousand; and what a
//! handshake pays to find its certificate, at ten and at ten thousand.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use vhost::model::{Backend, BackendState, Change, HostBuffer, VirtualHost, normalise_host};
use vhost::state::{Reader, Snapshot, publication};
use vhost::tls::{CertStore, Certificate, Serving, Slot, Trust};

const SIZES: [usize; 3] = [10, 1000, 100_000];
const CERTIFICATES: [usize; 2] = [10, 10_000];

/// As a client writes it.
fn host(index: usize) -> String {
    format!("Shop-{index}.Example.com:8080")
}

fn published(domains: usize) -> Reader {
    let backend = Change::PutBackend(Backend {
        id: "web".parse().expect("an id"),
        address: "127.0.0.1:9".parse().expect("an address"),
        tags: ["a".parse().expect("a tag")].into(),
        options: vhost::model::BackendOptions::default(),
        state: BackendState::Ready,
    });
    let domains = (0..domains).map(|index| {
        Change::PutDomain(VirtualHost {
            domain: format!("shop-{index}.example.com").parse().expect("a name"),
            live: "a".parse().expect("a tag"),
            previous: None,
            beside: vhost::model::Beside::default(),
            top: vhost::model::TopOptions::default(),
            options: vhost::model::HostOptions::default(),
        })
    });
    let changes = std::iter::once(backend).chain(domains).collect();
    publication(Snapshot::default().after(changes, 1)).1
}

/// Ten hosts of the same names at every size, so that only the number of domains differs.
fn same_hosts() -> Vec<String> {
    (0..10).map(host).collect()
}

/// Hosts all over, which no cache holds.
fn any_hosts(domains: usize) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..8192).map(|_| host(random.usize(..domains))).collect()
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    for size in SIZES {
        let reader = published(size);
        let snapshot = reader.load();
        for (which, hosts) in [("same hosts", same_hosts()), ("any host", any_hosts(size))] {
            let mut next = hosts.iter().cycle();
            group.bench_with_input(
                BenchmarkId::new(format!("normalise and route, {which}"), size),
                &snapshot,
                |bencher, snapshot| {
                    bencher.iter(|| {
                        let mut buffer: HostBuffer = [0; 256];
                        let asked = next.next().expect("it goes round");
                        let host = normalise_host(black_box(asked), &mut buffer).expect("a host");
                        black_box(snapshot.route(host).expect("routed"));
                    });
                },
            );
            let mut next = hosts.iter().cycle();
            group.bench_with_input(
                BenchmarkId::new(format!("normalise and pin, {which}"), size),
                &reader,
                |bencher, reader| {
                    bencher.iter(|| {
                        let mut buffer: HostBuffer = [0; 256];
                        let asked = next.next().expect("it goes round");
                        let host = normalise_host(black_box(asked), &mut buffer).expect("a host");
                        black_box(
                            reader.pin(host, |domain| domain.way_of_path("/")).expect("routed"),
                        );
                    });
                },
            );
        }
    }
    group.finish();
}

/// A store with a certificate for each name. They are alike, but each is a value of its own, as what
/// a lookup touches in memory counts.
fn certificates(names: usize) -> CertStore {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["example.com".to_owned()]).expect("a name");
    let pem = parameters.self_signed(&key).expect("a certificate").pem();
    let certificate = Certificate::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes());
    let serving = Serving::new().expect("random numbers");
    let served = serving.serve(certificate.expect("it can be used"), Trust::Public);
    let (store, _demands) = CertStore::new();
    let slots: Vec<_> = (0..names)
        .map(|index| {
            let name = format!("shop-{index}.example.com").parse().expect("a name");
            (name, Some(Slot::Ready(Arc::new(served.clone()))))
        })
        .collect();
    store.publish(&slots);
    store
}

fn certificate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("certificate");
    for size in CERTIFICATES {
        let store = certificates(size);
        for (which, hosts) in [("same hosts", same_hosts()), ("any host", any_hosts(size))] {
            // As the handshake has them, and the check for a redirect: normalised.
            let hosts: Vec<String> = hosts
                .iter()
                .map(|host| {
                    let mut buffer: HostBuffer = [0; 256];
                    normalise_host(host, &mut buffer).expect("a host").to_owned()
                })
                .collect();
            let mut next = hosts.iter().cycle();
            group.bench_with_input(
                BenchmarkId::new(format!("find, {which}"), size),
                &store,
                |bencher, store| {
                    bencher.iter(|| {
                        let host = next.next().expect("it goes round");
                        black_box(store.find(black_box(host)).expect("it is there"));
                    });
                },
            );
            let mut next = hosts.iter().cycle();
            group.bench_with_input(
                BenchmarkId::new(format!("is trusted, {which}"), size),
                &store,
                |bencher, store| {
                    bencher.iter(|| {
                        let host = next.next().expect("it goes round");
                        assert!(store.is_trusted(black_box(host)));
                    });
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, lookup, certificate);
criterion_main!(benches);
