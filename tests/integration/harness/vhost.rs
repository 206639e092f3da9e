//! The real `vhost`, as a child process.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::command::{CtlOutput, RunningCtl};
use super::namespace::mount_namespace;
use super::rpc::{Fault, RpcConnection};
use super::{Client, Response, Setup, eventually, eventually_some};

/// How long the server may take to serve, on a slow and busy machine.
const START: Duration = Duration::from_secs(20);

/// Log lines that drown the others when a test has failed.
const NOISE: [&str; 4] = ["pingora_core::", "pingora_proxy::", "backend was probed", "rpc_method="];

pub(crate) fn vhost_binary() -> &'static str {
    env!("CARGO_BIN_EXE_vhost")
}

/// A server that runs, with its directory.
pub(crate) struct Vhost {
    child: Child,
    directory: TempDir,
    http: SocketAddr,
    https: SocketAddr,
    lifetime: Duration,
    program: PathBuf,
    hosts_file: Option<PathBuf>,
    environment: Vec<(&'static str, PathBuf)>,
    trace: Option<&'static str>,
    /// Dropped when the server ends; the watchdog then goes home.
    watchdog: Option<mpsc::Sender<()>>,
}

impl Vhost {
    pub(super) fn start(setup: &Setup) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        std::fs::write(directory.path().join("vhost.toml"), setup.text(directory.path()))
            .expect("config file is written");
        let mut vhost = Self {
            child: spawn(
                &setup.program,
                directory.path(),
                setup.hosts_file.as_deref(),
                &setup.environment,
                setup.trace,
            ),
            directory,
            http: setup.http,
            https: setup.https,
            lifetime: setup.lifetime,
            program: setup.program.clone(),
            hosts_file: setup.hosts_file.clone(),
            environment: setup.environment.clone(),
            trace: setup.trace,
            watchdog: None,
        };
        vhost.wait_until_it_serves();
        vhost
    }

    fn spawn(&self) -> Child {
        let directory = self.directory.path();
        spawn(&self.program, directory, self.hosts_file.as_deref(), &self.environment, self.trace)
    }

    fn wait_until_it_serves(&mut self) {
        self.watch();
        let socket = self.socket();
        eventually("vhost serves", START, || {
            if let Some(status) = self.child.try_wait().expect("child can be waited for") {
                panic!("vhost ended ({status}) instead of serving:\n{}", self.log());
            }
            UnixStream::connect(&socket).is_ok() && TcpStream::connect(self.http).is_ok()
        });
        self.rpc("state.get", json!({})).expect("state.get answers");
    }

