use std::io::Read;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::health::testing::{Server, answer, backend, nobody, quick_check, serve_tcp};
use crate::model::Scheme;

async fn probe_as(check: HealthCheck, address: &str, scheme: Scheme) -> Probe {
    let node = BackendNode::new(backend("w1", address, scheme), &crate::tls::PeerFiles::default());
    Prober::new(check).probe(&node, &node.live.endpoints()).await
}

async fn probe(address: impl ToString, scheme: Scheme) -> Probe {
    probe_as(quick_check(), &address.to_string(), scheme).await
}

fn tcp_check() -> HealthCheck {
    HealthCheck { kind: HealthCheckKind::Tcp, ..quick_check() }
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
    let check = HealthCheck {
        kind: HealthCheckKind::Http {
            path: "/up?full=1".parse().unwrap(),
            host: None,
            expected: "204".parse().unwrap(),
        },
        ..quick_check()
    };
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
        &crate::tls::PeerFiles::default(),
    );
    let prober = Prober::new(quick_check());
    for _ in 0..2 {
        let found = prober.probe(&node, &node.live.endpoints()).await;
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
        &crate::tls::PeerFiles::default(),
    );
    let check = HealthCheck { timeout: Duration::from_secs(3), ..quick_check() };
    let prober = Prober::new(check);
    let all = Endpoints::Tcp(vec![silent.address, refused, server.address]);
    let found = prober.probe(&node, &all).await;
    assert_eq!((error(&found), found.address), ("passed", Some(server.address)));
    let bad = prober.probe(&node, &Endpoints::Tcp(vec![silent.address, refused])).await;
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

#[test]
fn times_are_short() {
    for (ms, words) in [(100, "100 ms"), (1000, "1 s"), (2500, "2.5 s"), (5000, "5 s")] {
        assert_eq!(in_words(Duration::from_millis(ms)), words);
    }
}
