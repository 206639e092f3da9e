//! The recipes of `docs/deploy.md`, run as they are printed. There is no systemd and no Docker here:
//! commands of their names start what the unit and the compose file say as processes of the test.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::*;

/// Starts and stops a tag's process; the callers have found its command and its port.
const PLACE: &str = r#"
end() {
    [ -f "run/$tag.pid" ] || return 0
    pid=$(cat "run/$tag.pid")
    kill "$pid" 2>/dev/null || :
    # An ended process that nobody has waited for has no command line.
    while [ -n "$(tr -d '\0' 2>/dev/null < "/proc/$pid/cmdline")" ]; do sleep 0.01; done
    rm "run/$tag.pid"
}
begin() {
    end
    PORT=$port setsid "$command" > /dev/null 2>&1 < /dev/null &
    echo $! > "run/$tag.pid"
}
"#;

/// `systemctl VERB app@TAG`
const SYSTEMCTL: &str = r#"
tag=${2#app@}
command=$(sed -n "s/^ExecStart=//p" deploy/app@.service | sed "s/%i/$tag/")
. "$(sed -n "s/^EnvironmentFile=//p" deploy/app@.service | sed "s/%i/$tag/")"
port=$PORT
case $1 in start | restart) begin ;; stop) end ;; *) exit 2 ;; esac
"#;

/// `docker compose --file FILE up --detach app-TAG`, and `stop`
const DOCKER: &str = r#"
file=$3 verb=$4
for service; do :; done
tag=${service#app-}
command=$PWD/srv/app/$tag/run
port=$(python3 -c "import sys, yaml
print(yaml.safe_load(open(sys.argv[1]))['services'][sys.argv[2]]['ports'][0].split(':')[1])" \
    "$file" "$service")
case $verb in
up) cp -r release/. "srv/app/$tag/" && echo "hello from v$VERSION" > "srv/app/$tag/index.html" && begin ;;
stop) end ;;
*) exit 2 ;;
esac
"#;

/// An application that tells its version.
const RUN: &str = r#"#!/bin/sh
exec python3 -m http.server "$PORT" --bind 127.0.0.1 --directory "$(dirname "$0")"
"#;

fn repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of one language in a text.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split_once("```").expect("a block ends").0).collect()
}

/// The commands of a recipe.
fn recipe(name: &str) -> String {
    let text = repository("docs/deploy.md");
    let mark = format!("<!-- recipe: {name} -->");
    let (_, recipe) = text.split_once(&mark).unwrap_or_else(|| panic!("no recipe {name}"));
    let (recipe, _) = recipe.split_once("<!-- end of the recipe -->").expect("it ends");
    blocks(recipe, "sh").concat()
}

