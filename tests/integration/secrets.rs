//! What must not be read: what the environment says, and hashes of passwords. Every verb that reads is
//! asked, by the catalogue of methods and the table of routes, so that a new one is asked too.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use vhost::rpc::catalogue;

use crate::harness::*;

const SECRET: &str = "s3cr3t-f0r-the-backend";
const MESSAGE: &str = "w0rds-in-maintenance";
const REALM: &str = "r3alm-of-the-staff";
const NEXT: &str = "the-next-s3cr3t";
const SIGNING: &str = "s1gns-what-is-posted";
const HOOK: &str = "a-path-that-is-a-s3cret";
/// Of `hunter2`, by bcrypt with the least cost.
const HASH: &str = "$2b$04$DQW8Ek0qqNwSEqmBLpdtoO8lj4CyYQDBTZZLPKN1g1BNoKVRDxN8u";
const OTHER_HASH: &str = "$2b$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";

/// Whatever a reader must not find.
const HIDDEN: [&str; 8] = [SECRET, MESSAGE, REALM, NEXT, HASH, OTHER_HASH, SIGNING, HOOK];

const OPTIONS: &str = r#"
request_headers = { set = { X-Key = "${BACKEND_KEY}", X-Bearer = "Bearer ${BACKEND_KEY}" } }
basic_auth = { realm = "${REALM}", users = { ann = "ANNS", bob = "${BOBS_HASH}" } }
"#;

struct Site {
    vhost: Vhost,
    setup: Setup,
    management: std::net::SocketAddr,
    metrics: std::net::SocketAddr,
    _backend: Backend,
}

impl Site {
    fn start() -> Self {
        let backend = Backend::start("w1");
        let (management, metrics) = (free_address(), free_address());
        let setup = Setup::new()
            .set("proxy.management_api_addr", format!("\"{management}\""))
            .set("metrics.enabled", true)
            .set("metrics.status_page", true)
            .set("metrics.listen_addr", format!("\"{metrics}\""))
            .entries(
                "[[notify]]\nname = \"chat\"\nurl = \"http://127.0.0.1:9/${HOOK_PATH}\"\n\
                 secret = \"${NOTIFY_SECRET}\"\n",
            )
            .env("NOTIFY_SECRET", SIGNING.into())
            .env("HOOK_PATH", HOOK.into())
            .domain_with(
                "open.test",
                "a",
                "request_headers = { set = { X-Key = \"${BACKEND_KEY}\" } }",
            )
            .domain_with("example.com", "a", &OPTIONS.replace("ANNS", HASH))
            .domain_with(
                "down.test",
                "a",
                "maintenance = { message = \"${WORDS}\" }\n\
                 error_pages = { 404 = \"/nowhere/${BACKEND_KEY}\" }",
            )
            .backend("w1", backend.address(), &["a"])
            .env("BACKEND_KEY", SECRET.into())
            .env("WORDS", MESSAGE.into())
            .env("REALM", REALM.into())
            .env("NEXT_KEY", NEXT.into())
            .env("BOBS_HASH", OTHER_HASH.into());
        let vhost = setup.start();
        vhost.wait_until_healthy(1);
        Self { vhost, setup, management, metrics, _backend: backend }
    }

    /// The header as the backend of a domain gets it.
    fn key_at_the_backend(&self, domain: &str) -> Vec<String> {
        self.vhost.get(domain, "/").sent("x-key").iter().map(ToString::to_string).collect()
    }

    /// Everything that a reader can get at.
    fn everything_readable(&self) -> Vec<(String, String)> {
        let mut read = Vec::new();
        self.ask_every_method(&mut read);
        self.ask_every_route(&mut read);
        for path in ["/metrics", "/", "/status.json"] {
            read.push((format!("metrics {path}"), get(self.metrics, "localhost", path).text()));
        }
        for words in [
            &["domain", "list", "-o", "wide"][..],
            &["domain", "show", "example.com"],
            &["domain", "show", "open.test", "-o", "json"],
            &["config", "show", "--effective"],
            &["config", "diff"],
            &["history", "-o", "wide"],
            &["reload", "--dry-run"],
            &["explain", "http://open.test/"],
            &["status"],
            &["notify", "list"],
            &["notify", "test", "chat"],
        ] {
            let output = self.vhost.ctl(words);
            read.push((format!("{words:?}"), output.stdout + &output.stderr));
        }
        read.push(("the log".to_owned(), self.vhost.log()));
        read
    }

