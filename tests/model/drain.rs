//! Who is to be waited for, and who turns away.

use std::num::NonZeroUsize;
use std::sync::Arc;

use loom::thread;

use crate::counters::InFlightGuard;
use crate::model::{
    Backend, BackendOptions, BackendState, Change, DomainName, HostOptions, Tag, TopOptions,
    VirtualHost,
};
use crate::state::{BackendLive, Pinned, Publisher, Reader, Snapshot, publication};

pub(crate) const MODELS: &[(&str, fn())] = &[
    (
        "drain::a_switch_that_sees_nobody_is_followed_by_nobody_on_the_tag_before",
        a_switch_that_sees_nobody_is_followed_by_nobody_on_the_tag_before,
    ),
    (
        "drain::a_tag_that_was_left_and_comes_back_loses_no_request",
        a_tag_that_was_left_and_comes_back_loses_no_request,
    ),
    ("drain::a_path_that_moves_sees_who_came_by_it", a_path_that_moves_sees_who_came_by_it),
    (
        "drain::a_backend_that_drains_and_sees_nobody_gets_nobody",
        a_backend_that_drains_and_sees_nobody_gets_nobody,
    ),
    (
        "drain::a_backend_that_goes_and_sees_nobody_gets_nobody",
        a_backend_that_goes_and_sees_nobody_gets_nobody,
    ),
    (
        "drain::a_backend_never_has_more_requests_than_it_may",
        a_backend_never_has_more_requests_than_it_may,
    ),
    ("drain::whoever_turns_away_is_not_counted", whoever_turns_away_is_not_counted),
];

const HOST: &str = "example.com";

/// A request with what counts it: by its domain, and by its backend.
type Sent = (Pinned, InFlightGuard);

/// In bytes: the state is built on a thread of the model, whose stack is small when nobody says.
const STACK: usize = 1 << 20;

fn put_domain(live: &str, path: Option<&str>) -> Change {
    let paths = path.map(|tag| serde_json::json!({ "paths": [{ "prefix": "/api", "tag": tag }] }));
    let options = paths.map_or_else(HostOptions::default, |paths| {
        let paths = paths.as_object().expect("an object").clone();
        HostOptions::read(paths).expect("a path")
    });
    Change::PutDomain(VirtualHost {
        domain: HOST.parse().unwrap(),
        live: live.parse().unwrap(),
        previous: None,
        beside: crate::model::Beside::default(),
        top: TopOptions { http_to_https: false, ..Default::default() },
        options,
    })
}

fn put_backend(state: BackendState) -> Change {
    Change::PutBackend(Backend {
        id: "a1".parse().unwrap(),
        address: "127.0.0.1:9".parse().unwrap(),
        tags: ["a".parse().unwrap()].into(),
        options: BackendOptions::default(),
        state,
    })
}

/// Runs `writes` on one thread and each of `requests` on one of its own, in every order.
///
/// `check` gets what `writes` has seen, and what became of the requests, which go on meanwhile.
fn in_every_order<T: Send + 'static>(
    start: fn() -> Vec<Change>,
    requests: &'static [fn(&Reader) -> T],
    writes: fn(&Publisher) -> usize,
    check: fn(usize, Vec<T>),
) {
    let mut model = loom::model::Builder::new();
    if requests.len() > 1 {
        // With one request every order is tried. Of three threads those are too many: a race that needs more than three
        // preemptions has not been seen here.
        model.preemption_bound = Some(3);
    }
    model.check(move || {
        let spawn = || thread::Builder::new().stack_size(STACK / size_of::<usize>());
        let main = spawn().spawn(move || {
            let (publisher, reader) = publication(Snapshot::default().after(start(), 1));
            let requests: Vec<_> = requests
                .iter()
                .map(|request| {
                    let reader = reader.clone();
                    spawn().spawn(move || request(&reader)).expect("a thread")
                })
                .collect();
            let seen = writes(&publisher);
            check(seen, requests.into_iter().map(|request| request.join().unwrap()).collect());
        });
        main.expect("a thread").join().unwrap();
    });
}

fn publish(publisher: &Publisher, changes: Vec<Change>) -> Arc<Snapshot> {
    let before = publisher.now();
    publisher.publish(before.after(changes, before.revision() + 1))
}

/// Requests that a drain of `tag` waits for.
fn left_on(snapshot: &Snapshot, tag: &str) -> usize {
    let (domain, tag): (DomainName, Tag) = (HOST.parse().unwrap(), tag.parse().unwrap());
    let node = snapshot.domain(&domain).expect("it is there");
    node.in_flight_on(&tag).map_or(0, |count| count.count())
}

fn request(reader: &Reader) -> Pinned {
    reader.pin(HOST, |domain| domain.way_of_path("/")).expect("it is routed")
}

fn request_by_path(reader: &Reader) -> Pinned {
    reader.pin(HOST, |domain| domain.way_of_path("/api")).expect("it is routed")
}

fn is_on(pinned: &Pinned, tag: &str) -> bool {
    pinned.tag().tag().as_str() == tag
}

fn a_switch_that_sees_nobody_is_followed_by_nobody_on_the_tag_before() {
    const ONE: &[fn(&Reader) -> Pinned] = &[request];
    const TWO: &[fn(&Reader) -> Pinned] = &[request, request];
    for requests in [ONE, TWO] {
        switch_during(requests);
    }
}

