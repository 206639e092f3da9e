//! The config file, the state directory, and what a start finds there.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Group, getegid, geteuid};
use serde_json::json;

use crate::harness::*;

/// A file with five mistakes: each with its line, its key, its value, and a word of the remedy.
const MISTAKES: &str = r#"[proxy]
listen_addr_http = "localhost"
shutdown_timeout = 5

[logging]
level = "loud"

[[virtual_hosts]]
domain = "example.com"
enabled_backends_tag = "c"

[[backends]]
id = "web-1"
address = "127.0.0.1"
tags = ["a"]
"#;

const REPORTS: [(usize, &str, &str, &str); 5] = [
    (2, "proxy.listen_addr_http", "localhost", "127.0.0.1:"),
    (3, "proxy.shutdown_timeout", "shutdown_timeout", "shutdown_timeout_secs"),
    (6, "logging.level", "loud", "info"),
    (10, "enabled_backends_tag", "c", "tag"),
    (14, "address", "127.0.0.1", "port"),
];

#[track_caller]
fn assert_all_five(output: &CtlOutput, file: &Path) {
    assert_eq!(output.code, 2, "{output:?}");
    assert_eq!(output.stdout, "");
    for (line, key, value, remedy) in REPORTS {
        let place = format!("{}:{line}:", file.display());
        let report = output
            .stderr
            .lines()
            .find(|report| report.starts_with(&place))
            .unwrap_or_else(|| panic!("nothing about line {line}:\n{}", output.stderr));
        for part in [key, value, remedy] {
            assert!(report.contains(part), "no `{part}` in: {report}");
        }
    }
    assert!(output.stderr.contains("5 problems"), "{}", output.stderr);
}

#[test]
fn five_mistakes_are_reported_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.toml");
    std::fs::write(&file, MISTAKES).unwrap();
    let mut check = Command::new(vhost_binary());
    check.arg("check").arg(&file);
    assert_all_five(&RunningCtl::of(check).wait(), &file);
    assert_all_five(&serve_once(&file), &file);
}

#[test]
fn a_good_file_checks_and_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("good.toml");
    let setup = Setup::new().domain("example.com", "a").backend("w", "127.0.0.1:9", &["a"]);
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    let mut check = Command::new(vhost_binary());
    check.arg("check").arg(&file);
    let output = RunningCtl::of(check).wait();
    assert_eq!(output.code, 0, "{output:?}");
    assert!(!directory.path().join("state").exists(), "nothing is made");
}

#[test]
fn the_example_file_is_valid() {
    let mut check = Command::new(vhost_binary());
    check.arg("check").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml"));
    let output = RunningCtl::of(check).wait();
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn a_missing_file_is_told_with_its_path() {
    let output = serve_once(Path::new("/no/such/vhost.toml"));
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("/no/such/vhost.toml"), "{output:?}");
}

/// Runs `serve` with this setup in `directory`, where it can't start.
fn refused(setup: &Setup, directory: &Path) -> CtlOutput {
    let file = directory.join("refused.toml");
    std::fs::write(&file, setup.text(directory)).unwrap();
    serve_once(&file)
}

