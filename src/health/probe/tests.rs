use std::io::Read;
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::health::testing::{Server, answer, backend, nobody, serve_tcp};
use crate::model::{HealthCheckOptions, Scheme};

async fn probe_as(check: HealthCheck, address: &str, scheme: Scheme) -> Probe {
    let node =
        BackendNode::new(backend("w1", address, scheme), None, &crate::tls::PeerFiles::default());
    Prober::new().probe(&check, &node, &node.live.endpoints()).await
}

/// A check with these keys.
fn with(keys: serde_json::Value) -> HealthCheck {
    let serde_json::Value::Object(keys) = keys else { panic!("{keys}") };
    let keys: HealthCheckOptions = crate::model::record::read(keys).expect("they are right");
    keys.check_over(&crate::health::testing::quick_check())
}

fn quick_check() -> HealthCheck {
    with(json!({}))
}

async fn probe(address: impl ToString, scheme: Scheme) -> Probe {
    probe_as(quick_check(), &address.to_string(), scheme).await
}

fn tcp_check() -> HealthCheck {
    with(json!({"kind": "tcp"}))
}

fn impatient() -> HealthCheck {
    HealthCheck { timeout: Duration::from_millis(100), ..quick_check() }
}

fn error(probe: &Probe) -> &str {
    probe.error.as_deref().unwrap_or("passed")
}

#[tokio::test]
async fn an_expected_status_passes_and_the_request_says_who_asks() {
    let server = Server::start(204).await;
    let check = with(json!({"path": "/up?full=1", "expected_status": "204"}));
    let found = probe_as(check, &server.address.to_string(), Scheme::Http).await;
    assert_eq!((error(&found), found.status), ("passed", Some(204)));
    let request = server.last_request.lock().to_lowercase();
    assert!(request.starts_with("get /up?full=1 http/1.1\r\n"), "{request}");
    for line in [
        format!("host: {}", server.address),
        format!("user-agent: vhost-health/{}", env!("CARGO_PKG_VERSION")),
        "connection: close".to_owned(),
    ] {
        assert!(request.lines().any(|l| l == line), "{line} in {request}");
    }
}

#[tokio::test]
async fn another_status_fails_and_says_what_was_expected() {
    let server = Server::start(503).await;
    let found = probe(server.address, Scheme::Http).await;
    assert_eq!(found.status, Some(503));
    assert_eq!(error(&found), "status 503, expected 200-399");
}

#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let address = serve_tcp(|stream| async move {
        let text = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        answer(stream, text).await;
    })
    .await;
    assert_eq!(probe(address, Scheme::Http).await.status, Some(200));
}