    /// Kills the server when it has lived too long: whatever waits for it then fails.
    fn watch(&mut self) {
        let (alive, ended) = mpsc::channel();
        let (pid, lifetime) = (self.pid(), self.lifetime);
        std::thread::spawn(move || {
            if ended.recv_timeout(lifetime) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("vhost {pid} lived {lifetime:?}, longer than its test may take: killed");
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        self.watchdog = Some(alive);
    }

    /// Starts the server again with the same file and state, after it has ended.
    pub(crate) fn restart(&mut self) {
        assert!(
            self.child.try_wait().expect("child can be waited for").is_some(),
            "the server still runs"
        );
        self.child = self.spawn();
        self.wait_until_it_serves();
    }

    /// Lets each start from now on end by SIGKILL where it reaches this point of `src/crash_point.rs`.
    pub(crate) fn crash_at(&mut self, point: Option<&str>) {
        self.environment.retain(|(name, _)| *name != "FAILPOINTS");
        // `fail` takes what may come before the action on its right side.
        let action = point.map(|point| match point.split_once("->") {
            Some((first, point)) => format!("{point}={first}->return"),
            None => format!("{point}=return"),
        });
        self.environment.extend(action.map(|action| ("FAILPOINTS", action.into())));
    }

    /// Starts the server again, after it has ended, where it won't come to serve.
    pub(crate) fn start_until_it_ends(&mut self, deadline: Duration) -> ExitStatus {
        self.child = self.spawn();
        self.watch();
        self.wait_for_exit(deadline)
    }

    /// Replaces the config file, which the server reads at its next start.
    pub(crate) fn write_config(&self, setup: &Setup) {
        std::fs::write(self.config_file(), setup.text(self.directory.path()))
            .expect("config file is written");
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("vhost.toml")
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("admin.sock")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Where plain HTTP is served.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where HTTPS is served.
    pub(crate) fn https(&self) -> SocketAddr {
        self.https
    }

    /// The server's own memory, in kilobytes: not the parts of its program that are loaded as they are
    /// first used.
    pub(crate) fn memory_kb(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        line.trim().trim_end_matches(" kB").parse().expect("kilobytes")
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("pids are small"))
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The calls that [`Setup::trace`] named, a line each, as far as they are written down.
    pub(crate) fn system_calls(&self) -> String {
        let bytes = std::fs::read(trace_file(self.directory.path())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The lines of the log that contain `part`, once there are some: the log is written behind
    /// the server's back.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, part: &str) -> Vec<String> {
        eventually_some(&format!("`{part}` is logged"), Duration::from_secs(10), || {
            Some(self.log_lines(part)).filter(|lines| !lines.is_empty())
        })
    }

    /// The lines of the log so far that contain `part`.
    pub(crate) fn log_lines(&self, part: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the server runs");
    }

    pub(crate) fn kill(&mut self) {
        self.watchdog = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.kill_successors();
    }

    /// Has a new process take over, and gives its id. It is killed when this is dropped.
    #[track_caller]
    pub(crate) fn upgrade(&self) -> Pid {
        self.upgraded(&["upgrade"])
    }

    /// Has a new process of this program take over.
    #[track_caller]
    pub(crate) fn upgrade_to(&self, program: &Path) -> Pid {
        self.upgraded(&["upgrade", program.to_str().expect("a path that is text")])
    }

    #[track_caller]
    fn upgraded(&self, args: &[&str]) -> Pid {
        let report = self.ctl_json(args);
        Pid::from_raw(report["pid"].as_i64().expect("a pid").try_into().expect("pids are small"))
    }

    /// The processes of this server, whichever of them serves.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let config = self.config_file();
        let is_own = |pid: &i32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut arguments = command.split(|byte| *byte == 0);
            arguments.any(|argument| argument == config.as_os_str().as_encoded_bytes())
        };
        let entries = std::fs::read_dir("/proc").expect("there is /proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(is_own).map(Pid::from_raw).collect()
    }

    fn kill_successors(&self) {
        let mut killed = Vec::new();
        eventually("no process of the server is left", START, || {
            let left = self.processes();
            for pid in &left {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            let is_last = left.is_empty();
            killed.extend(left);
            is_last && killed.iter().all(|pid| has_closed_everything(*pid))
        });
    }

    /// The exit status, once the server has ended by itself.
    pub(crate) fn wait_for_exit(&mut self, deadline: Duration) -> ExitStatus {
        let status = eventually_some("vhost ends", deadline, || {
            self.child.try_wait().expect("child can be waited for")
        });
        self.watchdog = None;
        status
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("child can be waited for").is_some()
    }

    /// A new client connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.http)
    }

    /// One GET on a connection of its own.
    pub(crate) fn get(&self, host: &str, path: &str) -> Response {
        self.connect().get(host, path)
    }

    /// Runs `vhost ctl args` with the socket in the environment.
    pub(crate) fn ctl(&self, args: &[&str]) -> CtlOutput {
        self.ctl_in_background(args).wait()
    }

    /// Runs `vhost ctl`, and fails unless it succeeds.
    #[track_caller]
    pub(crate) fn ctl_ok(&self, args: &[&str]) -> CtlOutput {
        let output = self.ctl(args);
        assert_eq!(output.code, 0, "vhost ctl {args:?}\n{output:#?}\n{}", self.log());
        output
    }

    /// Runs `vhost ctl --output json`, and fails unless it succeeds.
    #[track_caller]
    pub(crate) fn ctl_json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--output", "json"];
        all.extend(args);
        let output = self.ctl_ok(&all);
        serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{error} in the output of {args:?}: {output:?}"))
    }

    pub(crate) fn ctl_in_background(&self, args: &[&str]) -> RunningCtl {
        let mut command = Command::new(vhost_binary());
        // As the README does, and so most people.
        command.arg("ctl").args(args).env("VHOST_SOCKET", self.socket());
        RunningCtl::of(command)
    }

    /// One call on the admin socket, on a connection of its own.
    #[expect(clippy::needless_pass_by_value, reason = "callers write `json!({…})`")]
    pub(crate) fn rpc(&self, method: &str, params: Value) -> Result<Value, Fault> {
        self.rpc_connection().call(method, &params)
    }

    /// The same where there may be no server.
    pub(crate) fn rpc_connection_if_any(&self) -> Option<RpcConnection> {
        RpcConnection::try_connect(&self.socket()).ok()
    }

    pub(crate) fn rpc_connection(&self) -> RpcConnection {
        RpcConnection::connect(&self.socket())
    }

    /// Waits until so many ready backends are healthy.
    #[track_caller]
    pub(crate) fn wait_until_healthy(&self, count: usize) {
        eventually(&format!("{count} backends are healthy"), START, || {
            let state = self.rpc("state.get", json!({})).expect("state.get answers");
            state["healthy"] == count
        });
    }

    /// What `backend.show` says.
    #[track_caller]
    pub(crate) fn backend(&self, id: &str) -> Value {
        self.rpc("backend.show", json!({ "id": id })).expect("backend.show answers")
    }

    /// Waits until the backend's health is `status`.
    #[track_caller]
    pub(crate) fn wait_for_health(&self, id: &str, status: &str) -> Value {
        eventually_some(&format!("`{id}` is {status}"), START, || {
            let backend = self.backend(id);
            (backend["health"]["status"] == status).then_some(backend)
        })
    }

    /// The tag that is live for `domain`.
    #[track_caller]
    pub(crate) fn live(&self, domain: &str) -> String {
        let shown = self.rpc("domain.show", json!({ "domain": domain })).expect("domain.show");
        shown["live"].as_str().expect("`live` is text").to_owned()
    }

    /// Requests that run now, over all domains.
    pub(crate) fn in_flight(&self) -> u64 {
        let state = self.rpc("state.get", json!({})).expect("state.get answers");
        state["in_flight"].as_u64().expect("`in_flight` is a number")
    }

    /// The newest entry of the history.
    pub(crate) fn newest_event(&self) -> Value {
        let mut list = self.rpc("event.list", json!({ "limit": 1 })).expect("event.list answers");
        list["events"][0].take()
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            // Set `VHOST_TEST_LOG` to see Pingora's lines too.
            let whole = std::env::var_os("VHOST_TEST_LOG").is_some();
            let log = self.log();
            let lines: Vec<_> = log
                .lines()
                .filter(|line| whole || !NOISE.iter().any(|noise| line.contains(noise)))
                .map(|line| line.chars().take(400).collect::<String>())
                .collect();
            let tail = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- the server's last log lines ---\n{}", tail.join("\n"));
        }
    }
}

/// Starts the server, its log going to `directory/stderr`.
fn spawn(
    program: &Path,
    directory: &Path,
    hosts_file: Option<&Path>,
    environment: &[(&str, PathBuf)],
    trace: Option<&str>,
) -> Child {
    let log = File::options()
        .append(true)
        .create(true)
        .open(directory.join("stderr"))
        .expect("log file is made");
    let mut command = match (hosts_file, trace) {
        (None, None) => Command::new(program),
        (None, Some(calls)) => {
            let mut command = Command::new("strace");
            // The server is the child, so that signals reach it; what it does is written by a grandchild. Paths stand beside
            // descriptors.
            command.args(["-D", "-f", "-y", "-s", "256", "-e", &format!("trace={calls}"), "-o"]);
            command.arg(trace_file(directory)).arg(program);
            command
        }
        (Some(hosts), _) => {
            let mut command = mount_namespace().expect("the test has asked before");
            command
                .args(["sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
                .arg(hosts)
                .arg(program);
            command
        }
    };
    command
        .args(["serve", "--config"])
        .arg(directory.join("vhost.toml"))
        .envs(environment.iter().map(|(name, path)| (name, path)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("vhost starts")
}

fn trace_file(directory: &Path) -> PathBuf {
    directory.join("strace")
}

/// Runs `vhost serve --config FILE` where it is expected to end by itself.
pub(crate) fn serve_once(config: &Path) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.args(["serve", "--config"]).arg(config);
    RunningCtl::of(command).wait()
}

/// Whether a process that was killed listens no more. One that ends has no command line for a moment, and its sockets
/// still: only a zombie, which waits for its parent, has closed them.
fn has_closed_everything(pid: Pid) -> bool {
    // The state comes behind the name, which is in brackets (proc_pid_stat(5)).
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with(['Z', 'X'])))
        .unwrap_or(true)
}
