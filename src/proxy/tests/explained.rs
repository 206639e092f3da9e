//! What is explained is what happens: for any options of a domain, and any request.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::model::{Explanation, HostOptions};
use crate::proxy::explain::Question;

/// `ann:secret`.
const LOGIN: &str = "Basic YW5uOnNlY3JldA==";

/// What a client gets.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u16,
    location: Option<String>,
}

/// A request, as a client sends it and as it is asked about.
#[derive(Debug, Clone)]
struct Asked {
    host: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
}

impl Asked {
    fn text(&self) -> String {
        let line = |(name, value): &(&str, &str)| format!("{name}: {value}\r\n");
        let headers = self.headers.iter().map(line).collect::<Vec<_>>().concat();
        let body = if headers.contains("Content-Length") { "hello" } else { "" };
        let Self { host, path, .. } = self;
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n{body}")
    }

    fn explained(&self, proxy: &Proxy) -> Explanation {
        let line = |(name, value): (&str, &str)| format!("{name}: {value}").parse().unwrap();
        let host = std::iter::once(("Host", self.host));
        let headers: Vec<_> = host.chain(self.headers.iter().copied()).map(line).collect();
        let url = format!("any.test{}", self.path).parse().unwrap();
        let client = Some(connection().client);
        let question = Question { url: &url, headers: &headers, client };
        proxy.explainer.explain(&proxy.reader.load(), question)
    }
}

fn met(answer: &str) -> Outcome {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut fields = answer.lines().filter_map(|line| line.split_once(": "));
    let location = fields.find(|(name, _)| name.eq_ignore_ascii_case("location"));
    let location = location.map(|(_, location)| location.to_owned());
    Outcome { status: status.expect("a status"), location }
}

fn foretold(explanation: &Explanation) -> Outcome {
    let location = explanation.redirected.clone();
    let status = match (&explanation.refused, &location) {
        (Some(refused), _) => refused.status,
        (None, Some(_)) => 308,
        (None, None) => 200,
    };
    Outcome { status, location }
}

/// Each option there or not, by chance.
fn options() -> impl Strategy<Value = Value> {
    let login = bcrypt::hash("secret", 4).unwrap();
    let all = [
        ("maintenance", json!({ "message": "soon" })),
        ("canonical_host", json!("example.com")),
        ("deny", json!(["192.0.2.1"])),
        ("deny", json!(["10.0.0.0/8"])),
        ("allow", json!(["192.0.2.0/24", "10.0.0.0/8"])),
        ("max_body_bytes", json!(4)),
        ("max_body_bytes", json!(5)),
        ("rate_limit", json!({ "requests": 1 })),
        ("basic_auth", json!({ "users": { "ann": login } })),
        ("sticky", json!({})),
        ("paths", json!([{ "prefix": "/api", "tag": "none" }])),
        ("paths", json!([{ "prefix": "/api", "tag": "a", "strip": true }])),
    ];
    prop::sample::subsequence(all.to_vec(), 0..4).prop_map(|chosen| {
        let chosen = chosen.into_iter().map(|(key, value)| (key.to_owned(), value));
        Value::Object(chosen.collect::<Map<_, _>>())
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let hosts =
        ["example.com", "www.example.com", "EXAMPLE.com.:81", "other.test", "bad host", "a_b!"];
    let paths = ["/", "/api/x?y", "/%61pi", "/x/../api", "/.well-known/acme-challenge/x"];
    let headers = [
        ("Authorization", LOGIN),
        ("Authorization", "Basic !"),
        ("X-Forwarded-For", "10.1.2.3"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-For", "nobody"),
        ("X-Forwarded-Proto", "https"),
        ("Content-Length", "5"),
    ];
    let headers = prop::sample::subsequence(headers.to_vec(), 0..3);
    (prop::sample::select(hosts.to_vec()), prop::sample::select(paths.to_vec()), headers)
        .prop_map(|(host, path, headers)| Asked { host, path, headers })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_explained_is_what_happens(
        host_options in options(),
        asked in asked(),
        is_trusted: bool,
        health in prop::sample::select(vec![HealthStatus::Healthy, HealthStatus::Unhealthy]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (met, explanation) = runtime.block_on(async {
            let mut settings = super::options();
            if is_trusted {
                settings.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
            }
            let backend = backend(|_| with_length("fine")).await;
            let host_options = HostOptions::read(host_options.as_object().unwrap().clone()).unwrap();
            let proxy = proxy_of(settings, &[(&backend, health)], host_options);
            let explanation = asked.explained(&proxy);
            let mut connection = connection();
            Arc::get_mut(&mut connection).unwrap().trusted = is_trusted;
            let mut client = proxy.connect_as(connection);
            client.send(&asked.text()).await;
            (met(&client.rest().await), explanation)
        });
        prop_assert_eq!(met, foretold(&explanation), "{:#?}", explanation);
    }
}

#[tokio::test]
async fn a_paused_domain_says_so_first_and_what_comes_then() {
    let options = json!({ "pause": { "max_wait_secs": 7 }, "rate_limit": { "requests": 3 } });
    let options = HostOptions::read(options.as_object().unwrap().clone()).unwrap();
    let proxy = proxy_of(super::options(), &[("127.0.0.1:1", HealthStatus::Healthy)], options);
    let asked = Asked { host: "example.com", path: "/", headers: Vec::new() };
    let explanation = asked.explained(&proxy);
    assert_eq!(explanation.waits_ms, Some(7000));
    assert!(explanation.notes[0].contains("paused"), "{explanation:?}");
    assert!(explanation.notes[1].contains("3 requests in 1 s"), "{explanation:?}");
    assert_eq!(explanation.refused, None);
}
