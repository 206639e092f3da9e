//! The product's promise, under load: a deploy loses nothing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::harness::*;

const SWITCHES: usize = 200;

/// Three, so that an answer of the tag before can't be taken for one of the tag after next.
const TAGS: [&str; 3] = ["a", "b", "c"];

/// The tag that is live after so many switches.
fn tag_after(switches: usize) -> &'static str {
    TAGS[switches % TAGS.len()]
}

/// What clients compare their answers with.
#[derive(Default)]
struct Timeline {
    /// Switches that have been asked for.
    begun: AtomicUsize,
    /// Switches that have been acknowledged.
    acknowledged: AtomicUsize,
    ended: AtomicBool,
    failures: Mutex<Vec<String>>,
}

impl Timeline {
    /// The tag that answered a request sent after `floor` acknowledgements must have been live at
    /// that moment or since.
    fn judge(&self, floor: usize, backend: &str) -> Result<(), String> {
        let ceiling = self.begun.load(Ordering::SeqCst);
        let tag = &backend[..1];
        if (floor..=ceiling).any(|switches| tag_after(switches) == tag) {
            Ok(())
        } else {
            Err(format!(
                "misrouted: `{backend}` answered a request sent after `{}` was acknowledged (switches {floor} to {ceiling})",
                tag_after(floor)
            ))
        }
    }
}

/// One kind of client: does one whole exchange and says which backend served it.
type Exchange = fn(&Vhost, &mut Option<Client>) -> Result<String, String>;

/// The kinds of traffic, and how many clients of each there are.
const TRAFFIC: [(&str, usize, Exchange); 5] = [
    ("keep-alive", 3, keep_alive),
    ("new connection", 2, new_connection),
    ("download", 2, download),
    ("upload", 2, upload),
    ("web socket", 2, web_socket),
];

fn keep_alive(vhost: &Vhost, kept: &mut Option<Client>) -> Result<String, String> {
    let client = match kept {
        Some(client) => client,
        None => kept.insert(connect(vhost)?),
    };
    let response = client.try_get("example.com", "/").map_err(text)?;
    if response.closes() {
        return Err("a kept connection was to be closed".into());
    }
    served(&response)
}

fn new_connection(vhost: &Vhost, _: &mut Option<Client>) -> Result<String, String> {
    // Paces it: each connection leaves a port behind that can't be used again at once.
    std::thread::sleep(Duration::from_millis(1));
    served(&connect(vhost)?.try_get("example.com", "/").map_err(text)?)
}

fn download(vhost: &Vhost, kept: &mut Option<Client>) -> Result<String, String> {
    let client = match kept {
        Some(client) => client,
        None => kept.insert(connect(vhost)?),
    };
    let response = client.try_get("example.com", "/stream?chunks=20&ms=2").map_err(text)?;
    check_stream(&response.body, 20)?;
    served(&response)
}

fn upload(vhost: &Vhost, kept: &mut Option<Client>) -> Result<String, String> {
    let client = match kept {
        Some(client) => client,
        None => kept.insert(connect(vhost)?),
    };
    let head = "POST /upload HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.try_send(head).map_err(text)?;
    let mut body = Vec::new();
    for index in 0..20_u8 {
        let piece = vec![b'a' + index; 3000 + usize::from(index)];
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
        client.try_send(chunk).map_err(text)?;
        body.extend(piece);
        std::thread::sleep(Duration::from_millis(1));
    }
    client.try_send("0\r\n\r\n").map_err(text)?;
    let response = client.try_read_response().map_err(text)?;
    let backend = served(&response)?;
    let echo = response.echo();
    if echo["length"] != body.len() || echo["checksum"] != checksum(&body) {
        return Err(format!("{} bytes sent, arrived: {echo}", body.len()));
    }
    Ok(backend)
}

fn web_socket(vhost: &Vhost, _: &mut Option<Client>) -> Result<String, String> {
    let mut socket = WebSocket::try_open(vhost.http(), "example.com")?;
    for number in 0..20 {
        socket.echo(&format!("message {number}"))?;
        std::thread::sleep(Duration::from_millis(2));
    }
    let backend = socket.backend.clone();
    socket.close()?;
    Ok(backend)
}

fn connect(vhost: &Vhost) -> Result<Client, String> {
    Client::try_connect(vhost.http()).map_err(|error| format!("connect: {error}"))
}

