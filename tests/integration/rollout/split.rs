//! Who gets which tag.

use super::*;

/// The tag that a client with this cookie gets.
fn served(site: &Site, headers: &str) -> Response {
    site.vhost.connect().get_with(HOST, "/", headers)
}

fn cookie_of(response: &Response) -> Option<String> {
    let cookie =
        response.all("set-cookie").into_iter().find(|one| one.starts_with("vhost_split="))?;
    Some(cookie.split(';').next().expect("a pair").to_owned())
}

#[test]
fn a_client_keeps_its_tag_over_connections_restarts_and_upgrades() {
    let mut site = Site::start();
    assert!(cookie_of(&served(&site, "")).is_none(), "nothing is split yet");
    site.vhost.ctl_ok(&["split", HOST, "b=50%"]);
    let mut clients = Vec::new();
    for _ in 0..60 {
        let response = served(&site, "");
        let cookie = cookie_of(&response).expect("a newcomer gets its cookie");
        clients.push((cookie, response.backend().expect("a backend").to_owned()));
    }
    let on_b = clients.iter().filter(|(_, backend)| backend == "b1").count();
    assert!((10..=50).contains(&on_b), "half of 60: {on_b}");
    let assert_same = |site: &Site, when: &str| {
        for (cookie, backend) in &clients {
            let response = served(site, &format!("Cookie: x=y; {cookie}\r\n"));
            assert_eq!(response.backend(), Some(backend.as_str()), "{when}");
            assert_eq!(cookie_of(&response), None, "who has one keeps it");
        }
    };
    assert_same(&site, "again");
    in_runtime(async {
        let mut connection = H2::connect(site.vhost.http()).await;
        for (cookie, backend) in &clients {
            let request = http::Request::get(format!("http://{HOST}/")).header("cookie", cookie);
            let (response, _) = connection.start(request.body(()).unwrap(), true).await.unwrap();
            let response = read(response).await.unwrap();
            assert_eq!(response.headers["x-backend"], backend.as_str(), "over HTTP/2");
            assert!(!response.headers.contains_key("set-cookie"), "who has one keeps it");
        }
    });
    site.vhost.upgrade();
    assert_same(&site, "after an upgrade");
    site.vhost.restart();
    assert_same(&site, "after a restart");
}

#[test]
fn a_share_that_grows_moves_nobody_back_and_one_that_shrinks_only_those_it_gives_up() {
    let site = Site::start_with("split.by = \"header:X-User\"", |setup| setup);
    let there = || -> Vec<bool> {
        (0..200)
            .map(|user| {
                let response = served(&site, &format!("X-User: {user}\r\n"));
                assert_eq!(cookie_of(&response), None, "it is known by its header");
                response.backend() == Some("b1")
            })
            .collect()
    };
    let mut before = vec![false; 200];
    for (share, grows) in [("5%", true), ("20%", true), ("60%", true), ("30%", false), ("0", false)]
    {
        site.vhost.ctl_ok(&["split", HOST, &format!("b={share}")]);
        let now = there();
        let moved = before
            .iter()
            .zip(&now)
            .filter(|(was, is)| if grows { **was && !**is } else { !**was && **is });
        assert_eq!(moved.count(), 0, "{share}");
        before = now;
    }
    assert!(before.iter().all(|is_there| !is_there));
    assert_eq!(served(&site, "").backend(), Some("a1"), "without the header, the live tag");
}

#[test]
fn the_backend_gets_the_tag_and_nobody_elses_word_for_it() {
    let site = Site::start_with("split.testers = [\"127.0.0.0/8\"]", |setup| setup);
    let sent = |headers: &str| served(&site, headers).sent("x-vhost-tag");
    assert!(sent("X-Vhost-Tag: b\r\n").is_empty(), "what a stranger says is taken away");
    assert_eq!(served(&site, "X-Vhost-Tag: b\r\n").backend(), Some("a1"), "b serves nobody yet");
    site.vhost.ctl_ok(&["split", HOST, "b=0.0001%"]);
    assert_eq!(sent(""), ["a"]);
    let tester = served(&site, "X-Vhost-Tag: b\r\n");
    assert_eq!((tester.backend(), tester.header("x-robots-tag")), (Some("b1"), Some("noindex")));
    assert_eq!(sent("X-Vhost-Tag: b\r\n"), ["b"]);
    assert_eq!(sent("X-Vhost-Tag: nowhere\r\n"), ["a"]);
    site.vhost.ctl_ok(&["domain", "set", HOST, "--option", "split.testers=[]"]);
    assert_eq!(served(&site, "X-Vhost-Tag: b\r\n").backend(), Some("a1"), "a tester no more");
    site.vhost.ctl_ok(&["domain", "set", HOST, "--option", "split.tag_header=false"]);
    assert!(sent("X-Vhost-Tag: b\r\n").is_empty());
}

