//! The proxies, and how each is started with the same work.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::server::{free_address, is_served};
use crate::lab::Lab;
use crate::process::Process;
use crate::proxy::{HOST, Proxy};

/// Longer than any start may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a start may have beside what all have.
#[derive(Debug, Clone)]
pub(crate) struct More {
    /// So many domains, as [`domain`] names them.
    pub(crate) domains: usize,
    /// What a file of vhost has at its top.
    pub(crate) vhost: String,
    /// How often vhost probes its backends.
    pub(crate) probe_secs: u32,
}

impl Default for More {
    fn default() -> Self {
        // Probes are not what is measured.
        Self { domains: 0, vhost: String::new(), probe_secs: 600 }
    }
}

/// The name of one of many domains.
pub(crate) fn domain(index: usize) -> String {
    format!("shop-{index}.example.com")
}

/// A proxy that serves.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    /// From the start of its process to its first answer.
    pub(crate) took: Duration,
    directory: TempDir,
}

impl Running {
    /// Starts a proxy, and waits until it answers.
    pub(crate) fn start(lab: &Lab, proxy: Proxy, more: &More) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let (http, https) = (free_address(), free_address());
        let config = configure(lab, proxy, more, directory.path(), http, https);
        let command = command(lab, proxy, directory.path(), &config, http);
        let log = directory.path().join("log");
        let started = Instant::now();
        let mut process = Process::start(&lab.cores.proxy, &command, &log);
        while !is_served(http, Some(HOST)) {
            let is_late = started.elapsed() > PATIENCE;
            if is_late || process.has_ended() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("{} doesn't serve ({command:?}):\n{said}", proxy.name());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Self { process, http, https, took: started.elapsed(), directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// Writes the proxy's files, and gives the one that it is started with.
fn configure(
    lab: &Lab,
    proxy: Proxy,
    more: &More,
    directory: &Path,
    http: SocketAddr,
    https: SocketAddr,
) -> PathBuf {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).expect("the file is written");
        path
    };
    let cert = write("cert.pem", &lab.bundle.chain);
    let key = write("key.pem", &lab.bundle.key);
    let pem = write("both.pem", &(lab.bundle.chain.clone() + &lab.bundle.key));
    let (name, template) = match proxy {
        Proxy::Vhost | Proxy::Other => ("vhost.toml", include_str!("conf/vhost.toml")),
        Proxy::Nginx => ("nginx.conf", include_str!("conf/nginx.conf")),
        Proxy::Haproxy => ("haproxy.cfg", include_str!("conf/haproxy.cfg")),
        Proxy::H2o => ("h2o.conf", include_str!("conf/h2o.conf")),
        Proxy::Envoy => ("envoy.yaml", include_str!("conf/envoy.yaml")),
        Proxy::Relay => return PathBuf::new(),
    };
    let mut text = template.to_owned();
    let mut put = |what: &str, value: &str| text = text.replace(&format!("@{what}@"), value);
    for (what, address) in
        [("HTTP", http), ("HTTPS", https), ("BACKEND", lab.backend), ("OTHER", lab.other)]
    {
        put(what, &address.to_string());
        put(&format!("{what}_IP"), &address.ip().to_string());
        put(&format!("{what}_PORT"), &address.port().to_string());
    }
    for (what, path) in [("CERT", &cert), ("KEY", &key), ("PEM", &pem)] {
        put(what, &path.display().to_string());
    }
    put("DIR", &directory.display().to_string());
    put("HOST", HOST);
    let names = (0..more.domains).map(domain);
    match proxy {
        Proxy::Nginx => {
            put("USER", if nix::unistd::geteuid().is_root() { "user root;" } else { "" });
            let many = if more.domains > 0 { many_nginx(directory, http) } else { String::new() };
            put("DOMAINS", &many);
            write("hosts.map", &map_of(names, " app;\n"));
        }
        Proxy::Haproxy => {
            let names = std::iter::once(HOST.to_owned()).chain(names);
            write("hosts.map", &map_of(names, " app\n"));
        }
        Proxy::H2o => {
            put("USER", if nix::unistd::geteuid().is_root() { "user: root" } else { "" });
        }
        Proxy::Envoy => {
            let names = std::iter::once(HOST.to_owned()).chain(names);
            put("HOSTS", &names.collect::<Vec<_>>().join(", "));
        }
        Proxy::Vhost | Proxy::Other => {
            for name in names {
                let _ = write!(
                    text,
                    "\n[[virtual_hosts]]\ndomain = \"{name}\"\nenabled_backends_tag = \"a\"\n\
                     http_to_https = false\ntls = \"off\"\n"
                );
            }
            text = format!("{}\n{text}", more.vhost);
            text = text.replace("@PROBE_SECS@", &more.probe_secs.to_string());
        }
        Proxy::Relay => {}
    }
    write(name, &text)
}

fn map_of(names: impl Iterator<Item = String>, to: &str) -> String {
    names.flat_map(|name| [name, to.to_owned()]).collect()
}

/// Whether this build of vhost knows everything that its file has.
pub(crate) fn check(lab: &Lab, more: &More) -> bool {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let (http, https) = (free_address(), free_address());
    let file = configure(lab, Proxy::Vhost, more, directory.path(), http, https);
    let checked = Command::new(&lab.binary)
        .arg("check")
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    checked.expect("it runs").success()
}

/// How nginx serves many domains that it knows by name alone: one server, and a map.
fn many_nginx(directory: &Path, http: SocketAddr) -> String {
    let map = directory.join("hosts.map");
    format!(
        "    map $host $pool {{ default ''; include {}; }}\n    server {{\n        \
         listen {http};\n        server_name *.example.com;\n        location / {{\n            \
         if ($pool = '') {{ return 404; }}\n            proxy_pass http://$pool;\n        }}\n    }}",
        map.display()
    )
}

fn command(
    lab: &Lab,
    proxy: Proxy,
    directory: &Path,
    config: &Path,
    http: SocketAddr,
) -> Vec<String> {
    let config = config.display().to_string();
    let words = |program: &Path, rest: &[&str]| {
        let rest = rest.iter().map(|word| (*word).to_owned());
        std::iter::once(program.display().to_string()).chain(rest).collect()
    };
    match proxy {
        Proxy::Vhost => words(&lab.binary, &["serve", "--config", &config]),
        Proxy::Other => {
            let other = lab.other_binary.as_ref().expect("only with `--other`");
            words(other, &["serve", "--config", &config])
        }
        Proxy::Nginx => {
            let (prefix, log) = (directory.display().to_string(), directory.join("nginx.log"));
            let log = log.display().to_string();
            words(Path::new("nginx"), &["-p", &prefix, "-c", &config, "-e", &log])
        }
        Proxy::Haproxy => words(Path::new("haproxy"), &["-db", "-f", &config]),
        Proxy::H2o => {
            words(lab.h2o.as_ref().expect("only where it is installed"), &["-c", &config])
        }
        Proxy::Envoy => {
            let envoy = lab.envoy.as_ref().expect("only where it is installed");
            words(
                envoy,
                &["-c", &config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
            )
        }
        Proxy::Relay => {
            let own = std::env::current_exe().expect("this program");
            words(&own, &["--as-relay", &http.to_string(), &lab.backend.to_string()])
        }
    }
}
