//! The REST API: every route with every status, who may come in, and what it is like under duress.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

mod backend_tls;
mod bounds;
mod document;
mod doors;
mod fuzz;
mod pages;
mod races;
mod streams;
mod tokens;
mod trials;
mod units;

/// How soon something that is to happen must have happened.
const SOON: Duration = Duration::from_secs(20);

/// A server with its API, two backends, and `example.com` on tag `a`.
struct Api {
    vhost: Vhost,
    address: SocketAddr,
    token: String,
    document: Value,
    _backends: Vec<Backend>,
}

/// What a request carries beside its body.
type Headers<'h> = &'h [(&'h str, &'h str)];

impl Api {
    fn start() -> Self {
        Self::start_with(|setup| setup)
    }

    fn start_with(more: impl FnOnce(Setup) -> Setup) -> Self {
        let backends: Vec<Backend> = ["web-a", "web-b"].map(Backend::start).into();
        let address = free_address();
        let setup = Setup::new()
            .entries("[[notify]]\nname = \"chat\"\nexec = [\"/bin/true\"]\nevents = [\"guard\"]\n")
            .set("proxy.management_api_addr", format!("\"{address}\""))
            .domain("example.com", "a")
            .backend("web-a", backends[0].address(), &["a"])
            .backend("web-b", backends[1].address(), &["b"]);
        let vhost = more(setup).start();
        vhost.wait_until_healthy(2);
        let token = vhost.ctl_ok(&["token", "show"]).stdout.trim().to_owned();
        let document = document::document();
        Self { vhost, address, token, document, _backends: backends }
    }

    /// A request with the token.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        self.ask_with(method, path, &[], body)
    }

    #[track_caller]
    fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: Headers<'_>,
        body: Option<&Value>,
    ) -> Response {
        let token = format!("Bearer {}", self.token);
        let mut all = vec![("Authorization", token.as_str())];
        all.extend(headers);
        let body = body.map(Value::to_string);
        if body.is_some() {
            all.push(("Content-Type", "application/json"));
        }
        self.send(method, path, &all, body.as_deref())
    }

    /// A request with these headers alone; its answer is as the document says.
    #[track_caller]
    fn send(&self, method: &str, path: &str, headers: Headers<'_>, body: Option<&str>) -> Response {
        let mut client = Client::connect(self.address);
        client.send(self.request(method, path, headers, body));
        let response = client.read_response();
        document::hold(&self.document, method, path, &response);
        response
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: Headers<'_>,
        body: Option<&str>,
    ) -> String {
        use std::fmt::Write as _;
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            let _ = write!(text, "Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if let Some(body) = body {
            let _ = write!(text, "Content-Length: {}\r\n", body.len());
        }
        text + "\r\n" + body.unwrap_or_default()
    }

    #[track_caller]
    fn revision(&self) -> String {
        let response = self.ask("GET", "/api/v1/health", None);
        response.header("etag").expect("a revision").to_owned()
    }
}

/// The body of a response.
#[track_caller]
fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body)
        .unwrap_or_else(|error| panic!("{error}: {} {}", response.status, response.text()))
}

/// A problem's kind, and its words with the hint behind them.
#[track_caller]
fn problem(response: &Response) -> (String, String) {
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let body = json_of(response);
    assert_eq!(body["status"], response.status);
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    (text("kind"), format!("{}; {}", text("detail"), text("hint")))
}

const DOMAINS: &str = "/api/v1/domains";
const EXAMPLE: &str = "/api/v1/domains/example.com";
const BACKENDS: &str = "/api/v1/backends";