#[track_caller]
fn assert_told(output: &CtlOutput, parts: &[&str]) {
    assert_eq!(output.code, 1, "{output:?}");
    for part in parts.iter().chain(&["error:", "hint:"]) {
        assert!(output.stderr.contains(part), "no `{part}` in:\n{}", output.stderr);
    }
    let errors = output.stderr.lines().filter(|line| line.starts_with("error:")).count();
    assert_eq!(errors, 1, "one clear error:\n{}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn a_port_in_use_is_told_with_the_address() {
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::new();
    let address = setup.http_address();
    let _taken = std::net::TcpListener::bind(address).unwrap();
    assert_told(&refused(&setup, directory.path()), &[&address.to_string(), "in use"]);
}

#[test]
fn a_port_that_needs_privileges_is_told_with_what_gives_them() {
    let Some(mut command) = unprivileged() else {
        eprintln!("skipped: only root can become nobody in a network of its own");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let binary = for_everyone(directory.path());
    chown(directory.path(), Some(65534), Some(65534)).unwrap();
    let file = directory.path().join("vhost.toml");
    let setup = Setup::new().set("proxy.listen_addr_http", "\"0.0.0.0:80\"");
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    command.arg(binary).args(["serve", "--config"]).arg(&file);
    let output = RunningCtl::of(command).wait();
    assert_told(&output, &["0.0.0.0:80", "ermission denied", "CAP_NET_BIND_SERVICE"]);
}

/// Opens a directory to every user, with a copy of the binary in it that they can run.
pub(crate) fn for_everyone(directory: &Path) -> std::path::PathBuf {
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
    let binary = directory.join("vhost");
    // Not by this process: another test's child could inherit the open file, and then it can't be run.
    let copied = Command::new("cp").arg(vhost_binary()).arg(&binary).status();
    assert!(copied.unwrap().success());
    std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).unwrap();
    binary
}

#[test]
fn a_state_directory_that_cannot_be_made_is_told_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let state = directory.path().join("file/state");
    let setup = Setup::new().set("proxy.state_dir", format!("{state:?}"));
    assert_told(&refused(&setup, directory.path()), &[&state.display().to_string(), "state"]);
}

#[test]
fn a_second_server_on_the_same_socket_or_state_is_refused_and_the_first_goes_on() {
    let backend = Backend::start("web");
    let vhost =
        Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    let same = |key: &str, path: &Path| {
        let directory = tempfile::tempdir().unwrap();
        let setup = Setup::new().set(key, format!("{path:?}"));
        let output = refused(&setup, directory.path());
        assert_told(&output, &[&path.display().to_string(), "another server"]);
    };
    same("proxy.admin_socket", &vhost.socket());
    same("proxy.state_dir", &vhost.state_dir());
    assert_eq!(vhost.get("example.com", "/").status, 200);
    assert_eq!(vhost.ctl(&["status"]).code, 0, "its socket is still there");
}

#[test]
fn a_stale_socket_is_replaced_and_anything_else_is_not() {
    let mut vhost = Setup::new().start();
    vhost.kill();
    assert!(vhost.socket().exists(), "a killed server leaves its socket behind");
    vhost.restart();
    assert_eq!(vhost.ctl(&["status"]).code, 0);

    let directory = tempfile::tempdir().unwrap();
    let precious = directory.path().join("precious");
    std::fs::write(&precious, "data").unwrap();
    let setup = Setup::new().set("proxy.admin_socket", format!("{precious:?}"));
    assert_told(&refused(&setup, directory.path()), &[&precious.display().to_string()]);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "data");
}

/// A file with two backends, and the server that has it.
fn edited() -> (Setup, Vhost, [Backend; 3]) {
    let backends = ["a1", "b1", "c1"].map(Backend::start);
    let setup = Setup::new()
        .domain("example.com", "a")
        // What the tests switch to weighs less.
        .set("switch.min_capacity_percent", 0)
        .backend_with("a1", backends[0].address(), &["a"], "weight = 5")
        .backend("b1", backends[1].address(), &["b"])
        .backend("c1", backends[2].address(), &["c"]);
    let vhost = setup.start();
    vhost.wait_until_healthy(3);
    (setup, vhost, backends)
}

fn stop(vhost: &mut Vhost) {
    vhost.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(vhost.wait_for_exit(Duration::from_secs(10)).success());
}

