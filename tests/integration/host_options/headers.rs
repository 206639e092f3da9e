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