#[test]
fn domains_come_change_and_go() {
    let api = Api::start();
    let list = api.ask("GET", DOMAINS, None);
    assert_eq!(list.status, 200);
    assert_eq!(json_of(&list)["domains"][0]["enabled_backends_tag"], "a");

    let new = json!({"domain": "Shop.Test", "enabled_backends_tag": "b", "http_to_https": false});
    let added = api.ask("POST", DOMAINS, Some(&new));
    assert_eq!((added.status, added.header("location")), (201, Some("/api/v1/domains/shop.test")));
    let shop = json_of(&added);
    assert_eq!(
        (&shop["enabled_backends_tag"], &shop["http_to_https"]),
        (&json!("b"), &json!(false))
    );
    assert_eq!(added.header("etag"), Some(format!("\"{}\"", shop["revision"]).as_str()));

    let again = api.ask("POST", DOMAINS, Some(&new));
    assert_eq!((again.status, problem(&again).0.as_str()), (409, "already_exists"));
    let untagged = json!({"domain": "x.test", "enabled_backends_tag": "nobody"});
    assert_eq!(api.ask("POST", DOMAINS, Some(&untagged)).status, 404);

    let shop = "/api/v1/domains/shop.test";
    let set = api.ask("PUT", shop, Some(&json!({"aliases": ["www.shop.test"], "tls": "off"})));
    assert_eq!((set.status, &json_of(&set)["aliases"][0]), (200, &json!("www.shop.test")));
    let by_alias = api.ask("GET", "/api/v1/domains/www.shop.test", None);
    assert_eq!((by_alias.status, &json_of(&by_alias)["domain"]), (200, &json!("shop.test")));

    let moved = api.ask("PUT", shop, Some(&json!({"enabled_backends_tag": "a"})));
    assert_eq!(moved.status, 422);
    let (kind, words) = problem(&moved);
    assert!(
        kind == "invalid" && words.contains("POST /api/v1/domains/shop.test/switch"),
        "{words}"
    );

    let gone = api.ask("DELETE", shop, None);
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    for (method, body) in [("GET", None), ("PUT", Some(json!({"tls": "off"}))), ("DELETE", None)] {
        let missing = api.ask(method, shop, body.as_ref());
        assert_eq!((missing.status, problem(&missing).0.as_str()), (404, "not_found"), "{method}");
    }
    // The history names the token.
    let event = api.vhost.newest_event();
    assert_eq!(event["actor"], json!({"via": "token", "name": "admin"}), "{event}");
}

#[test]
fn backends_come_change_as_one_and_go() {
    let api = Api::start();
    let new = json!({"id": "web-c", "address": "127.0.0.1:9", "tags": ["c"], "weight": 2});
    let added = api.ask("POST", BACKENDS, Some(&new));
    assert_eq!((added.status, added.header("location")), (201, Some("/api/v1/backends/web-c")));
    assert_eq!(api.ask("POST", BACKENDS, Some(&new)).status, 409);
    let backend = "/api/v1/backends/web-c";
    let before = api.revision();
    let change = json!({"address": "127.0.0.1:10", "tags": ["d", "e"], "weight": 7, "scheme": "h2c",
        "state": "draining"});
    let set = api.ask_with("PUT", backend, &[("If-Match", &before)], Some(&change));
    let body = json_of(&set);
    assert_eq!(set.status, 200);
    for (member, value) in change.as_object().unwrap() {
        assert_eq!(&body[member], value, "{member}");
    }
    let event = api.vhost.newest_event();
    assert_eq!(event["changed"].as_array().map(Vec::len), Some(5), "one event: {event}");
    // All or nothing: the last backend of a live tag stays as it is.
    let own = "/api/v1/backends/web-a";
    let worst = json!({"weight": 9, "tags": []});
    let refused = api.ask("PUT", own, Some(&worst));
    assert_eq!((refused.status, problem(&refused).0.as_str()), (422, "invalid"));
    assert_eq!(json_of(&api.ask("GET", own, None))["weight"], 1);
    assert_eq!(api.ask("PUT", own, Some(&json!({"state": "disabled"}))).status, 422);
    let forced = json!({"state": "disabled", "force": true});
    assert_eq!(api.ask("PUT", own, Some(&forced)).status, 200);
    assert_eq!(api.ask("PUT", own, Some(&json!({"state": "ready"}))).status, 200);
    api.vhost.wait_for_health("web-a", "healthy");

    assert_eq!(api.ask("DELETE", own, None).status, 422);
    assert_eq!(api.ask("DELETE", &format!("{backend}?timeout_secs=0.5"), None).status, 204);
    assert_eq!(api.ask("DELETE", backend, None).status, 404);
    assert_eq!(api.ask("GET", backend, None).status, 404);
    assert_eq!(api.ask("PUT", backend, Some(&json!({}))).status, 404);
    assert_eq!(api.ask("GET", BACKENDS, None).status, 200);
}