#[tokio::test]
async fn failures_have_reasons_in_words() {
    let refused = nobody().await;
    assert_eq!(error(&probe(refused, Scheme::Http).await), "connection refused");
    assert_eq!(error(&probe(refused, Scheme::H2c).await), "connection refused");
    let tcp = probe_as(tcp_check(), &refused.to_string(), Scheme::Http).await;
    assert_eq!(error(&tcp), "connection refused");

    let closes = serve_tcp(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    assert_eq!(error(&probe(closes, Scheme::Http).await), "closed without an answer");

    let babbles = serve_tcp(|stream| answer(stream, "220 mail ready\r\n\r\n")).await;
    assert_eq!(error(&probe(babbles, Scheme::Http).await), "the answer is not HTTP/1");

    let http1 = serve_tcp(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let found = probe(http1, Scheme::Https).await;
    assert_eq!(error(&found), "TLS: it does not speak TLS");

    let found = probe("unix:/nowhere/app.sock", Scheme::Http).await;
    assert_eq!(error(&found), "no such socket");
}

#[tokio::test]
async fn a_silent_backend_times_out() {
    let server = Server::start(0).await;
    let found = probe_as(impatient(), &server.address.to_string(), Scheme::Http).await;
    assert_eq!(error(&found), "timed out after 100 ms");
    assert!(found.latency >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_connection_is_enough_for_tcp() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let found = probe_as(tcp_check(), &address, Scheme::Http).await;
    assert_eq!((error(&found), found.status), ("passed", None));
}

#[tokio::test]
async fn unix_sockets_are_probed_by_http_and_by_connect() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let address = format!("unix:{}", path.display());
    assert_eq!(probe(&address, Scheme::Http).await.status, Some(200));
    assert_eq!(error(&probe_as(tcp_check(), &address, Scheme::Http).await), "passed");
}

#[tokio::test]
async fn h2c_is_spoken_with_prior_knowledge_on_a_connection_of_its_own() {
    let (closed, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let address = serve_tcp(move |stream| {
        let closed = closed.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
            let mut requests = 0;
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                requests += 1;
                assert_eq!(request.uri().path(), "/");
                let answer = http::Response::builder().status(200).body(()).unwrap();
                respond.send_response(answer, true).unwrap();
            }
            closed.send(requests).unwrap();
        }
    })
    .await;
    let node = BackendNode::new(
        backend("w1", &address.to_string(), Scheme::H2c),
        None,
        &crate::tls::PeerFiles::default(),
    );
    let (prober, check) = (Prober::new(), quick_check());
    for _ in 0..2 {
        let found = prober.probe(&check, &node, &node.live.endpoints()).await;
        assert_eq!((error(&found), found.status), ("passed", Some(200)));
        let served = timeout(Duration::from_secs(10), ends.recv()).await.expect("it was closed");
        assert_eq!(served, Some(1), "one request, then the connection is closed");
    }
}

#[tokio::test]
async fn of_several_addresses_one_that_answers_is_enough() {
    let server = Server::start(200).await;
    let refused = nobody().await;
    let silent = Server::start(0).await;
    let node = BackendNode::new(
        backend("w1", "web.internal:1", Scheme::Http),
        None,
        &crate::tls::PeerFiles::default(),
    );
    let check = HealthCheck { timeout: Duration::from_secs(3), ..quick_check() };
    let prober = Prober::new();
    let all = Endpoints::Tcp(vec![silent.address, refused, server.address]);
    let found = prober.probe(&check, &node, &all).await;
    assert_eq!((error(&found), found.address), ("passed", Some(server.address)));
    let bad = prober.probe(&check, &node, &Endpoints::Tcp(vec![silent.address, refused])).await;
    assert_eq!(error(&bad), format!("{refused}: connection refused"));
}

/// For `localhost` and 127.0.0.1, signed by itself, with its key; valid until 2120. Not a secret.
const SELF_SIGNED: &str = include_str!("self_signed.pem");

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_named_as_the_reason() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(SELF_SIGNED.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(SELF_SIGNED.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let _ = rustls::Stream::new(&mut tls, &mut socket).read(&mut [0; 1]);
    });
    let found = probe(address, Scheme::Https).await;
    assert_eq!(error(&found), "TLS: the certificate's issuer is not trusted");
    server.join().unwrap();
}

/// The answer of an HTTP/1 server that sends the same to everybody.
async fn fixed(text: &'static str) -> SocketAddr {
    serve_tcp(move |stream| answer(stream, text)).await
}

#[tokio::test]
async fn a_body_is_expected_by_its_text_or_by_a_pattern() {
    let body = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"up\"}";
    for (expected, said) in [
        (json!("\"up\""), "passed"),
        (json!({"regex": "^\\{\"status\":\"(ok|up)\"\\}$"}), "passed"),
        (json!("ok"), "the body lacks `ok`; it begins `{\"status\":\"up\"}`"),
        (
            json!({"regex": "^up$"}),
            "the body doesn't match regex `^up$`; it begins `{\"status\":\"up\"}`",
        ),
    ] {
        let check = with(json!({ "expect_body": expected }));
        let found = probe_as(check, &fixed(body).await.to_string(), Scheme::Http).await;
        assert_eq!((error(&found), found.status), (said, Some(200)));
    }
    let empty = fixed("HTTP/1.1 204 No Content\r\n\r\n").await.to_string();
    let found = probe_as(with(json!({"expect_body": "ok"})), &empty, Scheme::Http).await;
    assert_eq!(error(&found), "the body lacks `ok`; it is empty");
    let cut = fixed("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnot").await.to_string();
    let found = probe_as(with(json!({"expect_body": "ok"})), &cut, Scheme::Http).await;
    assert!(error(&found).starts_with("the body broke off: "), "{}", error(&found));
}