#[test]
fn an_unhealthy_tag_gets_no_share_and_one_that_loses_its_share_is_drained() {
    let site = Site::start();
    site.b.set_health(503);
    site.vhost.wait_for_health("b1", "unhealthy");
    let refused = site.vhost.ctl(&["split", HOST, "b=10%", "--timeout", "100ms"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert_eq!(served(&site, "").backend(), Some("a1"));
    site.b.set_health(200);
    site.vhost.ctl_ok(&["split", HOST, "b=100%"]);
    let mut held = site.vhost.connect();
    held.send(format!("GET /hold HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    eventually("b holds it", SOON, || site.b.held() == 1);
    let late = site.vhost.ctl(&["split", HOST, "b=0", "--drain-timeout", "100ms"]);
    assert_eq!(late.code, 7, "one request is left: {late:?}");
    assert_eq!(served(&site, "").backend(), Some("a1"));
    let draining = site.vhost.ctl_in_background(&["wait", HOST, "--until", "drained"]);
    site.b.release();
    assert_eq!(draining.wait().code, 0);
    assert_eq!(held.read_response().backend(), Some("b1"));
}

#[test]
fn promote_and_undo_end_a_split() {
    let site = Site::start();
    assert_eq!(site.vhost.ctl(&["promote", HOST]).code, 4, "nothing is split");
    site.vhost.ctl_ok(&["split", HOST, "b=10%"]);
    site.vhost.ctl_ok(&["undo", HOST]);
    assert_eq!(site.vhost.live(HOST), "a");
    assert_eq!(served(&site, "").backend(), Some("a1"));
    assert_eq!(cookie_of(&served(&site, "")), None, "nothing is split any more");
    site.vhost.ctl_ok(&["split", HOST, "b=10%"]);
    site.vhost.ctl_ok(&["promote", HOST]);
    assert_eq!(site.vhost.live(HOST), "b");
    assert_eq!(cookie_of(&served(&site, "")), None);
    site.vhost.ctl_ok(&["undo", HOST]);
    assert_eq!(site.vhost.live(HOST), "a");
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let site = Site::start();
    site.vhost.ctl_ok(&["split", HOST, "b=60%"]);
    let before = site.vhost.rpc("state.get", json!({})).unwrap()["revision"].clone();
    for (args, code, part) in [
        (&["b"][..], 2, "TAG=SHARE"),
        (&["b=101%"], 2, "at most 100%"),
        (&["b=x"], 2, "a number of per cent"),
        (&["a=10%"], 1, "is the live tag"),
        (&["nowhere=10%"], 4, "no backend carries"),
        (&["b=10%", "b=20%"], 1, "named twice"),
    ] {
        let refused = site.vhost.ctl(&[&["split", HOST], args].concat());
        assert_eq!(refused.code, code, "{args:?}: {refused:?}");
        assert!(refused.stderr.contains(part), "{args:?}: {}", refused.stderr);
    }
    let after = site.vhost.rpc("state.get", json!({})).unwrap()["revision"].clone();
    assert_eq!(before, after);
}

#[test]
fn a_file_that_moves_the_tag_ends_the_split_and_one_that_does_not_leaves_it() {
    let site = Site::start();
    site.vhost.ctl_ok(&["split", HOST, "b=100%"]);
    let setup = |tag: &str, more: &str| {
        Setup::new()
            .domain_with(HOST, tag, &format!("http_to_https = false\n{more}"))
            .backend("a1", site.a.address(), &["a"])
            .backend("b1", site.b.address(), &["b"])
            .at(site.vhost.http())
    };
    site.vhost.write_config(&setup("a", "max_body_bytes = 1000"));
    site.vhost.ctl_ok(&["reload"]);
    assert_eq!(served(&site, "").backend(), Some("b1"), "the file says nothing of it");
    site.vhost.write_config(&setup("b", "max_body_bytes = 1000"));
    site.vhost.ctl_ok(&["reload"]);
    assert_eq!(site.vhost.live(HOST), "b");
    assert_eq!(cookie_of(&served(&site, "")), None);
}
