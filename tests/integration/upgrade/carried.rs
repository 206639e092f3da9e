//! What is known only to the memory of a process goes over to the next one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use super::*;

#[test]
fn clients_resume_their_sessions_in_the_new_process() {
    let backends = backends();
    let vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = TlsClient::accepts_any().resuming().only(version);
        let is_resumed = || {
            let mut open = client.connect(vhost.https(), Some(HOST)).expect("TLS");
            // Tickets of TLS 1.3 come behind the handshake.
            assert_eq!(open.get(HOST, "/").status, 200);
            open.handshake().resumed
        };
        assert!(!is_resumed(), "{version:?}: the first");
        assert!(is_resumed(), "{version:?}: the second");
        for upgrade in 1..=2 {
            vhost.upgrade();
            assert!(is_resumed(), "{version:?}: after upgrade {upgrade}");
        }
    }
    // The keys are nowhere but in memory.
    let log = vhost.log();
    assert!(!log.contains("tickets") && !log.contains("longest"), "{log}");
}

#[test]
fn a_client_that_has_used_up_its_rate_is_refused_by_the_new_process_too() {
    let [a, b] = backends();
    let limits = "http_to_https = false\nclient_rate_limit = { requests = 2, per_secs = 3600 }";
    let vhost = Setup::new()
        .domain_with(HOST, "a", limits)
        .domain_with(
            "free.test",
            "b",
            "http_to_https = false\nrate_limit = { requests = 3, per_secs = 3600 }",
        )
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    let statuses = |host: &str, times: usize| -> Vec<u16> {
        (0..times).map(|_| vhost.get(host, "/").status).collect()
    };
    assert_eq!(statuses(HOST, 1), [200]);
    assert_eq!(statuses("free.test", 1), [200]);
    vhost.upgrade();
    assert_eq!(statuses(HOST, 3), [200, 429, 429], "one was left");
    assert_eq!(statuses("free.test", 3), [200, 200, 429], "of all clients together");
    vhost.upgrade();
    assert_eq!(statuses(HOST, 1), [429]);
    assert_eq!(statuses("free.test", 1), [429]);
}

#[test]
fn the_statistics_of_the_last_minute_go_on() {
    let backends = backends();
    let vhost = site(&backends).start();
    vhost.wait_until_healthy(2);
    let requests = |window: Value| {
        let report = vhost.rpc("stats.get", json!({ "window_secs": window })).expect("stats.get");
        let of = |figures: &Value| figures["requests"].as_u64().expect("a number");
        let counted = of(&report["total"]);
        assert_eq!(of(&report["domains"][0]["figures"]), counted, "{report:#}");
        (counted, report)
    };
    for _ in 0..4 {
        assert_eq!(vhost.get(HOST, "/").status, 200);
    }
    eventually("they are counted", SOON, || requests(json!(60)).0 == 4);
    vhost.upgrade();
    let (counted, report) = requests(json!(60));
    assert_eq!(counted, 4, "{report:#}");
    assert!(report["total"]["p50_ms"].is_number(), "{report:#}");
    assert_eq!(requests(Value::Null).0, 0, "the new process has begun to count");
    assert_eq!(vhost.get(HOST, "/").status, 200);
    eventually("of both", SOON, || requests(json!(60)).0 == 5);
    let shown = vhost.ctl_ok(&["stats"]).stdout;
    assert!(shown.contains('5'), "{shown}");
    vhost.upgrade();
    assert_eq!(requests(json!(60)).0, 5, "of all three");
}

#[test]
fn an_ejected_backend_is_out_in_the_new_process_from_its_first_request_on() {
    let good = Backend::start("good");
    let bad = Backend::start("bad");
    // Traffic ejects it, not a probe; the new process probes once when it starts, which fails too.
    let vhost = Setup::new()
        .domain_with(HOST, "a", "http_to_https = false")
        .backend("bad", bad.address(), &["a"])
        .backend("good", good.address(), &["a"])
        .set("health_check.interval_secs", 600)
        .set("health_check.max_ejected_percent", 50)
        .start();
    vhost.wait_until_healthy(2);
    drop(bad);
    eventually("it is ejected", SOON, || {
        let _ = vhost.get(HOST, "/");
        vhost.backend("bad")["health"]["status"] == "unhealthy"
    });
    let before = vhost.backend("bad")["health"].clone();
    vhost.upgrade();
    let after = vhost.backend("bad")["health"].clone();
    for key in ["status", "since_ms"] {
        assert_eq!(after[key], before[key], "{after}");
    }
    for _ in 0..4 {
        assert_eq!(vhost.get(HOST, "/").backend(), Some("good"));
    }
}