/// A machine with vhost and one version of the application, at tag `a`.
struct Machine {
    root: tempfile::TempDir,
    server: Vhost,
    ports: [u16; 2],
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let free = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let ports = free.map(|free| free.local_addr().unwrap().port());
        let text = repository("docs/deploy.md");
        let entries = here(blocks(&text, "toml")[0], root.path(), ports);
        let server = Setup::new()
            .set("health_check.path", "\"/\"")
            .set("switch.gate_timeout_secs", 3)
            .entries(&entries)
            .start();
        let machine = Self { root, server, ports };
        for folder in ["bin", "run", "release", "deploy", "etc/app", "srv/app/a", "srv/app/b"] {
            std::fs::create_dir_all(machine.path(folder)).unwrap();
        }
        for file in ["deploy.sh", "app@.service", "compose.yaml"] {
            let file = format!("deploy/{file}");
            machine.write(&file, &here(&repository(&file), machine.root.path(), ports));
        }
        for (name, port) in ["a", "b"].iter().zip(ports) {
            machine.write(&format!("etc/app/{name}.env"), &format!("PORT={port}\n"));
        }
        let head = format!("#!/bin/sh\nset -eu\ncd {}\n{PLACE}", machine.root.path().display());
        machine.write("bin/systemctl", &format!("{head}{SYSTEMCTL}"));
        machine.write("bin/docker", &format!("{head}{DOCKER}"));
        machine.release(1);
        let (code, talk) = machine.run("cp -r release/. srv/app/a/ && systemctl start app@a");
        assert_eq!(code, 0, "{talk}");
        machine.server.wait_for_health("app-a", "healthy");
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Writes a file that may be run.
    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path(path), text).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path(path), mode).unwrap();
    }

    /// Makes the version that the next deploy takes.
    fn release(&self, version: u32) {
        self.write("release/run", RUN);
        self.write("release/index.html", &format!("hello from v{version}\n"));
    }

    /// The same, but it ends at once.
    fn broken_release(&self) {
        self.write("release/run", "#!/bin/sh\nexit 1\n");
    }

    fn run(&self, script: &str) -> (i32, String) {
        self.run_with(script, &BTreeMap::new())
    }

    fn run_with(&self, script: &str, environment: &BTreeMap<String, String>) -> (i32, String) {
        let folder = Path::new(vhost_binary()).parent().unwrap().display();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command
            .args(["-euc", &here(script, self.root.path(), self.ports)])
            .current_dir(self.root.path())
            .env("PATH", format!("{}:{folder}:{path}", self.path("bin").display()))
            .env("VHOST_SOCKET", self.server.socket())
            .envs(environment);
        let output = RunningCtl::of(command).wait();
        (output.code, format!("{}\n{}", output.stdout, output.stderr))
    }

    #[track_caller]
    fn run_recipe(&self, name: &str) {
        let (code, talk) = self.run(&recipe(name));
        assert_eq!(code, 0, "{name}: {talk}");
    }

    #[track_caller]
    fn assert_serves(&self, version: u32) {
        let response = self.server.get("example.com", "/");
        assert_eq!(response.text().trim(), format!("hello from v{version}"));
    }

    fn runs(&self, tag: &str) -> bool {
        self.path(&format!("run/{tag}.pid")).exists()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for tag in ["a", "b"] {
            let _ = self.run(&format!("systemctl stop app@{tag}"));
        }
    }
}

/// What is printed, with the places of this machine.
fn here(text: &str, root: &Path, ports: [u16; 2]) -> String {
    text.replace("/srv/app", &format!("{}/srv/app", root.display()))
        .replace("/etc/app/", &format!("{}/etc/app/", root.display()))
        .replace("3001", &ports[0].to_string())
        .replace("3002", &ports[1].to_string())
}

/// A YAML file as JSON.
fn yaml(text: &str) -> Value {
    let program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))";
    let output = Command::new("python3").args(["-c", program, text]).output().unwrap();
    assert!(output.status.success(), "`./dev test` installs python3-yaml: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_shell_script_deploys_and_stops_the_old_version() {
    let machine = Machine::new();
    machine.assert_serves(1);
    for (version, live, idle) in [(2, "b", "a"), (3, "a", "b")] {
        machine.release(version);
        machine.run_recipe("shell");
        machine.assert_serves(version);
        assert!(machine.runs(live) && !machine.runs(idle), "only version {version} runs");
    }
    assert_eq!(machine.server.newest_event()["kind"], "backend_set");
}

#[test]
fn a_version_that_is_not_healthy_is_stopped_and_nothing_has_changed() {
    let machine = Machine::new();
    machine.broken_release();
    let (code, talk) = machine.run(&recipe("shell"));
    assert_eq!(code, 6, "{talk}");
    assert!(talk.contains("app-b") && talk.contains("nothing"), "{talk}");
    machine.assert_serves(1);
    assert!(machine.runs("a") && !machine.runs("b"));
    machine.release(2);
    machine.run_recipe("shell");
    machine.assert_serves(2);
}

#[test]
fn the_systemd_pair_is_deployed_to_and_undone() {
    let machine = Machine::new();
    machine.release(2);
    machine.run_recipe("systemd");
    machine.assert_serves(2);
    machine.run_recipe("undo");
    machine.assert_serves(1);
}

