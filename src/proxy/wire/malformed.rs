//! Whether a request of HTTP/2 is one of HTTP/1 too: the rules of [`strict`](super::strict) that neither
//! the h2 crate nor Pingora looks at. And how many that are malformed a connection may bring.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use http::Method;

use super::request::has_plain_length;
use super::request::is_twin;
use super::strict::{Fault, MAX_DIGITS};
use crate::heads::names::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use crate::heads::{Known, RequestHead, Scheme};

/// So many malformed requests may come at once, and so many in [`PERIOD`]: refusing them is work.
const MAX_MALFORMED: u32 = 32;
const PERIOD: Duration = Duration::from_secs(10);

/// How fast malformed requests come on a connection. One on which they come too fast gets a GOAWAY;
/// when they go on, it is cut.
#[derive(Debug)]
pub(crate) struct MalformedRate {
    /// `None` where the connection is that of many clients, and would end for all of them.
    bucket: Option<Mutex<Bucket>>,
    too_fast: Notify,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
    /// How many have come that were too many.
    over: u32,
}

impl MalformedRate {
    pub(crate) fn new(is_many: bool) -> Self {
        let full = || Bucket { left: MAX_MALFORMED.into(), at: Instant::now(), over: 0 };
        Self { bucket: (!is_many).then(|| Mutex::new(full())), too_fast: Notify::new() }
    }

    /// Counts one more; whether the connection is to be cut for it.
    pub(crate) fn note(&self, now: Instant) -> bool {
        let Some(bucket) = &self.bucket else { return false };
        let mut bucket = bucket.lock();
        let per_sec = f64::from(MAX_MALFORMED) / PERIOD.as_secs_f64();
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * per_sec;
        bucket.left = (bucket.left + gained).min(MAX_MALFORMED.into());
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return false;
        }
        bucket.over += 1;
        if bucket.over == 1 {
            self.too_fast.notify_one();
        }
        bucket.over > MAX_MALFORMED
    }

    /// Ends once they have come too fast.
    pub(crate) async fn too_fast(&self) {
        self.too_fast.notified().await;
    }
}

/// What is wrong with a request of HTTP/2.
pub(crate) fn check(request: &RequestHead) -> Result<(), Fault> {
    if request.method != Method::CONNECT {
        // RFC 9113 §8.3.1: what is not a path begins with a slash all the same, but for OPTIONS.
        match request.target() {
            path if path.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) => {
                return Err(Fault::Target);
            }
            [b'/', ..] => {}
            b"*" if request.method == Method::OPTIONS => {}
            _ => return Err(Fault::Target),
        }
        if request.scheme() == Some(Scheme::Other) {
            return Err(Fault::Scheme);
        }
    }
    authority(request)?;
    if !has_plain_length(request) {
        return Err(Fault::SeveralLengths);
    }
    let is_odd = request.headers.is_odd();
    request.headers.iter().try_for_each(|(name, value)| field(name, value, is_odd))
}

/// RFC 9113 §8.3.1: the host is said once, or twice alike, and is nothing but a host.
fn authority(request: &RequestHead) -> Result<(), Fault> {
    let mut hosts = request.headers.all(HOST);
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Fault::SeveralHosts);
    }
    let authority = request.authority().map(str::as_bytes);
    match (host, authority) {
        (None, None) => Err(Fault::NoHost),
        (Some(one), Some(other)) if one != other => Err(Fault::HostDisagrees),
        (host, authority) if host.or(authority).is_some_and(|host| host.contains(&b'@')) => {
            Err(Fault::Target)
        }
        _ => Ok(()),
    }
}

