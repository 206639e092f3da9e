//! The status page where it wants a token.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::page::{seen_at, text_between};
use crate::harness::*;

#[test]
fn the_page_wants_a_token_where_the_config_says_so_and_the_metrics_want_none() {
    let (setup, metrics) = super::with_metrics(Setup::new().domain("example.com", "a"));
    let vhost = setup
        .backend("a1", refusing_address(), &["a"])
        .set("metrics.status_page", true)
        .set("metrics.status_page_token", true)
        .start();
    let added = vhost.ctl_json(&["token", "add", "screen", "--read"]);
    let secret = added["secret"].as_str().expect("it is shown once");
    let password = |name: &str, secret: &str| {
        format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(format!("{name}:{secret}")))
    };
    let status = |path: &str, header: &str| {
        Client::connect(metrics).get_with("localhost", path, header).status
    };
    let bearer = format!("Authorization: Bearer {secret}\r\n");
    for path in ["/", "/status.json"] {
        let refused = get(metrics, "localhost", path);
        assert_eq!(refused.status, 401, "{path}");
        let challenge = refused.header("www-authenticate").expect("browsers ask for it");
        assert!(challenge.starts_with("Basic realm="), "{challenge}");
        assert!(refused.text().contains("vhost ctl token add"), "{}", refused.text());
        for good in [&bearer, &password("", secret), &password("anybody", secret)] {
            assert_eq!(status(path, good), 200, "{path} {good}");
        }
        let bearers = bearer.repeat(2);
        for bad in [&password(secret, ""), &password("screen", "guess"), &bearers] {
            assert_eq!(status(path, bad), 401, "{path} {bad}");
        }
    }
    assert_eq!(get(metrics, "localhost", "/metrics").status, 200);
    // One that allows changes is worth too much for plain HTTP.
    let full = vhost.ctl_json(&["token", "add", "deploy"]);
    let full = full["secret"].as_str().expect("it is shown once");
    for header in [&password("deploy", full), &format!("Authorization: Bearer {full}\r\n")] {
        let refused = Client::connect(metrics).get_with("localhost", "/status.json", header);
        assert_eq!(refused.status, 401, "{header}");
        let text = refused.text();
        assert!(text.contains("may make changes") && text.contains("with read access"), "{text}");
    }
    let refused = |line: &str| {
        let is_line = line.contains("refused at the status page");
        is_line && line.contains("client_ip=127.0.0.1")
    };
    vhost.wait_for_log("not one of this server's");
    vhost.wait_for_log("may make changes");
    let log = vhost.log();
    assert!(log.lines().any(refused), "{log}");
    assert!(!log.contains(full), "{log}");
    // A browser sends it with each request of the page.
    let dom = seen_at(&format!("http://screen:{secret}@{metrics}/"));
    assert!(text_between(&dom, "id=\"state\"", "</p>").ends_with("live"), "{dom}");
    vhost.ctl_ok(&["token", "remove", "screen"]);
    assert_eq!(status("/status.json", &bearer), 401);
}
