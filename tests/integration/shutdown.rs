//! How the server ends.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

fn start(more: impl FnOnce(Setup) -> Setup) -> (Vhost, Backend) {
    let backend = Backend::start("web");
    let setup = Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]);
    let vhost = more(setup).start();
    vhost.wait_until_healthy(1);
    (vhost, backend)
}

fn hold(vhost: &Vhost, backend: &Backend) -> Client {
    let mut client = vhost.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request is held", SOON, || backend.held() == 1);
    client
}

fn stopped_accepting(vhost: &Vhost) -> bool {
    Client::try_connect(vhost.http()).is_err()
}

#[test]
fn an_idle_server_ends_at_once_and_leaves_no_socket_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut vhost, _backend) = start(|setup| setup.set("proxy.shutdown_timeout_secs", 60));
        vhost.signal(signal);
        let start = Instant::now();
        let status = vhost.wait_for_exit(Duration::from_secs(20));
        assert!(status.success(), "{signal}: {status}");
        assert!(start.elapsed() < Duration::from_secs(5), "{signal}: {:?}", start.elapsed());
        assert!(!vhost.socket().exists(), "the socket file is removed");
    }
}

#[test]
fn idle_kept_connections_do_not_delay_the_end() {
    let (mut vhost, _backend) = start(|setup| {
        setup.set("proxy.shutdown_timeout_secs", 60).set("proxy.idle_timeout_secs", 60)
    });
    let mut idle: Vec<_> = (0..5).map(|_| vhost.connect()).collect();
    for client in &mut idle {
        assert_eq!(client.get("example.com", "/").status, 200);
    }
    vhost.signal(Signal::SIGTERM);
    let start = Instant::now();
    assert!(vhost.wait_for_exit(Duration::from_secs(30)).success());
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn a_request_that_comes_on_an_open_connection_is_answered_with_close() {
    let (mut vhost, backend) = start(|setup| setup.set("proxy.shutdown_timeout_secs", 30));
    let mut open = vhost.connect();
    assert_eq!(open.get("example.com", "/").status, 200);
    let mut held = hold(&vhost, &backend);
    vhost.signal(Signal::SIGTERM);
    eventually("nobody is accepted any more", SOON, || stopped_accepting(&vhost));
    let response = open.get("example.com", "/");
    assert_eq!((response.status, response.closes()), (200, true), "{:?}", response.headers);
    backend.release();
    let response = held.read_response();
    assert_eq!((response.status, response.closes()), (200, true), "{:?}", response.headers);
    assert!(vhost.wait_for_exit(SOON).success());
}

#[test]
fn a_command_that_has_just_connected_is_waited_for() {
    let (mut vhost, _backend) = start(|setup| setup);
    let mut connected = vhost.rpc_connection();
    connected.call("state.get", &serde_json::json!({})).unwrap();
    vhost.signal(Signal::SIGTERM);
    assert!(vhost.wait_for_exit(SOON).success());
    let log = vhost.log();
    let (_, duration) = log.split_once("stopped duration_ms=").expect("it says how long it took");
    let duration: u64 = duration.lines().next().unwrap().trim().parse().unwrap();
    assert!(duration >= 1000, "{log}");
    drop(connected);
}

#[test]
fn streams_and_uploads_in_flight_are_finished() {
    let (mut vhost, backend) = start(|setup| setup.set("proxy.shutdown_timeout_secs", 30));
    let mut download = vhost.connect();
    download.send("GET /stream?chunks=50&ms=10 HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let mut upload = vhost.connect();
    upload.send("POST /upload HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\nhalf ");
    eventually("both have arrived", SOON, || backend.requests() == 2);
    vhost.signal(Signal::SIGTERM);
    eventually("nobody is accepted any more", SOON, || stopped_accepting(&vhost));
    upload.send("rest.");
    assert_eq!(upload.read_response().echo()["checksum"], checksum(b"half rest."));
    check_stream(&download.read_response().body, 50).unwrap();
    assert!(vhost.wait_for_exit(SOON).success());
}

#[test]
fn http2_connections_get_goaway_and_finish_their_streams() {
    let (mut vhost, backend) = start(|setup| setup.set("proxy.shutdown_timeout_secs", 30));
    in_runtime(async {
        let mut connection = H2::connect(vhost.http()).await;
        let request = http::Request::get("http://example.com/hold").body(()).unwrap();
        let (response, _) = connection.start(request, true).await.unwrap();
        eventually_async("the request is held", || backend.held() == 1).await;
        vhost.signal(Signal::SIGTERM);
        // Once GOAWAY has come, the client's library refuses to start a stream.
        eventually_async("nobody is accepted any more", || stopped_accepting(&vhost)).await;
        backend.release();
        assert_eq!(read(response).await.expect("the stream is finished").status, 200);
        let ended = connection.closed_within(SOON).await.expect("GOAWAY ends the connection");
        ended.expect("without an error");
    });
    assert!(vhost.wait_for_exit(SOON).success());
}

#[test]
fn an_idle_http2_connection_does_not_delay_the_end() {
    let (mut vhost, _backend) = start(|setup| setup.set("proxy.shutdown_timeout_secs", 60));
    in_runtime(async {
        let mut connection = H2::connect(vhost.http()).await;
        assert_eq!(connection.get("example.com", "/").await.unwrap().status, 200);
        vhost.signal(Signal::SIGTERM);
        connection.closed_within(Duration::from_secs(15)).await.expect("closed").expect("GOAWAY");
    });
    assert!(vhost.wait_for_exit(SOON).success());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut vhost, backend) = start(|setup| setup.set("proxy.shutdown_timeout_secs", 60));
    let _held = hold(&vhost, &backend);
    vhost.signal(Signal::SIGTERM);
    eventually("the first was taken", SOON, || stopped_accepting(&vhost));
    assert!(!vhost.has_ended(), "a request is in flight");
    vhost.signal(Signal::SIGTERM);
    vhost.wait_for_exit(Duration::from_secs(5));
}

#[test]
fn the_shutdown_timeout_ends_what_does_not_end() {
    let (mut vhost, backend) = start(|setup| setup.set("proxy.shutdown_timeout_secs", 1));
    let mut held = hold(&vhost, &backend);
    let start = Instant::now();
    vhost.signal(Signal::SIGTERM);
    vhost.wait_for_exit(Duration::from_secs(15));
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    assert!(held.closed_within(Duration::from_secs(5)).is_some());
    assert!(!vhost.log_lines("in_flight").is_empty(), "what was cut is logged");
}

#[test]
fn an_open_web_socket_is_waited_for_until_it_closes() {
    let (mut vhost, backend) = start(|setup| setup.set("proxy.shutdown_timeout_secs", 30));
    let mut socket = WebSocket::open(vhost.http(), "example.com");
    assert_eq!(backend.web_sockets(), 1);
    vhost.signal(Signal::SIGTERM);
    eventually("nobody is accepted any more", SOON, || stopped_accepting(&vhost));
    socket.echo("still there").unwrap();
    assert!(!vhost.has_ended());
    socket.close().unwrap();
    assert!(vhost.wait_for_exit(SOON).success());
}