fn served(response: &Response) -> Result<String, String> {
    match (response.status, response.backend()) {
        (200, Some(backend)) => Ok(backend.to_owned()),
        (status, _) => Err(format!("status {status}: {}", response.text())),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// A client at work: how far it has seen, and how much it has done.
#[derive(Default)]
struct Progress {
    /// An exchange has ended that began after so many acknowledgements.
    seen: AtomicUsize,
    exchanges: AtomicUsize,
}

fn work(kind: &str, exchange: Exchange, vhost: &Vhost, timeline: &Timeline, progress: &Progress) {
    let mut kept = None;
    while !timeline.ended.load(Ordering::SeqCst) {
        let floor = timeline.acknowledged.load(Ordering::SeqCst);
        let outcome = exchange(vhost, &mut kept);
        let outcome = outcome.and_then(|backend| timeline.judge(floor, &backend));
        if let Err(failure) = outcome {
            kept = None;
            timeline.failures.lock().unwrap().push(format!("{kind}: {failure}"));
        }
        progress.exchanges.fetch_add(1, Ordering::SeqCst);
        progress.seen.fetch_max(floor, Ordering::SeqCst);
    }
}

/// Ends the clients also when the test panics.
struct EndOnDrop<'a>(&'a Timeline);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

#[test]
fn two_hundred_switches_under_all_kinds_of_traffic_lose_and_misroute_nothing() {
    let backends: Vec<_> =
        ["a1", "a2", "b1", "b2", "c1", "c2"].iter().map(|id| Backend::start(id)).collect();
    let mut setup = Setup::new()
        .set("logging.level", "\"info\"")
        // Each client of kept connections sends more than the default takes.
        .set("proxy.max_requests_per_connection", 1_000_000)
        .domain("example.com", "a")
        .lifetime(Duration::from_mins(5));
    for backend in &backends {
        setup = setup.backend(backend.id(), backend.address(), &[&backend.id()[..1]]);
    }
    let vhost = setup.start();
    vhost.wait_until_healthy(6);

    let timeline = Timeline::default();
    let clients: Vec<(&str, Exchange, Progress)> = TRAFFIC
        .iter()
        .flat_map(|(kind, count, exchange)| {
            (0..*count).map(|_| (*kind, *exchange, Progress::default()))
        })
        .collect();
    std::thread::scope(|scope| {
        for (kind, exchange, progress) in &clients {
            let (vhost, timeline) = (&vhost, &timeline);
            scope.spawn(move || work(kind, *exchange, vhost, timeline, progress));
        }
        let _end = EndOnDrop(&timeline);
        let mut connection = vhost.rpc_connection();
        for number in 1..=SWITCHES {
            timeline.begun.store(number, Ordering::SeqCst);
            let tag = tag_after(number);
            // The command line most deployers use, and the socket, which tells the moment.
            if number % 10 == 0 {
                vhost.ctl_ok(&["switch", "example.com", tag]);
            } else {
                let params = json!({"domains": ["example.com"], "tag": tag});
                let report = connection
                    .try_call("switch.start", &params, |progress| {
                        if progress["phase"] == "switched" {
                            timeline.acknowledged.store(number, Ordering::SeqCst);
                        }
                    })
                    .expect("an answer")
                    .unwrap_or_else(|fault| panic!("switch {number}: {fault:?}"));
                assert_eq!(report["outcome"]["state"], "done", "switch {number}: {report}");
            }
            timeline.acknowledged.store(number, Ordering::SeqCst);
            eventually("every client has seen the new tag", Duration::from_secs(20), || {
                clients.iter().all(|(.., progress)| progress.seen.load(Ordering::SeqCst) >= number)
            });
            let failures = timeline.failures.lock().unwrap();
            assert!(failures.len() < 20, "after {number} switches: {failures:#?}");
        }
    });
    let failures = timeline.failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed: {failures:#?}", failures.len());
    for (kind, _, progress) in &clients {
        let exchanges = progress.exchanges.load(Ordering::SeqCst);
        assert!(exchanges > SWITCHES, "{kind}: {exchanges} exchanges");
    }
    eventually("nothing is in flight", Duration::from_secs(10), || vhost.in_flight() == 0);
    let refused = vhost.rpc("state.get", json!({})).unwrap()["refused"].clone();
    assert_eq!(refused, json!({}), "nothing was refused");
    for backend in &backends {
        assert_eq!(vhost.backend(backend.id())["failures"], 0);
    }
}
