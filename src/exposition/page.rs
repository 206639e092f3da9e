//! The listener of metrics and the status page.

use std::io::Write as _;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use super::Exposition;
use crate::accept::serve_at_most;
use crate::model::{Access, DomainName, ForeignHost, check_own_host};
use crate::slow_reader::{Rule, SlowReader};

/// One file without external resources.
const PAGE: &str = include_str!("status.html");

/// The most connections to one address; beyond that, the oldest of the client with the most is closed.
const MAX_CONNECTIONS: usize = 64;

/// How long the first head may take.
const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a head may take, and how long a connection may be silent: longer than the usual time
/// between two scrapes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// How long a connection is kept, and how long its last answer may then take.
const MAX_CONNECTION_AGE: Duration = Duration::from_mins(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest head, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// How long an answer may take once the reader falls behind.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The state of the server as JSON for the page; `None` on failure. A callback, so that this room
/// does not import control.
pub(crate) type Overview =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Option<String>> + Send>> + Send + Sync>;

/// What the token with a secret allows; `None` if there is no such token. A callback for the same reason.
pub(crate) type AccessOf = Arc<dyn Fn(&str) -> Option<Access> + Send + Sync>;

/// The page for people.
pub(crate) struct StatusPage {
    /// What it shows.
    pub overview: Overview,
    /// The tokens, if the page requires one.
    pub tokens: Option<AccessOf>,
}

/// Serves metrics at `listener` as long as this is polled; with `page` also that.
pub(crate) async fn serve(
    listener: TcpListener,
    exposition: Exposition,
    page: Option<StatusPage>,
    hosts: Vec<DomainName>,
) {
    let mut router = Router::new().route("/metrics", get(metrics)).with_state(exposition);
    if let Some(StatusPage { overview, tokens }) = page {
        let page = page_file();
        let mut pages = Router::new()
            .route("/", get(async move || page.clone()))
            .route("/status.json", get(async move || status(overview().await)));
        if let Some(tokens) = tokens {
            pages = pages.layer(middleware::from_fn_with_state(tokens, only_with_read_token));
        }
        router = router.merge(pages);
    }
    let hosts: Arc<[DomainName]> = hosts.into();
    let router = router.layer(middleware::from_fn_with_state(hosts, only_own_hosts));
    serve_at_most(MAX_CONNECTIONS, listener, "metrics", |stream, client| {
        connection(stream, client.ip().to_canonical(), router.clone())
    })
    .await;
}

async fn connection(stream: TcpStream, client: IpAddr, router: Router) {
    let Ok(own) = stream.local_addr() else { return };
    let asked = Arc::new(AtomicBool::new(false));
    let router =
        router.layer(Extension(Reader { client, own: own.ip(), asked: Arc::clone(&asked) }));
    let stream = SlowReader::new(stream, ANSWER_TIMEOUT, Rule::WholeAnswer);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    // How a client disconnects does not matter.
    if tokio::time::timeout(FIRST_HEAD_TIMEOUT, &mut connection).await.is_ok()
        || !asked.load(Ordering::Relaxed)
    {
        return;
    }
    if tokio::time::timeout(MAX_CONNECTION_AGE, &mut connection).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection).await;
    }
}

/// The client of a connection.
#[derive(Clone)]
struct Reader {
    /// Its own address.
    client: IpAddr,
    /// The address that it came to.
    own: IpAddr,
    /// Whether it has sent a request.
    asked: Arc<AtomicBool>,
}

/// Refuses requests that a web page may have sent under another name (DNS rebinding).
async fn only_own_hosts(
    State(hosts): State<Arc<[DomainName]>>,
    Extension(Reader { own, asked, .. }): Extension<Reader>,
    request: Request,
    next: Next,
) -> Response {
    asked.store(true, Ordering::Relaxed);
    match check_own_host(request.headers(), request.uri(), own, &hosts) {
        Ok(()) => next.run(request).await,
        Err(ForeignHost::NotOne) => {
            (StatusCode::BAD_REQUEST, "the request has not exactly one `Host`\n").into_response()
        }
        Err(ForeignHost::Foreign) => {
            let words = "the `Host` is not a name of this server: use its address or `localhost`, or add the name to `metrics.hosts`\n";
            (StatusCode::FORBIDDEN, words).into_response()
        }
    }
}

