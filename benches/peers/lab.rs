//! What all measurements share: the cores, the backend, the certificate, and the machine's facts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::common::authority::{Authority, Bundle};
use crate::common::client::Client;
use crate::common::server::{free_address, is_served};
use crate::process::Process;
use crate::proxy::{HOST, Proxy};

/// Which core the proxies have, and which the load and the backend.
pub(crate) struct Cores {
    pub(crate) proxy: String,
    pub(crate) load: String,
}

/// How long things are measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) rounds: usize,
    /// Whole seconds, as `wrk` wants them.
    pub(crate) seconds: u64,
    /// Connections that stand idle.
    pub(crate) idle: usize,
    pub(crate) is_quick: bool,
}

pub(crate) struct Lab {
    pub(crate) pace: Pace,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) cores: Cores,
    pub(crate) binary: PathBuf,
    pub(crate) other_binary: Option<PathBuf>,
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) h2o: Option<PathBuf>,
    pub(crate) backend: SocketAddr,
    pub(crate) other: SocketAddr,
    pub(crate) bundle: Bundle,
    pub(crate) authority: Authority,
    backends: Process,
}

impl Lab {
    /// Takes the cores, and starts the backend.
    pub(crate) fn new(
        pace: Pace,
        wanted: impl Fn(Proxy) -> bool,
        binary: PathBuf,
        other_binary: Option<PathBuf>,
    ) -> Result<Self, String> {
        let cores = cores()?;
        let own = std::process::id().to_string();
        run("taskset", &["-a", "-p", "-c", &cores.load, &own])?;
        raise_file_limit();
        let (envoy, h2o) = (envoy(), h2o());
        let mut proxies = Proxy::ALL.to_vec();
        proxies.retain(|proxy| match proxy {
            Proxy::Vhost => true,
            Proxy::Other => other_binary.is_some(),
            Proxy::Envoy => wanted(*proxy) && envoy.is_some(),
            Proxy::H2o => wanted(*proxy) && h2o.is_some(),
            Proxy::Nginx | Proxy::Haproxy | Proxy::Relay => wanted(*proxy),
        });
        let authority = Authority::new();
        let bundle = authority.sign(HOST);
        let (backend, other) = (free_address(), free_address());
        let helper = std::env::current_exe().map_err(|error| error.to_string())?;
        let command = [
            helper.display().to_string(),
            "--as-backend".to_owned(),
            backend.to_string(),
            other.to_string(),
        ];
        let process = Process::start(&cores.load, &command, Path::new("/dev/null"));
        let mut lab = Self {
            pace,
            proxies,
            cores,
            binary,
            other_binary,
            envoy,
            h2o,
            backend,
            other,
            bundle,
            authority,
            backends: process,
        };
        while !lab.backend_serves() {
            if lab.backends.has_ended() {
                return Err("the backend doesn't start".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(lab)
    }

    fn backend_serves(&self) -> bool {
        is_served(self.backend, Some(HOST)) && is_served(self.other, Some(HOST))
    }

    /// A client of TLS that trusts the proxies' certificate; it never resumes unless it says so.
    pub(crate) fn client(&self, resumes: bool) -> Client {
        let roots = self.authority.roots();
        if resumes { Client::resuming(roots, 1) } else { Client::new(roots) }
    }

    /// Who takes part in a case, in the order of a round: each is first, last and between in turns.
    pub(crate) fn order(&self, round: usize, takes_part: impl Fn(Proxy) -> bool) -> Vec<Proxy> {
        let mut order: Vec<_> =
            self.proxies.iter().copied().filter(|proxy| takes_part(*proxy)).collect();
        let by = round % order.len().max(1);
        order.rotate_left(by);
        order
    }

    /// The machine, and the versions of everybody.
    pub(crate) fn facts(&self) -> Value {
        let version = |program: &str, arguments: &[&str]| {
            let said = run(program, arguments).unwrap_or_else(|error| error);
            said.lines().next().unwrap_or_default().trim().to_owned()
        };
        let envoy = self.envoy.as_deref().map_or_else(
            || "not installed".to_owned(),
            |path| {
                let said = run(&path.display().to_string(), &["--version"]).unwrap_or_default();
                let version = said.split('/').nth_back(3).unwrap_or_default();
                format!("envoy {version}")
            },
        );
        let h2o = self.h2o.as_deref().map_or_else(
            || "not installed".to_owned(),
            |path| version(&path.display().to_string(), &["--version"]),
        );
        json!({
            "date": version("date", &["+%Y-%m-%d"]),
            "cpu": cpu_model(),
            "cores": {"proxy": self.cores.proxy, "load and backend": self.cores.load},
            "kernel": version("uname", &["-sr"]),
            "system": system(),
            "vhost": version(&self.binary.display().to_string(), &["--version"]),
            "nginx": version("nginx", &["-v"]),
            "haproxy": version("haproxy", &["-v"]),
            "envoy": envoy,
            "h2o": h2o,
            "wrk": version("wrk", &["-v"]),
            "h2load": version("h2load", &["--version"]),
            "rounds": self.pace.rounds,
            "seconds": self.pace.seconds,
        })
    }
}

/// The first core that this program may use is the load's; the proxies have the second.
fn cores() -> Result<Cores, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let mut cores = Vec::new();
    for part in allowed.unwrap_or_default().trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cores.extend(first..=last);
        }
    }
    match cores[..] {
        [load, proxy, ..] => Ok(Cores { proxy: proxy.to_string(), load: load.to_string() }),
        _ => Err("there must be two cores: one for the proxy, one for load and backend".to_owned()),
    }
}

/// Runs a program to its end, and gives what it says: `wrk` and nginx tell their version on stderr,
/// and `wrk` fails then.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run `{program}`: {error}"))?;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Where `./dev bench` puts it.
fn envoy() -> Option<PathBuf> {
    let pattern = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/peers/lib/python3*/site-packages/envoy/_bin/envoy"
    );
    glob::glob(pattern).expect("a pattern").flatten().next()
}

/// Where `./dev bench` puts it.
fn h2o() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/h2o"));
    path.exists().then_some(path)
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.unwrap_or_default().trim_start_matches(['\t', ' ', ':']).to_owned()
}

fn system() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

/// Thousands of connections stand open at once, here and in the proxies, which inherit the limit.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    raised.expect("the limit of open files can be raised");
}
