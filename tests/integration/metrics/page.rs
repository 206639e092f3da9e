//! The status page, in a real browser.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::*;

/// What a browser makes of a page: its elements, once it has asked for the figures a few times.
pub(super) fn seen_at(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut child = Command::new("chromium")
        // A test may run as root, where Chromium has no sandbox.
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=5000", "--dump-dom", url])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("`./dev test` installs chromium");
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut dom = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut dom).map(|_| dom)
    });
    eventually("the browser ends", Duration::from_secs(50), || child.try_wait().unwrap().is_some());
    reader.join().unwrap().expect("elements are text")
}

/// The texts of a part of the page, from one piece of it up to another, without elements.
pub(super) fn text_between(dom: &str, from: &str, to: &str) -> String {
    let (_, rest) = dom.split_once(from).unwrap_or_else(|| panic!("no {from} in {dom}"));
    let (part, _) = rest.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}"));
    let mut text = String::new();
    for piece in part.split('<') {
        let (element, rest) = piece.split_once('>').unwrap_or(("", piece));
        // Words of one cell stay together.
        if element != "wbr" && !text.ends_with(' ') {
            text.push(' ');
        }
        text.push_str(rest.trim_matches('\n'));
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_browser_shows_what_is_under_way() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let (setup, metrics) = super::with_metrics(
        Setup::new()
            .domain("example.com", "a")
            .domain("idle.example", "a")
            .backend("a1", a.address(), &["a"])
            .backend("b1", b.address(), &["b"])
            .backend("down", refusing_address(), &["b"]),
    );
    let vhost = setup
        .set("metrics.status_page", true)
        .set("health_check.unhealthy_threshold", 1)
        .set("switch.min_healthy_percent", 50)
        .lifetime(Duration::from_mins(3))
        .start();
    vhost.wait_until_healthy(2);
    vhost.wait_for_health("down", "unhealthy");

    let page = get(metrics, "localhost", "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; connect-src 'self'; style-src 'sha256-"));
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(
        !page.text().contains("http://www.w3.org/2000/svg\" ") && !page.text().contains("//cdn")
    );
    let data = get(metrics, "localhost", "/status.json");
    assert_eq!(data.header("content-type"), Some("application/json"));
    assert_eq!(data.echo()["server"]["revision"], 1);

    // A switch that is draining, of whom somebody wrote markup into the history.
    for _ in 0..3 {
        assert_eq!(vhost.get("example.com", "/status/500").status, 500);
    }
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("it is held", Duration::from_secs(20), || a.held() == 1);
    let reason = "<img src=x>release 42";
    vhost.ctl_ok(&["switch", "example.com", "b", "--no-drain", "--reason", reason]);
    let dom = seen_at(&format!("http://{metrics}/"));
    let part = |from, to| text_between(&dom, from, to);
    assert!(part("id=\"state\"", "</p>").ends_with("live"), "{dom}");
    let domains = part("<table id=\"domains\">", "</table>");
    assert!(domains.contains("example.com b "), "{domains}");
    assert!(domains.contains("on b live") && domains.contains("on a draining"), "{domains}");
    assert!(domains.contains("100 %"), "{domains}");
    assert!(domains.contains("idle.example a 0"), "{domains}");
    let backends = part("<table id=\"backends\">", "</table>");
    assert!(backends.contains("down ▲ unhealthy") && backends.contains("refused"), "{backends}");
    assert!(backends.contains("b1 ● healthy"), "{backends}");
    let events = part("id=\"events\"", "</ol>");
    let switch = "switch example.com: a → b, not drained (&lt;img src=x&gt;release 42)";
    assert!(events.contains(switch), "{events}");
    assert!(!dom.contains("<img"), "{dom}");
    let warnings = part("id=\"warnings\"", "</ul>");
    assert!(warnings.contains("backend `down` is unhealthy"), "{warnings}");
    a.release();
    held.read_response();
}

/// A server that gives the page, and its figures when `answers` says so of the number of the question.
fn page_whose_server(answers: fn(usize) -> bool) -> String {
    let (setup, metrics) = super::with_metrics(Setup::new());
    let vhost = setup.set("metrics.status_page", true).start();
    let page = get(metrics, "localhost", "/").text();
    let figures = get(metrics, "localhost", "/status.json").text();
    drop(vhost);
    let asked = Arc::new(AtomicUsize::new(0));
    let server = RawBackend::start(move |connection| {
        while let Some(head) = connection.read_head() {
            let (kind, body) = if head.starts_with("GET /status.json") {
                if !answers(asked.fetch_add(1, Ordering::SeqCst)) {
                    return;
                }
                ("application/json", &figures)
            } else {
                ("text/html", &page)
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            connection.send(head.as_bytes());
        }
    });
    let dom = seen_at(&format!("http://{}/", server.address()));
    text_between(&dom, "id=\"state\"", "</p>")
}

#[test]
fn a_page_whose_server_is_gone_says_since_when() {
    let state = page_whose_server(|question| question == 0);
    assert!(state.contains("no answer since "), "{state}");
}

#[test]
fn a_page_whose_server_is_back_is_live_again() {
    let state = page_whose_server(|question| question > 0);
    assert!(state.ends_with("live"), "{state}");
}
