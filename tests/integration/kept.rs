//! Connections with backends that are kept for a further request: which are used again, and when they are
//! closed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(15);

/// A backend that counts the connections which have carried a request and are open.
struct Counting {
    backend: RawBackend,
    open: Arc<AtomicUsize>,
}

impl Counting {
    /// Gives each request the answer that `answer` makes of its head, and keeps its connections.
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::running(move |connection| {
            while let Some(head) = connection.read_request() {
                connection.send(&answer(&head));
            }
        })
    }

    fn running(script: impl Fn(&mut RawConnection) + Send + Sync + 'static) -> Self {
        let open = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&open);
        let backend = RawBackend::start(move |connection| {
            counted.fetch_add(1, Ordering::SeqCst);
            script(connection);
            counted.fetch_sub(1, Ordering::SeqCst);
        });
        Self { backend, open }
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Connections that have carried a request.
    fn used(&self) -> usize {
        self.backend.received().len()
    }

    /// Keeps connections for longer than any test runs.
    fn setup(&self, more: &str) -> Setup {
        Setup::new()
            .tcp_probes()
            .set("health_check.interval_secs", 600)
            .set("health_check.unhealthy_threshold", 1000)
            .set("upstream.idle_timeout_secs", 600)
            .domain("example.com", "a")
            .backend_with("web", self.backend.address(), &["a"], more)
    }

    fn serve(&self) -> Vhost {
        let vhost = self.setup("").start();
        vhost.wait_until_healthy(1);
        vhost
    }
}

fn hello() -> Counting {
    Counting::start(|_| answer("hello"))
}

/// Has one connection kept, lets `change` happen, and waits until it is closed.
#[track_caller]
fn is_closed_by(change: impl FnOnce(&Vhost, &Counting)) {
    let counting = hello();
    let vhost = counting.serve();
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").status, 200);
    assert_eq!(client.get("example.com", "/").status, 200);
    assert_eq!((counting.used(), counting.open()), (1, 1), "it is kept");
    change(&vhost, &counting);
    eventually("it is closed", Duration::from_secs(5), || counting.open() == 0);
}

#[test]
fn one_connection_carries_all_requests_that_come_one_after_the_other() {
    let counting = hello();
    let vhost = counting.serve();
    let mut client = vhost.connect();
    for _ in 0..50 {
        assert_eq!(client.get("example.com", "/").text(), "hello");
        assert_eq!(client.post("example.com", "/", b"a body").text(), "hello");
    }
    assert_eq!((counting.used(), counting.open()), (1, 1));
    assert_eq!(counting.backend.received_text().matches("GET / HTTP/1.1").count(), 50);
}

#[test]
fn drained_backends_have_their_connections_closed() {
    is_closed_by(|vhost, _| _ = vhost.ctl_ok(&["backend", "drain", "web", "--force"]));
}

#[test]
fn disabled_backends_have_their_connections_closed() {
    is_closed_by(|vhost, _| _ = vhost.ctl_ok(&["backend", "disable", "web", "--force"]));
}

#[test]
fn removed_backends_have_their_connections_closed() {
    is_closed_by(|vhost, _| _ = vhost.ctl_ok(&["backend", "remove", "web", "--force"]));
}

#[test]
fn backends_that_move_have_their_connections_closed() {
    let elsewhere = Counting::start(|_| answer("elsewhere"));
    is_closed_by(|vhost, _| {
        let address = elsewhere.backend.address().to_string();
        vhost.ctl_ok(&["backend", "set", "web", "--address", &address]);
        assert_eq!(vhost.get("example.com", "/").text(), "elsewhere");
    });
}

#[test]
fn backends_that_are_spoken_to_otherwise_have_their_connections_closed() {
    is_closed_by(|vhost, counting| {
        vhost.write_config(&counting.setup("send_proxy_protocol = \"v1\"").at(vhost.http()));
        vhost.ctl_ok(&["reload"]);
        assert_eq!(vhost.get("example.com", "/").text(), "hello");
        let last = counting.backend.received().pop().expect("it was asked");
        assert!(last.starts_with(b"PROXY "), "{}", last.escape_ascii());
    });
}

/// Lets one request have an answer, or be one, that its connection can't be used behind; the backend
/// leaves it open.
#[track_caller]
fn is_not_used_again(request: &[u8], answer_of_it: &'static [u8]) {
    let counting = Counting::running(move |connection| {
        while let Some(head) = connection.read_head() {
            if head.contains("/last") {
                connection.send(answer_of_it);
                connection.wait_for_close();
                return;
            }
            connection.send(&answer("hello"));
        }
    });
    let vhost = counting.serve();
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").text(), "hello");
    // By the same client: only then it is sure that the connection was kept in time.
    client.send(request);
    assert_eq!(client.read_response().text(), "hello");
    eventually("it is closed", Duration::from_secs(5), || counting.open() == 0);
    assert_eq!(vhost.get("example.com", "/").text(), "hello");
    let with_last: Vec<_> = counting.backend.received();
    let with_last = with_last.iter().map(|bytes| String::from_utf8_lossy(bytes));
    let with_last = with_last.filter(|text| text.contains("/last")).collect::<Vec<_>>();
    assert_eq!(with_last.len(), 1);
    let behind = with_last[0].split_once("/last").expect("it is there").1;
    assert!(!behind.contains("GET /"), "{behind}");
}

