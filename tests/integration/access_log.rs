//! The access log: a line for each request, in every format, wherever it goes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use vhost::model::Reason;
use vhost::telemetry::AccessField;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

const PAGE: &str = include_str!("../../docs/logs.md");

/// The first cells of the page's tables.
fn documented() -> Vec<&'static str> {
    PAGE.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(cell, _)| cell)
        .collect()
}

#[test]
fn the_page_has_every_reason_and_field() {
    let documented = documented();
    let reasons: Vec<_> = Reason::all().map(Reason::as_str).collect();
    for reason in &reasons {
        let count = documented.iter().filter(|cell| *cell == reason).count();
        assert_eq!(count, 1, "`{reason}` in docs/logs.md");
    }
    let example = PAGE.split("```json\n").nth(1).and_then(|text| text.lines().next());
    let example: Value = serde_json::from_str(example.expect("an example")).expect("JSON");
    let shown: Vec<_> =
        example.as_object().expect("an object").keys().map(String::as_str).collect();
    let fields: Vec<_> = AccessField::rows().iter().map(|row| row.name).collect();
    for cell in &documented {
        assert!(reasons.contains(cell) || fields.contains(cell), "`{cell}` is neither");
    }
    for field in AccessField::rows() {
        assert!(documented.contains(&field.name), "`{}` in docs/logs.md", field.name);
        assert_eq!(shown.contains(&field.name), field.is_usual, "`{}` in the example", field.name);
    }
}

/// A server whose access log is a file.
struct Site {
    setup: Setup,
    vhost: Vhost,
    backend: Backend,
    directory: tempfile::TempDir,
}

impl Site {
    /// `app.localhost` on a backend, `refusing.test` on one that refuses connections.
    fn start(more: impl FnOnce(Setup) -> Setup) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let backend = Backend::start("web");
        let setup = Setup::new()
            .set("access_log.enabled", true)
            .set("access_log.output", "\"file\"")
            .set("access_log.file_path", quoted(&directory.path().join("access.log")))
            .set("upstream.read_timeout_secs", 2)
            .set("upstream.max_tries", 2)
            .set("health_check.unhealthy_threshold", 1000)
            .domain("app.localhost", "a")
            .domain("refusing.test", "r")
            .backend("web", backend.address(), &["a"])
            .backend("refusing", refusing_address(), &["r"]);
        let setup = more(setup);
        let vhost = setup.start();
        vhost.wait_for_health("web", "healthy");
        Self { setup, vhost, backend, directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("access.log")
    }

    fn lines(&self) -> Vec<String> {
        lines(&self.file())
    }

    /// Reads the config again, with this changed.
    fn reload(&mut self, key: &str, value: impl ToString) {
        self.setup = self.setup.clone().set(key, value);
        self.vhost.write_config(&self.setup);
        self.vhost.ctl_ok(&["reload"]);
    }

    /// The line of the request whose path or id has `part` in it.
    #[track_caller]
    fn line(&self, part: &str) -> String {
        eventually_some(&format!("`{part}` is in the access log"), SOON, || {
            self.lines().into_iter().find(|line| line.contains(part))
        })
    }