#[test]
fn a_restart_with_an_unchanged_file_undoes_nothing() {
    let (_setup, mut vhost, backends) = edited();
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    vhost.ctl_ok(&["backend", "set", "a1", "--weight", "9"]);
    vhost.ctl_ok(&["backend", "drain", "c1"]);
    vhost.ctl_ok(&["domain", "add", "made.test", "--tag", "b", "--alias", "www.made.test"]);
    let extra = Backend::start("extra");
    vhost.ctl_ok(&["backend", "add", "extra", &extra.address(), "--tag", "b"]);
    let revision = vhost.rpc("state.get", json!({})).unwrap()["revision"].clone();
    stop(&mut vhost);
    vhost.restart();
    assert_eq!(vhost.rpc("state.get", json!({})).unwrap()["revision"], revision);
    assert_eq!(vhost.live("example.com"), "b");
    assert_eq!(vhost.backend("a1")["weight"], 9);
    assert_eq!(vhost.backend("c1")["state"], "draining");
    assert_eq!(vhost.live("www.made.test"), "b");
    vhost.wait_for_health("b1", "healthy");
    assert!([Some("b1"), Some("extra")].contains(&vhost.get("example.com", "/").backend()));
    vhost.ctl_ok(&["undo", "example.com"]);
    assert_eq!(vhost.get("example.com", "/").backend(), Some("a1"));
    drop(backends);
}

#[test]
fn a_changed_file_applies_its_change_and_nothing_else() {
    let (setup, mut vhost, _backends) = edited();
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    vhost.ctl_ok(&["backend", "set", "b1", "--weight", "3"]);
    vhost.ctl_ok(&["domain", "add", "made.test", "--tag", "b"]);
    stop(&mut vhost);
    let setup = setup.replace("weight = 5", "weight = 6").domain("new.test", "c");
    vhost.write_config(&setup);
    vhost.restart();
    assert_eq!(vhost.backend("a1")["weight"], 6, "the edit is applied");
    assert_eq!(vhost.live("new.test"), "c", "the addition is applied");
    assert_eq!(vhost.live("example.com"), "b", "the switch is not undone");
    assert_eq!(vhost.backend("b1")["weight"], 3, "what the file doesn't say is not touched");
    assert_eq!(vhost.live("made.test"), "b", "what the socket made stays");
    let event = &vhost.newest_event();
    assert_eq!((&event["kind"], &event["actor"]["via"]), (&json!("file_applied"), &json!("file")));

    stop(&mut vhost);
    let setup = setup.replace("enabled_backends_tag = \"a\"", "enabled_backends_tag = \"c\"");
    vhost.write_config(&setup);
    vhost.restart();
    assert_eq!(vhost.live("example.com"), "c", "an edit of the tag is an edit too");
    assert_eq!(vhost.live("made.test"), "b");
}

#[test]
fn what_is_taken_out_of_the_file_is_taken_out() {
    let (setup, mut vhost, backends) = edited();
    stop(&mut vhost);
    let smaller = Setup::new()
        .domain("example.com", "a")
        .backend("a1", backends[0].address(), &["a"])
        .at(setup.http_address());
    vhost.write_config(&smaller);
    vhost.restart();
    let list = vhost.ctl_json(&["backend", "list"]);
    let ids: Vec<_> =
        list["backends"].as_array().unwrap().iter().map(|b| b["id"].clone()).collect();
    assert_eq!(ids, ["a1"]);
    assert_eq!(vhost.backend("a1")["weight"], 1, "without the key its default holds");
}

#[test]
fn a_bad_file_at_a_restart_harms_no_state() {
    let (setup, mut vhost, _backends) = edited();
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    stop(&mut vhost);
    std::fs::write(vhost.config_file(), MISTAKES).unwrap();
    assert_eq!(serve_once(&vhost.config_file()).code, 2);
    vhost.write_config(&setup);
    vhost.restart();
    assert_eq!(vhost.live("example.com"), "b");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).mode() & 0o777
}