/// A process that takes over from the test.
struct Successor {
    child: std::process::Child,
    channel: UnixStream,
    lines: std::io::Lines<BufReader<UnixStream>>,
}

impl Successor {
    fn start(config: &std::path::Path) -> Self {
        let (channel, theirs) = UnixStream::pair().unwrap();
        channel.set_read_timeout(Some(SOON)).unwrap();
        let mut command = Command::new(vhost_binary());
        command.args(["serve", "--config"]).arg(config);
        command.env("VHOST_TAKES_OVER_FROM", std::process::id().to_string());
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(channel.try_clone().unwrap()).lines();
        Self { child, channel, lines }
    }

    fn say(&mut self, message: &Value) {
        self.channel.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    /// The same, with a socket.
    fn say_with(&mut self, message: &Value, socket: &impl std::os::fd::AsRawFd) {
        use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
        let line = format!("{message}\n");
        let sockets = [socket.as_raw_fd()];
        let sent = sendmsg::<()>(
            std::os::fd::AsRawFd::as_raw_fd(&self.channel),
            &[std::io::IoSlice::new(line.as_bytes())],
            &[ControlMessage::ScmRights(&sockets)],
            MsgFlags::empty(),
            None,
        );
        assert_eq!(sent, Ok(line.len()));
    }

    fn hear(&mut self) -> Value {
        let line = self.lines.next().expect("it goes on").expect("a line");
        serde_json::from_str(&line).expect("a message")
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hello(sockets: &Value) -> Value {
    json!({ "kind": "hello", "protocol": 1, "pid": std::process::id(), "sockets": sockets, "replaced": [] })
}

/// A server that has ended, for its config and its state.
fn ended(backends: &[Backend; 2]) -> Vhost {
    let mut vhost = site(backends).start();
    vhost.wait_until_healthy(2);
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    vhost.wait_for_exit(SOON);
    vhost
}

/// The other side of a version that knows backends alone.
#[test]
fn a_version_that_hands_on_less_is_taken_over_from() {
    let backends = backends();
    let vhost = ended(&backends);
    let mut successor = Successor::start(&vhost.config_file());
    successor.say(&hello(&json!([])));
    assert_eq!(successor.hear()["kind"], "prepared");
    let health = json!({ "status": "unhealthy" });
    let observed = [
        json!({ "id": "a1", "address": "127.0.0.1:1", "health": health }),
        json!({ "id": "gone", "address": "127.0.0.1:1", "health": health }),
    ];
    successor.say(&json!({ "kind": "state", "backends": observed, "from_the_future": [1, 2] }));
    assert_eq!(successor.hear()["kind"], "ready");
    successor.say(&json!({ "kind": "serve" }));
    assert_eq!(successor.hear()["kind"], "serving");
    assert_eq!(vhost.get(HOST, "/").status, 200);
}

#[test]
fn a_process_whose_listener_cannot_serve_does_not_report_ready() {
    let backends = backends();
    let vhost = ended(&backends);
    // Bound, and open, and not listening.
    let mute = std::net::UdpSocket::bind((free_ip(), 0)).unwrap();
    let closed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let address = vhost.http().to_string();
    let sockets = json!([{ "key": "proxy.listen_addr_http", "address": address }]);
    for socket in [std::os::fd::OwnedFd::from(mute), std::os::fd::OwnedFd::from(closed)] {
        let mut successor = Successor::start(&vhost.config_file());
        successor.say_with(&hello(&sockets), &socket);
        let refused = successor.hear();
        assert_eq!(refused["kind"], "refused", "{refused}");
        let error = refused["error"].as_str().expect("a text");
        assert!(error.contains("does not listen"), "{error}");
        assert!(error.contains(&address), "{error}");
    }
}