fn switch_during(requests: &'static [fn(&Reader) -> Pinned]) {
    in_every_order(
        || vec![put_domain("a", None)],
        requests,
        |publisher| left_on(&publish(publisher, vec![put_domain("b", None)]), "a"),
        |seen, requests| {
            let on_a = requests.iter().filter(|pinned| is_on(pinned, "a")).count();
            assert!(seen >= on_a, "{on_a} requests run on the tag before, and {seen} were seen");
            let domain = requests[0].domain.clone();
            drop(requests);
            assert_eq!(domain.left_behind() + domain.live().requests(), 0, "nobody is left");
        },
    );
}

fn a_tag_that_was_left_and_comes_back_loses_no_request() {
    in_every_order(
        || vec![put_domain("a", None)],
        &[request],
        |publisher| {
            publish(publisher, vec![put_domain("b", None)]);
            let back = publish(publisher, vec![put_domain("a", None)]);
            // How many run on `b`, and on `a` in the next digit.
            left_on(&back, "b") + 10 * left_on(&back, "a")
        },
        |seen, requests| {
            let on_b = requests.iter().filter(|pinned| is_on(pinned, "b")).count();
            assert!(seen % 10 >= on_b, "{on_b} requests run on `b`, and {seen} were seen");
            let on_a = requests[0].domain.in_flight_on(&"a".parse().unwrap()).map(Arc::clone);
            let counted = on_a.map_or(0, |count| count.count());
            assert_eq!(counted, 1 - on_b, "who runs on `a` is counted where `a` is looked at");
        },
    );
}

fn a_path_that_moves_sees_who_came_by_it() {
    in_every_order(
        || vec![put_domain("a", Some("b"))],
        &[request_by_path],
        |publisher| {
            publish(publisher, vec![put_domain("a", Some("c"))])
                .domains()
                .map(|node| node.left_behind())
                .sum()
        },
        |seen, requests| {
            let on_b = requests.iter().filter(|pinned| is_on(pinned, "b")).count();
            assert!(seen >= on_b, "{on_b} requests came by the path before, and {seen} were seen");
        },
    );
}

/// Sends a request to the backend, as `proxy::balance` does: pinned first, then admitted.
fn send(reader: &Reader, most: Option<NonZeroUsize>) -> Option<Sent> {
    let pinned = request(reader);
    let pool = pinned.pool.clone()?;
    let node = pool.backends().first()?;
    let guard = node.live.admit(most).ok()?;
    Some((pinned, guard))
}

fn send_any(reader: &Reader) -> Option<Sent> {
    send(reader, None)
}

fn send_one_of_nine(reader: &Reader) -> Option<Sent> {
    send(reader, NonZeroUsize::new(9))
}

fn send_the_only_one(reader: &Reader) -> Option<Sent> {
    send(reader, NonZeroUsize::new(1))
}

fn on_backend(publisher: &Publisher) -> Arc<BackendLive> {
    let node = publisher.now().backend(&"a1".parse().unwrap()).cloned();
    Arc::clone(&node.expect("it is there").live)
}

fn a_backend_that_drains_and_sees_nobody_gets_nobody() {
    const ONE: &[fn(&Reader) -> Option<Sent>] = &[send_any];
    const LIMITED: &[fn(&Reader) -> Option<Sent>] = &[send_one_of_nine];
    const BOTH: &[fn(&Reader) -> Option<Sent>] = &[send_any, send_one_of_nine];
    for requests in [ONE, LIMITED, BOTH] {
        drain_during(requests);
    }
}

fn drain_during(requests: &'static [fn(&Reader) -> Option<Sent>]) {
    in_every_order(
        || vec![put_domain("a", None), put_backend(BackendState::Ready)],
        requests,
        |publisher| {
            let live = on_backend(publisher);
            publish(publisher, vec![put_backend(BackendState::Draining)]);
            live.in_flight()
        },
        |seen, requests| {
            let runs = requests.iter().flatten().count();
            assert!(seen >= runs, "{runs} requests run on the backend, and {seen} were seen");
        },
    );
}

fn a_backend_that_goes_and_sees_nobody_gets_nobody() {
    in_every_order(
        || vec![put_domain("a", None), put_backend(BackendState::Ready)],
        &[send_any],
        |publisher| {
            let live = on_backend(publisher);
            publish(publisher, vec![Change::DropBackend("a1".parse().unwrap())]);
            live.in_flight()
        },
        |seen, requests| {
            let runs = requests.iter().flatten().count();
            assert!(seen >= runs, "{runs} requests run on the backend, and {seen} were seen");
        },
    );
}

fn a_backend_never_has_more_requests_than_it_may() {
    in_every_order(
        || vec![put_domain("a", None), put_backend(BackendState::Ready)],
        &[send_the_only_one, send_the_only_one],
        |publisher| on_backend(publisher).in_flight(),
        |seen, requests| {
            assert!(seen <= 1, "{seen} at once");
            // One that has its answer makes room; these have not.
            assert_eq!(requests.iter().flatten().count(), 1);
        },
    );
}

fn whoever_turns_away_is_not_counted() {
    in_every_order(
        || vec![put_domain("a", None), put_backend(BackendState::Ready)],
        &[|reader| send(reader, None).map(|(pinned, _)| pinned.pool)],
        |publisher| {
            publish(publisher, vec![put_backend(BackendState::Disabled)]);
            0
        },
        |_, requests| {
            for pool in requests.into_iter().flatten().flatten() {
                assert_eq!(pool.backends()[0].live.in_flight(), 0, "all have ended");
            }
        },
    );
}
