//! `vhost from`: the examples in `tests/from`, translated by the real command, checked by `vhost check`, and
//! served: requests go where the original would have sent them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::*;

/// An example.
fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/from").join(path)
}

fn from(source: &str, file: &Path, more: &[&str]) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.args(["from", source]).arg(file).args(more);
    RunningCtl::of(command).wait()
}

/// A translated example that serves.
struct Served {
    vhost: Vhost,
    backends: BTreeMap<String, Backend>,
    _directory: TempDir,
}

impl Served {
    /// Translates an example and serves the result: its listeners and its backends are other ones, and each
    /// backend says where the original has it.
    fn of(source: &str, path: &str, more: &[&str]) -> Self {
        let output = from(source, &example(path), more);
        assert!(output.code == 0 || output.code == 1, "{output:?}");
        let directory = tempfile::tempdir().expect("a directory");
        let mut config: toml::Table = output.stdout.parse().expect("it is TOML");
        for section in ["proxy", "lets_encrypt", "metrics", "access_log", "logging"] {
            config.remove(section);
        }
        let mut backends = BTreeMap::new();
        let entries = config.get_mut("backends").and_then(toml::Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            let address = entry["address"].as_str().expect("a text").to_owned();
            let backend =
                backends.entry(address.clone()).or_insert_with(|| Backend::start(&address));
            let backend: &Backend = backend;
            let entry = entry.as_table_mut().expect("a table");
            entry.insert("address".to_owned(), backend.address().into());
        }
        let mut setup = Setup::new().tcp_probes();
        for section in ["upstream", "switch", "health_check"] {
            if let Some(toml::Value::Table(table)) = config.remove(section) {
                for (key, value) in table {
                    setup = setup.set(&format!("{section}.{key}"), value);
                }
            }
        }
        let vhost = setup.entries(&toml::to_string(&config).expect("it is TOML")).start();
        let ready = backends.len();
        let served = Self { vhost, backends, _directory: directory };
        assert!(ready > 0, "{output:?}");
        served
    }

    /// Where the original has the backend that gets a request.
    fn backend_of(&self, host: &str, path: &str) -> String {
        eventually_some("a backend answers", Duration::from_secs(20), || {
            let response = self.vhost.get(host, path);
            (response.status != 503).then(|| {
                response.backend().map_or_else(|| response.status.to_string(), str::to_owned)
            })
        })
    }

    /// All of the backends that get requests.
    fn backends_of(&self, host: &str, path: &str, count: usize) {
        eventually("all backends are used", Duration::from_secs(20), || {
            let used = (0..8 * count).map(|_| self.backend_of(host, path));
            used.collect::<std::collections::BTreeSet<_>>().len() == count
        });
    }
}

/// What `vhost check` says of a translation, whose listeners are on free ports.
fn check(output: &CtlOutput) -> CtlOutput {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config: toml::Table = output.stdout.parse().expect("it is TOML");
    let proxy = config.get_mut("proxy").and_then(toml::Value::as_table_mut).expect("[proxy]");
    proxy.insert("state_dir".to_owned(), "state".into());
    proxy.insert("admin_socket".to_owned(), "admin.sock".into());
    let file = directory.path().join("vhost.toml");
    std::fs::write(&file, toml::to_string(&config).expect("it is TOML")).expect("it is written");
    let mut command = Command::new(vhost_binary());
    command.args(["check", "vhost.toml"]).current_dir(directory.path());
    RunningCtl::of(command).wait()
}