#[test]
fn undo_works_after_the_old_version_was_stopped() {
    let machine = Machine::new();
    machine.release(2);
    machine.run_recipe("shell");
    assert!(!machine.runs("a"));
    machine.run_recipe("undo after a stop");
    machine.assert_serves(1);
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = here(&repository("deploy/app@.service"), folder.path(), [3001, 3002]);
    std::fs::write(folder.path().join("app@.service"), unit).unwrap();
    // It looks for the program of an instance named `i`.
    let run = folder.path().join("srv/app/i/run");
    std::fs::create_dir_all(run.parent().unwrap()).unwrap();
    std::fs::write(&run, RUN).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(folder.path().join("app@.service"))
        .output();
    match verified {
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && words.is_empty(), "{words}");
        }
        // A machine without systemd: the other tests run what the unit says all the same.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
}

/// Runs the steps of the workflow as a runner does; the first status that is not 0, and all words.
fn run_workflow(machine: &Machine) -> (i32, String) {
    let workflow = yaml(&repository("deploy/github-actions.yml"));
    let job = &workflow["jobs"]["deploy"];
    let mut environment: BTreeMap<String, String> =
        serde_json::from_value(job["env"].clone()).expect("text");
    let kept = machine.path("github.env");
    std::fs::write(&kept, "").unwrap();
    environment.insert("GITHUB_ENV".into(), kept.display().to_string());
    environment.insert("GITHUB_SHA".into(), "1f2e3d4".into());
    let (mut failed, mut all) = (0, String::new());
    for step in job["steps"].as_array().expect("steps") {
        let Some(script) = step["run"].as_str() else {
            assert!(step["uses"].is_string(), "{step}");
            continue;
        };
        let only_after_failure = step["if"].as_str().is_some_and(|when| when.contains("failure()"));
        if only_after_failure != (failed != 0) {
            continue;
        }
        let (code, talk) = machine.run_with(script, &environment);
        all.push_str(&talk);
        if failed == 0 {
            failed = code;
        }
        let lines = std::fs::read_to_string(&kept).unwrap();
        let pairs = lines.lines().filter_map(|line| line.split_once('='));
        environment.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    (failed, all)
}

#[test]
fn the_workflow_deploys_and_cleans_up_after_a_failure() {
    let machine = Machine::new();
    machine.release(2);
    let (code, talk) = run_workflow(&machine);
    assert_eq!(code, 0, "{talk}");
    machine.assert_serves(2);
    assert!(machine.runs("b") && !machine.runs("a"));
    machine.broken_release();
    let (code, talk) = run_workflow(&machine);
    assert_eq!(code, 6, "{talk}");
    machine.assert_serves(2);
    assert!(machine.runs("b") && !machine.runs("a"), "the broken version is stopped: {talk}");
}

#[test]
fn docker_compose_deploys_and_keeps_a_way_back() {
    let machine = Machine::new();
    machine.run_recipe("compose");
    machine.assert_serves(8);
    assert!(machine.runs("a") && machine.runs("b"), "KEEP=1");
    machine.run_recipe("undo");
    machine.assert_serves(1);
}

#[test]
fn the_compose_file_is_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose.yaml");
    let compose = |args: &[&str]| {
        let mut command = Command::new("docker");
        command.args(["compose", "--file"]).arg(&file).args(args);
        command.output().is_ok_and(|output| output.status.success())
    };
    if compose(&["version"]) {
        assert!(compose(&["config", "--quiet"]));
    }
    let known = ["image", "restart", "stop_grace_period", "ports"];
    let services = yaml(&repository("deploy/compose.yaml"))["services"].clone();
    for (name, port) in [("app-a", 3001), ("app-b", 3002)] {
        let service = services[name].as_object().expect("a service");
        assert!(service.keys().all(|key| known.contains(&key.as_str())), "{service:?}");
        assert_eq!(service["ports"][0], format!("127.0.0.1:{port}:8000"), "as the config has it");
    }
}