const LAST: &[u8] = b"GET /last HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[test]
fn a_backend_that_says_close_is_believed() {
    is_not_used_again(
        LAST,
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nhello",
    );
    is_not_used_again(
        LAST,
        b"HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: y, close\r\nContent-Length: 5\r\n\r\nhello",
    );
}

#[test]
fn an_answer_of_http_1_0_ends_its_connection() {
    is_not_used_again(LAST, b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

#[test]
fn what_comes_behind_an_answer_ends_its_connection() {
    is_not_used_again(LAST, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more");
    is_not_used_again(
        LAST,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\r\n",
    );
}

#[test]
fn an_answer_before_the_whole_request_ends_its_connection() {
    is_not_used_again(
        b"POST /last HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100\r\n\r\nonly a part",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    );
    is_not_used_again(
        b"POST /last HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    );
}

#[test]
fn what_the_backend_closed_while_it_was_idle_is_not_used() {
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&closed);
    let counting = Counting::running(move |connection| {
        if connection.read_request().is_some() {
            connection.send(&answer("hello"));
            // Until the answer has gone through the proxy.
            if connection.read_request().is_some() {
                connection.send(&answer("hello"));
            }
        }
        connection.close();
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let vhost = counting.serve();
    let mut client = vhost.connect();
    for round in 1..=100 {
        assert_eq!(client.get("example.com", "/").text(), "hello");
        assert_eq!(client.get("example.com", "/").text(), "hello");
        eventually("it is closed", SOON, || closed.load(Ordering::SeqCst) == round * 2 - 1);
        let response = client.post("example.com", "/order", b"one book");
        assert_eq!((response.status, response.text().as_str()), (200, "hello"), "round {round}");
        assert_eq!(client.get("example.com", "/").text(), "hello");
        eventually("it is closed", SOON, || closed.load(Ordering::SeqCst) == round * 2);
    }
    assert_eq!(counting.backend.received_text().matches("POST /order").count(), 100);
}

#[test]
fn a_request_on_a_stale_connection_is_repeated_once() {
    let has_failed = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&has_failed);
    let counting = Counting::running(move |connection| {
        while let Some(head) = connection.read_request() {
            if head.contains("/stale") && !failing.swap(true, Ordering::SeqCst) {
                return;
            }
            connection.send(&answer("hello"));
        }
    });
    let vhost = counting.serve();
    let mut client = vhost.connect();
    let body = "x".repeat(1000);
    let put = format!(
        "PUT /stale-put HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000\r\n\r\n{body}"
    );
    let get = "GET /stale-get HTTP/1.1\r\nHost: example.com\r\n\r\n".to_owned();
    for request in [get, put] {
        has_failed.store(false, Ordering::SeqCst);
        assert_eq!(client.get("example.com", "/").text(), "hello");
        let before = counting.used();
        client.send(&request);
        assert_eq!(client.read_response().text(), "hello");
        assert_eq!(counting.used(), before + 1, "over a fresh connection");
        let line = request.split_once('\r').expect("a line").0;
        let sent: Vec<_> = counting.backend.received();
        let sent = sent.iter().map(|bytes| String::from_utf8_lossy(bytes).matches(line).count());
        assert_eq!(sent.sum::<usize>(), 2, "{line}");
        let bodies = counting.backend.received_text().matches(&body).count();
        assert_eq!(bodies, if request.starts_with("PUT") { 2 } else { 0 }, "each time whole");
    }
}

#[test]
fn few_connections_stay_behind_a_burst() {
    const BURST: usize = 60;
    let together = Arc::new(Barrier::new(BURST));
    let counting = Counting::start(move |head| {
        if head.contains("/burst") {
            together.wait();
        }
        answer("hello")
    });
    let vhost = counting.serve();
    std::thread::scope(|scope| {
        for _ in 0..BURST {
            scope.spawn(|| assert_eq!(vhost.get("example.com", "/burst").text(), "hello"));
        }
    });
    assert_eq!(counting.used(), BURST);
    eventually("few are left", SOON, || counting.open() <= 16);
    let mut client = vhost.connect();
    for _ in 0..10 {
        assert_eq!(client.get("example.com", "/").text(), "hello");
    }
    assert_eq!((counting.used(), counting.open()), (BURST, 16), "those are used again");
}

#[test]
fn what_was_announced_for_one_client_ends_with_it() {
    let counting = hello();
    let vhost = counting.setup("send_proxy_protocol = \"v1\"").start();
    vhost.wait_until_healthy(1);
    let mut clients: Vec<_> = (0..3).map(|_| vhost.connect()).collect();
    for _ in 0..5 {
        for client in &mut clients {
            assert_eq!(client.get("example.com", "/").text(), "hello");
        }
    }
    let ours = || -> Vec<_> {
        let received = counting.backend.received_text();
        received.split("PROXY TCP4 ").skip(1).map(str::to_owned).collect()
    };
    for client in &clients {
        let port = client.stream().local_addr().expect("connected").port().to_string();
        let own: Vec<_> =
            ours().into_iter().filter(|text| text.contains(&format!(" {port} "))).collect();
        assert_eq!(own.len(), 1, "one connection for each client");
        assert_eq!(own[0].matches("GET / HTTP/1.1").count(), 5, "and all its requests");
    }
    let last = clients.pop();
    drop(clients);
    eventually("they end with their clients", Duration::from_secs(5), || counting.open() == 1);
    vhost.ctl_ok(&["backend", "disable", "web", "--force"]);
    eventually("a disabled backend has none", Duration::from_secs(5), || counting.open() == 0);
    drop(last);
}
