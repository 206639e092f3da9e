//! A machine with vhost, two apps, and commands that stand in for systemd, Docker and ssh: they start what the unit
//! and the compose file say as processes of the test.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use super::{recipe, repository};
use crate::harness::*;

/// Starts and stops a process of one name; the callers have found its command and its port.
const PROCESS: &str = r#"
end() {
    [ -f "run/$name.pid" ] || return 0
    pid=$(cat "run/$name.pid")
    kill "$pid" 2>/dev/null || :
    # An ended process that nobody has waited for has no command line.
    while [ -n "$(tr -d '\0' 2>/dev/null < "/proc/$pid/cmdline")" ]; do sleep 0.01; done
    rm "run/$name.pid"
}
begin() {
    end
    PORT=$port setsid "$command" > /dev/null 2>&1 < /dev/null &
    echo $! > "run/$name.pid"
}
"#;

/// `systemctl VERB APP@PLACE`, of an app whose unit was installed
const SYSTEMCTL: &str = r#"
for name; do :; done
unit() { sed -n "s/^$1=//p" deploy/app@.service | sed "s/%p/${name%@*}/g; s/%i/${name#*@}/g"; }
command=$(unit ExecStart)
. "$(unit EnvironmentFile)"
port=$PORT
case "$*" in
"start $name" | "restart $name") begin ;;
"enable $name" | "enable --quiet $name") touch "enabled/$name" ;;
"enable --now $name") touch "enabled/$name" && begin ;;
"disable --quiet --now $name") rm "enabled/$name" && end ;;
*) exit 2 ;;
esac
"#;

/// `docker compose --project-name APP-PLACE --file FILE up --detach`, and `stop`; `docker exec CONTAINER COMMAND`
const DOCKER: &str = r#"
if [ "$1 $2" = "exec kamal-proxy" ]; then
    shift 2
    exec "$@"
fi
[ "$1 $2 $4" = "compose --project-name --file" ] || exit 2
name=$(echo "$3" | sed 's/-\([ab]\)$/@\1/') file=$5
shift 5
declared() {
    eval echo "$(python3 -c "import sys, yaml
app = yaml.safe_load(open(sys.argv[1]))['services']['app']
print([app['image'], app['ports'][0]][int(sys.argv[2])])" "$file" "$1")"
}
port=$(declared 1 | cut -d: -f2)
command=$PWD/images/$name/run
case $* in
"up --detach")
    mkdir -p "images/$name"
    cp -r "${name%@*}-release/." "images/$name/"
    image=$(declared 0)
    echo "hello from ${image##*/}" | sed 's/:/ v/' > "images/$name/index.html"
    begin
    ;;
stop) end ;;
*) exit 2 ;;
esac
"#;

