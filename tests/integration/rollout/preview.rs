//! Links that pin a browser to a tag.

use super::*;

/// The path and query of the link to a preview.
fn link(site: &Site, more: &[&str]) -> String {
    let made = site.vhost.ctl_ok(&[&["preview", HOST, "b"], more].concat());
    let url = made.stdout.trim().to_owned();
    url[url.find("/?").expect("a path")..].to_owned()
}

fn cookie_of(response: &Response) -> Option<String> {
    let cookie =
        response.all("set-cookie").into_iter().find(|one| one.starts_with("vhost_preview="))?;
    Some(cookie.split(';').next().expect("a pair").to_owned())
}

#[test]
fn a_link_pins_a_browser_and_takes_itself_out_of_the_url() {
    let site = Site::start();
    let link = link(&site, &[]);
    let token = link.trim_start_matches("/?").to_owned();
    let response = site.vhost.get(HOST, &format!("/shop?x=1&{token}&y=2"));
    assert_eq!((response.status, response.header("location")), (303, Some("/shop?x=1&y=2")));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let cookie = cookie_of(&response).expect("a cookie");
    let pinned = site.vhost.connect().get_with(HOST, "/", &format!("Cookie: {cookie}\r\n"));
    assert_eq!((pinned.backend(), pinned.header("x-robots-tag")), (Some("b1"), Some("noindex")));
    let other = site.vhost.get(HOST, "/");
    assert_eq!((other.backend(), other.header("x-robots-tag")), (Some("a1"), None));
    // Two slashes at the beginning would lead to another host.
    let response = site.vhost.get(HOST, &format!("//evil.test/?{token}"));
    assert_eq!(response.header("location"), Some("/evil.test/"));
}

#[test]
fn a_link_is_worth_nothing_elsewhere_nor_changed_nor_when_it_is_over() {
    let site =
        Site::start_with("", |setup| setup.domain_with("other.test", "a", "http_to_https = false"));
    let link = link(&site, &[]);
    assert_eq!(site.vhost.get(HOST, &link).status, 303);
    assert_eq!(site.vhost.get("other.test", &link).status, 200, "it is bound to its domain");
    let mut changed = link.clone();
    changed.replace_range(20..21, if &changed[20..21] == "A" { "B" } else { "A" });
    assert_eq!(site.vhost.get(HOST, &changed).status, 200);
    let cookie = cookie_of(&site.vhost.get(HOST, &link)).unwrap();
    let is_pinned = || {
        let response = site.vhost.connect().get_with(HOST, "/", &format!("Cookie: {cookie}\r\n"));
        response.backend() == Some("b1")
    };
    assert!(is_pinned());
    site.vhost.ctl_ok(&["preview", HOST, "--revoke", "all"]);
    assert!(!is_pinned() && site.vhost.get(HOST, &link).status == 200, "it was revoked");
    let short = self::link(&site, &["--ttl", "1s"]);
    let cookie = cookie_of(&site.vhost.get(HOST, &short)).unwrap();
    eventually("its time is over", SOON, || {
        let response = site.vhost.connect().get_with(HOST, "/", &format!("Cookie: {cookie}\r\n"));
        response.backend() == Some("a1")
    });
}

#[test]
fn there_are_only_so_many_previews_and_they_outlive_a_restart() {
    let mut site = Site::start();
    let first = link(&site, &[]);
    for _ in 1..20 {
        link(&site, &[]);
    }
    let refused = site.vhost.ctl(&["preview", HOST, "b"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stderr.contains("has 20 previews already"), "{}", refused.stderr);
    site.vhost.kill();
    site.vhost.restart();
    assert_eq!(site.vhost.get(HOST, &first).status, 303);
    site.vhost.ctl_ok(&["preview", HOST, "--revoke", "all"]);
    assert_eq!(site.vhost.get(HOST, &first).status, 200);
}