    /// The same from JSON.
    #[track_caller]
    fn json(&self, part: &str) -> Value {
        let line = self.line(part);
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// A GET of `app.localhost` that can be found by its id.
    fn get(&self, id: &str, path: &str) -> Response {
        let id = format!("X-Request-Id: {id}\r\n");
        self.vhost.connect().get_with("app.localhost", path, &id)
    }
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// The whole lines of a file. The last one may be half written.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn assert_fields(line: &Value, fields: &Value) {
    for (key, value) in fields.as_object().expect("fields") {
        assert_eq!(&line[key], value, "{key} of {line}");
    }
}

#[test]
fn a_request_leaves_a_line_that_says_who_served_it_and_what_it_cost() {
    let site = Site::start(|setup| setup);
    let request = format!(
        "POST /a%20b?secret=1 HTTP/1.1\r\nHost: App.localhost:80\r\nContent-Length: 5\r\n\
         traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n\r\nhello"
    );
    let mut client = site.vhost.connect();
    client.send(request);
    let response = client.read_response();
    assert_eq!(response.status, 200);
    let line = site.json("/a%20b");
    let documented = documented();
    for field in line.as_object().expect("an object").keys() {
        assert!(documented.contains(&field.as_str()), "`{field}` in docs/logs.md");
    }
    let fields = json!({
        "request_id": response.sent("x-request-id")[0],
        "trace_id": TRACE,
        "method": "POST",
        "host": "App.localhost:80",
        "path": "/a%20b",
        "query": null,
        "protocol": "HTTP/1.1",
        "tls": null,
        "status": 200,
        "bytes_in": 5,
        "bytes_out": response.body.len(),
        "domain": "app.localhost",
        "tag": "a",
        "backend_id": "web",
        "tries": 1,
        "reason": null,
    });
    assert_fields(&line, &fields);
    let (all, upstream) = (&line["duration_ms"], &line["upstream_ms"]);
    let (all, upstream) = (all.as_f64().expect("a number"), upstream.as_f64().expect("a number"));
    assert!(0.0 < upstream && upstream <= all && all < 10_000.0, "{line}");
    let age = time_of(&line);
    assert!(age < Duration::from_mins(1), "{line}: {age:?}");
    assert!(line["client_ip"].as_str().is_some_and(|ip| ip.starts_with("127.")), "{line}");

    // Other kinds of requests that end well.
    let mut old = site.vhost.connect();
    old.send("GET /h10 HTTP/1.0\r\nHost: app.localhost\r\n\r\n");
    assert_fields(&site.json("/h10"), &json!({ "protocol": "HTTP/1.0", "reason": null }));
    let mut client = site.vhost.connect();
    client.send("HEAD /head HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    let head = json!({ "method": "HEAD", "status": 200, "bytes_out": 0, "reason": null });
    assert_fields(&site.json("/head"), &head);
    let mut socket = WebSocket::open(site.vhost.http(), "app.localhost");
    socket.echo("hello").expect("an echo");
    socket.close().expect("it closes");
    assert_fields(&site.json("/ws"), &json!({ "status": 101, "tries": 1, "reason": null }));
    assert_eq!(site.get("bad", "/status/503").status, 503);
    assert_fields(&site.json("\"bad\""), &json!({ "status": 503, "reason": null }));

    site.vhost.wait_for_certificate("app.localhost", "valid");
    let tls = TlsClient::accepts_any();
    let mut client = tls.connect(site.vhost.https(), Some("app.localhost")).expect("a handshake");
    assert_eq!(client.get("app.localhost", "/h1-tls").status, 200);
    let h1 = json!({ "protocol": "HTTP/1.1", "tls": "TLSv1.3", "reason": null });
    assert_fields(&site.json("/h1-tls"), &h1);
    let older = tls.only(&rustls::version::TLS12);
    let mut client = older.connect(site.vhost.https(), Some("app.localhost")).expect("a handshake");
    assert_eq!(client.get("app.localhost", "/older").status, 200);
    assert_fields(&site.json("/older"), &json!({ "tls": "TLSv1.2" }));
    in_runtime(async {
        let name = Some("app.localhost");
        let (mut h2, _) = TlsClient::accepts_any()
            .connect_h2(site.vhost.https(), name)
            .await
            .expect("a handshake");
        let response = h2.get("app.localhost", "/h2-tls").await.expect("an answer");
        let fields = json!({
            "protocol": "HTTP/2", "tls": "TLSv1.3", "host": "app.localhost", "status": 200,
            "bytes_out": response.body.len(), "backend_id": "web", "reason": null,
        });
        assert_fields(&site.json("/h2-tls"), &fields);
    });
    // Each once, and nothing of it in the log.
    assert_eq!(site.lines().len(), 8, "{:#?}", site.lines());
    assert_eq!(site.vhost.log_lines("request failed"), [""; 0]);
}

/// How long ago the line says that it was.
fn time_of(line: &Value) -> Duration {
    let time = line["time"].as_str().expect("a text");
    let time = humantime::parse_rfc3339(time).unwrap_or_else(|error| panic!("{error}: {time}"));
    time.elapsed().expect("it is not to come")
}

#[test]
fn a_request_that_ended_badly_has_a_reason_that_says_who_ended_it() {
    let site = Site::start(|setup| setup);
    assert_eq!(site.vhost.get("unknown.test", "/unknown").status, 404);
    let unknown = json!({
        "status": 404, "reason": "unknown_host", "domain": null, "tag": null, "backend_id": null,
        "upstream_ms": null, "tries": 0,
    });
    assert_fields(&site.json("/unknown"), &unknown);

    assert_eq!(site.vhost.get("refusing.test", "/refused").status, 502);
    let refused = json!({
        "status": 502, "reason": "connect_refused", "domain": "refusing.test", "tag": "r",
        "backend_id": "refusing",
    });
    assert_fields(&site.json("/refused"), &refused);

    // The client goes while its backend has its request, and another waits in vain.
    let mut gone = site.vhost.connect();
    gone.send("GET /hold?gone HTTP/1.1\r\nHost: app.localhost\r\nX-Request-Id: gone\r\n\r\n");
    eventually("the request is held", SOON, || site.backend.held() == 1);
    gone.reset();
    let gone = json!({ "status": null, "reason": "client_gone", "backend_id": "web", "tries": 1 });
    assert_fields(&site.json("\"gone\""), &gone);
    assert_eq!(site.get("late", "/hold").status, 504);
    let late = site.json("\"late\"");
    assert_fields(&late, &json!({ "status": 504, "reason": "upstream_timeout", "tries": 1 }));
    assert!(late["upstream_ms"].as_f64().is_some_and(|ms| ms >= 2000.0), "{late}");

    let mut trace = site.vhost.connect();
    trace.send("TRACE /trace HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    assert_fields(&site.json("/trace"), &json!({ "status": 405, "reason": "method_refused" }));

    // What clients did is told once; what backends did is told in the log too.
    let log = |part: &str| site.vhost.log_lines(part);
    site.vhost.wait_for_log("reason=upstream_timeout");
    assert_eq!(log("reason=connect_refused").len(), 1);
    assert_eq!(log("request refused"), [""; 0]);
    assert_eq!(site.lines().len(), 5, "{:#?}", site.lines());
}

#[test]
fn a_request_that_the_stop_of_the_server_cut_off_says_so() {
    let mut site = Site::start(|setup| {
        setup.set("proxy.shutdown_timeout_secs", 0.3).set("upstream.read_timeout_secs", 60)
    });
    let mut cut = site.vhost.connect();
    cut.send("GET /hold?q HTTP/1.1\r\nHost: app.localhost\r\nX-Request-Id: cut\r\n\r\n");
    let _socket = WebSocket::open(site.vhost.http(), "app.localhost");
    eventually("the request is held", SOON, || site.backend.held() == 1);
    site.vhost.signal(Signal::SIGTERM);
    assert!(site.vhost.wait_for_exit(SOON).success());
    let cut = json!({
        "method": "GET", "host": "app.localhost", "path": "/hold", "status": null,
        "reason": "shutdown", "domain": "app.localhost", "tag": "a", "backend_id": "web", "tries": 1,
    });
    assert_fields(&site.json("\"cut\""), &cut);
    assert_fields(&site.json("/ws"), &json!({ "reason": "shutdown", "backend_id": "web" }));
}

#[test]
fn traces_are_passed_on_as_they_are_and_logged_where_they_are_valid() {
    let site = Site::start(|setup| setup);
    let valid = format!("00-{TRACE}-b7ad6b7169203331-01");
    for (id, parent, trace) in [
        ("valid", valid.as_str(), json!(TRACE)),
        ("of-later", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", json!(TRACE)),
        ("zeros", "00-00000000000000000000000000000000-b7ad6b7169203331-01", Value::Null),
        ("wrong", "It's \"not\" one", Value::Null),
    ] {
        let state = "vendor=1,other=\"2\"";
        let headers =
            format!("X-Request-Id: {id}\r\ntraceparent: {parent}\r\ntracestate: {state}\r\n");
        let response = site.vhost.connect().get_with("app.localhost", "/", &headers);
        assert_eq!(response.sent("traceparent"), [parent]);
        assert_eq!(response.sent("tracestate"), [state]);
        let line = site.json(&format!("\"request_id\":\"{id}\""));
        assert_eq!(line["trace_id"], trace, "{line}");
    }
    let response = site.get("none", "/");
    assert_eq!(response.sent("traceparent"), [""; 0], "no span is made up");
    assert_eq!(site.json("\"none\"")["trace_id"], Value::Null);
}

#[test]
fn each_format_can_be_read_back_whatever_clients_send() {
    let mut site = Site::start(|setup| setup.set("access_log.format", "\"combined\""));
    let hostile = "User-Agent: a\"b\\c\td\u{e9} [x] - -\r\nReferer: http://a/b?secret=1\r\n";
    let get = |site: &Site, path: &str| {
        let response = site.vhost.connect().get_with("app.localhost", path, hostile);
        assert_eq!(response.status, 200);
        response.body.len()
    };
    let bytes = get(&site, "/combined?secret=1");
    let line = site.line("/combined");
    let (common, rest) = line.split_at(line.find("\" 200 ").expect("a status") + 1);
    let (client, rest_of_head) = common.split_once(" - - [").expect("a client");
    assert!(client.starts_with("127."), "{line}");
    let (time, request) = rest_of_head.split_once("] ").expect("a time");
    assert!(time.ends_with(" +0000") && time.len() == 26, "{line}");
    assert_eq!(request, "\"GET /combined HTTP/1.1\"");
    let agent = r"a\x22b\x5Cc\x09d\xC3\xA9 [x] - -".to_lowercase();
    assert_eq!(rest, format!(" 200 {bytes} \"http://a/b\" \"{agent}\""));

    // A reload changes all of it.
    site.reload("access_log.query", true);
    get(&site, "/queried?a=b");
    let line = site.line("/queried");
    assert!(line.contains("\"GET /queried?a=b HTTP/1.1\""), "{line}");
    assert!(line.contains(" \"http://a/b?secret=1\" "), "{line}");
    site.reload("access_log.format", "\"common\"");
    let bytes = get(&site, "/common?a=b");
    let line = site.line("/common");
    assert!(line.ends_with(&format!("\"GET /common?a=b HTTP/1.1\" 200 {bytes}")), "{line}");
    site.reload("access_log.format", "\"text\"");
    get(&site, "/text?a=b");
    let line = site.line("/text");
    for part in [" \"GET app.localhost /text?a=b HTTP/1.1\" 200 ", " backend_id=web tries=1 "] {
        assert!(line.contains(part), "{line}");
    }
    site.reload("access_log.format", "\"json\"");
    get(&site, "/json?a=%22b");
    assert_fields(&site.json("/json"), &json!({ "path": "/json", "query": "a=%22b" }));
    site.reload("access_log.enabled", false);
    get(&site, "/off");
    assert_eq!(site.vhost.get("unknown.test", "/off").status, 404);
    site.vhost.wait_for_log("request refused");
    site.reload("access_log.file_path", quoted(&site.directory.path().join("other.log")));
    site.reload("access_log.enabled", true);
    get(&site, "/other");
    let other = site.directory.path().join("other.log");
    eventually("the other file has it", SOON, || lines(&other).len() == 1);
    assert_eq!(site.lines().len(), 5, "{:#?}", site.lines());

    // A file that can't be had leaves the log where it is, and says so.
    site.reload("access_log.file_path", "\"/no/such/directory/access.log\"");
    site.vhost.wait_for_log("the access log stays as it was");
    get(&site, "/stays");
    eventually("it stays", SOON, || lines(&other).len() == 2);
}

/// What nobody should be able to write: an end of the line, of a quote, of an object.
const HOSTILE: &str = "a\"}\\\",\"status\":200} status=200 \t\u{e9}x\u{85}\u{9b}\u{202e} [x] - -";

/// A GET of `app.localhost` with this user agent and referer, each character below 256 one byte.
fn get_as(site: &Site, path: &str, agent: &str) -> Response {
    let head = format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\nUser-Agent: ");
    let bytes = |text: &str| -> Vec<u8> {
        let byte =
            |c: char| u8::try_from(c).map_or_else(|_| c.to_string().into_bytes(), |b| vec![b]);
        text.chars().flat_map(byte).collect()
    };
    let rest = b"\r\nReferer: http://from.test/a?secret=1\r\n\r\n".to_vec();
    let mut client = site.vhost.connect();
    client.send([head.into_bytes(), bytes(agent), rest].concat());
    let response = client.read_response();
    assert_eq!(response.status, 200);
    response
}

#[test]
fn lines_say_by_what_and_from_where_a_request_was_made_and_nobody_forges_one() {
    let mut site = Site::start(|setup| setup.set("proxy.shutdown_timeout_secs", 0.3));
    let long = "x".repeat(20_000);
    let agents = [HOSTILE, &long, "curl/8.5.0"];
    let mut count = 0;
    for format in ["json", "text", "combined"] {
        site.reload("access_log.format", format!("{format:?}"));
        for (number, agent) in agents.iter().enumerate() {
            let path = format!("/{format}-{number}");
            get_as(&site, &path, agent);
            let line = site.line(&path);
            count += 1;
            assert!(!line.contains("secret"), "{line}");
            assert!(line.contains("http://from.test/a"), "{line}");
            assert!(line.len() < 2500, "{}: {line}", line.len());
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line}");
            if format != "json" {
                assert!(line.is_ascii() && line.matches('"').count() == 6, "{line}");
            }
        }
    }
    assert_eq!(site.lines().len(), count, "{:#?}", site.lines());
    let line = site.json("/json-0");
    let agent = line["user_agent"].as_str().expect("text");
    assert!(agent.starts_with("a\"}\\\",\"status\":200} status=200 \t\u{fffd}x"), "{agent:?}");
    assert_eq!((&line["status"], &line["referer"]), (&json!(200), &json!("http://from.test/a")));
    assert_eq!(line["client_ip"], line["peer_ip"], "both, also where there is no proxy");
    assert!(site.json("/json-1")["user_agent"].as_str().is_some_and(|agent| agent.ends_with("x…")));
    let text = site.line("/text-2");
    assert!(text.ends_with(" referer=\"http://from.test/a\" user_agent=\"curl/8.5.0\""), "{text}");
    assert!(text.contains(" peer_ip=127."), "{text}");
    assert!(site.line("/text-1").ends_with("xx...\""));
    // Lines of WebSockets that the stop cuts off have them too.
    site.reload("access_log.format", "\"json\"");
    site.reload("access_log.query", true);
    let mut held = site.vhost.connect();
    held.send(
        "GET /hold?q HTTP/1.1\r\nHost: app.localhost\r\nUser-Agent: cut \"\u{1f980}\"\r\n\
         Referer: http://from.test/?a=b\r\n\r\n",
    );
    eventually("the request is held", SOON, || site.backend.held() == 1);
    site.vhost.signal(Signal::SIGTERM);
    assert!(site.vhost.wait_for_exit(SOON).success());
    let cut = json!({
        "reason": "shutdown", "user_agent": "cut \"\u{1f980}\"", "referer": "http://from.test/?a=b",
        "query": "q", "host": "app.localhost",
    });
    assert_fields(&site.json("\"shutdown\""), &cut);
}

#[test]
fn the_operator_chooses_fields_and_their_order_and_a_reload_changes_them() {
    let h2c = Backend::builder("h2c").h2c().start();
    let fields = "[\"status\", \"request.header.X-Kind\", \"path\", \"response.header.x-backend\", \
                  \"reason\", \"response.header.content-type\", \"tls_sni\"]";
    let mut site = Site::start(|setup| {
        setup
            .set("access_log.fields", fields)
            .domain("h2c.test", "h2c")
            .domain("gone.test", "r2")
            .backend_with("h2c", h2c.address(), &["h2c"], "scheme = \"h2c\"")
            .backend_with("r2", refusing_address(), &["r2"], "scheme = \"h2c\"")
    });
    site.vhost.wait_for_health("h2c", "healthy");
    let kind = "X-Kind: a\"b\r\nx-kind: c\r\nAuthorization: Basic c2VjcmV0\r\n";
    for (host, backend) in [("app.localhost", "web"), ("h2c.test", "h2c")] {
        let path = format!("/{backend}");
        assert_eq!(site.vhost.connect().get_with(host, &path, kind).status, 200);
        let expected = format!(
            "{{\"status\":200,\"request.header.x-kind\":\"a\\\"b, c\",\"path\":\"{path}\",\
             \"response.header.x-backend\":\"{backend}\",\"response.header.content-type\":"
        );
        let line = site.line(&path);
        assert!(line.starts_with(&expected), "{line}");
    }
    // Answers of the proxy's own, also where Pingora carries the request.
    for (host, status) in [("nobody.test", 404), ("refusing.test", 502), ("gone.test", 502)] {
        let path = format!("/of-{host}");
        assert_eq!(site.vhost.get(host, &path).status, status);
        let line = site.json(&path);
        let fields = json!({ "status": status, "response.header.content-type": "text/plain; charset=utf-8" });
        assert_fields(&line, &fields);
        assert_eq!(line.as_object().expect("an object").len(), 4, "{line}");
    }
    site.vhost.wait_for_certificate("app.localhost", "valid");
    in_runtime(async {
        let name = Some("app.localhost");
        let tls = TlsClient::accepts_any();
        let (mut h2, _) = tls.connect_h2(site.vhost.https(), name).await.expect("a handshake");
        h2.get("app.localhost", "/over-h2").await.expect("an answer");
    });
    let over_h2 = json!({ "response.header.x-backend": "web", "tls_sni": "app.localhost" });
    assert_fields(&site.json("/over-h2"), &over_h2);

    site.reload("access_log.format", "\"text\"");
    assert_eq!(site.vhost.connect().get_with("app.localhost", "/text", kind).status, 200);
    let line = site.line("/text");
    let expected = "status=200 request.header.x-kind=\"a\\x22b, c\" path=\"/text\" \
                    response.header.x-backend=\"web\" ";
    assert!(line.starts_with(expected), "{line}");
    site.reload("access_log.fields", "[\"path\", \"method\"]");
    site.get("other", "/other");
    assert_eq!(site.line("/other"), "path=\"/other\" method=\"GET\"");
    site.setup = site.setup.clone().unset("access_log.fields");
    site.reload("access_log.format", "\"json\"");
    site.get("usual", "/usual");
    assert_fields(&site.json("/usual"), &json!({ "request_id": "usual", "backend_id": "web" }));
    assert!(!std::fs::read_to_string(site.file()).expect("a file").contains("c2VjcmV0"));
}

#[test]
fn fields_that_can_not_be_logged_are_refused_with_what_can() {
    let site = Site::start(|setup| setup);
    let refused = |fields: &str, more: &[(&str, &str)]| {
        let setup = site.setup.clone().set("access_log.fields", fields);
        let setup = more.iter().fold(setup, |setup, (key, value)| setup.set(key, value));
        site.vhost.write_config(&setup);
        let output = site.vhost.ctl(&["reload"]);
        assert_eq!(output.code, 2, "{fields}: {output:?}");
        output.stderr
    };
    for (fields, words) in [
        ("[\"time\", \"cleint_ip\"]", "did you mean `client_ip`? the fields are `time`, "),
        ("[\"time\", \"nonsense\"]", "access_log.fields[1]"),
        ("[\"path\", \"path\"]", "it is listed twice"),
        ("[]", "it is empty"),
        ("\"path\"", "write a list"),
        ("[\"query\"]", "add `query = true`"),
        ("[\"request.header.Cookie\"]", "`cookie` is never logged"),
        ("[\"response.header.set-cookie\"]", "`set-cookie` is never logged"),
        ("[\"request.header.a b\"]", "name a header"),
    ] {
        let said = refused(fields, &[]);
        assert!(said.contains(words), "{fields}: {said}");
    }
    for format in ["\"common\"", "\"combined\""] {
        let said = refused("[\"path\"]", &[("access_log.format", format)]);
        assert!(said.contains("has fields of its own"), "{said}");
    }
    let many: Vec<_> = (0..17).map(|number| format!("request.header.x-{number}")).collect();
    assert!(refused(&format!("{many:?}"), &[]).contains("use at most 16"));
    let setup =
        site.setup.clone().set("access_log.fields", "[\"query\"]").set("access_log.query", true);
    site.vhost.write_config(&setup);
    site.vhost.ctl_ok(&["reload"]);
}

#[test]
fn a_domain_is_logged_in_part_or_not_at_all() {
    let site = Site::start(|setup| {
        setup
            .domain_with("part.test", "a", "access_log = { sample = 0 }")
            .domain_with("off.test", "a", "access_log = { enabled = false }")
            .domain_with("off-gone.test", "r", "access_log = { enabled = false }")
    });
    let get = |host: &str, path: &str| site.vhost.get(host, path).status;
    for number in 0..10 {
        assert_eq!(get("part.test", &format!("/part-{number}")), 200);
        assert_eq!(get("off.test", &format!("/off-{number}")), 200);
    }
    assert_eq!(get("part.test", "/status/503"), 503);
    assert_eq!(get("off.test", "/status/500"), 500);
    // Refused and failed requests of a domain that has no lines are in the log.
    assert_eq!(get("off-gone.test", "/off-gone"), 502);
    site.vhost.wait_for_log("reason=connect_refused");
    site.vhost.ctl_ok(&["domain", "set", "off.test", "--option", "deny=[\"0.0.0.0/0\"]"]);
    assert_eq!(get("off.test", "/denied"), 403);
    let refused = site.vhost.wait_for_log("reason=denied").concat();
    assert!(
        refused.contains("request refused") && refused.contains("domain=off.test"),
        "{refused}"
    );
    assert_eq!(get("app.localhost", "/last"), 200);
    site.line("/last");
    let paths: Vec<_> = site.lines().iter().map(|line| path_of(line)).collect();
    assert_eq!(paths, ["/status/503", "/last"]);

    // The option goes the way of all options.
    let set = |option: &str| site.vhost.ctl(&["domain", "set", "part.test", "--option", option]);
    assert_eq!(set("access_log.sample=1").code, 0);
    assert_eq!(get("part.test", "/whole"), 200);
    site.line("/whole");
    let both = set("access_log.enabled=false");
    assert!(both.code == 1 && both.stderr.contains("leave one of them out"), "{both:?}");
    let much = set("access_log.sample=2");
    assert!(much.code != 0 && much.stderr.contains("write a share from 0 to 1"), "{much:?}");
    let shown =
        site.vhost.rpc("domain.show", json!({ "domain": "part.test" })).expect("it is there");
    assert_eq!(shown["options"]["access_log"], json!({ "sample": 1.0 }));
    let exported = site.vhost.ctl_ok(&["config", "export"]).stdout;
    assert!(exported.contains("access_log = { sample = 1.0 }"), "{exported}");
    assert!(exported.contains("access_log = { enabled = false }"), "{exported}");
    let diff = site.vhost.ctl(&["config", "diff"]).stdout;
    assert!(diff.contains("access_log") && diff.contains("sample"), "{diff}");
    site.vhost.ctl_ok(&["domain", "set", "part.test", "--no-option", "access_log"]);
    let shown =
        site.vhost.rpc("domain.show", json!({ "domain": "part.test" })).expect("it is there");
    assert_eq!(shown["options"].get("access_log"), None);
}

fn path_of(line: &str) -> String {
    let line: Value = serde_json::from_str(line).expect("JSON");
    line["path"].as_str().expect("text").to_owned()
}

#[test]
fn the_share_that_is_logged_is_of_what_went_well() {
    let mut site = Site::start(|setup| setup.set("access_log.sample", 0.0));
    for _ in 0..20 {
        assert_eq!(site.get("well", "/").status, 200);
    }
    assert_eq!(site.vhost.get("unknown.test", "/unknown").status, 404);
    assert_eq!(site.get("bad", "/status/500").status, 500);
    site.line("/status/500");
    assert_eq!(site.lines().len(), 2, "{:#?}", site.lines());
    site.reload("access_log.sample", 0.5);
    for _ in 0..200 {
        site.get("half", "/");
    }
    assert_eq!(site.vhost.get("unknown.test", "/last").status, 404);
    site.line("/last");
    let half = site.lines().len() - 3;
    assert!((50..150).contains(&half), "{half} of 200");
}

#[test]
fn a_file_that_grows_too_large_is_rotated_and_so_many_are_kept() {
    let site = Site::start(|setup| {
        setup
            .set("access_log.rotation", "\"size\"")
            .set("access_log.max_size_mb", 1)
            .set("access_log.keep_files", 2)
            .set("proxy.max_uri_bytes", 60_000)
    });
    let long = "x".repeat(40_000);
    let mut client = site.vhost.connect();
    for number in 0..150 {
        assert_eq!(client.get("app.localhost", &format!("/{number}/{long}")).status, 200);
    }
    site.line("/149/");
    let rotated = |number: u32| site.directory.path().join(format!("access.log.{number}"));
    assert!(!rotated(3).exists());
    let files = [rotated(2), rotated(1), site.file()];
    for file in &files {
        let length = std::fs::metadata(file).expect("it is there").len();
        assert!(length <= 1 << 20, "{}: {length}", file.display());
    }
    // The last of them, whole and in order.
    let numbers: Vec<u64> = files
        .iter()
        .flat_map(|file| lines(file))
        .map(|line| serde_json::from_str::<Value>(&line).expect("JSON"))
        .map(|line| {
            line["path"].as_str().expect("text").split('/').nth(1).unwrap().parse().unwrap()
        })
        .collect();
    // A file holds 24 or 25 lines: up to two are written at once.
    assert!(numbers.len() > 48, "{numbers:?}");
    assert!(numbers.iter().copied().eq(150 - numbers.len() as u64..150), "{numbers:?}");
}

#[test]
fn sigusr1_opens_files_again_that_were_moved() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("vhost.log");
    let mut site = Site::start(|setup| {
        setup.set("logging.output", "\"file\"").set("logging.file_path", quoted(&log))
    });
    site.get("first", "/");
    site.line("\"first\"");
    let moved = |path: &Path| path.with_extension("moved");
    for path in [&log, &site.file()] {
        std::fs::rename(path, moved(path)).expect("it is there");
    }
    // Until it is told, it goes on where it was.
    site.get("second", "/");
    eventually("the moved file has it", SOON, || lines(&moved(&site.file())).len() == 2);
    assert!(!site.file().exists());
    site.vhost.signal(Signal::SIGUSR1);
    eventually("the files are there again", SOON, || site.file().exists() && log.exists());
    site.get("third", "/");
    site.line("\"third\"");
    assert_eq!(lines(&moved(&site.file())).len(), 2);
    eventually("the log says so", SOON, || {
        lines(&log).iter().any(|line| line.contains("log files opened again"))
    });
    site.vhost.signal(Signal::SIGTERM);
    assert!(site.vhost.wait_for_exit(SOON).success());
    assert!(lines(&log).iter().any(|line| line.contains("stopped")), "{:#?}", lines(&log));
}

/// A reader that stands still costs lines, and no request waits.
#[test]
fn an_access_log_that_nobody_reads_holds_up_no_request() {
    let directory = tempfile::tempdir().expect("a directory");
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let _reader = File::options().read(true).write(true).open(&fifo).expect("it opens");
    let mut site = Site::start(|setup| {
        setup.set("access_log.file_path", quoted(&fifo)).set("proxy.max_uri_bytes", 64_000)
    });
    // More than what waits at most.
    let path = format!("/{}", "x".repeat(60_000));
    let mut client = site.vhost.connect();
    let started = Instant::now();
    for _ in 0..300 {
        assert_eq!(client.get("app.localhost", &path).status, 200);
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    site.vhost.signal(Signal::SIGTERM);
    assert!(site.vhost.wait_for_exit(SOON).success());
    let told = site.vhost.log_lines("lines of the access log were dropped");
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn on_the_console_it_is_alone_on_standard_output() {
    let site = Site::start(|setup| setup);
    let backend = site.backend.address();
    let [http] = free_ports(free_ip());
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("vhost.toml");
    let text = Setup::new()
        .at(http)
        .unset("proxy.listen_addr")
        .set("access_log.enabled", true)
        .domain("example.com", "a")
        .backend("web", backend, &["a"])
        .text(directory.path());
    std::fs::write(&config, text).expect("it can be written");
    let mut command = Command::new(vhost_binary());
    command.args(["serve", "--config"]).arg(&config);
    let running = RunningCtl::of(command);
    eventually("it serves", Duration::from_secs(20), || Client::try_connect(http).is_ok());
    assert_eq!(get(http, "example.com", "/console").status, 200);
    nix::sys::signal::kill(running.pid(), Signal::SIGTERM).expect("it runs");
    let output = running.wait();
    assert_eq!(output.code, 0, "{output:?}");
    let lines: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON alone")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_fields(&lines[0], &json!({ "path": "/console", "status": 200 }));
    assert!(output.stderr.contains("ready"), "{output:?}");
}

#[test]
fn a_server_whose_access_log_cannot_be_opened_does_not_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("vhost.toml");
    let text = Setup::new()
        .set("access_log.enabled", true)
        .set("access_log.output", "\"file\"")
        .set("access_log.file_path", "\"/no/such/directory/access.log\"")
        .text(directory.path());
    std::fs::write(&config, text).expect("it can be written");
    let output = serve_once(&config);
    assert_eq!(output.code, 1, "{output:?}");
    for part in [
        "error: cannot open the log file `/no/such/directory/access.log`",
        "hint: create its directory, or set `access_log.output = \"console\"`",
    ] {
        assert!(output.stderr.contains(part), "{output:?}");
    }
}
