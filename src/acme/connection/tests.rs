use http::header::HOST;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::*;
use crate::acme::testing::{Scripted, answer, ca, issuer};
use crate::acme::{AcmeError, Ca, ErrorKind, Listeners};

type Headers = &'static [(&'static str, &'static str)];

/// A CA at a server, trusted by a root of its own: the system's may be missing where tests run.
fn at(server: &Scripted, directory: &tempfile::TempDir) -> Ca {
    let ca_root = directory.path().join("root.pem");
    let root = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    std::fs::write(&ca_root, root.cert.pem()).unwrap();
    let mut issuer = issuer(&server.url("/dir"));
    issuer.ca_root = Some(ca_root);
    ca(issuer, None, Listeners { http: true, tls: true }, directory.path())
}

/// What registering comes to at a server that answers everything alike.
async fn alike(status: u16, headers: Headers, body: &'static str) -> AcmeError {
    let server = Scripted::start(move |_| answer(status, headers, body)).await;
    at(&server, &tempfile::tempdir().unwrap()).register().await.unwrap_err()
}

/// A CA that answers what is neither the directory nor a nonce like this.
async fn posts(status: u16, headers: Headers, body: &'static str) -> Scripted {
    Scripted::start(move |request| match request.uri().path() {
        "/dir" => directory(request),
        "/nonce" => answer(200, &[("replay-nonce", "bm9uY2U")], ""),
        _ => answer(status, headers, body),
    })
    .await
}

async fn registering(status: u16, headers: Headers, body: &'static str) -> AcmeError {
    let server = posts(status, headers, body).await;
    at(&server, &tempfile::tempdir().unwrap()).register().await.unwrap_err()
}

fn directory(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let base = format!("http://{}", request.headers()[HOST].to_str().unwrap());
    let body = serde_json::json!({
        "newNonce": format!("{base}/nonce"),
        "newAccount": format!("{base}/account"),
        "newOrder": format!("{base}/order"),
        "meta": { "caaIdentities": ["ca.test"] },
    });
    answer(200, &[("content-type", "application/json")], &body.to_string())
}

/// In how many seconds to come back; some of the last has passed.
fn left(error: &AcmeError) -> Option<u64> {
    let until = error.retry_after? + Duration::from_millis(500);
    Some(until.duration_since(SystemTime::now()).unwrap_or_default().as_secs())
}

#[tokio::test]
async fn an_account_is_made_once_and_kept() {
    let server = posts(201, &[("location", "http://ca.test/account/1")], "{}").await;
    let files = tempfile::tempdir().unwrap();
    let ca = at(&server, &files);
    assert_eq!(ca.account().uri, None);
    let info = ca.register().await.unwrap();
    assert_eq!(info.uri.as_deref(), Some("http://ca.test/account/1"));
    let record = "ca.test; accounturi=http://ca.test/account/1";
    assert_eq!(info.dns_persist, Some(format!("{record}; policy=wildcard")));
    assert_eq!(info.caa, Some(format!("0 issue \"{record}\"")));
    assert_eq!(at(&server, &files).register().await.unwrap(), info, "read by another");
    let made = |seen: Vec<String>| seen.iter().filter(|seen| *seen == "POST /account").count();
    assert_eq!(made(server.requests()), 1);
    let together = posts(201, &[("location", "http://ca.test/account/1")], "{}").await;
    let files = tempfile::tempdir().unwrap();
    let ca = at(&together, &files);
    let (one, two) = tokio::join!(ca.register(), ca.register());
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(made(together.requests()), 1, "by two at once");
}

#[tokio::test]
async fn what_lies_before_a_ca_is_recognised() {
    for (status, headers, body, words) in [
        (503, &[("content-type", "text/html")][..], "<html>busy</html>", "503 Service Unavailable"),
        (200, &[], "", "not JSON"),
        (
            200,
            &[("content-type", "text/html; charset=utf-8")],
            "<html>sign in</html>",
            "a web page",
        ),
        (302, &[("location", "http://portal.test/")], "", "redirects to `http://portal.test/`"),
        (200, &[], "{\"hello\":1}", "not an ACME directory"),
        (404, &[], "not found", "404 Not Found"),
    ] {
        let error = alike(status, headers, body).await;
        assert!(error.to_string().contains(words), "{status}: {error}");
        assert_eq!(error.kind(), ErrorKind::Transient, "{status}");
        assert!(error.hint().is_some() || status >= 400, "{status}: {error}");
        assert!(!error.to_string().contains('<'), "{error}");
    }
}