/// `ssh -i KEY USER@HOST LABEL` runs what the key is restricted to; `ssh USER@HOST COMMAND` runs the command.
const SSH: &str = r#"
if [ "$1" = -i ]; then
    [ -s "$2" ] || exit 255
    SSH_ORIGINAL_COMMAND=$4 exec sh -c "$(sed -n 's/.*command="\([^"]*\)".*/\1/p' deploy/receive.sh)"
fi
shift
exec sh -c "$*"
"#;

const SUDO: &str = "exec \"$@\"\n";

/// An application that tells its version.
pub(super) const RUN: &str = r#"#!/bin/sh
exec python3 -m http.server "$PORT" --bind 127.0.0.1 --directory "$(dirname "$0")"
"#;

const APPS: [&str; 2] = ["shop", "blog"];

/// The ports of the recipes, two for each app.
const PORTS: [&str; 4] = ["3001", "3002", "3003", "3004"];

pub(super) struct Machine {
    root: tempfile::TempDir,
    pub(super) server: Vhost,
    ports: [u16; 4],
}

/// A port of localhost that nobody else is given while these tests run: below those that the kernel
/// chooses from, and never the same twice.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + std::process::id() % 20_000;
    loop {
        let next = u32::from(NEXT.fetch_add(1, Ordering::SeqCst));
        let port = u16::try_from(start + next).expect("far fewer are asked for");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

impl Machine {
    /// With both apps, each live at its version 1 in its place `a`.
    pub(super) fn new() -> Self {
        let machine = Self::bare();
        machine.run_recipe("first");
        machine.assert_serves("shop", 1);
        machine.assert_serves("blog", 1);
        machine
    }

    /// With both apps' first releases, and nothing that runs.
    pub(super) fn bare() -> Self {
        let root = tempfile::tempdir().unwrap();
        let server = Setup::new()
            .entries("")
            .set("health_check.path", "\"/\"")
            .set("switch.gate_timeout_secs", 5)
            .start();
        let machine = Self { root, server, ports: [(); 4].map(|()| free_port()) };
        for folder in ["bin", "run", "enabled", "deploy/kamal", "home"] {
            std::fs::create_dir_all(machine.path(folder)).unwrap();
        }
        for file in [
            "deploy.sh",
            "receive.sh",
            "app@.service",
            "compose.yaml",
            "kamal/kamal-proxy",
            "kamal/post-app-boot",
        ] {
            let file = format!("deploy/{file}");
            machine.write(&file, &machine.here(&repository(&file)));
        }
        let head = format!("#!/bin/sh\nset -eu\ncd {}\n{PROCESS}", machine.root.path().display());
        for (name, text) in
            [("systemctl", SYSTEMCTL), ("docker", DOCKER), ("ssh", SSH), ("sudo", SUDO)]
        {
            machine.write(&format!("bin/{name}"), &format!("{head}{text}"));
        }
        std::os::unix::fs::symlink(
            machine.path("deploy/kamal/kamal-proxy"),
            machine.path("bin/kamal-proxy"),
        )
        .unwrap();
        for (app, ports) in APPS.iter().zip(machine.ports.chunks(2)) {
            for (place, port) in ["a", "b"].iter().zip(ports) {
                std::fs::create_dir_all(machine.path(&format!("srv/{app}/{place}"))).unwrap();
                std::fs::create_dir_all(machine.path(&format!("etc/{app}"))).unwrap();
                machine.write(&format!("etc/{app}/{place}.env"), &format!("PORT={port}\n"));
            }
            machine.release(app, 1);
        }
        machine
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// What is printed, with the places of this machine.
    fn here(&self, text: &str) -> String {
        let root = self.root.path().display();
        let text = PORTS.iter().zip(self.ports).fold(text.to_owned(), |text, (printed, port)| {
            text.replace(printed, &port.to_string())
        });
        text.replace("/usr/local/lib/vhost", &format!("{root}/deploy"))
            .replace("/srv/", &format!("{root}/srv/"))
            .replace("/etc/", &format!("{root}/etc/"))
    }

    /// Writes a file that may be run.
    pub(super) fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path(path), text).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path(path), mode).unwrap();
    }

    /// Makes the version that the next deploy of the app takes.
    pub(super) fn release(&self, app: &str, version: u32) {
        std::fs::create_dir_all(self.path(&format!("{app}-release"))).unwrap();
        self.write(&format!("{app}-release/run"), RUN);
        self.write(&format!("{app}-release/index.html"), &format!("hello from {app} v{version}\n"));
    }

    /// The same, but it ends at once.
    pub(super) fn broken_release(&self, app: &str) {
        self.write(&format!("{app}-release/run"), "#!/bin/sh\nexit 1\n");
    }

    pub(super) fn run(&self, script: &str) -> (i32, String) {
        self.run_with(script, &BTreeMap::new())
    }

    /// What `START` and `STOP` are set to by the first recipe is set for all scripts.
    pub(super) fn run_with(
        &self,
        script: &str,
        environment: &BTreeMap<String, String>,
    ) -> (i32, String) {
        let folder = Path::new(vhost_binary()).parent().unwrap().display();
        let path = std::env::var("PATH").unwrap_or_default();
        let exports = recipe("first");
        let (exports, _) = exports.split_once("deploy/deploy.sh").expect("it calls the script");
        let mut command = Command::new("bash");
        command
            .args(["-euc", &self.here(&format!("{exports}{script}"))])
            .current_dir(self.root.path())
            .env("PATH", format!("{}:{folder}:{path}", self.path("bin").display()))
            .env("HOME", self.path("home"))
            .env("VHOST_SOCKET", self.server.socket())
            .envs(environment);
        let output = RunningCtl::of(command).wait();
        (output.code, format!("{}\n{}", output.stdout, output.stderr))
    }

    #[track_caller]
    pub(super) fn run_recipe(&self, name: &str) {
        let (code, talk) = self.run(&recipe(name));
        assert_eq!(code, 0, "{name}: {talk}");
    }

    #[track_caller]
    pub(super) fn assert_serves(&self, app: &str, version: u32) {
        let response = self.server.get(&format!("{app}.example.com"), "/");
        assert_eq!(response.text().trim(), format!("hello from {app} v{version}"));
    }

    /// Which processes run.
    pub(super) fn running(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.path("run")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> =
            names.filter_map(|name| name.strip_suffix(".pid").map(str::to_owned)).collect();
        names.sort();
        names
    }

    /// Which units start with the machine.
    pub(super) fn enabled(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.path("enabled")).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// All that is in the state, as a config file has it, and its revision.
    pub(super) fn state(&self) -> (String, u64) {
        let export = self.server.ctl_json(&["config", "export"]);
        let state = self.server.rpc("state.get", serde_json::json!({})).unwrap();
        (export["text"].as_str().unwrap().to_owned(), state["revision"].as_u64().unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for name in self.running() {
            let pid = std::fs::read_to_string(self.path(&format!("run/{name}.pid"))).unwrap();
            if let Ok(pid) = pid.trim().parse() {
                let pid = nix::unistd::Pid::from_raw(pid);
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            }
        }
    }
}
