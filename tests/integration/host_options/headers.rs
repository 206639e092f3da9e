use super::*;

const EDITS: &str = r#"
request_headers = { set = { X-Env = "prod", X-Forwarded-Proto = "https" }, add = { X-Tag = "b" }, remove = ["X-Secret"] }
response_headers = { set = { X-Frame-Options = "DENY" }, add = { Vary = "Origin" }, remove = ["X-Backend"] }
"#;

#[test]
fn requests_and_responses_are_edited_last() {
    let (_backend, vhost) = with_options(EDITS);
    let mut client = vhost.connect();
    let headers = "X-Env: test\r\nX-Tag: a\r\nX-Secret: 1\r\nx-secret: 2\r\n";
    let response = client.get_with("example.com", "/", headers);
    assert_eq!(response.sent("x-env"), ["prod"]);
    assert_eq!(response.sent("x-tag"), ["a", "b"]);
    assert_eq!(response.sent("x-secret"), [""; 0]);
    assert_eq!(response.sent("x-forwarded-proto"), ["https"]);
    assert_eq!(response.all("x-frame-options"), ["DENY"]);
    assert_eq!(response.all("x-backend"), [""; 0]);
    assert_eq!(response.header("vary"), Some("Origin"));
}

#[test]
fn a_backend_can_have_another_host() {
    let (_backend, vhost) = with_options("request_headers.set.Host = \"inner\"");
    let response = vhost.get("example.com", "/");
    assert_eq!(response.sent("host"), ["inner"]);
    assert_eq!(response.sent("x-forwarded-host"), ["example.com"]);
}

#[test]
fn answers_of_the_proxys_own_are_edited_too() {
    let (_backend, vhost) = with_options("");
    vhost.ctl_ok(&[
        "domain",
        "set",
        "example.com",
        "--option",
        "response_headers.set.X-Frame-Options=DENY",
    ]);
    vhost.ctl_ok(&["backend", "disable", "w1", "--force"]);
    let response = vhost.get("example.com", "/");
    assert_eq!((response.status, response.header("x-frame-options")), (503, Some("DENY")));
    let refused = vhost.ctl(&[
        "domain",
        "set",
        "example.com",
        "--option",
        "response_headers.set.Content-Length=\"1\"",
    ]);
    assert!(refused.code != 0 && refused.stderr.contains("leave it out"), "{refused:?}");
}

/// What reaches a backend of these lines.
fn passed_on(vhost: &Vhost, lines: &str, names: &[&str]) -> Vec<String> {
    let response = vhost.connect().get_with("example.com", "/", lines);
    names.iter().flat_map(|name| response.sent(name)).collect()
}

#[test]
fn fields_that_cgi_takes_for_others_reach_no_backend() {
    let metrics = free_address();
    let backend = Backend::start("w1");
    let setup = Setup::new()
        .set("metrics.enabled", true)
        .set("metrics.listen_addr", format!("\"{metrics}\""))
        .domain_with("example.com", "a", "request_headers.remove = [\"X-User\"]")
        .backend("w1", backend.address(), &["a"]);
    let vhost = setup.start();
    vhost.wait_until_healthy(1);
    let lines = "X_Forwarded_For: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nX_User: root\r\nX_App: 1\r\n\
                 X-User: root\r\nProxy: http://evil.test\r\n";
    let names =
        ["x_forwarded_for", "x_real_ip", "x_user", "x-user", "x_app", "proxy", "x-request-id"];
    let left = passed_on(&vhost, lines, &names);
    assert_eq!(left.len(), 1, "the id alone: {left:?}");
    let over_h2 = in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        let request = http::Request::get("http://example.com/")
            .header("x_real_ip", "6.6.6.6")
            .header("proxy", "http://evil.test")
            .body(());
        let (response, _) = client.start(request.unwrap(), true).await.unwrap();
        String::from_utf8(read(response).await.unwrap().body).unwrap()
    });
    assert!(!over_h2.contains("6.6.6.6") && !over_h2.contains("evil"), "{over_h2}");
    eventually("they are counted", SOON, || {
        let page = get(metrics, &metrics.to_string(), "/metrics").text();
        page.contains("proxy_request_fields_dropped_total 7\n")
    });
    // The operator may want them: but for those that could be taken for what is ours, or is edited.
    vhost.write_config(&setup.set("proxy.underscores_in_headers", "\"allow\""));
    vhost.ctl_ok(&["reload"]);
    assert_eq!(passed_on(&vhost, lines, &names[..6]), ["1"]);
}