#[tokio::test]
async fn an_endless_body_is_looked_at_up_to_a_bound_and_a_slow_one_up_to_the_timeout() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
    let endless = serve_tcp(|mut stream| async move {
        let _ = stream.write_all(HEAD).await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await
    .to_string();
    for expected in [json!("ok"), json!({"regex": "ok"})] {
        let check = with(json!({ "expect_body": expected }));
        let found = probe_as(check, &endless, Scheme::Http).await;
        assert!(error(&found).starts_with("the first 64 KiB of the body "), "{}", error(&found));
        assert!(error(&found).len() < 200, "{}", error(&found));
    }
    let slow = serve_tcp(|mut stream| async move {
        let _ = stream.write_all(HEAD).await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .to_string();
    let check = with(json!({"expect_body": "ok", "timeout_secs": 0.3}));
    let found = probe_as(check, &slow, Scheme::Http).await;
    assert_eq!(error(&found), "timed out after 300 ms in the body of the answer");
    assert_eq!(found.status, Some(200));
    // What is found is enough, however long the answer goes on.
    let found_soon = probe_as(with(json!({"expect_body": "xxx"})), &slow, Scheme::Http).await;
    assert_eq!(error(&found_soon), "passed");
}

#[tokio::test]
async fn a_text_is_found_across_pieces_of_a_body() {
    let address = serve_tcp(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        for piece in ["he", "al", "th", "y"] {
            let _ = stream.write_all(piece.as_bytes()).await;
            let _ = stream.flush().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let check = with(json!({"expect_body": "healthy"}));
    assert_eq!(error(&probe_as(check, &address.to_string(), Scheme::Http).await), "passed");
}

#[tokio::test]
async fn method_and_headers_are_the_checks() {
    let server = Server::start(200).await;
    let check = with(json!({
        "method": "POST",
        "host": "shop.test",
        "headers": {"User-Agent": "mine", "X-Probe": "1"},
    }));
    let found = probe_as(check, &server.address.to_string(), Scheme::Http).await;
    assert_eq!(error(&found), "passed");
    let request = server.last_request.lock().to_lowercase();
    assert!(request.starts_with("post / http/1.1\r\n"), "{request}");
    for line in ["host: shop.test", "user-agent: mine", "x-probe: 1", "content-length: 0"] {
        assert_eq!(request.lines().filter(|l| *l == line).count(), 1, "{line} in {request}");
    }
    assert!(!request.contains("vhost-health"), "{request}");
}

#[tokio::test]
async fn another_port_is_probed_without_a_proxy_header_and_says_nothing_of_the_address() {
    let server = Server::start(200).await;
    let (ip, port) = (server.address.ip(), server.address.port());
    let mut declared =
        backend("w1", &SocketAddr::new(ip, nobody().await.port()).to_string(), Scheme::Http);
    declared.options.send_proxy_protocol = SendProxyProtocol::V2;
    let node = BackendNode::new(declared, None, &crate::tls::PeerFiles::default());
    let prober = Prober::new();
    let found = prober.probe(&with(json!({ "port": port })), &node, &node.live.endpoints()).await;
    assert_eq!((error(&found), found.address), ("passed", None));
    let host = format!("host: {ip}:{port}");
    assert!(server.last_request.lock().to_lowercase().contains(&host));
    drop(server);
    let refused = nobody().await.port();
    for kind in ["http", "tcp", "grpc"] {
        let check = with(json!({ "port": refused, "kind": kind }));
        let found = prober.probe(&check, &node, &node.live.endpoints()).await;
        assert_eq!(error(&found), format!("port {refused}: connection refused"), "{kind}");
    }
}

/// A server of one gRPC call after the other; `answer` makes what each gets.
async fn grpc_server(
    answer: impl Fn(http::Request<Vec<u8>>) -> (http::Response<()>, Vec<u8>, Option<http::HeaderMap>)
    + Send
    + Sync
    + 'static,
) -> String {
    let answer = std::sync::Arc::new(answer);
    let address = serve_tcp(move |stream| {
        let answer = answer.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let (head, mut body) = request.into_parts();
                    let mut message = Vec::new();
                    while let Some(Ok(data)) = body.data().await {
                        let _ = body.flow_control().release_capacity(data.len());
                        message.extend_from_slice(&data);
                    }
                    let (head, body, trailers) = answer(http::Request::from_parts(head, message));
                    let is_end = body.is_empty() && trailers.is_none();
                    let mut stream = respond.send_response(head, is_end).unwrap();
                    if !is_end {
                        stream.send_data(body.into(), trailers.is_none()).unwrap();
                        if let Some(trailers) = trailers {
                            stream.send_trailers(trailers).unwrap();
                        }
                    }
                });
            }
        }
    })
    .await;
    address.to_string()
}

fn grpc_head() -> http::response::Builder {
    http::Response::builder().header("content-type", "application/grpc")
}

fn trailers(status: &'static str) -> http::HeaderMap {
    let status = http::HeaderValue::from_static(status);
    http::HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status)])
}

