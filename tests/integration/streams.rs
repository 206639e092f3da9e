//! What passes between clients of HTTP/2 and backends of HTTP/1.

use std::future::poll_fn;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::harness::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// An answer with what HTTP/1 has before and behind it.
const WHOLE: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
    HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
    5\r\nhello\r\n0\r\nX-Sum: 5\r\nContent-Length: 9\r\nAuthorization: x\r\n\r\n";

/// A backend that answers each request whole, chunked bodies with trailers included.
fn answering() -> (RawBackend, Vhost) {
    let backend = RawBackend::start(|connection| {
        while let Some(head) = connection.read_head() {
            let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
            // Up to the empty line behind the trailers: no data of these tests has one.
            if is_chunked && connection.read_head().is_none() {
                return;
            }
            connection.send(WHOLE);
        }
    });
    let vhost = Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

fn echoing() -> (Backend, Vhost) {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

#[test]
fn early_hints_and_trailers_reach_a_client() {
    let (_backend, vhost) = answering();
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        for _ in 0..3 {
            let request = Request::get("http://example.com/").body(()).unwrap();
            let (mut response, _) = client.start(request, true).await.unwrap();
            let hints = timeout(PATIENCE, poll_fn(|cx| response.poll_informational(cx)));
            let hints = hints.await.expect("in time").expect("hints").expect("no error");
            assert_eq!(hints.status(), StatusCode::EARLY_HINTS);
            assert_eq!(hints.headers()["link"], "</a.css>; rel=preload");
            let response = timeout(PATIENCE, response).await.expect("in time").unwrap();
            assert_eq!(
                (response.status(), &response.headers()["trailer"]),
                (StatusCode::OK, &"X-Sum".parse().unwrap())
            );
            let mut body = response.into_body();
            assert_eq!(body.data().await.expect("a piece").unwrap(), "hello");
            assert!(body.data().await.is_none());
            let trailers = body.trailers().await.unwrap().expect("trailers");
            assert_eq!(trailers.len(), 1, "{trailers:?}");
            assert_eq!(trailers["x-sum"], "5");
        }
    });
}

#[test]
fn trailers_of_a_request_reach_the_backend_but_for_those_that_frame_or_route() {
    let (backend, vhost) = answering();
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        let request = Request::post("http://example.com/").body(()).unwrap();
        let (response, mut body) = client.start(request, false).await.unwrap();
        body.send_data(Bytes::from_static(b"hello"), false).unwrap();
        let mut trailers = HeaderMap::new();
        for (name, value) in
            [("x-sum", "5"), ("content-length", "9"), ("x-forwarded-for", "1"), ("cookie", "a")]
        {
            trailers.insert(name, value.parse().unwrap());
        }
        body.send_trailers(trailers).unwrap();
        assert_eq!(timeout(PATIENCE, response).await.unwrap().unwrap().status(), StatusCode::OK);
    });
    let record = backend.record().concat();
    let text = String::from_utf8_lossy(&record);
    assert!(text.ends_with("5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n"), "{text}");
}

#[test]
fn nghttp_sees_early_hints_and_trailers() {
    let (_backend, vhost) = answering();
    let uri = format!("http://{}/", vhost.http());
    let output = Command::new("nghttp").args(["-v", "-H:authority: example.com", &uri]).output();
    let output = output.expect("nghttp is there");
    let text = String::from_utf8_lossy(&output.stdout);
    for line in [":status: 103", "link: </a.css>; rel=preload", ":status: 200", "x-sum: 5"] {
        assert!(text.contains(line), "`{line}` in {text}");
    }
    assert!(!text.contains("authorization"), "{text}");
}

/// A stream as a socket.
fn socket(mut receive: RecvStream, mut send: SendStream<Bytes>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut read, mut write) = tokio::io::split(far);
    tokio::spawn(async move {
        while let Some(Ok(data)) = receive.data().await {
            let _ = receive.flow_control().release_capacity(data.len());
            if write.write_all(&data).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = read.read(&mut buffer).await {
            let mut piece = Bytes::copy_from_slice(&buffer[..count]);
            while !piece.is_empty() {
                send.reserve_capacity(piece.len());
                let Some(Ok(room)) = poll_fn(|cx| send.poll_capacity(cx)).await else { return };
                let part = piece.split_to(room.min(piece.len()));
                if send.send_data(part, false).is_err() {
                    return;
                }
            }
        }
        let _ = send.send_data(Bytes::new(), true);
    });
    near
}

/// A request for a protocol on a stream (RFC 8441).
fn connect(protocol: &'static str, path: &str) -> Request<()> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://example.com{path}"))
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    request.extensions_mut().insert(Protocol::from_static(protocol));
    request
}

