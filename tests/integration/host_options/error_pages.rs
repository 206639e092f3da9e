use super::*;

#[test]
fn files_take_the_place_of_error_answers() {
    let backend = Backend::start("w1");
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("404.html"), "<h1>not here</h1>").unwrap();
    std::fs::write(path("sorry.json"), "{\"sorry\":true}").unwrap();
    let vhost = Setup::new()
        .set("proxy.pages_dir", format!("{:?}", directory.path()))
        .domain_with(
            "example.com",
            "a",
            &format!(
                "error_pages = {{ 404 = {:?}, 5xx = {:?}, 403 = {:?} }}\n\
                 response_headers.set.X-Frame-Options = \"DENY\"\ncompression = [\"gzip\"]",
                path("404.html"),
                path("sorry.json"),
                path("missing.html")
            ),
        )
        .backend("w1", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    // A backend's own.
    let response = client.get("example.com", "/status/404");
    assert_eq!((response.status, response.text().as_str()), (404, "<h1>not here</h1>"));
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.backend(), Some("w1"));
    assert_eq!(response.header("x-frame-options"), Some("DENY"));
    let response = client.get("example.com", "/status/502");
    assert_eq!((response.status, response.text().as_str()), (502, "{\"sorry\":true}"));
    assert_eq!(response.header("content-type"), Some("application/json"));
    client.send("HEAD /status/404 HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let head = client.read_head().unwrap();
    assert_eq!((head.status, head.header("content-length")), (404, Some("17")));
    let response = client.post("example.com", "/status/404", b"body");
    assert_eq!((response.status, response.text().as_str()), (404, "<h1>not here</h1>"));
    // Other statuses pass, and so does one whose page can't be read, which is told.
    assert_eq!(client.get("example.com", "/status/410").echo()["id"], "w1");
    assert_eq!(client.get("example.com", "/status/403").echo()["id"], "w1");
    let status = vhost.ctl_ok(&["status"]);
    assert!(status.stdout.contains("missing.html"), "{status:?}");
    // A page that changes is read again.
    std::fs::write(path("404.html"), "<h1>gone for good</h1>").unwrap();
    eventually("the page is read again", SOON, || {
        client.get("example.com", "/status/404").text() == "<h1>gone for good</h1>"
    });
    // The proxy's own.
    vhost.ctl_ok(&["domain", "maintenance", "example.com", "on", "--message", "no page"]);
    let response = client.get("example.com", "/");
    assert_eq!((response.status, response.text().as_str()), (503, "{\"sorry\":true}"));
    vhost.ctl_ok(&["domain", "maintenance", "example.com", "off"]);
    backend.stop();
    let response = client.get("example.com", "/");
    assert!(response.status >= 502, "{response:?}");
    assert_eq!(response.text(), "{\"sorry\":true}");
    // What is set later is read, too.
    set(&vhost, &format!("error_pages={{502={0:?},503={0:?}}}", path("404.html")));
    eventually("the new page is read", SOON, || {
        vhost.get("example.com", "/").text() == "<h1>gone for good</h1>"
    });
}

#[test]
fn an_empty_error_gets_its_page_too() {
    let empty = RawBackend::start(|connection| {
        while connection.read_request().is_some() {
            connection.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nETag: \"1\"\r\n\r\n");
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("404.txt");
    std::fs::write(&page, "none").unwrap();
    let vhost = Setup::new()
        .tcp_probes()
        .domain_with("example.com", "a", &format!("error_pages.4xx = {page:?}"))
        .backend("w1", empty.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    for _ in 0..3 {
        let response = client.get("example.com", "/");
        assert_eq!((response.status, response.text().as_str()), (404, "none"));
        assert_eq!(response.header("etag"), None);
    }
}