    /// Calls each method that changes nothing with whatever parameters it takes.
    fn ask_every_method(&self, read: &mut Vec<(String, String)>) {
        // A new method is asked unless it is named here.
        const CHANGES: [&str; 24] = [
            "domain.add",
            "domain.set",
            "domain.remove",
            "backend.add",
            "backend.set",
            "backend.remove",
            "backend.add_tags",
            "backend.remove_tags",
            "backend.drain",
            "backend.ready",
            "backend.disable",
            "switch.apply",
            "switch.start",
            "switch.undo",
            "cert.renew",
            "cert.import",
            "cert.export",
            "cert.revoke",
            "token.show",
            "token.rotate",
            "token.add",
            "token.remove",
            "event.watch",
            "server.upgrade",
        ];
        let given = [
            json!({}),
            json!({"effective": true}),
            json!({"dry_run": true}),
            json!({"domain": "example.com"}),
            json!({"domain": "open.test"}),
            json!({"domain": "open.test", "until": "healthy"}),
            json!({"domain": "open.test", "tag": "a"}),
            json!({"domains": ["open.test"]}),
            json!({"id": "w1"}),
            json!({"backend": "w1"}),
            json!({"name": "example.com"}),
            json!({"name": "chat"}),
            json!({"url": "http://open.test/"}),
            json!({"kind": "domain"}),
        ];
        let mut answered = 0;
        for entry in catalogue::all().filter(|entry| !CHANGES.contains(&entry.name)) {
            for params in &given {
                let answer = self.vhost.rpc(entry.name, params.clone());
                answered += usize::from(answer.is_ok());
                let text = match answer {
                    Ok(value) => value.to_string(),
                    Err(fault) => format!("{fault:?}"),
                };
                read.push((format!("{} {params}", entry.name), text));
            }
        }
        assert!(answered >= 20, "only {answered} calls had an answer");
        let mut watch = self.vhost.rpc_connection();
        watch.send("event.watch", &json!({"limit": 50})).unwrap();
        let first = watch.read_line().unwrap().unwrap_or_default();
        read.push(("event.watch".to_owned(), first.to_string()));
    }

    /// Gets every path of the REST API.
    fn ask_every_route(&self, read: &mut Vec<(String, String)>) {
        let token = self.vhost.ctl_ok(&["token", "show"]).stdout.trim().to_owned();
        let document = vhost::rest::document();
        let mut asked = 0;
        for (template, operations) in document["paths"].as_object().expect("paths") {
            if operations.get("get").is_none() {
                continue;
            }
            for domain in ["example.com", "open.test"] {
                let path = template.replace("{domain}", domain).replace("{id}", "w1");
                let mut client = Client::connect(self.management);
                let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
                let _ =
                    write!(request, "Authorization: Bearer {token}\r\nConnection: close\r\n\r\n");
                client.send(request);
                let text = if path.ends_with("/events") {
                    // It goes on for ever.
                    client.read_head().unwrap();
                    String::from_utf8_lossy(&client.read_chunk().unwrap()).into_owned()
                } else {
                    client.read_response().text()
                };
                asked += 1;
                read.push((format!("GET {path}"), text));
            }
        }
        assert!(asked >= 16, "only {asked} paths were asked");
    }
}