#[test]
fn every_example_passes_the_check_and_its_list_is_as_expected() {
    for (source, path, code, expected) in [
        (
            "nginx",
            "nginx/shop.conf",
            1,
            &["2 lines to compare with the result", "everything else was translated"][..],
        ),
        (
            "nginx",
            "nginx/certbot.conf",
            1,
            &["2 lines to compare with the result", "everything else was translated"],
        ),
        (
            "nginx",
            "nginx/nginx.conf",
            1,
            &[
                "sites/admin:7: check: `deny all;`",
                "everything else was translated",
                "nginx.conf:17: note: `access_log",
            ],
        ),
        (
            "nginx",
            "nginx/locked.conf",
            1,
            &[
                "locked.conf:16: error: `auth_request /auth`",
                "locked.conf:29: error: `location /admin/: auth_basic staff`",
                "locked.conf:36: note: `listen 127.0.0.1:8081`",
                "locked.conf:33: warning: `fastcgi_pass unix:/run/php.sock`",
            ],
        ),
        ("caddy", "caddy/shop.Caddyfile", 0, &["everything was translated"]),
        ("caddy", "caddy/small.Caddyfile", 0, &["everything was translated"]),
        ("caddy", "caddy/many.Caddyfile", 1, &["many.Caddyfile:20: check: `respond @outside 403`"]),
        ("traefik", "traefik/compose.yaml", 1, &["compose.yaml:5: check: `command:"]),
        ("traefik", "traefik/traefik.yml", 1, &["intern.yml:18: check: `basicAuth:`"]),
        ("traefik", "traefik/dynamic.toml", 0, &["everything was translated"]),
        (
            "traefik",
            "traefik/locked.yml",
            1,
            &[
                "locked.yml:23: error: `middleware login: forwardAuth`",
                "locked.yml:12: error: `middleware elsewhere`",
                "locked.yml:17: warning: `router regex: HostRegexp(`",
            ],
        ),
        (
            "kamal",
            "kamal/deploy.yml",
            1,
            &["deploy.yml:8: warning: `app_port 3000`", "1 item not translated"],
        ),
        (
            "kamal",
            "kamal/roles.yml",
            1,
            &[
                "roles.yml:24: error: `proxy: path_prefix: /admin`",
                "roles.yml:31: warning: `proxy: forward_headers: true`",
                "roles.yml:29: note: `buffering: requests`",
            ],
        ),
        (
            "caddy",
            "caddy/locked.Caddyfile",
            1,
            &[
                "locked.Caddyfile:6: error: `forward_auth authelia:9091`",
                "locked.Caddyfile:15: error: `basic_auth`",
                "locked.Caddyfile:25: error: `coraza_waf`",
            ],
        ),
    ] {
        let output = from(source, &example(path), &["--email", "admin@example.com"]);
        assert_eq!(output.code, code, "{path}: {}\n{}", output.stderr, output.stdout);
        for part in expected {
            assert!(output.stderr.contains(part), "{path}: no `{part}` in {}", output.stderr);
        }
        let first = output.stderr.lines().next().unwrap_or_default();
        assert_eq!(
            output.stderr.contains(": error: "),
            first.contains(": error: "),
            "errors are first: {}",
            output.stderr
        );
        let checked = check(&output);
        assert_eq!(checked.code, 0, "{path}: {checked:?}\n{}", output.stdout);
    }
}

#[test]
fn the_shop_of_nginx_is_served_as_nginx_did() {
    let served = Served::of("nginx", "nginx/shop.conf", &["--email", "admin@example.com"]);
    served.backends_of("shop.example.com", "/", 2);
    assert_eq!(served.backend_of("shop.example.com", "/api/x"), "127.0.0.1:4001");
    let response = served.vhost.get("shop.example.com", "/api/x?y");
    assert_eq!(response.echo()["uri"], "/x?y", "{response:?}");
    let redirected = served.vhost.get("www.shop.example.com", "/cart?a=b");
    assert_eq!(redirected.status, 308, "{redirected:?}");
    let response = served.vhost.get("shop.example.com", "/");
    assert_eq!(response.header("x-frame-options"), Some("DENY"));
    assert_eq!(response.sent("x-real-ip").len(), 1, "{response:?}");
    assert_eq!(served.backends["10.0.0.9:3000"].requests(), 0, "the backup gets nothing");
}

#[test]
fn sites_of_nginx_that_only_some_may_see_stay_so() {
    let served = Served::of("nginx", "nginx/nginx.conf", &[]);
    assert_eq!(served.backend_of("admin.example.com", "/"), "403", "only the office may see it");
    served.backend_of("grafana.example.com", "/api/live/ws");
    assert_eq!(served.backends["127.0.0.1:3101"].requests(), 0, "it is down");
    let locked = Served::of("nginx", "nginx/locked.conf", &[]);
    assert_eq!(locked.backend_of("open.example.com", "/"), "127.0.0.1:3000");
    assert_eq!(locked.backend_of("secret.example.com", "/"), "403", "nobody checks who it is");
    assert_eq!(locked.backend_of("part.example.com", "/"), "403");
    assert_eq!(locked.backend_of("unknown.example.com", "/"), "404");
    let response = locked.vhost.get("open.example.com", "/");
    assert_eq!(response.sent("host"), ["127.0.0.1:3000"], "as nginx sends it by itself");
}

#[test]
fn sites_of_caddy_are_served_as_caddy_did() {
    let shop = Served::of("caddy", "caddy/shop.Caddyfile", &[]);
    assert_eq!(shop.backend_of("shop.example.com", "/api/x"), "localhost:4001");
    assert_eq!(shop.vhost.get("shop.example.com", "/api/x").echo()["uri"], "/x");
    assert_eq!(shop.vhost.get("www.shop.example.com", "/").status, 308);
    let many = Served::of("caddy", "caddy/many.Caddyfile", &[]);
    assert_eq!(many.backend_of("git.example.net", "/"), "127.0.0.1:3000");
    assert_eq!(many.backend_of("plain.example.net", "/"), "127.0.0.1:3002");
    assert_eq!(many.backend_of("plain.example.net", "/socket/x"), "127.0.0.1:3003");
    assert_eq!(many.vhost.get("plain.example.net", "/socket/x").echo()["uri"], "/socket/x");
    assert_eq!(many.backend_of("intern.example.net", "/"), "403", "only its network may see it");
    assert_eq!(many.backend_of("staff.example.net", "/"), "401");
    let response = many.vhost.get("git.example.net", "/");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    let locked = Served::of("caddy", "caddy/locked.Caddyfile", &[]);
    assert_eq!(locked.backend_of("open.example.com", "/"), "localhost:3000");
    for host in ["login.example.com", "part.example.com", "waf.example.com"] {
        assert_eq!(locked.backend_of(host, "/"), "403", "{host}");
    }
}

