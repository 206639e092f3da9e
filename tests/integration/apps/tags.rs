//! A tag is looked up within the app.

use super::*;

/// Two apps that both call their versions `a` and `b`, and a domain in none that does so too.
fn three_sites() -> ([Backend; 4], Setup) {
    let sites = ["shop-a", "shop-b", "blog-a", "plain-a"].map(Backend::start);
    let [shop_a, shop_b, blog_a, plain_a] = &sites;
    let setup = Setup::new()
        .entries("[[apps]]\nname = \"shop\"\n[[apps]]\nname = \"blog\"\n")
        .domain_with("shop.test", "a", "app = \"shop\"")
        .domain_with("blog.test", "a", "app = \"blog\"")
        .domain("plain.test", "a")
        .backend_with("shop-a", shop_a.address(), &["a"], "app = \"shop\"")
        .backend_with("shop-b", shop_b.address(), &["b"], "app = \"shop\"")
        .backend_with("blog-a", blog_a.address(), &["a"], "app = \"blog\"")
        .backend("plain-a", plain_a.address(), &["a"]);
    (sites, setup)
}

#[test]
fn each_app_is_served_by_its_own_backends_alone() {
    let (_sites, setup) = three_sites();
    let vhost = setup.start();
    vhost.wait_until_healthy(4);
    for _ in 0..5 {
        for (host, backend) in
            [("shop.test", "shop-a"), ("blog.test", "blog-a"), ("plain.test", "plain-a")]
        {
            assert_eq!(served_by(&vhost, host), backend);
        }
    }
    vhost.ctl_ok(&["switch", "shop.test", "b"]);
    assert_eq!(served_by(&vhost, "shop.test"), "shop-b");
    assert_eq!(served_by(&vhost, "blog.test"), "blog-a");
    let refused = vhost.ctl(&["switch", "blog.test", "b"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (4, ""));
    assert!(
        refused.stderr.contains("no backend of the app `blog` carries the tag `b`"),
        "{refused:?}"
    );
    let refused = vhost.ctl(&["switch", "plain.test", "b"]);
    assert!(refused.stderr.contains("no backend carries the tag `b`"), "{refused:?}");
}

#[test]
fn the_last_backend_of_an_app_is_kept_though_another_app_has_one_with_the_same_tag() {
    let (_sites, setup) = three_sites();
    let vhost = setup.start();
    vhost.wait_until_healthy(4);
    let refused = vhost.ctl(&["backend", "drain", "blog-a"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("blog.test"), "{refused:?}");
    vhost.ctl_ok(&["backend", "drain", "shop-b"]);
}

#[test]
fn only_what_belongs_to_no_app_is_warned_of_when_it_shares_a_tag() {
    let (_sites, setup) = three_sites();
    let vhost = setup.start();
    let file = vhost.config_file();
    let check = |file: &std::path::Path| {
        let mut command = std::process::Command::new(vhost_binary());
        command.arg("check").arg(file);
        RunningCtl::of(command).wait()
    };
    let checked = check(&file);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(!checked.stderr.contains("warning"), "{checked:?}");

    let shared = setup.clone().domain("other.test", "a");
    vhost.write_config(&shared);
    let checked = check(&file);
    assert_eq!(checked.code, 0, "{checked:?}");
    let warning = "is live on this tag too, so the same backends serve both";
    assert!(checked.stderr.contains(warning), "{checked:?}");
    assert!(checked.stderr.contains("write `app = \"NAME\"`"), "{checked:?}");
    let reloaded = vhost.ctl_ok(&["reload"]);
    assert!(reloaded.stderr.contains(warning), "{reloaded:?}");
}

#[test]
fn a_file_that_names_an_app_that_it_does_not_declare_is_refused() {
    let backend = Backend::start("a1");
    let setup = Setup::new()
        .entries("[[apps]]\nname = \"shop\"\n")
        .domain_with("shop.test", "a", "app = \"shpo\"")
        .backend_with("a1", backend.address(), &["a"], "app = \"shop\"");
    let vhost = Setup::new().start();
    vhost.write_config(&setup);
    let refused = vhost.ctl(&["reload"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("there is no such app; did you mean `shop`?"), "{refused:?}");
    vhost.write_config(&setup.clone().replace("shpo", "shop"));
    vhost.ctl_ok(&["reload"]);
    vhost.wait_until_healthy(1);
    assert_eq!(served_by(&vhost, "shop.test"), "a1");
    // An app that something belongs to stays.
    let gone = setup.replace("shpo", "shop").replace("[[apps]]\nname = \"shop\"\n", "");
    vhost.write_config(&gone.replace("app = \"shop\"", ""));
    let reloaded = vhost.ctl_ok(&["reload"]);
    assert!(reloaded.stderr.contains("app `shop` removed"), "{reloaded:?}");
    assert_eq!(served_by(&vhost, "shop.test"), "a1");
}

#[test]
fn a_slip_of_the_fingers_puts_no_domain_on_another_ones_backends() {
    let sites = ["web-a", "web-b", "static"].map(Backend::start);
    let [web_a, web_b, static_] = &sites;
    let vhost = Setup::new()
        .domain("web.test", "web-a")
        .domain("second.test", "web-a")
        .domain("static.test", "static")
        .backend("web-a", web_a.address(), &["web-a"])
        .backend("web-b", web_b.address(), &["web-b"])
        .backend("static", static_.address(), &["static"])
        .start();
    vhost.wait_until_healthy(3);
    let refused = vhost.ctl(&["switch", "web.test", "static"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(
        refused.stderr.contains(
            "the backends of `static` serve `static.test` and have never served `web.test`"
        ),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    assert_eq!(vhost.ctl(&["switch", "web.test", "static", "--plan"]).code, 5);
    // What nobody is served by may be joined, and what went along may follow.
    vhost.ctl_ok(&["switch", "web.test", "web-b"]);
    vhost.ctl_ok(&["switch", "second.test", "web-b"]);
    // And what has served it may come back.
    vhost.ctl_ok(&["switch", "web.test", "static", "--force"]);
    vhost.ctl_ok(&["switch", "web.test", "web-a"]);
    vhost.ctl_ok(&["switch", "web.test", "web-b"]);
    vhost.ctl_ok(&["switch", "web.test", "static"]);
    assert_eq!(served_by(&vhost, "web.test"), "static");
}

#[test]
fn a_shell_completes_the_tags_of_the_domains_app() {
    let (_sites, setup) = three_sites();
    let vhost = setup.start();
    let tags = |domain: &str| {
        let params = serde_json::json!({"noun": "tag", "domain": domain});
        let list = vhost.rpc("name.complete", params).unwrap();
        let names = list["names"].as_array().unwrap();
        names.iter().map(|name| name["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tags("shop.test"), ["a", "b"]);
    assert_eq!(tags("blog.test"), ["a"]);
}

#[test]
fn an_app_is_added_changed_shown_and_removed() {
    let vhost = empty();
    let added = vhost.ctl_ok(&["app", "add", "shop", "--option", "max_body_bytes=1MB"]);
    assert!(added.stderr.contains("shop"), "{added:?}");
    assert_eq!(vhost.ctl(&["app", "add", "shop"]).code, 5);
    assert_eq!(vhost.ctl(&["app", "show", "shpo"]).code, 4);
    assert_eq!(vhost.ctl(&["app", "add", "Shop"]).code, 2);
    vhost.ctl_ok(&["app", "set", "shop", "--option", "timeouts.response_secs=5"]);
    let shown = vhost.ctl_json(&["app", "show", "shop"]);
    assert_eq!(shown["max_body_bytes"], 1_048_576);
    assert_eq!(shown["timeouts"]["response_secs"], 5);
    let refused = vhost.ctl(&["domain", "add", "a.test", "--tag", "a", "--force", "--app", "none"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    vhost.ctl_ok(&["domain", "add", "a.test", "--tag", "a", "--force", "--app", "shop"]);
    let refused = vhost.ctl(&["app", "remove", "shop"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stderr.contains("the domain `a.test` belongs to the app `shop`"));
    vhost.ctl_ok(&["app", "remove", "shop", "--all"]);
    assert_eq!(vhost.ctl(&["domain", "show", "a.test"]).code, 4);
    assert_eq!(vhost.ctl_json(&["app", "list"])["apps"], serde_json::json!([]));
}

#[test]
fn apps_survive_a_restart_and_an_export() {
    let (_sites, setup) = three_sites();
    let mut vhost = setup.start();
    vhost.ctl_ok(&["app", "set", "blog", "--option", "max_body_bytes=1MB"]);
    let before = exported(&vhost);
    assert!(before.contains("[[apps]]\nname = \"blog\"\nmax_body_bytes = 1048576"), "{before}");
    vhost.kill();
    vhost.restart();
    assert_eq!(exported(&vhost), before);
    vhost.wait_until_healthy(4);
    assert_eq!(served_by(&vhost, "shop.test"), "shop-a");
    let diff = vhost.ctl(&["config", "diff"]);
    assert!(diff.stdout.contains("blog"), "{diff:?}");
}

#[test]
fn a_site_in_no_app_is_taken_into_one_with_its_backends_in_one_step() {
    let sites = ["a1", "b1", "other"].map(Backend::start);
    let [a, b, other] = &sites;
    let vhost = Setup::new()
        .domain("web.test", "a")
        .domain("www.test", "a")
        .domain("other.test", "other")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
        .backend("other", other.address(), &["other"])
        .start();
    vhost.wait_until_healthy(3);
    vhost.ctl_ok(&["switch", "web.test", "b", "--also", "www.test"]);
    let refused = vhost.ctl(&["app", "add", "web", "--domain", "web.test"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stderr.contains("the backend `b1` serves `www.test` too"), "{refused:?}");
    assert!(refused.stderr.contains("--domain www.test"), "{refused:?}");
    vhost.ctl_ok(&["app", "add", "web", "--domain", "web.test", "--domain", "www.test"]);
    assert_eq!(served_by(&vhost, "web.test"), "b1");
    assert_eq!(vhost.backend("a1")["app"], "web");
    // Also the way back has moved along.
    vhost.ctl_ok(&["undo", "web"]);
    assert_eq!(served_by(&vhost, "www.test"), "a1");
    vhost.ctl_ok(&["deploy", "web", &other.address()]);
    assert_eq!(served_by(&vhost, "web.test"), "other");
    assert_eq!(served_by(&vhost, "other.test"), "other");
    let refused = vhost.ctl(&["deploy", "more", &a.address(), "--host", "other.test"]);
    assert!(refused.stderr.contains("vhost ctl app add more --domain other.test"), "{refused:?}");
}
