//! HTTP to a CA, with time-outs and useful errors.
//!
//! instant-acme expects JSON everywhere and drops the headers of errors; but middleboxes answer
//! with HTML, and `Retry-After` is in the headers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER, USER_AGENT};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};
use parking_lot::Mutex;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::time::timeout;
use tracing::warn;

use super::http_date;
use crate::https_client::{USER_AGENT_VALUE, connector, words};

/// The answer is missing, or is not that of an ACME CA.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(super) struct NotAcme {
    pub(super) words: String,
    pub(super) hint: Option<String>,
}

/// Facts from a CA's responses that instant-acme does not pass on, in one session.
#[derive(Clone, Default)]
pub(super) struct ResponseFacts(Arc<Mutex<FactsInner>>);

#[derive(Default)]
struct FactsInner {
    retry_after: Option<SystemTime>,
    issuer_domain: Option<String>,
}

impl ResponseFacts {
    /// `Retry-After` of the last answer, if that was an error.
    pub(super) fn retry_after(&self) -> Option<SystemTime> {
        self.0.lock().retry_after
    }

    /// The CA's name in DNS records.
    pub(super) fn issuer_domain(&self) -> Option<String> {
        self.0.lock().issuer_domain.clone()
    }
}

/// The connections to one CA. A clone shares them.
#[derive(Clone)]
pub(super) struct Connection {
    http: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    directory: Arc<Directory>,
}

struct Directory {
    url: String,
    /// The last one that was fetched, and when: each session starts with it.
    kept: Mutex<Option<(Instant, Bytes)>>,
    clock_skew_logged: AtomicBool,
}

impl Connection {
    pub(super) fn new(directory_url: String, tls: ClientConfig) -> Result<Self, String> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30));
        let directory = Directory {
            url: directory_url,
            kept: Mutex::new(None),
            clock_skew_logged: AtomicBool::new(false),
        };
        let http = builder.build(connector(Some(tls), Duration::from_secs(10))?);
        Ok(Self { http, directory: Arc::new(directory) })
    }

    /// Starts a session with the CA; `ResponseFacts` collects what instant-acme does not pass on.
    pub(super) fn converse(&self) -> (Box<dyn HttpClient>, ResponseFacts) {
        let seen = ResponseFacts::default();
        (Box::new(Conversation { connection: self.clone(), seen: seen.clone() }), seen)
    }
}

#[derive(Clone)]
struct Conversation {
    connection: Connection,
    seen: ResponseFacts,
}

impl HttpClient for Conversation {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let this = self.clone();
        Box::pin(async move { this.exchange(request).await })
    }
}