#[tokio::test]
async fn errors_of_posts_are_problems_whatever_they_are() {
    let html = &[("content-type", "text/html")];
    let error = registering(400, html, "<html>bad</html>").await;
    assert!(error.to_string().contains("400 Bad Request"), "{error}");
    let error = registering(502, html, "<html>bad</html>").await;
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY.as_u16()));
    let error = registering(200, html, "<html>portal</html>").await;
    assert!(error.to_string().contains("a web page"), "{error}");
    let body = r#"{"type":"urn:ietf:params:acme:error:externalAccountRequired","detail":"no"}"#;
    let error = registering(403, &[], body).await;
    assert_eq!(error.to_string(), "externalAccountRequired: no");
    assert_eq!(error.kind(), ErrorKind::Blocked);
    assert!(error.hint().unwrap().contains("eab_kid"));
}

#[tokio::test]
async fn the_time_to_come_back_is_kept() {
    let limited = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"enough"}"#;
    let error = registering(429, &[("retry-after", "3600")], limited).await;
    assert_eq!(error.kind(), ErrorKind::RateLimited { whole_account: true });
    assert_eq!(left(&error), Some(3600));
    let error = registering(429, &[("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")], "").await;
    assert!(left(&error) > Some(365 * 24 * 3600));
    let error = registering(429, &[], limited).await;
    assert_eq!(left(&error), None);
    let error = registering(429, &[("retry-after", "soon")], limited).await;
    assert_eq!(left(&error), None);
    let error = alike(503, &[("retry-after", "120")], "").await;
    assert_eq!(left(&error), Some(120));
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[test]
fn what_is_said_of_a_poll_is_a_hint() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_799);
    let left = |method: &Method, said: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::try_from(said).unwrap());
        bound_retry_after(method, &mut headers, now);
        assert!(headers.get_all(RETRY_AFTER).iter().count() <= 1);
        headers.get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
    };
    for (said, poll, information) in [
        ("0", Some("0"), Some("0")),
        ("5", Some("5"), Some("5")),
        ("86400", Some("45"), Some("86400")),
        ("18446744073709551615", Some("45"), Some("86400")),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some("45"), Some("86400")),
        ("Fri, 31 Dec 1999 23:59:59 GMT", Some("0"), Some("0")),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some("0"), Some("0")),
        ("-1", None, None),
        ("99999999999999999999999", None, None),
        ("soon", None, None),
        ("", None, None),
    ] {
        assert_eq!(left(&Method::POST, said).as_deref(), poll, "{said}");
        assert_eq!(left(&Method::GET, said).as_deref(), information, "{said}");
    }
}

#[tokio::test]
async fn too_much_is_not_read() {
    let server = Scripted::start(|_| answer(200, &[], &"x".repeat(2 * 1024 * 1024))).await;
    let error = at(&server, &tempfile::tempdir().unwrap()).register().await.unwrap_err();
    assert!(error.to_string().contains("length limit exceeded"), "{error}");
}

#[tokio::test]
async fn a_ca_that_is_not_there_is_named() {
    let server = Scripted::start(|_| answer(200, &[], "")).await;
    let files = tempfile::tempdir().unwrap();
    let ca = at(&server, &files);
    drop(server);
    let error = loop {
        // Until its port is really closed.
        let error = ca.register().await.unwrap_err();
        if error.to_string().contains("refused") {
            break error;
        }
    };
    assert!(error.to_string().starts_with("cannot reach `127.0.0.1:"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Scripted::start(|_| answer(200, &[], "")).await;
    let files = tempfile::tempdir().unwrap();
    // Only for the root that it writes.
    drop(at(&server, &files));
    let mut issuer = issuer(&format!("http://{}/dir", listener.local_addr().unwrap()));
    issuer.ca_root = Some(files.path().join("root.pem"));
    let ca = ca(issuer, None, Listeners { http: true, tls: true }, files.path());
    let error = ca.register().await.unwrap_err();
    assert!(error.to_string().contains("no answer from"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Transient);
}