#[tokio::test]
async fn a_grpc_server_is_asked_by_the_protocol_of_grpc() {
    let address = grpc_server(|request| {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            (header("content-type"), header("te")),
            ("application/grpc".into(), "trailers".into())
        );
        assert_eq!((header("x-probe").as_str(), request.uri().host()), ("1", Some("shop.test")));
        let status =
            if request.body() == &super::super::grpc::request("shop.v1.Cart") { 1 } else { 2 };
        (grpc_head().body(()).unwrap(), vec![0, 0, 0, 0, 2, 8, status], Some(trailers("0")))
    })
    .await;
    let check = |service: &str| {
        with(
            json!({"kind": "grpc", "grpc_service": service, "host": "shop.test", "headers": {"x-probe": "1"}}),
        )
    };
    for scheme in [Scheme::Http, Scheme::H2c] {
        let found = probe_as(check("shop.v1.Cart"), &address, scheme).await;
        assert_eq!((error(&found), found.status), ("passed", Some(200)), "{scheme}");
        let found = probe_as(check("shop.v1.Other"), &address, scheme).await;
        assert_eq!(error(&found), "grpc status NOT_SERVING, expected SERVING", "{scheme}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_grpc_is_said() {
    type Answer = fn() -> (http::Response<()>, Vec<u8>, Option<http::HeaderMap>);
    let cases: [(Answer, &str); 6] = [
        (
            || (grpc_head().header("grpc-status", "12").body(()).unwrap(), Vec::new(), None),
            "grpc error UNIMPLEMENTED",
        ),
        (
            || {
                let head =
                    grpc_head().header("grpc-status", "5").header("grpc-message", "no%20such");
                (head.body(()).unwrap(), Vec::new(), None)
            },
            "grpc error NOT_FOUND: no such",
        ),
        (
            || (http::Response::builder().status(404).body(()).unwrap(), Vec::new(), None),
            "status 404, expected 200 of a gRPC server",
        ),
        (
            || (http::Response::new(()), b"<html>".to_vec(), None),
            "the answer is not gRPC: its content-type is none",
        ),
        (
            || (grpc_head().body(()).unwrap(), vec![0; 100_000], None),
            "the answer has more than 1024 bytes",
        ),
        (
            || (grpc_head().body(()).unwrap(), vec![0, 0, 0, 0, 2, 8, 1], None),
            "the answer has no grpc-status",
        ),
    ];
    for (answer, said) in cases {
        let address = grpc_server(move |_| answer()).await;
        assert_eq!(
            error(&probe_as(with(json!({"kind": "grpc"})), &address, Scheme::H2c).await),
            said
        );
    }
    let http1 = Server::start(200).await.address.to_string();
    let found =
        probe_as(with(json!({"kind": "grpc", "timeout_secs": 1})), &http1, Scheme::Http).await;
    assert!(found.error.is_some());
}

#[test]
fn times_are_short() {
    for (ms, words) in [(100, "100 ms"), (1000, "1 s"), (2500, "2.5 s"), (5000, "5 s")] {
        assert_eq!(in_words(Duration::from_millis(ms)), words);
    }
}
