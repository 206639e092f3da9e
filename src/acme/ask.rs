//! Asks the operator's own service whether a name may have a certificate.

use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::https_client::{USER_AGENT_VALUE, client_config, connector, words};

const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends `GET url?domain=name`: status 200 means yes, any other no. Redirects are not followed.
///
/// # Errors
/// When there is no answer within two seconds.
pub(crate) async fn ask(url: &str, name: &str) -> Result<bool, String> {
    match timeout(ASK_TIMEOUT, get(url, name)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", ASK_TIMEOUT.as_secs())),
    }
}

async fn get(url: &str, name: &str) -> Result<bool, String> {
    let separator = if url.contains('?') { '&' } else { '?' };
    // The brackets of an IPv6 address are the only characters of a normalised name that a query
    // can't have.
    let name = name.replace('[', "%5B").replace(']', "%5D");
    let request = Request::get(format!("{url}{separator}domain={name}"))
        .header(USER_AGENT, USER_AGENT_VALUE)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let tls = if url.starts_with("https:") {
        let config = tokio::task::spawn_blocking(|| client_config(None)).await;
        Some(config.map_err(|error| error.to_string())??)
    } else {
        None
    };
    let client = Client::builder(TokioExecutor::new()).build(connector(tls, ASK_TIMEOUT)?);
    let response = client.request(request).await.map_err(|error| words(&error))?;
    Ok(response.status() == StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::testing::{Scripted, answer};

    #[tokio::test]
    async fn only_200_is_yes() {
        for (status, yes) in [(200, true), (204, false), (302, false), (404, false), (500, false)] {
            let server = Scripted::start(move |_| answer(status, &[("location", "/")], "")).await;
            let url = server.url("/allowed");
            assert_eq!(ask(&url, "a.test").await, Ok(yes), "{status}");
            assert_eq!(server.requests(), ["GET /allowed?domain=a.test"]);
        }
    }

    #[tokio::test]
    async fn a_query_that_is_there_is_kept() {
        let server = Scripted::start(|_| answer(200, &[], "")).await;
        assert_eq!(ask(&server.url("/a?key=1"), "[::1]").await, Ok(true));
        assert_eq!(server.requests(), ["GET /a?key=1&domain=%5B::1%5D"]);
    }

    #[tokio::test]
    async fn no_answer_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        assert_eq!(ask(&url, "a.test").await, Err("no answer within 2 s".to_owned()));
        drop(listener);
        assert!(ask(&url, "a.test").await.unwrap_err().contains("refused"));
        assert!(ask("https://127.0.0.1:1/", "a.test").await.is_err());
        assert!(ask("no url", "a.test").await.is_err());
    }
}
