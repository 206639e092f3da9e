//! Beside a real nginx, as a backend.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// An nginx that runs until it is dropped.
struct Nginx {
    child: Child,
    directory: tempfile::TempDir,
}

impl Nginx {
    /// Serves what `servers` says; `None` where there is no nginx, which is said.
    fn start(servers: impl FnOnce(&Path) -> String, at: &[SocketAddr]) -> Option<Self> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            let needed = std::env::var_os("VHOST_NEEDS_TOOLS").is_some();
            assert!(!needed, "nginx is not there; `./dev test` installs it");
            eprintln!("skipped: nginx is not there; `./dev test` installs it");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};\n", path.display()))
            .concat();
        let config = format!(
            "daemon off;\nworker_processes 1;\npid {0}/pid;\nerror_log {0}/error.log info;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off;\nclient_max_body_size 0;\n{folders}{1} }}\n",
            path.display(),
            servers(path),
        );
        let file = path.join("nginx.conf");
        std::fs::write(&file, config).expect("it is written");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(path).arg("-c").arg(&file).stdin(Stdio::null()).stderr(Stdio::null());
        let nginx = Self { child: command.spawn().expect("nginx runs"), directory };
        for address in at {
            eventually("nginx accepts", SOON, || std::net::TcpStream::connect(address).is_ok());
        }
        Some(nginx)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker when it is asked to, and not when it is killed.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

const WHO: &str = "location / { return 200 \"$server_protocol $http_host $host\"; }";

#[test]
fn nginx_is_probed_and_served_over_every_version() {
    let [tls, plain, h2c] = free_ports(free_ip());
    let authority = Authority::new();
    let name = "web.internal";
    let nginx = Nginx::start(
        |directory| {
            let files = authority.issue(&[name]).write_to(directory, "web");
            format!(
                "server {{ listen {tls} ssl http2; listen {plain}; listen {h2c} http2;\n\
                 ssl_certificate {}; ssl_certificate_key {}; {WHO} }}",
                files.cert.display(),
                files.key.display()
            )
        },
        &[tls, plain, h2c],
    );
    let Some(nginx) = nginx else { return };
    let directory = tempfile::tempdir().unwrap();
    let ca = authority.write_to(directory.path());
    let trust = format!("tls_ca_file = {ca:?}\ntls_server_name = \"{name}\"");
    for (scheme, address, more, version) in [
        ("http", plain, "", "HTTP/1.1"),
        ("https", tls, &trust[..], "HTTP/2.0"),
        ("h2", tls, &trust, "HTTP/2.0"),
        ("h2c", h2c, "", "HTTP/2.0"),
    ] {
        let vhost = Setup::new()
            .domain("example.com", "a")
            .backend_with("web", address, &["a"], &format!("scheme = \"{scheme}\"\n{more}"))
            .start();
        vhost.wait_until_healthy(1);
        let response = vhost.get("example.com", "/a");
        assert_eq!(response.status, 200, "{scheme}: {}", response.text());
        assert!(response.text().starts_with(version), "{scheme}: {}", response.text());
        assert!(response.text().ends_with(" example.com"), "{scheme}: {}", response.text());
        in_runtime(async {
            let response = H2::connect(vhost.http()).await.get("example.com", "/b").await.unwrap();
            assert_eq!(response.status, 200, "{scheme}");
        });
    }
    assert!(!nginx.log().contains("duplicate host"), "{}", nginx.log());
}

#[test]
fn probes_ask_for_the_host_that_they_are_told() {
    let [plain, h2c] = free_ports(free_ip());
    let nginx = Nginx::start(
        |_| {
            format!(
                "server {{ listen {plain} default_server; listen {h2c} http2 default_server;\n\
                 server_name _; return 404; }}\n\
                 server {{ listen {plain}; listen {h2c}; server_name shop.test; {WHO} }}"
            )
        },
        &[plain, h2c],
    );
    let Some(_nginx) = nginx else { return };
    for (scheme, address) in [("http", plain), ("h2c", h2c)] {
        let setup = Setup::new()
            .set("health_check.unhealthy_threshold", 1)
            .domain("shop.test", "a")
            .backend_with("web", address, &["a"], &format!("scheme = \"{scheme}\""));
        let vhost = setup.start();
        let found = vhost.wait_for_health("web", "unhealthy");
        assert!(
            found.to_string().contains("status 404"),
            "{scheme}: its address is no site: {found}"
        );
        // A reload is enough.
        vhost.write_config(&setup.set("health_check.host", "\"shop.test\""));
        vhost.ctl_ok(&["reload"]);
        vhost.wait_for_health("web", "healthy");
    }
}

/// nginx ends an HTTP/2 connection after `keepalive_requests`, 1000 where nothing is said, with streams
/// under way.
#[test]
fn no_request_is_lost_when_nginx_ends_its_connections() {
    let [h2c] = free_ports(free_ip());
    let server = |limit: &str| format!("server {{ listen {h2c} http2; {limit} {WHO} }}");
    for (limit, requests) in [("keepalive_requests 3;", 50), ("", 375)] {
        let Some(_nginx) = Nginx::start(|_| server(limit), &[h2c]) else { return };
        let vhost = Setup::new()
            .tcp_probes()
            .domain("example.com", "a")
            .backend_with("web", h2c, &["a"], "scheme = \"h2c\"")
            .start();
        vhost.wait_until_healthy(1);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut client = vhost.connect();
                    for number in 0..requests {
                        let response = client.post("example.com", "/", b"hello");
                        assert_eq!(response.status, 200, "{limit:?} {number}: {}", vhost.log());
                        if response.closes() {
                            client = vhost.connect();
                        }
                    }
                });
            }
        });
    }
}

/// nginx answers with `return` before it has read a body.
#[test]
fn an_early_answer_of_nginx_costs_no_request() {
    let [plain, h2c] = free_ports(free_ip());
    let server = format!(
        "server {{ listen {plain}; listen {h2c} http2; keepalive_requests 1000000; {WHO} }}"
    );
    let Some(_nginx) = Nginx::start(|_| server, &[plain, h2c]) else { return };
    for (scheme, address) in [("http", plain), ("h2c", h2c)] {
        let vhost = Setup::new()
            .tcp_probes()
            .domain("example.com", "a")
            .backend_with("web", address, &["a"], &format!("scheme = \"{scheme}\""))
            .start();
        vhost.wait_until_healthy(1);
        for (size, in_two, rounds) in [(5, false, 100), (5, true, 100), (100_000, true, 20)] {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| early(&vhost, scheme, size, in_two, rounds));
                }
            });
        }
    }
}

fn early(vhost: &Vhost, scheme: &str, size: usize, in_two: bool, rounds: usize) {
    let head = format!("POST /x HTTP/1.1\r\nHost: example.com\r\nContent-Length: {size}\r\n\r\n");
    let body = "x".repeat(size);
    let mut client = vhost.connect();
    for round in 0..rounds {
        if in_two {
            client.send(&head);
            std::thread::sleep(Duration::from_millis(2));
            let _ = client.try_send(&body);
        } else {
            client.send(format!("{head}{body}"));
        }
        let response = client
            .try_read_response()
            .unwrap_or_else(|error| panic!("{scheme} {size} {in_two} {round}: {error}"));
        assert_eq!(response.status, 200, "{scheme} {size} {in_two} {round}");
        if response.closes() {
            client = vhost.connect();
        }
    }
}
