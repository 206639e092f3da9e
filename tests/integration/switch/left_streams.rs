//! What becomes of WebSockets and event streams that are left behind, where the domain says that they end.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio_tungstenite::tungstenite;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, Role};
use tungstenite::{Error, Message};

use super::*;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the payload of each frame is made of: nothing that could be taken for the head of one.
const BYTE: u8 = b'v';

/// A backend whose WebSockets send one message after the other, each in fragments, and whose event streams have
/// one event.
struct Busy {
    address: SocketAddr,
    /// Close frames with the code 1012 that have come.
    restarts: Arc<AtomicUsize>,
}

impl Busy {
    fn start() -> Self {
        let listener = TcpListener::bind((free_ip(), 0)).expect("a free address");
        let address = listener.local_addr().expect("a bound listener has an address");
        let restarts = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&restarts);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let restarts = Arc::clone(&counter);
                thread::spawn(move || serve(stream, number, &restarts));
            }
        });
        Self { address, restarts }
    }
}

fn serve(mut stream: TcpStream, number: usize, restarts: &AtomicUsize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return;
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).expect("a head is text");
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value)
    });
    let Some(key) = key else {
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
              b\r\ndata: one\n\n\r\n",
        );
        let _ = stream.read(&mut [0]);
        return;
    };
    let agreed = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    stream.write_all(agreed.as_bytes()).expect("the proxy is there");
    // Between messages it looks whether something has come.
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout can be set");
    let mut socket = tungstenite::WebSocket::from_raw_socket(stream, Role::Server, None);
    // Some are so large that they come in many pieces.
    let payload = vec![BYTE; if number.is_multiple_of(8) { 200_000 } else { 9_000 }];
    let fragments = [(Data::Text, false), (Data::Continue, false), (Data::Continue, true)];
    let mut is_closing = false;
    loop {
        for (opcode, last) in fragments.iter().filter(|_| !is_closing) {
            let frame = Frame::message(payload.clone(), OpCode::Data(*opcode), *last);
            if socket.send(Message::Frame(frame)).is_err() {
                return;
            }
        }
        match socket.read() {
            Ok(Message::Close(frame)) => {
                is_closing = true;
                if frame.is_some_and(|frame| frame.code == CloseCode::Restart) {
                    restarts.fetch_add(1, Ordering::SeqCst);
                }
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// How a WebSocket ended: when, and by which code.
type Ended = Result<(Instant, CloseCode), String>;

/// Reads whole messages up to a close frame, and then to the end of the connection.
fn read_to_close(mut socket: tungstenite::WebSocket<TcpStream>, begun: &mpsc::Sender<()>) -> Ended {
    let mut messages = 0;
    let closed = loop {
        match socket.read().map_err(|error| format!("after {messages} messages: {error}"))? {
            Message::Text(text) if text.bytes().all(|byte| byte == BYTE) => messages += 1,
            Message::Close(Some(CloseFrame { code, .. })) => break (Instant::now(), code),
            other => return Err(format!("{} bytes of another kind", other.len())),
        }
        if messages == 1 {
            begun.send(()).expect("the test is there");
        }
    };
    match socket.read() {
        Err(Error::ConnectionClosed) => Ok(closed),
        other => Err(format!("behind the close: {other:?}")),
    }
}

fn open(vhost: &Vhost) -> tungstenite::WebSocket<TcpStream> {
    let stream = TcpStream::connect(vhost.http()).expect("the proxy accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    tungstenite::client("ws://example.com/ws", stream).expect("it opens").0
}

/// An event stream behind its first event.
fn events(vhost: &Vhost, backend: &str) -> Client {
    let mut client = vhost.connect();
    client.send("GET /events HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let head = client.read_head().expect("an answer");
    assert_eq!(head.status, 200);
    assert_eq!(client.read_chunk().unwrap(), format!("data: {backend}\n\n").as_bytes());
    client
}

/// A pair whose domain has what is left closed.
fn closing(websockets: &str) -> Pair {
    let pair = Pair::start_with(|setup| setup.set("switch.drain_timeout_secs", 50));
    let option = format!("drain.websockets={websockets}");
    pair.vhost.ctl_ok(&["domain", "set", "example.com", "--option", &option]);
    pair
}

/// The code that a WebSocket of the harness's backends is closed with.
fn close_code(socket: &mut tungstenite::WebSocket<TcpStream>) -> CloseCode {
    loop {
        match socket.read().expect("it is closed in good order") {
            Message::Close(Some(frame)) => return frame.code,
            Message::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn all_that_is_left_is_closed_between_frames_and_not_at_once() {
    const SOCKETS: usize = 50;
    let (busy, next) = (Busy::start(), Backend::start("b1"));
    let vhost = Setup::new()
        .tcp_probes()
        .set("switch.drain_timeout_secs", 50)
        .domain_with(
            "example.com",
            "a",
            "drain = { websockets = { close_after_secs = 0.3, spread_secs = 1.5 } }",
        )
        .backend("a1", busy.address, &["a"])
        .backend("b1", next.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    let (begun, has_begun) = mpsc::channel();
    let readers: Vec<_> = (0..SOCKETS)
        .map(|_| {
            let (socket, begun) = (open(&vhost), begun.clone());
            thread::spawn(move || read_to_close(socket, &begun))
        })
        .collect();
    for _ in 0..SOCKETS {
        has_begun.recv_timeout(PATIENCE).expect("each gets messages");
    }
    let mut streams: Vec<_> = (0..5)
        .map(|_| {
            let mut client = vhost.connect();
            client.send("GET /events HTTP/1.1\r\nHost: example.com\r\n\r\n");
            client.read_head().expect("an answer");
            assert_eq!(client.read_chunk().unwrap(), b"data: one\n\n");
            client
        })
        .collect();

    let before = Instant::now();
    let output = vhost.ctl(&["switch", "example.com", "b"]);
    assert_eq!(output.code, 0, "{output:?}");
    let text = &output.stderr;
    assert!(text.contains("of it 50 WebSockets, closed in 1"), "{output:?}");
    let ended: Vec<_> = readers.into_iter().map(|one| one.join().expect("no panic")).collect();
    let mut times = Vec::new();
    for one in ended {
        let (at, code) = one.expect("it is closed in good order");
        assert_eq!(code, CloseCode::Restart);
        times.push(at - before);
    }
    times.sort();
    let (first, last) = (times[0], times[SOCKETS - 1]);
    assert!(first >= Duration::from_millis(300), "not before: {first:?}");
    assert!(last >= first + Duration::from_millis(400), "not at once: {times:?}");
    eventually("each backend's end was closed by the client's answer", SOON, || {
        busy.restarts.load(Ordering::SeqCst) == SOCKETS
    });
    for client in &mut streams {
        assert_eq!(client.read_chunk().expect("its end is a whole one"), b"");
        assert_eq!(client.get("example.com", "/").backend(), Some("b1"), "the connection goes on");
    }
    eventually("nothing is left", SOON, || vhost.in_flight() == 0);
}

#[test]
fn what_is_kept_is_waited_for_as_before() {
    let pair = closing("keep");
    let mut socket = WebSocket::open(pair.vhost.http(), "example.com");
    let mut stream = events(&pair.vhost, "a1");
    let output = pair.vhost.ctl(&["switch", "example.com", "b", "--drain-timeout", "300ms"]);
    assert_eq!(output.code, 7, "{output:?}");
    assert!(output.stderr.contains("`drain.websockets` of the domain"), "{output:?}");
    socket.echo("still here").unwrap();
    pair.a.release();
    assert_eq!(stream.read_chunk().unwrap(), b"");
}

#[test]
fn a_drain_that_is_shorter_says_when_they_will_be_closed() {
    let pair = closing("{ close_after_secs = 1, spread_secs = 0 }");
    let mut socket = open(&pair.vhost);
    let plan =
        pair.vhost.ctl_json(&["switch", "example.com", "b", "--plan", "--drain-timeout", "300ms"]);
    let step = &plan["steps"][0];
    assert_eq!(step["ends"], json!({ "first_ms": 1000, "last_ms": 1000 }), "{plan:#}");
    let warnings = plan["warnings"].to_string();
    assert!(warnings.contains("is closed 1s after the switch"), "{warnings}");
    assert!(warnings.contains("--drain-timeout 11s"), "{warnings}");
    let output = pair.vhost.ctl(&["switch", "example.com", "b", "--drain-timeout", "300ms"]);
    assert_eq!(output.code, 7, "{output:?}");
    assert!(output.stderr.contains("closes the last of 1 WebSocket 1.0 s after"), "{output:?}");
    assert_eq!(close_code(&mut socket), CloseCode::Restart);
    drop(socket);
    pair.vhost.ctl_ok(&["wait", "example.com", "--until", "drained"]);
}

#[test]
fn what_is_live_again_in_time_stays_open() {
    let pair = closing("{ close_after_secs = 1, spread_secs = 0 }");
    let mut stays = WebSocket::open(pair.vhost.http(), "example.com");
    let mut stream = events(&pair.vhost, "a1");
    pair.vhost.ctl_ok(&["switch", "example.com", "b", "--no-drain"]);
    let mut goes = open(&pair.vhost);
    let mut stream_of_b = events(&pair.vhost, "b1");
    pair.vhost.ctl_ok(&["undo", "example.com", "--no-drain"]);
    // They were left after the others.
    assert_eq!(close_code(&mut goes), CloseCode::Restart);
    assert_eq!(stream_of_b.read_chunk().unwrap(), b"");
    stays.echo("still here").expect("it is on the live tag");
    pair.a.release();
    assert_eq!(stream.read_chunk().unwrap(), b"", "by its backend");
    pair.vhost.ctl_ok(&["switch", "example.com", "b", "--no-drain"]);
    drop(goes);
    pair.vhost.ctl_ok(&["wait", "example.com", "--until", "drained"]);
    assert!(stays.echo("and now").is_err(), "left once more");
}

#[test]
fn a_backend_that_is_left_and_a_domain_that_is_removed_leave_theirs() {
    let pair = Pair::start_with(|setup| {
        let other = "drain = { websockets = { close_after_secs = 0.1, spread_secs = 0 } }";
        setup.set("switch.drain_timeout_secs", 50).domain_with("other.test", "b", other)
    });
    let set = "drain.websockets={ close_after_secs = 0.2, spread_secs = 0 }";
    pair.vhost.ctl_ok(&["domain", "set", "example.com", "--option", set]);
    let mut of_backend = open(&pair.vhost);
    let mut stream = events(&pair.vhost, "a1");
    let stream_of_other = TcpStream::connect(pair.vhost.http()).expect("the proxy accepts");
    let (mut of_other, _) =
        tungstenite::client("ws://other.test/ws", stream_of_other).expect("it opens");
    let drain = ["backend", "drain", "a1", "--force", "--wait"];
    let drain = pair.vhost.ctl_in_background(&drain);
    assert_eq!(close_code(&mut of_backend), CloseCode::Restart);
    assert_eq!(stream.read_chunk().unwrap(), b"");
    drop(of_backend);
    let output = drain.wait();
    assert_eq!(output.code, 0, "{output:?}");
    pair.vhost.ctl_ok(&["domain", "remove", "other.test"]);
    assert_eq!(close_code(&mut of_other), CloseCode::Restart);
}

#[test]
fn a_client_that_says_nothing_more_is_not_waited_for() {
    let pair = closing("{ close_after_secs = 0.1, spread_secs = 0 }");
    let mut socket = pair.vhost.connect();
    socket.send(
        "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(socket.read_head().unwrap().status, 101);
    assert_eq!(socket.take(4).unwrap(), b"\x81\x02a1");
    // It never answers, and goes on to send pings.
    pair.vhost.ctl_ok(&["switch", "example.com", "b", "--no-drain"]);
    assert_eq!(socket.take(4).unwrap(), b"\x88\x02\x03\xf4");
    pair.vhost.ctl_ok(&["wait", "example.com", "--until", "drained"]);
    assert_eq!(pair.vhost.in_flight(), 0);
}

#[test]
fn an_event_stream_of_a_backend_that_speaks_http2_is_ended() {
    let a = Backend::builder("a1").h2c().start();
    let b = Backend::start("b1");
    let vhost = Setup::new()
        .set("switch.drain_timeout_secs", 50)
        .domain_with(
            "example.com",
            "a",
            "drain = { websockets = { close_after_secs = 0.2, spread_secs = 0.1 } }",
        )
        .backend_with("a1", a.address(), &["a"], "scheme = \"h2c\"")
        .backend("b1", b.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    let mut stream = events(&vhost, "a1");
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("both are there", SOON, || a.held() == 2);
    let switch = vhost.ctl_in_background(&["switch", "example.com", "b"]);
    assert_eq!(stream.read_chunk().expect("its end is a whole one"), b"");
    assert_eq!(stream.get("example.com", "/").backend(), Some("b1"));
    eventually("the backend hears of it", SOON, || a.held() == 1);
    a.release();
    assert_eq!(held.read_response().backend(), Some("a1"), "what is no stream is waited for");
    assert_eq!(switch.wait().code, 0);
}

#[test]
fn only_streams_that_clients_ask_for_again_are_ended() {
    let pair = closing("{ close_after_secs = 0.1, spread_secs = 0 }");
    let mut posted = pair.vhost.connect();
    posted.send("POST /events HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n");
    posted.read_head().expect("an answer");
    assert_eq!(posted.read_chunk().unwrap(), b"data: a1\n\n");
    let mut asked = events(&pair.vhost, "a1");
    pair.vhost.ctl_ok(&["switch", "example.com", "b", "--no-drain"]);
    assert_eq!(asked.read_chunk().unwrap(), b"");
    eventually("the backend hears of it", SOON, || pair.a.held() == 1);
    pair.a.release();
    assert_eq!(posted.read_chunk().unwrap(), b"", "by its backend");
}
