use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::health::testing::{backend, no_cap, quick_check, until};
use crate::model::Scheme;
use crate::state::{BackendNode, Endpoints};

/// A resolver whose answers the test sets: the last bytes of loopback addresses, or a failure.
#[derive(Clone)]
struct Records {
    answer: Arc<Mutex<Result<Vec<u8>, &'static str>>>,
    asked: Arc<AtomicUsize>,
}

impl Records {
    fn new(answer: Result<Vec<u8>, &'static str>) -> Self {
        Self { answer: Arc::new(Mutex::new(answer)), asked: Arc::default() }
    }

    fn names(&self, interval: Duration) -> Names {
        let records = self.clone();
        let lookup: Lookup = Arc::new(move |_| {
            records.asked.fetch_add(1, Ordering::SeqCst);
            let answer = records.answer.lock().clone();
            Box::pin(async move {
                let bytes = answer.map_err(io::Error::other)?;
                Ok(bytes.into_iter().map(|n| SocketAddr::from(([127, 0, 0, n], 0))).collect())
            })
        });
        Names::new(interval, lookup, Handle::current())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn monitor(address: &str) -> Arc<Monitor> {
    let node = BackendNode::new(
        backend("w1", address, Scheme::Http),
        None,
        &crate::tls::PeerFiles::default(),
    );
    let check = Arc::new(quick_check().check());
    let recoveries = crate::health::pace::Recoveries::default();
    let changes = tokio::sync::broadcast::Sender::new(16);
    Arc::new(Monitor::new(node, check, no_cap(), recoveries, changes))
}

fn endpoints(monitor: &Monitor) -> Vec<String> {
    match &**monitor.node.live.endpoints() {
        Endpoints::Tcp(addresses) => addresses.iter().map(ToString::to_string).collect(),
        Endpoints::Unix(_) => Vec::new(),
    }
}

const OFTEN: Duration = Duration::from_millis(10);
const SELDOM: Duration = Duration::from_hours(1);

#[tokio::test]
async fn addresses_follow_the_records_and_survive_a_failing_look_up() {
    let records = Records::new(Ok(vec![1]));
    let names = records.names(OFTEN);
    let web = monitor("web.internal:3000");
    names.follow(&web);
    until("the first", || endpoints(&web) == ["127.0.0.1:3000"]).await;
    assert_eq!(names.failure("web.internal").await, None);

    *records.answer.lock() = Ok(vec![2, 3]);
    until("the next", || endpoints(&web) == ["127.0.0.2:3000", "127.0.0.3:3000"]).await;

    *records.answer.lock() = Err("Server Failed");
    let failing = records.asked() + 2;
    until("two failures", || records.asked() > failing).await;
    assert_eq!(endpoints(&web).len(), 2, "the last good ones stay");
    assert_eq!(names.failure("web.internal").await.as_deref(), Some("server failed"));

    *records.answer.lock() = Ok(vec![4]);
    until("back", || endpoints(&web) == ["127.0.0.4:3000"]).await;
}

#[tokio::test]
async fn a_name_that_many_backends_share_is_looked_up_once() {
    let records = Records::new(Ok(vec![1]));
    let names = records.names(SELDOM);
    let backends: Vec<_> =
        (3000..3010).map(|port| monitor(&format!("web.internal:{port}"))).collect();
    for backend in &backends {
        names.follow(backend);
    }
    for (backend, port) in backends.iter().zip(3000..) {
        until("resolved", || endpoints(backend) == [format!("127.0.0.1:{port}")]).await;
    }
    let late = monitor("web.internal:4000");
    names.follow(&late);
    assert_eq!(endpoints(&late), ["127.0.0.1:4000"], "who comes late gets what is known");
    assert_eq!(records.asked(), 1);
}

#[tokio::test]
async fn an_empty_answer_is_a_failure() {
    let names = Records::new(Ok(Vec::new())).names(SELDOM);
    names.follow(&monitor("web.internal:3000"));
    assert_eq!(names.failure("web.internal").await.as_deref(), Some("it has no addresses"));
}

#[tokio::test]
async fn a_name_that_nobody_uses_is_not_looked_up() {
    let records = Records::new(Ok(vec![1]));
    let names = records.names(OFTEN);
    let (one, two) = (monitor("web.internal:1"), monitor("web.internal:2"));
    names.follow(&one);
    names.follow(&two);
    names.unfollow(&one);
    let asked = records.asked();
    until("still for the other", || records.asked() > asked + 2).await;
    names.unfollow(&two);
    assert!(names.hosts.lock().is_empty());
    let ended = records.asked();
    until("ten of its intervals have passed elsewhere", {
        let other = Records::new(Ok(vec![1]));
        let others = other.names(OFTEN);
        others.follow(&monitor("other.internal:1"));
        move || !others.hosts.lock().is_empty() && other.asked() > 10
    })
    .await;
    assert_eq!(records.asked(), ended);
}

#[tokio::test]
async fn numeric_addresses_and_sockets_need_no_look_up() {
    let records = Records::new(Ok(vec![1]));
    let names = records.names(OFTEN);
    for address in ["127.0.0.1:3000", "unix:/run/app.sock"] {
        names.follow(&monitor(address));
    }
    assert!(names.hosts.lock().is_empty());
}