#[test]
fn state_and_socket_are_private() {
    let mut vhost =
        Setup::new().domain_with("x.test", "a", "").backend("a1", "127.0.0.1:9", &["a"]).start();
    assert_eq!(mode(&vhost.state_dir()), 0o700);
    let files: Vec<_> = std::fs::read_dir(vhost.state_dir()).unwrap().flatten().collect();
    assert!(!files.is_empty());
    for file in files {
        assert_eq!(mode(&file.path()) & 0o077, 0, "{}", file.path().display());
    }
    assert_eq!(mode(&vhost.socket()), 0o600);

    stop(&mut vhost);
    let group = Group::from_gid(getegid()).unwrap().expect("the group of the tests has a name");
    let setup = Setup::new().set("proxy.admin_group", format!("{:?}", group.name));
    let vhost = setup.start();
    assert_eq!(mode(&vhost.socket()), 0o660);
    assert_eq!(std::fs::metadata(vhost.socket()).unwrap().gid(), getegid().as_raw());
}

#[test]
fn a_group_that_does_not_exist_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::new().set("proxy.admin_group", "\"no-such-group\"");
    let output = refused(&setup, directory.path());
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("no-such-group"), "{output:?}");
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_not_touched() {
    let (setup, mut vhost, _backends) = edited();
    stop(&mut vhost);
    let database = vhost.state_dir().join("state.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.pragma_update(None, "journal_mode", "DELETE").unwrap();
    connection.pragma_update(None, "user_version", 9999).unwrap();
    connection.close().unwrap();
    let before = std::fs::read(&database).unwrap();
    let output = serve_once(&vhost.config_file());
    assert_told(&output, &["9999", "newer"]);
    assert_eq!(std::fs::read(&database).unwrap(), before, "not one byte is changed");
    drop(setup);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let text = "these are my notes, not a database\n".repeat(100);
    std::fs::write(state.join("state.db"), &text).unwrap();
    assert_told(&refused(&Setup::new(), directory.path()), &["state.db"]);
    assert_eq!(std::fs::read_to_string(state.join("state.db")).unwrap(), text);
}

#[test]
fn a_directory_that_is_read_only_is_told_to_an_ordinary_user() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let binary = for_everyone(directory.path());
    let locked = directory.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o755)).unwrap();
    let state = locked.join("state");
    let file = directory.path().join("vhost.toml");
    let setup = Setup::new().set("proxy.state_dir", format!("{state:?}"));
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    let mut command = Command::new(binary);
    command.args(["serve", "--config"]).arg(&file).uid(65534).gid(65534);
    let output = RunningCtl::of(command).wait();
    assert_told(&output, &[&state.display().to_string(), "ermission denied"]);
}

/// Runs `vhost check`, with `SECRET` set for it.
fn check(args: &[&str], file: &Path) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.arg("check").args(args).arg(file).env("SECRET", "s3cr3t");
    RunningCtl::of(command).wait()
}

#[test]
fn a_file_for_each_application_is_served_and_checked_as_one() {
    let backend = Backend::start("shop");
    let vhost = Setup::new().domain("main.test", "a").backend("a1", "127.0.0.1:9", &["a"]);
    let mut server = vhost.start();
    stop(&mut server);
    let text = std::fs::read_to_string(server.config_file()).unwrap();
    std::fs::write(server.config_file(), format!("include = [\"conf.d/*.toml\"]\n{text}")).unwrap();
    std::fs::create_dir(server.directory().join("conf.d")).unwrap();
    let shop = server.directory().join("conf.d/shop.toml");
    let declared = format!(
        "[[virtual_hosts]]\ndomain = \"shop.test\"\nenabled_backends_tag = \"shop\"\n\
         [[backends]]\nid = \"shop-1\"\naddress = \"{}\"\ntags = [\"shop\"]\n",
        backend.address()
    );
    std::fs::write(&shop, &declared).unwrap();
    server.restart();
    server.wait_for_health("shop-1", "healthy");
    assert_eq!(server.get("shop.test", "/").backend(), Some("shop"));

    std::fs::write(&shop, declared.replace("[\"shop\"]", "[\"s hop\"]")).unwrap();
    let output = check(&[], &server.config_file());
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    let place = format!("{}:7: backends[\"shop-1\"].tags[0]: `s hop`: ", shop.display());
    assert!(output.stderr.contains(&place), "{output:?}");
}