impl Conversation {
    async fn exchange(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, Error> {
        const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
        let directory = &self.connection.directory;
        let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
        let method = request.method().clone();
        let is_directory = method == Method::GET && request.uri() == directory.url.as_str();
        if is_directory && let Some(body) = directory.fresh() {
            self.hear(&body);
            let (parts, ()) = http::Response::new(()).into_parts();
            return Ok(BytesResponse { parts, body: Box::new(body) });
        }
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
        let (mut parts, body) = match timeout(EXCHANGE_TIMEOUT, self.send(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => {
                return Err(refused(format!("cannot reach `{host}`: {why}"), trust_hint(&why)));
            }
            Err(_) => {
                let words =
                    format!("no answer from `{host}` within {} s", EXCHANGE_TIMEOUT.as_secs());
                return Err(refused(words, None));
            }
        };
        self.note(&parts);
        bound_retry_after(&method, &mut parts.headers, SystemTime::now());
        if parts.status.is_client_error() || parts.status.is_server_error() {
            return problem(&host, &method, parts, &body);
        }
        check(&host, &method, is_directory, &parts, &body)?;
        self.hear(&body);
        if is_directory {
            *directory.kept.lock() = Some((Instant::now(), body.clone()));
        } else if method == Method::GET && !parts.headers.contains_key(RETRY_AFTER) {
            // Renewal information: instant-acme requires a `Retry-After` there.
            parts.headers.insert(RETRY_AFTER, HeaderValue::from_static("21600"));
        }
        Ok(BytesResponse { parts, body: Box::new(body) })
    }

    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Result<(Parts, Bytes), String> {
        const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
        let answer = self.connection.http.request(request).await.map_err(|error| words(&error))?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
        Ok((parts, body.map_err(|error| words(error.as_ref()))?.to_bytes()))
    }

    /// Notes `Retry-After` and `Date`.
    fn note(&self, parts: &Parts) {
        const MAX_CLOCK_SKEW: Duration = Duration::from_mins(1);
        let now = SystemTime::now();
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let failed = parts.status.is_client_error() || parts.status.is_server_error();
        self.seen.0.lock().retry_after = text(RETRY_AFTER)
            .filter(|_| failed)
            .and_then(|value| http_date::retry_after(value, now));
        let Some(theirs) = text(DATE).and_then(http_date::http_date) else { return };
        let apart = now.duration_since(theirs).unwrap_or_else(|error| error.duration());
        let logged = &self.connection.directory.clock_skew_logged;
        if apart > MAX_CLOCK_SKEW && !logged.swap(true, Ordering::Relaxed) {
            warn!(
                directory_url = self.connection.directory.url,
                seconds = apart.as_secs(),
                "the clock differs from the CA's"
            );
        }
    }

    /// Notes the CA's name in DNS records, which instant-acme does not pass on: for dns-persist-01
    /// from the challenge, and for CAA records from the directory.
    fn hear(&self, body: &Bytes) {
        let said = |name: &str| body.windows(name.len()).any(|part| part == name.as_bytes());
        if !said("issuer-domain-names") && !said("caaIdentities") {
            return;
        }
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
        let of_challenge = value["challenges"]
            .as_array()
            .and_then(|all| all.iter().find_map(|one| one["issuer-domain-names"][0].as_str()));
        let mut last = self.seen.0.lock();
        if let Some(name) = of_challenge {
            last.issuer_domain = Some(name.to_owned());
        } else if let Some(name) = value["meta"]["caaIdentities"][0].as_str() {
            last.issuer_domain.get_or_insert_with(|| name.to_owned());
        }
    }
}

impl Directory {
    fn fresh(&self) -> Option<Bytes> {
        const MAX_DIRECTORY_AGE: Duration = Duration::from_mins(10);
        let kept = self.kept.lock();
        kept.as_ref()
            .filter(|(at, _)| at.elapsed() < MAX_DIRECTORY_AGE)
            .map(|(_, body)| body.clone())
    }
}

/// Bounds `Retry-After` for instant-acme, which adds any number to the clock, so that it overflows,
/// and gives up polling an order if the wait is longer than its own limit.
///
/// While an order is processed it is only a hint: some CAs say a day and are done in seconds. That
/// of an error has been noted before.
fn bound_retry_after(method: &Method, headers: &mut HeaderMap, now: SystemTime) {
    /// An order is polled again after this at the latest.
    const MAX_POLL_WAIT: Duration = Duration::from_secs(45);
    /// Renewal information is; see `renewal`, which keeps to less.
    const MAX_RENEWAL_INFO_WAIT: Duration = Duration::from_hours(24);
    let longest = if *method == Method::GET { MAX_RENEWAL_INFO_WAIT } else { MAX_POLL_WAIT };
    let said = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let until = said.and_then(|value| http_date::retry_after(value, now));
    headers.remove(RETRY_AFTER);
    if let Some(until) = until {
        let wait = until.duration_since(now).unwrap_or_default().min(longest);
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
}

/// An error answer as a problem document, also if the server sent none.
fn problem(host: &str, method: &Method, parts: Parts, body: &[u8]) -> Result<BytesResponse, Error> {
    let status = parts.status;
    let mut value = serde_json::from_slice::<Value>(body).unwrap_or_default();
    if serde_json::from_value::<Problem>(value.clone()).is_err() {
        let detail = format!("`{host}` answered {status}, but not like an ACME CA");
        value = serde_json::json!({ "detail": detail });
    }
    if value["status"].is_null() {
        value["status"] = status.as_u16().into();
    }
    if *method == Method::POST {
        // instant-acme itself checks whether these are about the nonce.
        let body = Bytes::from(value.to_string());
        return Ok(BytesResponse { parts, body: Box::new(body) });
    }
    Err(Error::Api(serde_json::from_value(value)?))
}

/// Checks that a successful answer is that of an ACME CA.
fn check(
    host: &str,
    method: &Method,
    is_directory: bool,
    parts: &Parts,
    body: &[u8],
) -> Result<(), Error> {
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let hint = || {
        Some(format!(
            "check `directory_url`, and whether something between this server and `{host}` answers instead of it"
        ))
    };
    if parts.status.is_redirection() {
        let to = text(LOCATION).unwrap_or("nowhere");
        return Err(refused(
            format!("`{host}` redirects to `{to}`, but CAs do not redirect"),
            hint(),
        ));
    }
    if text(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html")) {
        return Err(refused(format!("`{host}` answered with a web page"), hint()));
    }
    if *method == Method::GET {
        let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
        if !value.is_object() {
            return Err(refused(format!("the answer of `{host}` is not JSON"), hint()));
        }
        if is_directory && !value["newNonce"].is_string() {
            return Err(refused(
                format!("the answer of `{host}` is not an ACME directory"),
                hint(),
            ));
        }
    }
    Ok(())
}

fn trust_hint(why: &str) -> Option<String> {
    why.contains("certificate").then(|| {
        "set `ca_root` to a file with the root certificate of the CA's own HTTPS".to_owned()
    })
}

fn refused(words: String, hint: Option<String>) -> Error {
    Error::Other(Box::new(NotAcme { words, hint }))
}

#[cfg(test)]
mod tests;
