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

const VARIABLES: &str = r#"
request_headers = { set = { X-Client = "${client_ip}", X-Peer = "${peer_ip}", X-Host = "${host}", X-Id = "${request_id}", X-Scheme = "${scheme}", X-Line = "${method} ${path} ${protocol}", X-TLS = "${tls_version}/${tls_sni}", X-Route = "${domain} ${tag} ${backend_id}", X-Both = "${host}-${PROD}", X-Literal = "$${host} $5" }, add = { X-Added = "<${client_ip}>" } }
response_headers = { set = { X-Served-By = "${tag}/${backend_id}", X-Request = "${request_id}", X-Sni = "${tls_sni}" } }
"#;

fn with_variables() -> (Backend, Vhost) {
    let backend = Backend::start("w1");
    let vhost = Setup::new()
        .set("proxy.trusted_proxies", "[\"127.77.0.0/16\"]")
        .domain_with("app.localhost", "a", VARIABLES)
        .domain_with("*.wild.test", "a", VARIABLES)
        .domain_with(
            "path.test",
            "a",
            &format!("{VARIABLES}\npaths = [{{ prefix = \"/api\", tag = \"b\", strip = true }}]"),
        )
        .backend("w1", backend.address(), &["a", "b"])
        .env("PROD", "prod-${client_ip}".into())
        .start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

#[test]
fn values_of_headers_say_what_is_known_of_a_request() {
    let (_backend, vhost) = with_variables();
    let ip = free_ip();
    let mut client = Client::connect_from(ip, vhost.http());
    let forged = "X-TLS: forged\r\nX-Client: forged\r\nX-Added: 1\r\nX-Request-Id: abc\r\n";
    let response = client.get_with("App.Localhost:8080", "/a%20b/\u{e9}?q=1", forged);
    let sent = |name: &str| response.sent(name);
    assert_eq!(sent("x-client"), [ip.to_string()]);
    assert_eq!(sent("x-peer"), [ip.to_string()]);
    assert_eq!(sent("x-host"), ["app.localhost"]);
    assert_eq!((sent("x-id"), sent("x-scheme")), (vec!["abc".into()], vec!["http".into()]));
    assert_eq!(sent("x-line"), ["GET /a%20b/%C3%A9 HTTP/1.1"]);
    assert_eq!(sent("x-tls"), [""; 0], "it has no value, and a stranger's is not in its place");
    assert_eq!(sent("x-route"), ["app.localhost a w1"]);
    assert_eq!(sent("x-literal"), ["${host} $5"]);
    // What the environment holds is no text of the operator's.
    assert_eq!(sent("x-both"), ["app.localhost-prod-${client_ip}"]);
    assert_eq!(sent("x-added"), ["1".to_owned(), format!("<{ip}>")]);
    assert_eq!(response.all("x-served-by"), ["a/w1"]);
    assert_eq!(response.all("x-request"), ["abc"]);
    assert_eq!(response.all("x-sni"), [""; 0]);
    // A wildcard, a path's tag, an id of our own, HTTP/1.0, and a client behind a trusted proxy.
    let response = client.get("shop.wild.test", "/");
    assert_eq!(response.sent("x-route"), ["*.wild.test a w1"]);
    assert_eq!(response.sent("x-host"), ["shop.wild.test"]);
    assert_eq!(response.sent("x-id"), response.sent("x-request-id"));
    assert_eq!(response.all("x-request"), response.sent("x-id"));
    let response = client.get("path.test", "/api/x");
    assert_eq!(response.sent("x-route"), ["path.test b w1"]);
    assert_eq!(response.sent("x-line"), ["GET /api/x HTTP/1.1"]);
    assert_eq!(response.all("x-served-by"), ["b/w1"]);
    let proxy = "127.77.0.9".parse().expect("an address");
    let response = Client::connect_from(proxy, vhost.http()).get_with(
        "app.localhost",
        "/",
        "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n",
    );
    assert_eq!(response.sent("x-client"), ["192.0.2.7"]);
    assert_eq!(response.sent("x-peer"), ["127.77.0.9"]);
    assert_eq!(response.sent("x-scheme"), ["https"]);
    let response = Client::connect_from(proxy, vhost.http()).get_with(
        "app.localhost",
        "/",
        "X-Forwarded-For: unknown\r\nX-Client: forged\r\n",
    );
    assert_eq!(response.sent("x-client"), [""; 0]);
    // Answers of the proxy's own.
    vhost.ctl_ok(&["backend", "disable", "w1", "--force"]);
    let refused = client.get_with("app.localhost", "/", "X-Request-Id: of-503\r\n");
    assert_eq!((refused.status, refused.header("x-request")), (503, Some("of-503")));
    assert_eq!(refused.header("x-served-by"), None, "it has no backend");
    let refused = client.get("app.localhost", "/");
    assert_eq!(refused.header("x-request").map(str::len), Some(32), "one of our own");
    let logged = vhost.wait_for_log(refused.header("x-request").expect("an id")).concat();
    assert!(logged.contains("reason=no_backend"), "{logged}");
}

#[test]
fn variables_are_the_same_over_tls_and_http2() {
    let (_backend, vhost) = with_variables();
    vhost.wait_for_certificate("app.localhost", "valid");
    let tls = TlsClient::accepts_any();
    let name = Some("App.localhost");
    let mut client = tls.connect(vhost.https(), name).expect("a handshake");
    let response = client.get("app.localhost", "/h1");
    assert_eq!(response.sent("x-tls"), ["TLSv1.3/app.localhost"]);
    assert_eq!(response.sent("x-scheme"), ["https"]);
    assert_eq!(response.all("x-sni"), ["app.localhost"]);
    in_runtime(async {
        let (mut h2, _) = tls.connect_h2(vhost.https(), name).await.expect("a handshake");
        let request = http::Request::get("https://app.localhost/h2?q=1")
            .header("x-client", "forged")
            .body(())
            .expect("a request");
        let (response, _) = h2.start(request, true).await.expect("a stream");
        let response = read(response).await.expect("an answer");
        let text = String::from_utf8(response.body).expect("text");
        for part in ["GET /h2 HTTP/2", "TLSv1.3/app.localhost", "app.localhost a w1"] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
        assert!(!text.contains("forged"), "{text}");
        assert_eq!(response.headers["x-served-by"], "a/w1");
        assert_eq!(response.headers["x-sni"], "app.localhost");
    });
}

#[test]
fn variables_are_written_alike_everywhere_and_others_are_refused() {
    let (_backend, vhost) = with_variables();
    let set = |option: &str| vhost.ctl(&["domain", "set", "app.localhost", "--option", option]);
    let output = set("request_headers.set.X-More=\"${client_ip} $${host}\"");
    assert_eq!(output.code, 0, "{output:?}");
    let response = vhost.get("app.localhost", "/");
    let more = response.sent("x-more");
    assert!(more[0].ends_with(" ${host}") && more[0].starts_with("127."), "{more:?}");
    assert_eq!(response.sent("x-both"), ["app.localhost-prod-${client_ip}"], "it stays");
    for (text, words) in [
        ("${cleint_ip}", "did you mean `${client_ip}`?"),
        ("${PROD}", "only the config file can refer to the environment"),
        ("${client-ip}", "the variables of requests are"),
        ("$remote_addr", "write `${client_ip}`"),
        ("{http.request.remote.host}", "write `${client_ip}`"),
    ] {
        let output = set(&format!("request_headers.set.X-Wrong=\"{text}\""));
        assert!(output.code == 1 && output.stderr.contains(words), "{text}: {output:?}");
    }
    // Other options have the environment alone.
    let output = set("maintenance.message=\"${client_ip}\"");
    assert!(output.code == 1 && output.stderr.contains("only the config file"), "{output:?}");
    // What is shown can be given back, and what is exported declares what is live.
    let shown = vhost.rpc("domain.show", serde_json::json!({"domain": "app.localhost"})).unwrap();
    let headers = &shown["options"]["request_headers"];
    assert_eq!(headers["set"]["x-more"], "${client_ip} $${host}");
    assert_eq!(headers["set"]["x-both"], "${host}-${PROD}");
    let again = serde_json::json!({"domain": "app.localhost", "options": shown["options"]});
    let after = vhost.rpc("domain.set", again).unwrap();
    assert_eq!(after["options"], shown["options"]);
    let exported = vhost.ctl_ok(&["config", "export"]).stdout;
    std::fs::write(vhost.config_file(), &exported).unwrap();
    let report = vhost.ctl_json(&["reload", "--dry-run"]);
    assert_eq!(report["changed"], serde_json::json!([]), "{report}\n{exported}");
    vhost.ctl_ok(&["reload"]);
    assert_eq!(vhost.get("app.localhost", "/").sent("x-literal"), ["${host} $5"]);
    let line = |value: &str| {
        let text = exported.replacen("${client_ip} $${host}", value, 1);
        std::fs::write(vhost.config_file(), text).unwrap();
        vhost.ctl(&["reload", "--dry-run"])
    };
    let unknown = line("${cleint_ip}");
    assert!(
        unknown.code == 2 && unknown.stderr.contains("did you mean `${client_ip}`?"),
        "{unknown:?}"
    );
    // As it may stand in a file for long: it is sent as before, with a warning.
    assert_eq!(line("$remote_addr").code, 0);
    let file = vhost.config_file().display().to_string();
    let mut check = std::process::Command::new(vhost_binary());
    let check = check.args(["check", &file]).env("PROD", "x").output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr).into_owned()
        + &String::from_utf8_lossy(&check.stdout);
    assert!(said.contains("write `${client_ip}`"), "{said}");
}

#[test]
fn variables_survive_a_restart() {
    let (_backend, mut vhost) = with_variables();
    vhost.kill();
    vhost.restart();
    vhost.wait_until_healthy(1);
    let response = vhost.get("app.localhost", "/");
    assert_eq!(response.sent("x-literal"), ["${host} $5"]);
    assert_eq!(response.sent("x-host"), ["app.localhost"]);
}