#[test]
fn what_the_environment_holds_is_used_and_never_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vhost.toml");
    let setup = Setup::new().set("proxy.admin_group", "\"${SECRET}\"");
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    let output = check(&[], &file);
    assert_eq!(output.code, 1, "{output:?}");
    let group = "proxy.admin_group: cannot open the admin socket: there is no group `${SECRET}`; ";
    assert!(output.stderr.contains(group) && !output.stderr.contains("s3cr3t"), "{output:?}");
    let folder = directory.path().join("s3cr3t");
    std::fs::write(&folder, "").unwrap();
    let setup = setup.set("proxy.admin_group", "\"root\"");
    std::fs::write(
        &file,
        setup.clone().set("proxy.state_dir", "\"${SECRET}\"").text(directory.path()),
    )
    .unwrap();
    let output = check(&[], &file);
    let shown = "proxy.state_dir: cannot use the state: cannot use the state directory ";
    assert!(output.stderr.contains(shown) && !output.stderr.contains("s3cr3t"), "{output:?}");
    let setup =
        setup.set("health_check.path", "\"${SECRET}\"").set("proxy.admin_group", "\"${NONE}\"");
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    let output = check(&[], &file);
    assert_eq!(output.code, 2, "{output:?}");
    for part in ["health_check.path: `${SECRET}`: ", "proxy.admin_group: `${NONE}`: ", "is not set"]
    {
        assert!(output.stderr.contains(part), "no `{part}` in {output:?}");
    }
    assert!(!output.stderr.contains("s3cr3t"), "{output:?}");
}

#[test]
fn an_editor_gets_its_answer_as_json_on_stdout() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.toml");
    std::fs::write(&file, MISTAKES).unwrap();
    let output = check(&["--format", "json"], &file);
    assert_eq!((output.code, output.stderr.as_str()), (2, ""), "{output:?}");
    let answer: serde_json::Value = serde_json::from_str(&output.stdout).expect("one object");
    let lines: Vec<_> = answer["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, REPORTS.map(|(line, ..)| line as u64));
    assert_eq!(answer["valid"], false);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let output = check(&["--format", "json"], &example);
    let answer: serde_json::Value = serde_json::from_str(&output.stdout).expect("one object");
    assert_eq!((output.code, &answer["valid"], &answer["domains"]), (0, &json!(true), &json!(1)));
}

#[test]
fn the_schema_is_one_json_document() {
    let mut command = Command::new(vhost_binary());
    command.arg("schema");
    let output = RunningCtl::of(command).wait();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    let schema: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(schema["properties"]["proxy"]["properties"]["threads"]["maximum"], 1024);
}

/// A server that the arguments describe, in `directory`; killed when it goes.
fn serve_with(directory: &Path, args: &[&str]) -> RunningCtl {
    let mut command = Command::new(vhost_binary());
    command
        .arg("serve")
        .args(args)
        .arg("--state-dir")
        .arg(directory.join("state"))
        .arg("--admin-socket")
        .arg(directory.join("admin.sock"));
    RunningCtl::of(command)
}

/// `vhost ctl` with the server in `directory`.
fn ctl_in(directory: &Path, args: &[&str]) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.arg("ctl").arg("--socket").arg(directory.join("admin.sock")).args(args);
    RunningCtl::of(command).wait()
}

fn serves(server: &mut RunningCtl, directory: &Path) {
    eventually("it serves", Duration::from_secs(20), || {
        assert!(!server.has_ended(), "it ended instead of serving");
        ctl_in(directory, &["status"]).code == 0
    });
}