async fn metrics(State(exposition): State<Exposition>, headers: HeaderMap) -> Response {
    let zipped = takes_gzip(&headers);
    let made = tokio::task::spawn_blocking(move || {
        let text = exposition.render();
        if zipped { zip(&text) } else { Some(text.into()) }
    });
    let Ok(Some(body)) = made.await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Exposition::CONTENT_TYPE));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if zipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Refuses requests without a token of read access. Browsers send it as a password (RFC 7617), with each
/// request of the page; programs as a bearer (RFC 6750). It comes in clear text, again and again: one that
/// allows changes would soon be somebody else's.
async fn only_with_read_token(
    State(tokens): State<AccessOf>,
    Extension(Reader { client, .. }): Extension<Reader>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let reason = match secret_of(headers).map(|secret| tokens(&secret)) {
        Some(Some(Access::Read)) => return next.run(request).await,
        Some(Some(Access::Full)) => {
            "this token may make changes, and has now been sent in clear text: replace it with `vhost \
             ctl token rotate`"
        }
        Some(None) => "the token is not one of this server's",
        None => "there is no token",
    };
    // A browser always asks without one first.
    if headers.contains_key(header::AUTHORIZATION) {
        tracing::warn!(
            client_ip = %client,
            path = request.uri().path(),
            status = StatusCode::UNAUTHORIZED.as_u16(),
            reason,
            "refused at the status page"
        );
    }
    let challenge = (header::WWW_AUTHENTICATE, "Basic realm=\"vhost\", charset=\"UTF-8\"");
    let words = format!(
        "{reason}; the status page requires a token with read access as the password, and no other: make \
         one with `vhost ctl token add NAME --read`\n"
    );
    (StatusCode::UNAUTHORIZED, [challenge], words).into_response()
}

fn secret_of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, given) = value.to_str().ok()?.split_once(' ')?;
    let given = given.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(given.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(given).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// The page, with a policy that allows only the contents of the file.
fn page_file() -> ([(HeaderName, HeaderValue); 5], &'static str) {
    let policy = format!(
        "default-src 'none'; connect-src 'self'; style-src {}; script-src {}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source_of("style"),
        source_of("script"),
    );
    // It consists of base64 and the constants above.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("sandbox"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, PAGE)
}

/// The policy's hash source of the page's only element of this kind (CSP 3 §2.3.1).
fn source_of(element: &str) -> String {
    let (start, end) = (format!("<{element}>"), format!("</{element}>"));
    let content = PAGE.split_once(&start).and_then(|(_, rest)| rest.split_once(&end));
    let content = content.map_or("", |(content, _)| content);
    let digest = ring::digest::digest(&ring::digest::SHA256, content.as_bytes());
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest))
}

fn status(overview: Option<String>) -> Response {
    let Some(json) = overview else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, json).into_response()
}

/// Whether the client accepts gzip: Prometheus does, and the text shrinks to a twentieth.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let refused =
            |weight: &str| weight.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(refused)
    })
}

fn zip(text: &str) -> Option<Bytes> {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(text.as_bytes()).ok()?;
    zipped.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_password_or_a_bearer() {
        let secret = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(text));
            secret_of(&headers)
        };
        assert_eq!(secret("Bearer abc").as_deref(), Some("abc"));
        // `ann:a:c`, and `:abc`
        assert_eq!(secret("basic YW5uOmE6Yw==").as_deref(), Some("a:c"));
        assert_eq!(secret("Basic OmFiYw==").as_deref(), Some("abc"));
        for wrong in ["", "abc", "Basic", "Basic !", "Basic YWJj", "Digest abc"] {
            assert_eq!(secret(wrong), None, "{wrong}");
        }
        let mut two = HeaderMap::new();
        two.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        two.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert_eq!(secret_of(&two), None);
    }

    #[test]
    fn gzip_is_sent_to_whom_takes_it() {
        let takes = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(text));
            takes_gzip(&headers)
        };
        assert!(takes("gzip"));
        assert!(takes("br;q=1.0, GZIP; q=0.5"));
        assert!(!takes("gzip;q=0"));
        assert!(!takes("identity"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
