//! What is amiss on this machine and in the DNS. Nothing of it keeps a config from being written.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;

use super::answers::Answers;
use super::listeners::Listeners;
use crate::cli::problem::words;
use crate::config::Config;
use crate::model::{BackendAddr, DomainName, listed};
use crate::server::preflight;

/// How long each step of a check may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// `dns`, `port`, `backend` or `start`.
    pub(super) what: &'static str,
    pub(super) ok: bool,
    pub(super) message: String,
}

impl Check {
    fn new(what: &'static str, ok: bool, message: impl Into<String>) -> Self {
        Self { what, ok, message: message.into() }
    }
}

/// Looks at everything.
pub(super) fn run(answers: &Answers, listeners: &Listeners, config: Option<&Config>) -> Vec<Check> {
    let mut checks = vec![dns(&answers.domain)];
    checks.extend(listeners.http.iter().chain(&listeners.https).map(|address| port(*address)));
    checks.push(backend(&answers.backend, &answers.domain));
    let missing = config.map(preflight).unwrap_or_default();
    let stops = missing.into_iter().filter(|missing| missing.stops_start);
    checks.extend(stops.map(|it| Check::new("start", false, it.message)));
    checks
}

/// Does it in a thread of its own: nobody can interrupt the system's resolver.
fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (answer, answered) = mpsc::channel();
    std::thread::spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Nobody waits any more if it took too long.
        let _ = answer.send(found);
    });
    let timed_out = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    answered.recv_timeout(PATIENCE).map_err(timed_out)?
}

/// Whether the domain leads to this machine.
fn dns(domain: &DomainName) -> Check {
    let name = domain.to_string();
    let host = match name.strip_prefix("*.") {
        Some(rest) => format!("vhost-init.{rest}"),
        None if name == "*" => return Check::new("dns", true, "`*` is for every name"),
        None => name.clone(),
    };
    let addresses = match resolve(host, 0) {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => return Check::new("dns", false, format!("`{name}` has no address in the DNS")),
        Err(error) => {
            let why = words(&error);
            return Check::new("dns", false, format!("`{name}` does not resolve: {why}"));
        }
    };
    let mut ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    ips.sort_unstable();
    ips.dedup();
    let shown = listed(&ips.iter().map(ToString::to_string).collect::<Vec<_>>());
    let (own, others): (Vec<_>, Vec<_>) = ips.into_iter().partition(|ip| is_own(*ip));
    match (own.is_empty(), others.is_empty()) {
        (false, true) => {
            Check::new("dns", true, format!("`{name}` resolves to {shown}, this machine"))
        }
        (false, false) => Check::new(
            "dns",
            false,
            format!("`{name}` resolves to {shown}; not all of these are addresses of this machine"),
        ),
        _ => Check::new(
            "dns",
            false,
            format!(
                "`{name}` resolves to {shown}, which is no address of this machine; right if a router or a proxy in front \
                 passes on to it"
            ),
        ),
    }
}

/// Only an address of the machine can be bound to.
fn is_own(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// Whether a port is free.
fn port(address: SocketAddr) -> Check {
    let ip = address.ip();
    // With IPv4 beside it, an IPv6 listener is for IPv6 alone.
    let bound = if ip.is_ipv6() && ip.is_unspecified() {
        only_v6(address)
    } else {
        TcpListener::bind(address)
    };
    match bound {
        Ok(_) => Check::new("port", true, format!("`{address}` is free")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Check::new(
            "port",
            false,
            format!(
                "cannot listen on `{address}`: {}; run as root, under `deploy/vhost.service`, or give others with `--http` \
                 and `--https`",
                words(&error)
            ),
        ),
        Err(error) => {
            Check::new("port", false, format!("cannot listen on `{address}`: {}", words(&error)))
        }
    }
}

fn only_v6(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None)?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    Ok(socket.into())
}

/// Whether the application answers, and with which status at `/`.
fn backend(address: &BackendAddr, domain: &DomainName) -> Check {
    let shown = address.to_string();
    let asked = match address {
        BackendAddr::Unix(path) => {
            UnixStream::connect(path.as_ref() as &std::path::Path).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                status(stream, domain)
            })
        }
        _ => connect(&shown).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            status(stream, domain)
        }),
    };
    match asked {
        Ok(Some(code @ 200..=399)) => {
            Check::new("backend", true, format!("`{shown}` answers: {code} for `/`"))
        }
        Ok(Some(code)) => Check::new(
            "backend",
            false,
            format!(
                "`{shown}` answers {code} for `/`, which health checks take as unhealthy; add `--health-path PATH` to the \
                 deploy"
            ),
        ),
        Ok(None) => Check::new("backend", false, format!("`{shown}` does not answer with HTTP")),
        Err(error) => {
            let why = words(&error);
            Check::new(
                "backend",
                false,
                format!("`{shown}` does not answer: {why}; start the application"),
            )
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
    let host = host.trim_matches(['[', ']']).to_owned();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in resolve(host, port.parse().unwrap_or(80))? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The status of the answer; none if it is no answer of HTTP.
fn status(mut stream: impl Read + Write, domain: &DomainName) -> io::Result<Option<u16>> {
    let name = domain.to_string();
    let host = if name.starts_with('*') { "localhost" } else { &name };
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: vhost-init\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = Vec::new();
    stream.take(32).read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    Ok(status.and_then(|status| status.parse().ok()))
}