async fn open(client: &mut H2) -> WebSocketStream<DuplexStream> {
    let (response, send) = client.start(connect("websocket", "/ws"), false).await.unwrap();
    let response = timeout(PATIENCE, response).await.expect("in time").unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let stream = socket(response.into_body(), send);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    let hello = timeout(PATIENCE, socket.next()).await.expect("in time").expect("a hello");
    assert_eq!(hello.unwrap(), Message::text("web"));
    socket
}

#[test]
fn web_sockets_on_streams_are_closed_that_a_switch_leaves_behind() {
    let (web, next) = (Backend::start("web"), Backend::start("next"));
    let vhost = Setup::new()
        .domain_with(
            "example.com",
            "a",
            "drain = { websockets = { close_after_secs = 0.2, spread_secs = 0.1 } }",
        )
        .backend("web", web.address(), &["a"])
        .backend("next", next.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        client.wait_for_connect_protocol().await;
        let mut sockets = vec![open(&mut client).await, open(&mut client).await];
        let switch = vhost.ctl_in_background(&["switch", "example.com", "b"]);
        for socket in &mut sockets {
            let message =
                timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap();
            let Message::Close(Some(frame)) = message else { panic!("{message:?}") };
            assert_eq!(u16::from(frame.code), 1012);
            let end = timeout(PATIENCE, socket.next()).await.expect("in time");
            assert!(end.is_none(), "{end:?}");
        }
        assert_eq!(switch.wait().code, 0);
        let after = client.get("example.com", "/").await.unwrap();
        assert_eq!(after.headers["x-backend"], "next", "the connection goes on");
    });
}

#[test]
fn web_sockets_run_on_streams_side_by_side() {
    let (_backend, vhost) = echoing();
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        client.wait_for_connect_protocol().await;
        let mut sockets = Vec::new();
        for _ in 0..3 {
            sockets.push(open(&mut client).await);
        }
        assert_eq!(vhost.in_flight(), 3);
        // One at a time: what the others don't read takes the window of the connection.
        let large = Message::binary(vec![7; 1 << 20]);
        for socket in &mut sockets {
            socket.send(large.clone()).await.unwrap();
            let echo = timeout(PATIENCE, socket.next()).await.expect("in time");
            assert!(echo.expect("an echo").unwrap() == large);
        }
        for message in [Message::text("grüße"), Message::text("")] {
            for socket in &mut sockets {
                socket.send(message.clone()).await.unwrap();
            }
            for socket in &mut sockets {
                let echo = timeout(PATIENCE, socket.next()).await.expect("in time");
                assert_eq!(echo.expect("an echo").unwrap(), message);
            }
        }
        assert_eq!(client.get("example.com", "/").await.unwrap().status, StatusCode::OK);
        for mut socket in sockets {
            socket.close(None).await.unwrap();
            while let Some(Ok(_)) = timeout(PATIENCE, socket.next()).await.expect("in time") {}
        }
        eventually("none is in flight", PATIENCE, || vhost.in_flight() == 0);
    });
}

#[test]
fn what_a_connect_may_not_ask_for_is_refused() {
    let (_backend, vhost) = echoing();
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        client.wait_for_connect_protocol().await;
        for (protocol, path, status) in
            [("connect-udp", "/", 405), ("websocket", "/status/403", 403)]
        {
            let (response, _send) = client.start(connect(protocol, path), false).await.unwrap();
            let response = timeout(PATIENCE, response).await.expect("in time").unwrap();
            assert_eq!(response.status().as_u16(), status, "{protocol} {path}");
        }
        assert_eq!(client.get("example.com", "/").await.unwrap().status, StatusCode::OK);
    });
}

/// A server whose backend gives each request this answer.
fn giving(answer: Vec<u8>) -> (RawBackend, Vhost) {
    let backend = RawBackend::start(move |connection| {
        while connection.read_head().is_some() {
            connection.send(&answer);
        }
    });
    let vhost = Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

/// To the client a success would say that the tunnel is open.
#[test]
fn a_backend_that_knows_no_web_sockets_opens_none() {
    let (_backend, vhost) = giving(answer("plain"));
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        client.wait_for_connect_protocol().await;
        let (response, _send) = client.start(connect("websocket", "/"), false).await.unwrap();
        let response = timeout(PATIENCE, response).await.expect("in time").unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(client.get("example.com", "/").await.unwrap().status, StatusCode::OK);
    });
}

#[test]
fn interim_answers_without_end_are_no_answer() {
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".repeat(1000);
    let (_backend, vhost) = giving(hints);
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        let response = client.get("example.com", "/").await.unwrap();
        assert_eq!(response.status, StatusCode::BAD_GATEWAY);
    });
    assert_eq!(vhost.get("example.com", "/").status, 502);
}
