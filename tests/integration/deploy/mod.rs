//! The recipes of `docs/deploy.md`, run as they are printed, with two apps on one server.

mod kamal;
mod machine;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::*;
use machine::{Machine, RUN};

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

/// A YAML file as JSON.
fn yaml(text: &str) -> Value {
    let program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))";
    let output = Command::new("python3").args(["-c", program, text]).output().unwrap();
    assert!(output.status.success(), "`./dev test` installs python3-yaml: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Deploys a version that is broken: nothing must have changed, and nothing more may run.
#[track_caller]
fn assert_broken_version_changes_nothing(machine: &Machine, script: &str, serving: [u32; 2]) {
    machine.broken_release("shop");
    let before = (machine.state(), machine.running());
    let (code, talk) = machine.run(script);
    assert_eq!(code, 6, "{talk}");
    assert!(talk.contains("nothing was changed"), "{talk}");
    assert_eq!((machine.state(), machine.running()), before, "{talk}");
    machine.assert_serves("shop", serving[0]);
    machine.assert_serves("blog", serving[1]);
}

#[test]
fn the_shell_script_deploys_and_stops_the_old_version() {
    let machine = Machine::new();
    for (version, live) in [(2, "shop@b"), (3, "shop@a")] {
        machine.release("shop", version);
        machine.run_recipe("shell");
        machine.assert_serves("shop", version);
        machine.assert_serves("blog", 1);
        assert_eq!(machine.running(), ["blog@a", live], "only version {version} runs");
        assert_eq!(machine.enabled(), machine.running());
        let undone = machine.server.ctl(&["undo", "shop"]);
        assert_eq!(undone.code, 4, "what was stopped is no stand-by: {undone:?}");
    }
    machine.release("blog", 2);
    let (code, talk) = machine.run("deploy/deploy.sh blog 3003 3004 --release v2");
    assert_eq!(code, 0, "{talk}");
    machine.assert_serves("shop", 3);
    machine.assert_serves("blog", 2);
    let list = machine.server.ctl_ok(&["app", "list"]).stdout;
    assert!(list.contains("b (v2)") && list.contains("a (v2)"), "{list}");
}

#[test]
fn a_version_that_is_not_healthy_is_stopped_and_nothing_has_changed() {
    let machine = Machine::new();
    assert_broken_version_changes_nothing(&machine, &recipe("shell"), [1, 1]);
    machine.release("shop", 2);
    machine.run_recipe("shell");
    machine.assert_serves("shop", 2);
}

/// A request to place `a` of `shop` that is in flight while its client, which does not read, lives.
fn stalled_request(machine: &Machine) -> TcpStream {
    let big = std::fs::File::create(machine.path("srv/shop/a/big")).unwrap();
    big.set_len(64 * 1024 * 1024).unwrap();
    let mut client = TcpStream::connect(machine.server.http()).unwrap();
    client.write_all(b"GET /big HTTP/1.1\r\nHost: shop.example.com\r\n\r\n").unwrap();
    client.read_exact(&mut [0]).unwrap();
    client
}

#[test]
fn a_version_that_has_not_drained_runs_on() {
    let machine = Machine::new();
    let _client = stalled_request(&machine);
    machine.release("shop", 2);
    let (code, talk) =
        machine.run("deploy/deploy.sh shop 3001 3002 --release v2 --drain-timeout 300ms");
    assert_eq!(code, 7, "{talk}");
    assert!(talk.contains("shop@a still has requests"), "{talk}");
    machine.assert_serves("shop", 2);
    assert_eq!(machine.running(), ["blog@a", "shop@a", "shop@b"]);
}

#[test]
fn a_version_that_is_kept_is_a_way_back() {
    let machine = Machine::new();
    machine.release("shop", 2);
    machine.run_recipe("keep");
    machine.assert_serves("shop", 1);
    machine.assert_serves("blog", 1);
    assert_eq!(machine.running(), ["blog@a", "shop@a", "shop@b"], "KEEP=1");
    machine.server.ctl_ok(&["undo", "shop"]);
    machine.assert_serves("shop", 2);
}

#[test]
fn a_version_that_was_stopped_can_be_deployed_again() {
    let machine = Machine::new();
    machine.release("shop", 2);
    machine.run_recipe("shell");
    assert_eq!(machine.running(), ["blog@a", "shop@b"]);
    machine.run_recipe("back");
    machine.assert_serves("shop", 1);
}

#[test]
fn the_systemd_pair_is_deployed_to_and_undone() {
    let machine = Machine::new();
    machine.release("shop", 2);
    machine.run_recipe("systemd");
    machine.assert_serves("shop", 2);
    machine.assert_serves("blog", 1);
    machine.server.ctl_ok(&["undo", "shop"]);
    machine.assert_serves("shop", 1);
}

#[test]
fn by_tags_a_release_is_made_in_steps() {
    let machine = Machine::new();
    machine.release("shop", 2);
    let (code, talk) = machine.run("cp -r shop-release/. srv/shop/b/ && systemctl start shop@b");
    assert_eq!(code, 0, "{talk}");
    machine.run_recipe("tags");
    machine.assert_serves("shop", 1);
    machine.assert_serves("blog", 1);
    let history = machine.server.ctl_ok(&["history"]).stdout;
    assert!(history.contains("shop.example.com a → green"), "{history}");
}

#[test]
fn the_script_says_what_it_lacks() {
    let machine = Machine::bare();
    for (script, part) in [
        ("deploy/deploy.sh shop", "usage: deploy.sh APP PORT_A PORT_B"),
        ("env -u START deploy/deploy.sh shop 3001 3002", "set it to what starts a version"),
        ("VHOST_SOCKET=none deploy/deploy.sh shop 3001 3002", "no server at"),
    ] {
        let (code, talk) = machine.run(script);
        assert!(code != 0 && talk.contains(part), "{script}: {code} {talk}");
        assert_eq!(machine.running(), [""; 0], "{script}");
    }
    let (code, talk) = machine.run("deploy/deploy.sh shop 3001 3002");
    assert_eq!(code, 1, "{talk}");
    assert!(talk.contains("the app `shop` has no domain"), "{talk}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let unit = repository("deploy/app@.service");
    let unit = unit.replace("/srv/", &format!("{root}/srv/"));
    std::fs::write(folder.path().join("shop@.service"), unit).unwrap();
    // It looks for the program of an instance named `i`.
    let run = folder.path().join("srv/shop/i/run");
    std::fs::create_dir_all(run.parent().unwrap()).unwrap();
    std::fs::write(&run, RUN).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(folder.path().join("shop@.service"))
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
fn run_workflow(machine: &Machine, label: &str) -> (i32, String) {
    let workflow = yaml(&repository("deploy/github-actions.yml"));
    let job = &workflow["jobs"]["deploy"];
    let of = |step: &Value| -> BTreeMap<String, String> {
        serde_json::from_value(step["env"].clone()).unwrap_or_default()
    };
    let mut all = String::new();
    for step in job["steps"].as_array().expect("steps") {
        let Some(script) = step["run"].as_str() else {
            assert!(step["uses"].is_string(), "{step}");
            continue;
        };
        let mut environment = of(job);
        environment.extend(of(step));
        environment.insert("GITHUB_SHA".into(), label.into());
        // What the server's user has by default, not what these tests set for other recipes.
        let script = format!("unset START STOP\ncp -rT shop-release release\n{script}");
        let (code, talk) = machine.run_with(&script, &environment);
        all.push_str(&talk);
        if code != 0 {
            return (code, all);
        }
    }
    (0, all)
}

#[test]
fn the_workflow_deploys_over_ssh_with_a_key_that_may_do_nothing_else() {
    let machine = Machine::new();
    machine.release("shop", 2);
    let (code, talk) = run_workflow(&machine, "1f2e3d4");
    assert_eq!(code, 0, "{talk}");
    machine.assert_serves("shop", 2);
    machine.assert_serves("blog", 1);
    assert_eq!(machine.running(), ["blog@a", "shop@b"]);
    assert_eq!(machine.enabled(), machine.running());
    assert_eq!(
        machine.server.ctl_json(&["domain", "show", "shop.example.com"])["release"],
        "1f2e3d4"
    );

    machine.broken_release("shop");
    let before = (machine.state(), machine.running());
    let (code, talk) = run_workflow(&machine, "2f2e3d4");
    assert_eq!(code, 6, "{talk}");
    assert_eq!((machine.state(), machine.running()), before, "{talk}");
    machine.assert_serves("shop", 2);

    for label in ["$(touch owned)", "v1; touch owned", "--force", ""] {
        let (code, talk) = run_workflow(&machine, label);
        assert_eq!(code, 2, "{label}: {talk}");
        assert!(talk.contains("send the label of the release"), "{label}: {talk}");
    }
    assert!(!machine.path("owned").exists());
    assert_eq!((machine.state(), machine.running()), before);
}

#[test]
fn docker_compose_deploys_and_keeps_a_way_back() {
    let machine = Machine::new();
    machine.run_recipe("compose");
    machine.assert_serves("shop", 8);
    machine.assert_serves("blog", 1);
    assert_eq!(machine.running(), ["blog@a", "shop@a", "shop@b"], "KEEP=1");
    assert_broken_version_changes_nothing_but_the_stand_by(&machine);
}

/// The stand-by's place is that of the new version: it is taken, and the way back with it.
#[track_caller]
fn assert_broken_version_changes_nothing_but_the_stand_by(machine: &Machine) {
    machine.broken_release("shop");
    let before = machine.state();
    let (code, talk) = machine.run(&recipe("compose"));
    assert_eq!(code, 6, "{talk}");
    assert_eq!(machine.state(), before, "{talk}");
    assert_eq!(machine.running(), ["blog@a", "shop@b"]);
    machine.assert_serves("shop", 8);
    let undone = machine.server.ctl(&["undo", "shop", "--timeout", "300ms"]);
    assert_eq!(undone.code, 6, "{undone:?}");
    machine.assert_serves("shop", 8);
}

#[test]
fn the_compose_file_is_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose.yaml");
    let compose = |args: &[&str]| {
        let mut command = Command::new("docker");
        command.env("APP", "shop").env("PORT", "3001");
        command.args(["compose", "--file"]).arg(&file).args(args);
        command.output().is_ok_and(|output| output.status.success())
    };
    if compose(&["version"]) {
        assert!(compose(&["config", "--quiet"]));
    }
    let known = ["image", "restart", "stop_grace_period", "ports"];
    let services = yaml(&repository("deploy/compose.yaml"))["services"].clone();
    let service = services["app"].as_object().expect("a service");
    assert!(service.keys().all(|key| known.contains(&key.as_str())), "{service:?}");
    assert_eq!(service["ports"][0], "127.0.0.1:${PORT:?}:8000");
}

#[test]
fn the_page_shows_a_config_file_that_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let text = repository("docs/deploy.md");
    let head = "[proxy]\nlisten_addr_http = \"127.0.0.1:0\"\nstate_dir = \"state\"\n";
    let blocks = blocks(&text, "toml");
    let (smoke, configs): (Vec<_>, Vec<_>) =
        blocks.into_iter().partition(|block| block.contains("[[requests]]"));
    std::fs::write(&file, format!("{head}{}", configs[0])).unwrap();
    let mut command = Command::new(vhost_binary());
    command.arg("check").arg(&file);
    let output = RunningCtl::of(command).wait();
    assert_eq!(output.code, 0, "{output:?}");
    // The file of smoke requests is read before a server is looked for.
    let requests = folder.path().join("smoke.toml");
    std::fs::write(&requests, smoke[0]).unwrap();
    let mut command = Command::new(vhost_binary());
    command.args(["ctl", "--socket", "/nowhere", "deploy", "shop", "localhost:1", "--smoke"]);
    command.arg(&requests);
    let output = RunningCtl::of(command).wait();
    assert_eq!(output.code, 3, "{output:?}");
}