#[test]
fn a_backend_whose_requests_go_on_is_not_removed() {
    let api = Api::start();
    let mut held = api.vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request runs", SOON, || api.vhost.in_flight() == 1);
    let path = "/api/v1/backends/web-a?timeout_secs=0.2&force=false";
    assert_eq!(api.ask("DELETE", path, None).status, 422, "it is the only one of a live tag");
    let switch = api.ask(
        "POST",
        &format!("{EXAMPLE}/switch"),
        Some(&json!({"tag": "b", "drain_timeout_secs": 0.1})),
    );
    assert_eq!(
        (switch.status, &json_of(&switch)["outcome"]["state"]),
        (200, &json!("drain_timed_out"))
    );
    let refused = api.ask("DELETE", path, None);
    assert_eq!((refused.status, problem(&refused).0.as_str()), (409, "timeout"));
}

#[test]
fn a_switch_has_an_outcome_and_an_undo() {
    let api = Api::start();
    let switch = format!("{EXAMPLE}/switch");
    let undo = format!("{EXAMPLE}/undo");
    let nothing = api.ask("POST", &undo, None);
    assert_eq!((nothing.status, problem(&nothing).0.as_str()), (422, "invalid"));
    let body = json!({"tag": "b", "timeout_secs": 5, "drain": true, "reason": "release 2"});
    let report = api.ask("POST", &switch, Some(&body));
    assert_eq!((report.status, &json_of(&report)["outcome"]["state"]), (200, &json!("done")));
    assert_eq!(api.vhost.live("example.com"), "b");
    assert_eq!(api.vhost.newest_event()["reason"], "release 2");
    // An empty body is the other tag.
    assert_eq!(api.ask("POST", &switch, None).status, 200);
    assert_eq!(api.vhost.live("example.com"), "a");
    let back = api.ask("POST", &undo, Some(&json!({"drain": false})));
    assert_eq!((back.status, &json_of(&back)["outcome"]["state"]), (200, &json!("not_drained")));
    assert_eq!(api.vhost.live("example.com"), "b");

    let unknown = api.ask("POST", "/api/v1/domains/no.test/switch", None);
    assert_eq!((unknown.status, problem(&unknown).0.as_str()), (404, "not_found"));
    let untagged = api.ask("POST", &switch, Some(&json!({"tag": "nobody"})));
    assert_eq!(untagged.status, 404);
    let dead = json!({"id": "dead", "address": refusing_address().to_string(), "tags": ["dead"]});
    assert_eq!(api.ask("POST", BACKENDS, Some(&dead)).status, 201);
    let body = json!({"tag": "dead", "timeout_secs": 0.3});
    let failed = api.ask("POST", &switch, Some(&body));
    assert_eq!((failed.status, problem(&failed).0.as_str()), (422, "unhealthy"));
    assert_eq!(json_of(&failed)["backends"][0]["backend"], "dead");
    assert_eq!(api.vhost.live("example.com"), "b");
}

#[test]
fn while_a_switch_runs_another_is_a_conflict() {
    let api = Api::start();
    let dead = json!({"id": "dead", "address": refusing_address().to_string(), "tags": ["dead"]});
    assert_eq!(api.ask("POST", BACKENDS, Some(&dead)).status, 201);
    let switch = format!("{EXAMPLE}/switch");
    let body = json!({"tag": "dead", "timeout_secs": 5});
    let mut first = streams::Stream::open(&api, "POST", &switch, &[], Some(&body));
    assert_eq!(first.next().expect("a phase").data["phase"], "checking");
    let second = api.ask("POST", &switch, Some(&json!({"tag": "b"})));
    assert_eq!((second.status, problem(&second).0.as_str()), (409, "conflict"));
}