#[test]
fn the_impatient_serve_without_a_file_and_arguments_count_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let http = free_address();
    let address = http.to_string();
    let backends = [format!("a1={},a", a.address()), format!("b1={},b", b.address())];
    let mut args = vec!["--http", &address, "--route", "example.com=a"];
    args.extend(backends.iter().flat_map(|backend| ["--backend", backend.as_str()]));
    let mut server = serve_with(directory.path(), &args);
    serves(&mut server, directory.path());
    assert_eq!(Client::connect(http).get("example.com", "/").backend(), Some("a1"));
    assert_eq!(ctl_in(directory.path(), &["switch", "example.com", "b"]).code, 0);
    assert_eq!(Client::connect(http).get("example.com", "/").backend(), Some("b1"));
    let reload = ctl_in(directory.path(), &["reload"]);
    assert_eq!(reload.code, 2, "{reload:?}");
    assert!(reload.stderr.contains("without a config file (command line)"), "{reload:?}");
    nix::sys::signal::kill(server.pid(), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(server.wait().code, 0);

    args.extend(["--route", "new.test=a"]);
    let mut server = serve_with(directory.path(), &args);
    serves(&mut server, directory.path());
    let get = |host: &str| Client::connect(http).get(host, "/").backend().map(str::to_owned);
    assert_eq!(get("example.com").as_deref(), Some("b1"), "the switch stays");
    assert_eq!(get("new.test").as_deref(), Some("a1"), "the new argument is applied");
    server.kill();
}

#[test]
fn arguments_that_do_not_fit_together_are_usage_errors() {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address().to_string();
    let args = ["--http", &address, "--route", "example.com=c", "--backend", "w=localhost:1,a"];
    let output = serve_with(directory.path(), &args).wait();
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    for part in ["error: the arguments", "`--route example.com=c`", "the only tag is `a`", "hint:"]
    {
        assert!(output.stderr.contains(part), "no `{part}` in {output:?}");
    }
    assert!(!directory.path().join("state").exists(), "nothing is made");
}

#[test]
fn the_settings_are_shown_with_where_they_came_from() {
    let setup = Setup::new()
        .set("proxy.trusted_proxies", "[\"${PROXIES}\"]")
        .env("PROXIES", "10.1.2.0/24".into());
    let vhost = setup.start();
    let shown = vhost.ctl_ok(&["config", "show"]).stdout;
    let line = |text: &str, key: &str| {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        text.lines().map(words).find(|words| words[0] == key)
    };
    assert_eq!(
        line(&shown, "proxy.trusted_proxies").expect("it is set")[1..],
        ["[\"${PROXIES}\"]", "environment"]
    );
    let from = format!("{}:", vhost.config_file().display());
    assert!(line(&shown, "logging.level").expect("it is set")[2].starts_with(&from), "{shown}");
    assert_eq!(line(&shown, "upstream.max_tries"), None, "it has its default");
    let all = vhost.ctl_ok(&["config", "show", "--effective"]).stdout;
    assert_eq!(line(&all, "upstream.max_tries").expect("every key")[1..], ["3", "default"]);
    assert!(!all.contains("10.1.2.0"), "{all}");
    let one = vhost.ctl_ok(&["--no-headers", "config", "show", "--effective", "proxy.threads"]);
    assert_eq!(one.stdout.lines().count(), 1, "{one:?}");
    let section = vhost.ctl_json(&["config", "show", "--effective", "switch"]);
    assert_eq!(section["settings"].as_array().unwrap().len(), 4, "{section}");
    assert_eq!(vhost.ctl_json(&["config", "show", "prox"])["settings"], json!([]));
    let json = vhost.ctl_json(&["config", "show", "--effective"]);
    let mut answered = vhost.rpc("config.show", json!({"effective": true})).unwrap();
    assert_eq!(json, answered);
    let count = answered["settings"].as_array().unwrap().len();
    assert!(count > 35, "{count}");
    answered = vhost.rpc("config.show", json!({})).unwrap();
    assert!(answered["settings"].as_array().unwrap().iter().all(|s| s["set"] == true));
    let mut command = Command::new(vhost_binary());
    command
        .args(["ctl", "--socket"])
        .arg(vhost.socket())
        .args(["config", "show"])
        .env("COLUMNS", "80");
    let output = RunningCtl::of(command).wait();
    assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{}", output.stdout);
}
