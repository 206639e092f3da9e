use super::*;

#[test]
fn other_names_are_redirected_with_path_query_and_port() {
    let (backend, vhost) = with_options(
        "aliases = [\"www.example.com\", \"*.example.com\"]\ncanonical_host = \"example.com\"",
    );
    let port = vhost.http().port();
    for host in ["www.example.com", "WWW.example.com.", "shop.example.com"] {
        let response = vhost.connect().get(&format!("{host}:{port}"), "/a%20b?c=d");
        assert_eq!(response.status, 308, "{host}");
        let location = format!("http://example.com:{port}/a%20b?c=d");
        assert_eq!(response.header("location"), Some(location.as_str()));
    }
    assert_eq!(vhost.get("www.example.com", "/").header("location"), Some("http://example.com/"));
    assert_eq!(backend.requests(), 0);
    assert_eq!(vhost.get("Example.COM", "/").backend(), Some("w1"));

    vhost.ctl_ok(&["domain", "set", "example.com", "--option", "canonical_host=www.example.com"]);
    assert_eq!(vhost.get("example.com", "/x").header("location"), Some("http://www.example.com/x"));
    vhost.ctl_ok(&["domain", "set", "example.com", "--no-option", "canonical_host"]);
    assert_eq!(vhost.get("example.com", "/").backend(), Some("w1"));
}

#[test]
fn a_client_of_https_stays_with_https() {
    let backend = Backend::start("w1");
    let vhost = Setup::new()
        .domain_with(
            "example.com",
            "a",
            "aliases = [\"www.example.com\"]\ntls = \"internal\"\ncanonical_host = \"example.com\"\n\
             hsts_max_age_secs = 60",
        )
        .backend("w1", backend.address(), &["a"])
        .set("proxy.trusted_proxies", "[\"127.0.0.0/8\"]")
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    let response = client.get_with("www.example.com", "/x", "X-Forwarded-Proto: https\r\n");
    assert_eq!(response.header("location"), Some("https://example.com/x"));
}