#[track_caller]
fn assert_hidden(read: &[(String, String)]) {
    for (what, text) in read {
        for hidden in HIDDEN {
            if let Some(at) = text.find(hidden) {
                let from = text[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
                let to = (at + hidden.len()).min(text.len());
                panic!("`{hidden}` is in {what}: …{}", &text[from..to]);
            }
        }
    }
}

/// Whether the bytes of a text are in a file of the directory.
fn is_kept(directory: &Path, text: &str) -> Option<std::path::PathBuf> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files = files.filter(|path| path.is_file());
    files.find(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn what_the_environment_says_is_used_and_nowhere_to_be_read() {
    let mut site = Site::start();
    assert_eq!(site.key_at_the_backend("open.test"), [SECRET]);
    assert!(site.vhost.get("down.test", "/").text().contains(MESSAGE));
    assert_eq!(site.vhost.get("example.com", "/").status, 401);
    // History by the file and by commands, before and after the reference.
    site.vhost.ctl_ok(&["domain", "set", "example.com", "--option", "max_body_bytes=100"]);
    let user = format!("basic_auth.users.eve={OTHER_HASH}");
    site.vhost.ctl_ok(&["domain", "set", "open.test", "--option", &user]);
    site.vhost.ctl_ok(&["domain", "set", "open.test", "--no-option", "basic_auth"]);
    site.setup = site.setup.clone().replace("${BACKEND_KEY}", "${NEXT_KEY}");
    site.vhost.write_config(&site.setup);
    assert_hidden(&site.everything_readable());
    site.vhost.ctl_ok(&["reload"]);
    assert_eq!(site.key_at_the_backend("open.test"), [NEXT]);
    let read = site.everything_readable();
    assert_hidden(&read);
    let shown =
        read.iter().find(|(what, _)| what.starts_with("domain.show") && what.contains("open"));
    assert!(shown.unwrap().1.contains("${NEXT_KEY}"), "{shown:?}");
    for secret in [SECRET, MESSAGE, REALM, NEXT, SIGNING, HOOK] {
        assert_eq!(is_kept(&site.vhost.state_dir(), secret), None, "{secret}");
    }
    // The store had the reference alone, and the value is there again.
    site.vhost.kill();
    site.vhost.restart();
    site.vhost.wait_until_healthy(1);
    assert_eq!(site.key_at_the_backend("open.test"), [NEXT]);
}

#[test]
fn an_export_has_references_and_hashes_only_where_it_is_asked_for_them() {
    let site = Site::start();
    // Its stdout is no terminal here.
    let exported = site.vhost.ctl_ok(&["config", "export"]).stdout;
    for part in [HASH, "${BACKEND_KEY}", "Bearer ${BACKEND_KEY}", "${BOBS_HASH}", "${REALM}"] {
        assert!(exported.contains(part), "no `{part}` in {exported}");
    }
    for hidden in [SECRET, MESSAGE, REALM, OTHER_HASH] {
        assert!(!exported.contains(hidden), "`{hidden}` in {exported}");
    }
    let looked = site.vhost.rpc("config.export", json!({})).unwrap();
    assert!(!looked["text"].as_str().unwrap().contains(HASH), "{looked}");
    assert!(looked["warnings"][0].as_str().unwrap().contains("--secrets"), "{looked}");
    // What was exported declares what is live.
    let file = site.vhost.directory().join("vhost.toml");
    std::fs::write(&file, exported).unwrap();
    let report = site.vhost.ctl_json(&["reload", "--dry-run"]);
    assert_eq!(report["changed"], json!([]), "{report}");
}

#[test]
fn what_is_shown_can_be_given_back_and_stays_what_it_is() {
    let site = Site::start();
    let shown = site.vhost.rpc("domain.show", json!({"domain": "example.com"})).unwrap();
    assert_eq!(shown["options"]["basic_auth"]["users"]["ann"], "(hidden)");
    let mut options = shown["options"].clone();
    options["max_body_bytes"] = json!(7);
    let set = json!({"domain": "example.com", "options": options});
    let after = site.vhost.rpc("domain.set", set).unwrap();
    assert_eq!(after["options"], options);
    let exported = site.vhost.ctl_ok(&["config", "export"]).stdout;
    assert!(exported.contains(HASH) && exported.contains("${BACKEND_KEY}"), "{exported}");
}

#[test]
fn no_command_can_read_the_environment() {
    let site = Site::start();
    for options in [
        json!({"request_headers": {"set": {"x-more": "${HOME}"}}}),
        json!({"maintenance": {"message": "see ${BACKEND_KEY}"}}),
        json!({"basic_auth": {"realm": "${BACKEND_KEY}"}}),
    ] {
        for domain in ["open.test", "example.com"] {
            let set = json!({"domain": domain, "options": options});
            let fault = site.vhost.rpc("domain.set", set).unwrap_err();
            assert!(format!("{fault:?}").contains("only the config file"), "{fault:?}");
        }
        let add = json!({"domain": "new.test", "tag": "a", "options": options});
        let fault = site.vhost.rpc("domain.add", add).unwrap_err();
        assert!(format!("{fault:?}").contains("only the config file"), "{fault:?}");
    }
}

#[test]
fn a_variable_that_is_not_set_is_refused_by_a_check_a_reload_and_a_start() {
    let mut site = Site::start();
    site.setup = site.setup.clone().replace("${BACKEND_KEY}", "${GONE_KEY}");
    site.vhost.write_config(&site.setup);
    let output = site.vhost.ctl(&["reload"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("`GONE_KEY` is not set"), "{output:?}");
    assert_eq!(site.key_at_the_backend("open.test"), [SECRET]);
    let once = serve_once(&site.vhost.config_file());
    assert_eq!(once.code, 2, "{once:?}");
}

#[test]
fn names_in_maps_are_one_name_however_they_are_written() {
    let site = Site::start();
    let set = |options: Value| {
        site.vhost.rpc("domain.set", json!({"domain": "open.test", "options": options}))
    };
    set(json!({"request_headers": {"set": {"x-key": "old"}}})).unwrap();
    let after = set(json!({"request_headers": {"set": {"X-Key": "new"}}})).unwrap();
    assert_eq!(after["options"]["request_headers"]["set"], json!({"x-key": "new"}));
    assert_eq!(site.key_at_the_backend("open.test"), ["new"]);
    let after = set(json!({"request_headers": {"set": {"X-KEY": null}}})).unwrap();
    assert_eq!(after["options"].get("request_headers"), None, "{after}");
    for map in [
        json!({"request_headers": {"set": {"X-Key": "1", "x-key": "2"}}}),
        json!({"response_headers": {"add": {"X-KEY": "1", "x-kEy": "2"}}}),
        json!({"error_pages": {"404": "/a", "0404": "/b"}}),
    ] {
        let fault = format!("{:?}", set(map.clone()).unwrap_err());
        assert!(fault.contains("are the same name"), "{map}: {fault}");
    }
    let words = ["domain", "set", "open.test", "--option"];
    let both = ["request_headers.set.X-A=\"1\"", "--option", "request_headers.set.X-B=\"2\""];
    site.vhost.ctl_ok(&[&words[..], &both[..]].concat());
    let shown = site.vhost.rpc("domain.show", json!({"domain": "open.test"})).unwrap();
    let expected = json!({"x-a": "1", "x-b": "2"});
    assert_eq!(shown["options"]["request_headers"]["set"], expected, "both are meant");
}

#[test]
fn metrics_and_the_page_are_for_the_names_of_this_server_alone() {
    let (metrics, backend) = (free_address(), Backend::start("w1"));
    let setup = Setup::new()
        .set("metrics.enabled", true)
        .set("metrics.status_page", true)
        .set("metrics.listen_addr", format!("\"{metrics}\""))
        .set("metrics.hosts", "[\"metrics.example.net\"]")
        .backend("w1", backend.address(), &["a"]);
    let _vhost = setup.start();
    for path in ["/metrics", "/", "/status.json"] {
        for host in [&metrics.to_string(), "localhost", "localhost:9", "Metrics.Example.Net"] {
            assert_eq!(get(metrics, host, path).status, 200, "{host} {path}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a][b"] {
            let refused = get(metrics, host, path);
            assert!([400, 403].contains(&refused.status), "{host} {path}: {}", refused.status);
            assert!(!refused.text().contains("vhost_"), "{}", refused.text());
        }
    }
}

#[test]
fn silent_and_slow_readers_do_not_keep_anybody_from_the_metrics() {
    let metrics = free_address();
    let setup = Setup::new()
        .set("metrics.enabled", true)
        .set("metrics.listen_addr", format!("\"{metrics}\""));
    let _vhost = setup.start();
    let silent: Vec<_> = (0..64).map(|_| std::net::TcpStream::connect(metrics).unwrap()).collect();
    let slow: Vec<_> = (0..16)
        .map(|_| {
            let mut client = Client::connect(metrics);
            client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-");
            client
        })
        .collect();
    eventually("a scrape is answered", Duration::from_secs(40), || {
        Client::connect(metrics).try_get("localhost", "/metrics").is_ok_and(|r| r.status == 200)
    });
    drop((silent, slow));
}

#[test]
fn a_store_that_kept_what_the_environment_says_forgets_it() {
    let backend = Backend::start("w1");
    let literal = Setup::new()
        .domain_with("open.test", "a", "max_body_bytes = 1000")
        .backend("w1", backend.address(), &["a"])
        .env("BACKEND_KEY", SECRET.into());
    let mut vhost = literal.start();
    vhost.wait_until_healthy(1);
    // As a version before stored a reference, and told of it.
    let header = |value: &str| format!("request_headers = {{ set = {{ X-Key = \"{value}\" }} }}");
    let literal = literal.replace("max_body_bytes = 1000", &header(SECRET));
    vhost.write_config(&literal);
    vhost.ctl_ok(&["reload"]);
    vhost.ctl_ok(&["domain", "set", "open.test", "--option", "max_body_bytes=7"]);
    assert!(vhost.ctl_ok(&["history", "-o", "json"]).stdout.contains(SECRET));
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    vhost.wait_for_exit(Duration::from_secs(20));
    vhost.write_config(&literal.replace(&header(SECRET), &header("${BACKEND_KEY}")));
    vhost.restart();
    vhost.wait_until_healthy(1);
    assert_eq!(vhost.get("open.test", "/").sent("x-key"), [SECRET]);
    let shown = vhost.rpc("domain.show", json!({"domain": "open.test"})).unwrap();
    assert_eq!(shown["options"]["request_headers"]["set"]["x-key"], "${BACKEND_KEY}");
    assert_eq!(shown["options"]["max_body_bytes"], 7, "what a command did stays");
    let history = vhost.ctl_ok(&["history", "-o", "json"]).stdout;
    assert!(!history.contains(SECRET) && history.contains("(hidden)"), "{history}");
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    vhost.wait_for_exit(Duration::from_secs(20));
    assert_eq!(is_kept(&vhost.state_dir(), SECRET), None);
}

#[test]
fn what_a_ca_is_called_and_told_is_shown_as_the_file_has_it() {
    let vhost = Setup::new()
        .set("proxy.listen_addr", "\"127.0.0.1:0\"")
        .set("lets_encrypt.email", "\"${MAIL}\"")
        .set("lets_encrypt.directory_url", "\"https://127.0.0.1:1/${CA_PATH}\"")
        .domain("shop.example.com", "a")
        .backend("w1", "127.0.0.1:9", &["a"])
        .env("MAIL", "0perator@example.com".into())
        .env("CA_PATH", "s3cret-directory".into())
        .start();
    let name = json!({"name": "shop.example.com"});
    eventually("an attempt has failed", Duration::from_secs(20), || {
        let shown = vhost.rpc("cert.show", name.clone()).unwrap().to_string();
        shown.contains("https://127.0.0.1:1/${CA_PATH}")
    });
    let account = vhost.rpc("cert.account", json!({})).unwrap().to_string();
    assert!(account.contains("\"${MAIL}\"") && account.contains("/${CA_PATH}"), "{account}");
    let calls = [
        ("cert.account", json!({})),
        ("cert.show", name),
        ("cert.list", json!({})),
        ("config.show", json!({"effective": true})),
        ("state.get", json!({})),
    ];
    for (method, params) in calls {
        let shown = vhost.rpc(method, params).unwrap().to_string();
        for hidden in ["0perator", "s3cret-directory"] {
            assert!(!shown.contains(hidden), "`{hidden}` is in {method}: {shown}");
        }
    }
}

#[test]
fn a_store_forgets_also_what_a_command_has_kept_and_what_a_variable_held_before() {
    let backend = Backend::start("w1");
    let header = |value: &str| format!("request_headers = {{ set = {{ X-Key = \"{value}\" }} }}");
    // As the first version applied references: the value of the variable in their place.
    let literal = Setup::new()
        .domain_with("kept.test", "a", "max_body_bytes = 1000")
        .domain_with("rotated.test", "a", "max_body_bytes = 1001")
        .backend("w1", backend.address(), &["a"])
        .env("BACKEND_KEY", SECRET.into())
        .env("NEXT_KEY", NEXT.into());
    let mut vhost = literal.start();
    vhost.wait_until_healthy(1);
    let literal = literal
        .replace("max_body_bytes = 1000", &header(SECRET))
        .replace("max_body_bytes = 1001", &header(MESSAGE));
    vhost.write_config(&literal);
    vhost.ctl_ok(&["reload"]);
    let more = "request_headers.set.X-More=\"1\"";
    vhost.ctl_ok(&["domain", "set", "kept.test", "--option", more]);
    let told = vhost.ctl_ok(&["history", "-o", "json"]).stdout;
    assert!(told.contains(SECRET) && told.contains(MESSAGE), "{told}");
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    vhost.wait_for_exit(Duration::from_secs(20));
    vhost.write_config(
        &literal
            .replace(&header(SECRET), &header("${BACKEND_KEY}"))
            .replace(&header(MESSAGE), &header("${NEXT_KEY}")),
    );
    vhost.restart();
    vhost.wait_until_healthy(1);
    assert_eq!(vhost.get("kept.test", "/").sent("x-key"), [SECRET]);
    assert_eq!(vhost.get("rotated.test", "/").sent("x-key"), [NEXT]);
    let shown = vhost.rpc("domain.show", json!({"domain": "kept.test"})).unwrap();
    let expected = json!({"x-key": "${BACKEND_KEY}", "x-more": "1"});
    assert_eq!(shown["options"]["request_headers"]["set"], expected, "what a command did stays");
    let history = vhost.ctl_ok(&["history", "-o", "json"]).stdout;
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    vhost.wait_for_exit(Duration::from_secs(20));
    for secret in [SECRET, MESSAGE, NEXT] {
        assert!(!history.contains(secret), "{secret}: {history}");
        assert_eq!(is_kept(&vhost.state_dir(), secret), None, "{secret}");
    }
}
