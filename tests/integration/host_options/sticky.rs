use super::*;

fn site() -> (Vec<Backend>, Vhost) {
    let backends: Vec<_> = ["w1", "w2", "w3", "next"].map(Backend::start).into();
    let mut setup = Setup::new()
        .domain_with("example.com", "a", "sticky = { cookie = \"at\", max_age_secs = 60 }")
        .domain_with("example.org", "a", "sticky = { cookie = \"at\" }");
    for (backend, tag) in backends.iter().zip(["a", "a", "a", "b"]) {
        setup = setup.backend(backend.id(), backend.address(), &[tag]);
    }
    let vhost = setup.set("proxy.trusted_proxies", "[\"127.0.0.0/8\"]").start();
    vhost.wait_until_healthy(4);
    (backends, vhost)
}

/// The cookie that a response sets, as a request sends it.
fn cookie(response: &Response) -> Option<String> {
    let value = response.header("set-cookie")?.split(';').next()?;
    Some(format!("Cookie: a=b; {value}\r\n"))
}

#[test]
fn a_client_stays_with_its_backend() {
    let (backends, mut vhost) = site();
    let first = vhost.get("example.com", "/");
    let id = first.backend().unwrap().to_owned();
    let set = first.header("set-cookie").unwrap();
    for part in ["at=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=60"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains(&id), "{set}");
    let kept = cookie(&first).unwrap();
    let get =
        |vhost: &Vhost, host: &str, headers: &str| vhost.connect().get_with(host, "/", headers);
    for _ in 0..10 {
        let response = get(&vhost, "example.com", &kept);
        assert_eq!(response.backend(), Some(id.as_str()));
        assert_eq!(response.header("set-cookie"), None);
    }
    let over_https = get(&vhost, "example.com", "X-Forwarded-Proto: https\r\n");
    assert!(over_https.header("set-cookie").unwrap().contains("; Secure"));
    // At another domain it is nothing, and neither is one that was made up.
    assert!(cookie(&get(&vhost, "example.org", &kept)).is_some());
    let forged = kept.replace("at=", "at=A");
    assert!(cookie(&get(&vhost, "example.com", &forged)).is_some());

    // A restart moves nobody.
    vhost.kill();
    vhost.restart();
    vhost.wait_until_healthy(4);
    assert_eq!(get(&vhost, "example.com", &kept).backend(), Some(id.as_str()));

    // A backend that takes nobody loses its clients, and they stay with another.
    for (away, back) in [("drain", "ready"), ("disable", "ready")] {
        vhost.ctl_ok(&["backend", away, &id]);
        let moved = get(&vhost, "example.com", &kept);
        assert_ne!(moved.backend(), Some(id.as_str()), "{away}");
        let other = cookie(&moved).unwrap();
        assert_eq!(get(&vhost, "example.com", &other).backend(), moved.backend());
        vhost.ctl_ok(&["backend", back, &id]);
    }
    let backend = backends.iter().find(|backend| backend.id() == id).unwrap();
    backend.set_health(500);
    vhost.wait_for_health(&id, "unhealthy");
    assert_ne!(get(&vhost, "example.com", &kept).backend(), Some(id.as_str()));
    // So does one of another tag.
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    let switched = get(&vhost, "example.com", &kept);
    assert!(switched.backend() == Some("next") && cookie(&switched).is_some());
}
