//! The real `vhost`, as a child process, and the ways to talk to it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use super::address::free_ports;
use super::rpc::RpcConnection;

/// Longer than anything here may take: a hang ends with a message.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server with its directory. Dropping it ends the process.
pub(crate) struct Server {
    binary: PathBuf,
    child: Child,
    directory: TempDir,
    http: SocketAddr,
}

/// The file of a server that has not started yet.
pub(crate) struct Prepared {
    binary: PathBuf,
    directory: TempDir,
    http: SocketAddr,
}

impl Prepared {
    /// Writes the file that `text` makes of the server's directory and its address for plain HTTP. The
    /// state is beside it, on the disk that holds the build.
    pub(crate) fn new(binary: &Path, text: impl FnOnce(&Path, SocketAddr) -> String) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let http = free_address();
        let prepared = Self { binary: binary.to_owned(), directory, http };
        let text = text(prepared.directory.path(), http);
        std::fs::write(prepared.file(), text).expect("the file is written");
        prepared
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn file(&self) -> PathBuf {
        file(self.directory.path())
    }

    /// Starts the server; the answer is how long it took until `host` was served (any answer at all
    /// when there is none).
    pub(crate) fn start(self, host: Option<&str>) -> (Server, Duration) {
        let http = self.http;
        self.start_until(|| is_served(http, host))
    }

    /// Starts the server; the answer is how long it took until `is_served` said so.
    pub(crate) fn start_until(self, is_served: impl Fn() -> bool) -> (Server, Duration) {
        let started = Instant::now();
        let Self { binary, directory, http } = self;
        let child = spawn(&binary, directory.path());
        let mut server = Server { binary, child, directory, http };
        server.wait_until(is_served);
        (server, started.elapsed())
    }
}

impl Server {
    /// Stops the server and starts it again on the same file and state. The answer is how long the
    /// start took.
    pub(crate) fn restart(&mut self, host: Option<&str>) -> Duration {
        let http = self.http;
        self.stop();
        self.start_again(|| is_served(http, host))
    }

    pub(crate) fn stop(&mut self) {
        kill(self.pid(), Signal::SIGTERM).expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it after [`stop`](Self::stop), until `is_served` says so. The answer is how long it took.
    pub(crate) fn start_again(&mut self, is_served: impl Fn() -> bool) -> Duration {
        let started = Instant::now();
        self.child = spawn(&self.binary, self.directory.path());
        self.wait_until(is_served);
        started.elapsed()
    }

    fn wait_until(&mut self, is_served: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("vhost ended ({status}):\n{}", tail(self.directory.path()));
            }
            if is_served() {
                return;
            }
            assert!(Instant::now() < deadline, "vhost serves nothing after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(crate) fn connection(&self) -> RpcConnection {
        RpcConnection::connect(&self.directory.path().join("admin.sock"))
    }

    /// `vhost ctl ARGS` at this server.
    pub(crate) fn ctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["ctl", "--socket"]).arg(self.directory.path().join("admin.sock"));
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Waits until every backend has been found healthy.
    pub(crate) fn wait_until_proven(&self, backends: usize) {
        let mut connection = self.connection();
        let deadline = Instant::now() + PATIENCE;
        while connection.call("state.get", &json!({})).expect("it answers")["healthy"]
            != json!(backends)
        {
            assert!(Instant::now() < deadline, "the backends are not healthy");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Resident memory in bytes, once it has stopped moving.
    pub(crate) fn memory(&self) -> u64 {
        let mut last = self.resident();
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.resident();
            if now.abs_diff(last) < 256 * 1024 {
                return now;
            }
            last = now;
        }
    }

    fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that was resident since the start, in bytes.
    pub(crate) fn most_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line of it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// The time of the cores that its threads have while `work` goes on. Other load on the machine
    /// falls on this far less than on the time that passes.
    pub(crate) fn cpu_of<T>(&self, work: impl FnOnce() -> T) -> (T, Duration) {
        let before = self.cpu();
        let done = work();
        (done, self.cpu().saturating_sub(before))
    }

    fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanos = threads.expect("it runs").flatten().filter_map(|thread| {
            // A thread may end meanwhile.
            let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("vhost.toml")
}

fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}

fn tail(directory: &Path) -> String {
    let text = std::fs::read_to_string(log(directory)).unwrap_or_default();
    text.lines().rev().take(5).collect::<Vec<_>>().join("\n")
}

fn spawn(binary: &Path, directory: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log(directory)).expect("a log file");
    Command::new(binary)
        .args(["serve", "--config"])
        .arg(file(directory))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("vhost starts")
}

/// A free address at which a client finds `localhost`, as some ask for it by that name.
pub(crate) fn free_address() -> SocketAddr {
    let [address] = free_ports(Ipv4Addr::LOCALHOST.into());
    address
}

pub(crate) fn is_served(http: SocketAddr, host: Option<&str>) -> bool {
    let line = first_line(http, host.unwrap_or("nobody.invalid"));
    line.is_some_and(|line| host.is_none() || line.contains(" 200 "))
}

/// The status line that a request for `host` gets.
fn first_line(http: SocketAddr, host: &str) -> Option<String> {
    let mut stream = TcpStream::connect(http).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().next().map(str::to_owned)
}