#[test]
fn what_a_request_gets_wrong_is_named() {
    let api = Api::start();
    for (method, path, body, status, words) in [
        ("POST", DOMAINS, "{", 400, "not JSON"),
        ("POST", DOMAINS, "[]", 400, "not an object"),
        ("POST", DOMAINS, "", 400, "not JSON"),
        ("POST", DOMAINS, r#"{"domain": "a.b", "domain": "c.d"}"#, 400, "there twice"),
        ("POST", DOMAINS, r#"{"domain": "a.b"}"#, 422, "missing field `enabled_backends_tag`"),
        ("POST", DOMAINS, r#"{"enabled_backends_tag": "a"}"#, 422, "missing field `domain`"),
        ("POST", DOMAINS, r#"{"domain": "a.b", "tag": "a"}"#, 422, "unknown field `tag`"),
        (
            "POST",
            DOMAINS,
            r#"{"domain": "a.b", "enabled_backends_tag": "a b"}"#,
            422,
            "`enabled_backends_tag`: `a b` is not a valid tag",
        ),
        (
            "POST",
            DOMAINS,
            r#"{"domain": "a.b", "enabled_backends_tag": "a", "alias": []}"#,
            422,
            "unknown field `alias`",
        ),
        ("PUT", EXAMPLE, r#"{"http_to_htps": true}"#, 422, "did you mean `http_to_https`?"),
        ("PUT", EXAMPLE, r#"{"domain": "c.d"}"#, 422, "unknown field `domain`"),
        ("PUT", EXAMPLE, r#"{"aliases": ["a..b"]}"#, 422, "`aliases[0]`"),
        ("PUT", "/api/v1/domains/a..b", "{}", 422, "`domain`: `a..b`"),
        ("PUT", "/api/v1/backends/web-a", r#"{"weight": 0}"#, 422, "`0` is not a valid weight"),
        (
            "POST",
            "/api/v1/domains/example.com/switch",
            r#"{"timeout_secs": -1}"#,
            422,
            "`timeout_secs`",
        ),
        ("POST", "/api/v1/domains/a..b/switch", "", 422, "`domain`: `a..b`"),
        ("GET", "/api/v1/domains?limit=x", "", 422, "`limit`: string \"x\" doesn't fit here"),
        ("GET", "/api/v1/domains?colour=red", "", 422, "unknown field `colour`"),
        ("GET", "/api/v1/domains?limit=1&limit=2", "", 422, "duplicate field"),
        ("GET", "/api/v1/domains/%ff", "", 400, "UTF-8"),
        ("GET", "/api/v1/history?domain=a..b", "", 422, "domain"),
        ("GET", "/api/v1/nothing", "", 404, "openapi.json"),
        ("GET", "/api/v1/domains/", "", 404, "nothing at this path"),
        ("GET", "/", "", 404, "openapi.json"),
        ("PATCH", EXAMPLE, "{}", 405, "Allow"),
        ("POST", "/api/v1/health", "{}", 405, "Allow"),
    ] {
        let token = format!("Bearer {}", api.token);
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        let response = api.send(method, path, &headers, (method != "GET").then_some(body));
        assert_eq!(response.status, status, "{method} {path} {body}: {}", response.text());
        let (_, told) = problem(&response);
        assert!(told.contains(words), "{method} {path} {body}: {told}");
        if status == 405 {
            assert!(response.header("allow").is_some_and(|allow| allow.contains("GET")), "{path}");
        }
    }
    let text = api.ask_with("PUT", EXAMPLE, &[("Content-Type", "text/plain")], None);
    assert_eq!(text.status, 415, "{}", text.text());
}

#[test]
fn lists_are_told_page_by_page() {
    let api = Api::start();
    for name in ["b.test", "c.test"] {
        let new = json!({"domain": name, "enabled_backends_tag": "a"});
        assert_eq!(api.ask("POST", DOMAINS, Some(&new)).status, 201);
    }
    for (first, list, key) in [(DOMAINS, "domains", "domain"), (BACKENDS, "backends", "id")] {
        let mut path = format!("{first}?limit=1");
        let mut names = Vec::new();
        loop {
            let page = api.ask("GET", &path, None);
            let entries = json_of(&page)[list].as_array().unwrap().clone();
            assert_eq!(entries.len(), 1, "{path}");
            names.push(entries[0][key].as_str().unwrap().to_owned());
            let Some(link) = page.header("link") else { break };
            let next = link.strip_prefix('<').and_then(|link| link.split_once('>')).unwrap();
            assert_eq!(next.1, "; rel=\"next\"");
            assert_eq!(json_of(&page)["next"], *names.last().unwrap());
            path = next.0.to_owned();
        }
        assert_eq!(names.len(), if list == "domains" { 3 } else { 2 }, "{names:?}");
    }
}

#[test]
fn the_history_is_that_of_the_socket() {
    let api = Api::start();
    assert_eq!(
        api.ask("POST", &format!("{EXAMPLE}/switch"), Some(&json!({"tag": "b"}))).status,
        200
    );
    let history = api.ask("GET", "/api/v1/history?domain=example.com&limit=1", None);
    let own = api.vhost.ctl_json(&["history", "example.com", "--limit", "1"]);
    assert_eq!((history.status, json_of(&history)), (200, own));
    assert_eq!(history.header("etag"), Some(api.revision().as_str()));
}