#[test]
fn routers_of_traefik_are_served_as_traefik_did() {
    let compose = Served::of("traefik", "traefik/compose.yaml", &["--email", "a@example.com"]);
    assert_eq!(compose.backend_of("shop.example.com", "/"), "127.0.0.1:3001");
    assert_eq!(compose.backend_of("blog.example.com", "/"), "127.0.0.1:2368");
    assert_eq!(compose.backend_of("blog.example.com", "/feed/x"), "127.0.0.1:3001");
    let files = Served::of("traefik", "traefik/traefik.yml", &[]);
    files.backends_of("app.example.org", "/", 2);
    assert_eq!(files.backend_of("app.example.org", "/api/x"), "10.0.0.7:4000");
    assert_eq!(files.vhost.get("app.example.org", "/api/x").echo()["uri"], "/x");
    assert_eq!(files.backend_of("intern.example.org", "/"), "403", "only its network may see it");
    assert_eq!(files.backend_of("staff.example.org", "/"), "401");
    let response = files.vhost.get("app.example.org", "/");
    assert_eq!(response.header("x-frame-options"), Some("DENY"));
    let toml = Served::of("traefik", "traefik/dynamic.toml", &[]);
    assert_eq!(toml.backend_of("one.example.org", "/"), "127.0.0.1:5000");
    assert_eq!(toml.backend_of("two.example.org", "/"), "127.0.0.1:5000");
    let locked = Served::of("traefik", "traefik/locked.yml", &[]);
    assert_eq!(locked.backend_of("open.example.org", "/"), "127.0.0.1:3000");
    assert_eq!(locked.backend_of("login.example.org", "/"), "403");
    assert_eq!(locked.backend_of("elsewhere.example.org", "/"), "403");
}

#[test]
fn services_of_kamal_are_served_as_kamal_proxy_did() {
    let one = Served::of("kamal", "kamal/deploy.yml", &["--email", "a@example.com"]);
    one.backends_of("shop.example.com", "/", 2);
    let roles = Served::of("kamal", "kamal/roles.yml", &[]);
    assert_eq!(roles.backend_of("app.example.com", "/"), "192.0.2.1:80");
    assert_eq!(roles.backend_of("www.app.example.com", "/"), "192.0.2.1:80");
    assert_eq!(roles.backend_of("admin.example.com", "/"), "403", "it was only below a path");
}

#[test]
fn what_cannot_be_read_is_a_usage_error_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("broken");
    for (source, text, part) in [
        ("nginx", "server {\n  listen 80;\n", "line 2: a `{` is never closed"),
        ("nginx", "server {\n  listen 80\n}\n", "line 3: a directive lacks its `;`"),
        ("nginx", "}\n", "line 1: `}` closes nothing"),
        ("traefik", "http: [\n", "line "),
        ("kamal", "a: *none\n", "line 1: "),
        ("caddy", "a.test {\n  respond \"x\n}\n", "line 2: the quote \" is never closed"),
    ] {
        std::fs::write(&file, text).expect("it is written");
        let output = from(source, &file, &[]);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(part), "no `{part}` in {output:?}");
        assert_eq!(output.stdout, "");
    }
    let output = from("nginx", &directory.path().join("missing"), &[]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("cannot read"), "{output:?}");
}

#[test]
fn a_file_that_exists_is_replaced_by_force_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("vhost.toml");
    let to = file.to_str().expect("UTF-8");
    let written =
        from("nginx", &example("nginx/shop.conf"), &["--email", "a@b.test", "--write", to]);
    assert_eq!((written.code, written.stdout.as_str()), (1, ""), "{written:?}");
    let first = std::fs::read_to_string(&file).expect("it is written");
    assert!(first.contains("shop.example.com"), "{first}");
    let refused = from("nginx", &example("nginx/locked.conf"), &["--write", to]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("exists already"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), first);
    let forced = from("nginx", &example("nginx/locked.conf"), &["--write", to, "--force"]);
    assert!(forced.stderr.contains("auth_request"), "{forced:?}");
    assert_ne!(std::fs::read_to_string(&file).expect("it is there"), first);
    // What is no file of its own is nobody's config.
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let to = link.to_str().expect("UTF-8");
    let refused = from("nginx", &example("nginx/shop.conf"), &["--write", to, "--force"]);
    assert!(refused.stderr.contains("is no regular file"), "{refused:?}");
}
