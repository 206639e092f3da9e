//! Who may come in, and the log of who may not.

use super::*;

/// The request is refused with this status and these words, and the log says so.
#[track_caller]
fn refused(api: &Api, request: (&str, &str), headers: Headers<'_>, status: u16, words: &str) {
    let before = api.vhost.log_lines(words).len();
    let response = api.send(request.0, request.1, headers, None);
    assert_eq!(response.status, status, "{}", response.text());
    let (kind, told) = problem(&response);
    assert!(told.contains(words), "{told}");
    if status != 400 {
        assert_eq!(kind, "denied");
    }
    assert_eq!(response.header("www-authenticate"), (status == 401).then_some("Bearer"));
    let logged = eventually_some("the refusal is logged", SOON, || {
        let lines = api.vhost.log_lines(words);
        (lines.len() > before).then(|| lines.last().cloned()).flatten()
    });
    let path = request.1.trim_start_matches("http://evil.test");
    for part in ["client_ip=127.0.0.1", "refused at the management API", path] {
        assert!(logged.contains(part), "{logged}");
    }
}

#[test]
fn strangers_and_web_pages_are_refused_and_logged() {
    let api =
        Api::start_with(|setup| setup.set("proxy.management_api_hosts", "[\"vhost.example.net\"]"));
    let list = ("GET", DOMAINS);
    let token = format!("Bearer {}", api.token);
    let right = ("Authorization", token.as_str());
    refused(&api, list, &[], 401, "there is no token");
    refused(&api, list, &[("Authorization", "Bearer vhost_x")], 401, "not one of this server's");
    refused(&api, list, &[("Authorization", "Basic YTpi")], 401, "no bearer token");
    refused(&api, list, &[right, right], 401, "no bearer token");
    refused(&api, list, &[right, ("Origin", "http://evil")], 403, "`Origin`");
    refused(&api, ("GET", "/api/v1/health"), &[("Origin", "null")], 403, "`Origin`");
    for host in ["evil.test", "127.0.0.1.evil.test", "192.0.2.1", "[::1]", "a b", "localhost.evil"]
    {
        refused(&api, list, &[right, ("Host", host)], 403, "`Host` is not a name");
    }
    refused(&api, ("GET", "http://evil.test/api/v1/health"), &[], 403, "`Host` is not a name");
    refused(&api, list, &[right, ("Host", "localhost"), ("Host", "localhost")], 400, "one `Host`");

    let reader = api.vhost.ctl_ok(&["token", "add", "board", "--read"]).stdout;
    let reader = format!("Bearer {}", reader.trim());
    let reads = [("Authorization", reader.as_str())];
    assert_eq!(api.send("GET", DOMAINS, &reads, None).status, 200);
    refused(&api, ("DELETE", EXAMPLE), &reads, 403, "the token `board` may only look");
    refused(&api, ("POST", &format!("{EXAMPLE}/switch")), &reads, 403, "may only look");

    let port = api.address.port();
    let own = format!("{}:1", api.address.ip());
    for host in [
        &format!("localhost:{port}"),
        "LocalHost",
        "vhost.example.net",
        "VHOST.example.net.:1",
        &own,
    ] {
        assert_eq!(api.send("GET", DOMAINS, &[right, ("Host", host)], None).status, 200, "{host}");
    }
    // Nothing that is secret is in the log.
    assert!(!api.vhost.log().contains(&api.token));
}

#[test]
fn tokens_are_made_replaced_and_removed() {
    let api = Api::start();
    let with = |secret: &str| {
        let token = format!("Bearer {}", secret.trim());
        api.send("GET", DOMAINS, &[("Authorization", &token)], None).status
    };
    let file = api.vhost.state_dir().join("tokens.json");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let ci = api.vhost.ctl_ok(&["token", "add", "ci"]).stdout;
    assert_eq!(with(&ci), 200);
    let new = api.vhost.ctl_ok(&["token", "rotate"]).stdout;
    assert_eq!((with(&api.token), with(&new)), (401, 200), "the old one is refused at once");
    assert_eq!(api.vhost.ctl_ok(&["token", "show"]).stdout, new);
    let newer = api.vhost.ctl_ok(&["token", "rotate", "ci"]).stdout;
    assert_eq!((with(&ci), with(&newer)), (401, 200));

    let token = format!("Bearer {}", newer.trim());
    let gone = api.send("DELETE", EXAMPLE, &[("Authorization", &token)], None);
    assert_eq!(gone.status, 204);
    let history = api.vhost.ctl_ok(&["history", "--limit", "1"]).stdout;
    assert!(history.contains("token ci"), "{history}");

    let list = api.vhost.ctl_ok(&["token", "list"]).stdout;
    assert!(list.contains("admin") && list.contains("ci") && !list.contains("vhost_"), "{list}");
    api.vhost.ctl_ok(&["token", "remove", "ci"]);
    assert_eq!(with(&newer), 401);
    for (words, code) in [
        (&["token", "remove", "ci"][..], 4),
        (&["token", "rotate", "ci"], 4),
        (&["token", "remove", "admin"], 1),
        (&["token", "add", "admin"], 5),
        (&["token", "add", "a b"], 2),
    ] {
        assert_eq!(api.vhost.ctl(words).code, code, "{words:?}");
    }
}

#[test]
fn tokens_outlive_the_server_and_are_made_only_when_they_are_needed() {
    let setup = Setup::new();
    let mut vhost = setup.start();
    assert!(!vhost.state_dir().join("tokens.json").exists());
    let none = vhost.ctl(&["token", "show"]);
    assert_eq!(none.code, 4);
    assert!(none.stderr.contains("management_api_addr"), "{none:?}");
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    vhost.wait_for_exit(SOON);
    let address = free_address();
    vhost.write_config(&setup.set("proxy.management_api_addr", format!("\"{address}\"")));
    vhost.restart();
    let token = vhost.ctl_ok(&["token", "show"]).stdout;
    vhost.kill();
    vhost.restart();
    assert_eq!(vhost.ctl_ok(&["token", "show"]).stdout, token);
}
