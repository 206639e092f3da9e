//! A call by HTTP.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, timeout_at};

use super::backoff::{may_try_again, retry_after};
use super::payload::{Again, Payload, Refusal};
use super::signature::sign;
use crate::clock::now_ms;
use crate::https_client::{USER_AGENT_VALUE, client_config, connector, words};
use crate::model::time_in_words;

/// The bytes of an answer that are read at most.
const MAX_ANSWER_BYTES: usize = 4096;

/// Posts the payload to `url`. Redirects are not followed.
pub(super) async fn post(
    url: &str,
    secret: Option<&str>,
    ca_file: Option<&Path>,
    timeout: Duration,
    payload: &Payload,
) -> Result<String, Refusal> {
    let deadline = Instant::now() + timeout;
    let response = match timeout_at(deadline, send(url, secret, ca_file, timeout, payload)).await {
        Ok(Ok(response)) => response,
        Ok(Err(why)) => return Err(Refusal::unreachable(format!("it cannot be reached: {why}"))),
        Err(_) => {
            return Err(Refusal::unreachable(format!(
                "no answer within {}",
                time_in_words(timeout)
            )));
        }
    };
    let status = response.status();
    if status.is_success() {
        return Ok(status.to_string());
    }
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|text| retry_after(text, SystemTime::now()));
    let again = if may_try_again(status) { Again::After(asked) } else { Again::Never };
    let what = if status.is_redirection() {
        format!("it answered {status}, and redirects are not followed")
    } else {
        format!("it answered {status}")
    };
    let mut said = Vec::new();
    // What came until then is what it said.
    let _ = timeout_at(deadline, read_beginning(response.into_body(), &mut said)).await;
    Err(Refusal { what, said: String::from_utf8_lossy(&said).into_owned(), again })
}

async fn send(
    url: &str,
    secret: Option<&str>,
    ca_file: Option<&Path>,
    connect_timeout: Duration,
    payload: &Payload,
) -> Result<Response<Incoming>, String> {
    let mut request = Request::post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, USER_AGENT_VALUE)
        .header("vhost-event", payload.event)
        .body(Full::new(payload.body.clone()))
        .map_err(|error| error.to_string())?;
    if let Some(secret) = secret {
        let signature = sign(secret, now_ms() / 1000, &payload.body);
        let value = HeaderValue::from_str(&signature).map_err(|error| error.to_string())?;
        request.headers_mut().insert("vhost-signature", value);
    }
    // Read each time: a file that has been replaced counts from the next call on.
    let tls = if url.starts_with("https:") {
        let ca_file = ca_file.map(Path::to_owned);
        let config = tokio::task::spawn_blocking(move || client_config(ca_file.as_deref())).await;
        Some(config.map_err(|error| error.to_string())??)
    } else {
        None
    };
    let connector = connector(tls, connect_timeout)?;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    client.request(request).await.map_err(|error| words(&error))
}

async fn read_beginning(mut body: Incoming, into: &mut Vec<u8>) {
    while into.len() < MAX_ANSWER_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        let data = frame.into_data().unwrap_or_default();
        into.extend_from_slice(&data[..data.len().min(MAX_ANSWER_BYTES - into.len())]);
    }
}
