//! Which names a TLS connection is for: the one that it asked for, and those of its certificate.

use http::Request;
use serde_json::json;

use crate::harness::*;

/// Three domains, two of them behind one certificate.
struct Sites {
    vhost: Vhost,
    client: TlsClient,
    _backend: Backend,
    _directory: tempfile::TempDir,
}

impl Sites {
    fn start() -> Self {
        let (backend, authority) = (Backend::start("web"), Authority::new());
        let directory = tempfile::tempdir().unwrap();
        let both = authority.issue(&["example.com", "*.example.com"]);
        let both = both.write_to(directory.path(), "both").tls_line();
        let other = authority.issue(&["other.test"]).write_to(directory.path(), "other").tls_line();
        let vhost = Setup::new()
            .domain_with("example.com", "a", &both)
            .domain_with("*.example.com", "a", &both)
            .domain_with("other.test", "a", &other)
            .backend("web", backend.address(), &["a"])
            .start();
        vhost.wait_until_healthy(1);
        let client = TlsClient::trusting(&authority.pem());
        Self { vhost, client, _backend: backend, _directory: directory }
    }
}

const HOSTS: [(&str, u16); 7] = [
    ("example.com", 200),
    ("EXAMPLE.com.:443", 200),
    ("www.example.com", 200),
    ("other.test", 421),
    ("a.www.example.com", 404),
    ("unknown.test", 404),
    ("example.com", 200),
];

#[test]
fn a_connection_is_for_the_names_of_its_certificate() {
    let sites = Sites::start();
    let mut client = sites.client.connect(sites.vhost.https(), Some("example.com")).unwrap();
    for (host, status) in HOSTS {
        let response = client.get(host, "/");
        assert_eq!(response.status, status, "{host}");
        assert!(!response.closes(), "the connection is right for others: {host}");
    }
    let refused = sites.vhost.rpc("state.get", json!({})).unwrap()["refused"].clone();
    assert_eq!(refused, json!({ "misdirected": 1, "unknown_host": 2 }));
    assert_eq!(sites.vhost.wait_for_log("reason=misdirected").len(), 1);
}

/// Browsers ask for each name of a certificate over one connection (RFC 9113 §9.1.1).
#[test]
fn browsers_may_use_one_connection_of_http2_for_all_names_of_a_certificate() {
    let sites = Sites::start();
    in_runtime(async {
        let client = sites.client.clone().alpn(&["h2"]);
        let (mut connection, _) =
            client.connect_h2(sites.vhost.https(), Some("example.com")).await.unwrap();
        for (host, status) in HOSTS {
            let response = connection.get(host, "/").await.unwrap();
            assert_eq!(response.status, status, "{host}");
        }
        let request =
            Request::post("https://other.test/").header("content-type", "application/grpc");
        let (response, _) = connection.start(request.body(()).unwrap(), true).await.unwrap();
        let response = read(response).await.unwrap();
        assert_eq!(
            (response.status.as_u16(), &response.headers["grpc-status"]),
            (200, &"2".parse().unwrap())
        );
    });
}

/// In the clear there is nothing to be misled by.
#[test]
fn plain_connections_are_for_every_name() {
    let sites = Sites::start();
    let mut client = sites.vhost.connect();
    for host in ["example.com", "other.test", "www.example.com"] {
        assert_ne!(client.get(host, "/").status, 421, "{host}");
    }
}
