use super::*;

#[test]
fn clients_are_told_of_maintenance_and_when_to_come_again() {
    let (backend, vhost) =
        with_options("maintenance = { message = \"back soon\", retry_after_secs = 120 }");
    let mut client = vhost.connect();
    for _ in 0..2 {
        let response = client.get("example.com", "/");
        assert_eq!((response.status, response.text().as_str()), (503, "back soon\n"));
        assert_eq!(response.header("retry-after"), Some("120"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    assert_eq!(backend.requests(), 0);
    wait_for_refused(&vhost, "maintenance", 2);
    let explained = vhost.ctl(&["explain", "example.com/"]);
    assert!(explained.stdout.contains("503 maintenance"), "{explained:?}");
    // A CA that looks for the backend's own answer finds it.
    let challenge = client.get("example.com", "/.well-known/acme-challenge/token");
    assert_eq!(challenge.backend(), Some("w1"));
}

#[test]
fn what_only_looks_like_a_challenge_does_not_leave_maintenance() {
    let (backend, vhost) = with_options("maintenance = {}");
    let mut client = vhost.connect();
    for rest in [
        "../../secret",
        "%2e%2e/%2e%2e/secret",
        "..%2f..%2fsecret",
        "..;/..;/secret",
        "..\\..\\secret",
        "x/../../../secret",
        "x/y",
        "x;y",
        "x?y",
        "",
    ] {
        let path = format!("/.well-known/acme-challenge/{rest}");
        assert_eq!(client.get("example.com", &path).status, 503, "{path}");
    }
    let posted = client.post("example.com", "/.well-known/acme-challenge/x", b"y");
    assert_eq!(posted.status, 503, "CAs look with GET");
    assert_eq!(backend.requests(), 0);
}

#[test]
fn one_command_turns_it_on_and_off() {
    let (_backend, vhost) = with_options("");
    let maintenance =
        |args: &[&str]| vhost.ctl_ok(&[&["domain", "maintenance", "example.com"], args].concat());
    maintenance(&["on", "--message", "at noon", "--retry-after", "600"]);
    let response = vhost.get("example.com", "/");
    assert_eq!((response.status, response.text().as_str()), (503, "at noon\n"));
    assert_eq!(response.header("retry-after"), Some("600"));
    maintenance(&["on"]);
    let response = vhost.get("example.com", "/");
    assert!(response.status == 503 && response.header("retry-after").is_none());
    assert_eq!(response.text(), "this site is under maintenance\n");
    let wrong = vhost.ctl(&["domain", "maintenance", "example.com", "off", "--message", "x"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("leave out"), "{wrong:?}");
    maintenance(&["off"]);
    assert_eq!(vhost.get("example.com", "/").backend(), Some("w1"));
    let event = vhost.newest_event();
    assert!(event.to_string().contains("maintenance"), "{event}");
}
