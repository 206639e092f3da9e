//! Beside `HAProxy`, whose protocol it is: in front, and as a backend.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

/// A `HAProxy` that runs until it is dropped.
struct HaProxy(Child);

impl HaProxy {
    fn start(directory: &Path, config: &str) -> Self {
        let file = directory.join("haproxy.cfg");
        let defaults = "defaults\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n";
        let config = format!("global\n maxconn 100\n nbthread 1\n{defaults}{config}");
        std::fs::write(&file, config).expect("it is written");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-q").arg("-f").arg(file).stdin(Stdio::null());
        Self(command.spawn().expect("haproxy runs"))
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn haproxy_and_vhost_understand_each_other() {
    if Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_err() {
        let needed = std::env::var_os("VHOST_NEEDS_TOOLS").is_some();
        assert!(!needed, "haproxy is not there; `./dev test` installs it");
        eprintln!("skipped: haproxy is not there; `./dev test` installs it");
        return;
    }
    let (backend, directory, proxy) =
        (Backend::start("web"), tempfile::tempdir().unwrap(), free_ip());
    let [one, two, tls] = free_ports(proxy);
    let [behind_one, behind_two] = free_ports(free_ip());
    let setup = behind_with(proxy, &backend, "tls = \"internal\"")
        .tcp_probes()
        .domain_with("one.test", "b", "http_to_https = false\ntls = \"off\"")
        .domain_with("two.test", "c", "http_to_https = false\ntls = \"off\"")
        .backend_with("one", behind_one, &["b"], "send_proxy_protocol = \"v1\"")
        .backend_with("two", behind_two, &["c"], "send_proxy_protocol = \"v2\"");
    let (http, https) = (setup.http_address(), setup.https_address());
    let checked = "check check-send-proxy inter 100ms";
    let fronts = [
        ("one", one, http, "send-proxy"),
        ("two", two, http, "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"),
        ("tls", tls, https, "send-proxy-v2 proxy-v2-options crc32c"),
    ]
    .map(|(name, at, to, send)| {
        format!(
            "listen {name}\n mode tcp\n bind {at}\n \
             server vhost {to} source {proxy} {send} {checked}\n"
        )
    });
    let backs = [("behind-one", behind_one), ("behind-two", behind_two)].map(|(name, at)| {
        format!(
            "frontend {name}\n mode http\n bind {at} accept-proxy\n http-request return status 200 \
             content-type text/plain lf-string \"%[src]:%[src_port] %[dst]:%[dst_port]\"\n"
        )
    });
    let config = fronts.concat() + &backs.concat();
    let _haproxy = HaProxy::start(directory.path(), &config);
    let vhost = setup.start();
    vhost.wait_until_healthy(3);
    vhost.wait_for_certificate("example.com", "valid");
    eventually("HAProxy accepts", SOON, || TcpStream::connect(tls).is_ok());
    let client = free_ip();
    for at in [one, two] {
        eventually("HAProxy has found the server", SOON, || {
            Client::connect_from(client, at).try_get("example.com", "/").is_ok()
        });
        let mut connection = Client::connect_from(client, at);
        let response = connection.get("example.com", "/");
        assert_eq!(response.sent("x-forwarded-for"), [client.to_string()]);
        let own = connection.stream().local_addr().unwrap();
        for host in ["one.test", "two.test"] {
            assert_eq!(connection.get(host, "/").text(), format!("{own} {at}"), "{host}");
        }
    }
    let socket = Client::connect_from(client, tls).into_stream();
    let mut connection = TlsClient::accepts_any().over(socket, Some("example.com")).unwrap();
    let response = connection.get("example.com", "/");
    assert_eq!(response.sent("x-forwarded-for"), [client.to_string()]);
    // Its checks connect, say LOCAL or UNKNOWN, and go.
    assert_eq!(refused(&vhost, "bad_proxy_header"), 0);
    assert_eq!(refused(&vhost, "handshake_failed"), 0);
}
