//! `deploy/kamal/`: vhost in the place of kamal-proxy, by the commands that Kamal runs.

use std::process::Command;

use super::machine::Machine;
use super::{recipe, repository, stalled_request, yaml};
use crate::harness::*;

/// What the recipe does, for another app, in one of its places.
fn deploy(app: &str, port: &str) -> String {
    recipe("kamal").replace("shop", app).replace("3002", port)
}

/// Starts what Kamal would run as a container.
#[track_caller]
fn start(machine: &Machine, name: &str) {
    let (app, place) = name.split_once('@').unwrap();
    let script = format!("cp -r {app}-release/. srv/{app}/{place}/ && systemctl restart {name}");
    let (code, talk) = machine.run(&script);
    assert_eq!(code, 0, "{talk}");
}

#[track_caller]
fn run(machine: &Machine, script: &str) {
    let (code, talk) = machine.run(script);
    assert_eq!(code, 0, "{script}: {talk}");
}

/// Both apps are live at version 1.
fn machine() -> Machine {
    let machine = Machine::bare();
    for (app, port) in [("shop", "3001"), ("blog", "3003")] {
        start(&machine, &format!("{app}@a"));
        run(&machine, &deploy(app, port));
        machine.assert_serves(app, 1);
    }
    machine
}

#[test]
fn kamal_deploys_to_vhost_as_to_its_own_proxy() {
    let machine = machine();
    machine.release("shop", 2);
    start(&machine, "shop@b");
    machine.run_recipe("kamal");
    machine.assert_serves("shop", 2);
    machine.assert_serves("blog", 1);
    // Kamal stops the old version now, so vhost has forgotten it.
    let list = machine.server.ctl_json(&["backend", "list"]);
    assert_eq!(list["backends"].as_array().unwrap().len(), 2, "{list}");
    let domain = machine.server.ctl_json(&["domain", "show", "shop.example.com"]);
    assert_eq!(domain["release"], "1f2e3d4");

    // `kamal rollback` starts the old container, and deploys it.
    run(&machine, &deploy("shop", "3001"));
    machine.assert_serves("shop", 1);
}

#[test]
fn a_version_that_is_not_healthy_changes_nothing() {
    let machine = machine();
    let before = machine.state();
    let broken = deploy("shop", "3002").replace("=\"30s\"", "=\"1s\"");
    let (code, talk) = machine.run(&broken);
    assert_eq!(code, 6, "{talk}");
    assert_eq!(machine.state(), before);
    machine.assert_serves("shop", 1);
    machine.assert_serves("blog", 1);
}

/// Kamal would take a failure for one of the new version, and stop it.
#[test]
fn that_a_version_has_not_drained_is_no_failure() {
    let machine = machine();
    let _client = stalled_request(&machine);
    machine.release("shop", 2);
    start(&machine, "shop@b");
    run(
        &machine,
        &deploy("shop", "3002").replace("drain-timeout=\"30s\"", "drain-timeout=\"0.3s\""),
    );
    machine.assert_serves("shop", 2);
}

#[test]
fn what_vhost_has_no_counterpart_for_is_refused() {
    let machine = machine();
    let before = machine.state();
    for (option, part) in [
        ("--forward-headers", "set trusted_proxies"),
        ("--tls-redirect=\"false\"", "remove it from config/deploy.yml"),
        ("--tls-certificate-path=\"/x\"", "vhost ctl cert import"),
        ("--path-prefix=\"/api\"", "remove it from config/deploy.yml"),
    ] {
        let (code, talk) = machine.run(&format!(
            "docker exec kamal-proxy kamal-proxy deploy shop-web --target=localhost:3002 {option}"
        ));
        assert_eq!(code, 2, "{option}: {talk}");
        assert!(talk.contains(part), "{option}: {talk}");
    }
    for words in ["", "deploy", "resume", "rollout deploy shop-web", "run --debug"] {
        let (code, talk) = machine.run(&format!("docker exec kamal-proxy kamal-proxy {words}"));
        assert_eq!(code, 2, "{words}: {talk}");
    }
    assert_eq!(machine.state(), before);
}

#[test]
fn options_with_a_counterpart_are_those_of_the_app() {
    let machine = machine();
    start(&machine, "shop@b");
    let script = "docker exec kamal-proxy kamal-proxy deploy shop-web --target=localhost:3002 \
        --host=shop.example.com --host=www.example.com --target-timeout=10s --max-request-body=40000000 \
        --health-check-path=/ --health-check-interval=3s --health-check-timeout=2s";
    run(&machine, script);
    let app = machine.server.ctl_json(&["app", "show", "shop-web"]);
    assert_eq!(app["max_body_bytes"], 40_000_000);
    assert_eq!(app["timeouts"]["response_secs"], 10);
    let check = serde_json::json!({"path": "/", "interval_secs": 3, "timeout_secs": 2});
    assert_eq!(app["health_check"], check);
    assert_eq!(app["domains"], serde_json::json!(["shop.example.com", "www.example.com"]));
}

#[test]
fn a_service_without_a_host_gets_all_other_names() {
    let machine = Machine::bare();
    start(&machine, "shop@a");
    run(&machine, "docker exec kamal-proxy kamal-proxy deploy shop-web --target=localhost:3001");
    assert_eq!(machine.server.get("anything.test", "/").status, 200);
}

#[test]
fn maintenance_and_removal_work() {
    let machine = machine();
    let status = || machine.server.get("shop.example.com", "/").status;
    run(
        &machine,
        "docker exec kamal-proxy kamal-proxy stop shop-web --drain-timeout=30s --message='back soon'",
    );
    assert_eq!(machine.server.get("shop.example.com", "/").text().trim(), "back soon");
    assert_eq!(status(), 503);
    machine.assert_serves("blog", 1);
    run(&machine, "docker exec kamal-proxy kamal-proxy resume shop-web");
    assert_eq!(status(), 200);
    run(&machine, "docker exec kamal-proxy kamal-proxy list");
    run(&machine, "docker exec kamal-proxy kamal-proxy remove shop-web");
    assert_eq!(status(), 404);
    machine.assert_serves("blog", 1);
}

#[test]
fn the_files_of_the_image_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().display().to_string();
    let config = repository("deploy/kamal/vhost.toml")
        .replace("/home/kamal-proxy/.config/kamal-proxy", &home)
        .replace("/run/vhost", &home)
        .replace("0.0.0.0:443", "127.0.0.1:0")
        .replace("0.0.0.0:80", "127.0.0.1:0");
    let file = folder.path().join("config.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(vhost_binary());
    command.arg("check").arg(&file);
    let output = RunningCtl::of(command).wait();
    assert_eq!(output.code, 0, "{output:?}");
    let dockerfile = repository("deploy/kamal/Dockerfile");
    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ")) {
        let files: Vec<&str> = line.split(' ').skip(1).collect();
        for file in files[..files.len() - 1].iter().filter(|file| file.starts_with("deploy/")) {
            repository(file);
        }
    }
    let run = &yaml(&repository("deploy/kamal/deploy.yml"))["proxy"]["run"];
    let image =
        format!("{}/{}:{}", run["registry"], run["repository"], run["version"]).replace('"', "");
    assert!(dockerfile.contains(&image), "{image}");
}