/// What is wrong with a field; `is_odd` is whether a name there may have an underscore.
fn field(name: &str, value: &[u8], is_odd: bool) -> Result<(), Fault> {
    // RFC 9113 §8.2.1.
    if value.trim_ascii().len() != value.len() {
        return Err(Fault::Padded);
    }
    if name.eq_ignore_ascii_case(CONTENT_LENGTH.as_static()) {
        let is_length = matches!(value.len(), 1..=MAX_DIGITS);
        return if is_length && value.iter().all(u8::is_ascii_digit) {
            Ok(())
        } else {
            Err(Fault::ContentLength)
        };
    }
    let is_framing = |framing: Known| is_twin(name, framing.as_static());
    if is_odd && name.contains('_') && (is_framing(CONTENT_LENGTH) || is_framing(TRANSFER_ENCODING))
    {
        return Err(Fault::Name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http::uri::PathAndQuery;
    use http::{Request, Uri, Version};

    use super::*;

    fn request(method: Method, uri: &str, headers: &[(&str, &str)]) -> RequestHead {
        let path = uri.parse::<PathAndQuery>();
        let uri = path.map_or_else(|_| uri.parse().unwrap(), Uri::from);
        let request = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut request = RequestHead::of_http2(&parts);
        if request.authority().is_none() && !headers.iter().any(|field| field.0 == "host") {
            request.headers.append(HOST, "a.test");
        }
        for (name, value) in headers {
            request.headers.append(*name, value);
        }
        request
    }

    #[test]
    fn malformed_requests_have_a_rate() {
        let rate = MalformedRate::new(false);
        let told = || rate.too_fast().now_or_never().is_some();
        let start = Instant::now();
        // As many as may come, for a minute.
        for number in 0..6 * MAX_MALFORMED {
            let at = start + PERIOD / MAX_MALFORMED * number;
            assert!(!rate.note(at) && !told(), "{number}");
        }
        let end = start + 6 * PERIOD;
        let cut = (0..1000).take_while(|_| !rate.note(end)).count();
        assert!(told(), "it is asked to end first");
        assert_eq!(cut, 64, "32 at once, and 32 more");
        let of_many = MalformedRate::new(true);
        assert!((0..10_000).all(|_| !of_many.note(start)), "it is that of many");
    }

    #[test]
    fn the_host_is_said_once_or_twice_alike() {
        for (uri, hosts, expected) in [
            ("https://a.test/", &[][..], Ok(())),
            ("https://a.test/", &["a.test"], Ok(())),
            ("/", &["a.test"], Ok(())),
            ("https://a.test/", &["b.test"], Err(Fault::HostDisagrees)),
            ("https://a.test/", &["a.test", "a.test"], Err(Fault::SeveralHosts)),
            ("/", &["u@a.test"], Err(Fault::Target)),
            ("https://u@a.test/", &[], Err(Fault::Target)),
        ] {
            let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(check(&request(Method::GET, uri, &hosts)), expected, "{uri} {hosts:?}");
        }
        let mut nobody = request(Method::GET, "/", &[("host", "a.test")]);
        nobody.headers.remove(HOST);
        assert_eq!(check(&nobody), Err(Fault::NoHost));
    }

    #[test]
    fn a_request_of_http2_obeys_the_rules_of_http1() {
        for (method, uri, expected) in [
            (Method::GET, "https://a.test/", Ok(())),
            (Method::GET, "HTTP://a.test/?x", Ok(())),
            (Method::GET, "/a", Ok(())),
            (Method::OPTIONS, "*", Ok(())),
            (Method::GET, "*", Err(Fault::Target)),
            (Method::GET, "?x", Err(Fault::Target)),
            (Method::GET, "ftp://a.test/", Err(Fault::Scheme)),
            (Method::GET, "ws://a.test/", Err(Fault::Scheme)),
        ] {
            assert_eq!(check(&request(method, uri, &[])), expected, "{uri}");
        }
        for (name, value, expected) in [
            ("x", "a b", Ok(())),
            ("x", "", Ok(())),
            ("x", " a", Err(Fault::Padded)),
            ("x", "a ", Err(Fault::Padded)),
            ("x", "a\t", Err(Fault::Padded)),
            ("x", " ", Err(Fault::Padded)),
            ("content-length", "5", Ok(())),
            ("content-length", "5,5", Err(Fault::SeveralLengths)),
            ("content-length", "1234567890123456789", Err(Fault::ContentLength)),
            ("content-length", "", Err(Fault::ContentLength)),
            ("content_length", "5", Err(Fault::Name)),
            ("transfer_encoding", "chunked", Err(Fault::Name)),
            ("x_y", "1", Ok(())),
        ] {
            let request = request(Method::POST, "/", &[(name, value)]);
            assert_eq!(check(&request), expected, "{name}: {value:?}");
        }
    }
}
