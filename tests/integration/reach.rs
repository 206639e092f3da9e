//! What commands, and the files that a config names, may have the server reach.

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Uid, chown, mkfifo};
use serde_json::{Value, json};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// Runs `vhost` with these arguments.
fn vhost(args: &[&str]) -> CtlOutput {
    let mut command = Command::new(vhost_binary());
    command.args(args).env_remove("VHOST_SOCKET");
    RunningCtl::of(command).wait()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Sets one error page of `example.com` as a command does.
fn set_page(vhost: &Vhost, page: &Value) -> Result<Value, String> {
    let options = json!({"error_pages": {"404": page}});
    let set = vhost.rpc("domain.set", json!({"domain": "example.com", "options": options}));
    set.map_err(|fault| fault.whole.to_string())
}

#[test]
fn a_command_names_pages_below_one_directory_or_gives_their_text() {
    let backend = Backend::start("w1");
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("pages")).unwrap();
    std::fs::write(path("pages/404.html"), "<h1>not here</h1>").unwrap();
    std::fs::write(path("secret"), "secret").unwrap();
    symlink(path("secret"), path("pages/link")).unwrap();
    mkfifo(&path("pages/fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    let vhost = Setup::new()
        .set("proxy.pages_dir", format!("{:?}", path("pages")))
        .domain("example.com", "a")
        .backend("w1", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    std::fs::hard_link(vhost.state_dir().join("state.db"), path("pages/hard")).unwrap();
    let own = text(&vhost.state_dir().join("state.db"));
    for page in [
        own.as_str(),
        &format!("/proc/self/root{own}"),
        "/proc/self/environ",
        "/etc/passwd",
        &text(&path("secret")),
        &text(&path("pages/../secret")),
        "../secret",
        "link",
        "fifo",
        "hard",
        ".",
        "missing.html",
    ] {
        let fault = set_page(&vhost, &json!(page)).expect_err(page);
        assert!(fault.contains("error_pages.404"), "{fault}");
    }
    let shown = vhost.rpc("domain.show", json!({"domain": "example.com"})).unwrap();
    assert_eq!(shown["options"], Value::Null, "no command changed anything");
    assert_eq!(vhost.get("example.com", "/status/404").echo()["id"], "w1");
    // The same file by its name, and by its whole path.
    for page in ["404.html", &text(&path("pages/404.html"))] {
        set_page(&vhost, &json!(page)).expect(page);
        eventually("the page is read", SOON, || {
            vhost.get("example.com", "/status/404").text() == "<h1>not here</h1>"
        });
        set_page(&vhost, &Value::Null).unwrap();
    }
    set_page(&vhost, &json!({"text": "{\"no\":1}", "type": "application/json"})).unwrap();
    let response = vhost.get("example.com", "/status/404");
    assert_eq!((response.status, response.text().as_str()), (404, "{\"no\":1}"));
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[test]
fn without_a_directory_of_pages_a_command_names_none_and_the_file_any() {
    let backend = Backend::start("w1");
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("404.html");
    std::fs::write(&page, "of the file").unwrap();
    let vhost = Setup::new()
        .domain_with("example.com", "a", &format!("error_pages.404 = {page:?}"))
        .domain("other.test", "a")
        .backend("w1", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    assert_eq!(vhost.get("example.com", "/status/404").text(), "of the file");
    let options = json!({"error_pages": {"404": text(&page)}});
    let fault = vhost
        .rpc("domain.set", json!({"domain": "other.test", "options": options}))
        .expect_err("no directory");
    assert!(fault.whole.to_string().contains("proxy.pages_dir"), "{fault:?}");
    // What the file says stays, whatever else a command changes, and is given again as it is.
    vhost.rpc("domain.set", json!({"domain": "example.com", "options": options})).unwrap();
    vhost.ctl_ok(&["domain", "set", "example.com", "--option", "max_body_bytes=1000"]);
    assert_eq!(vhost.get("example.com", "/status/404").text(), "of the file");
    // One of the same size and time is another one all the same.
    let time = std::fs::metadata(&page).unwrap().modified().unwrap();
    let other = directory.path().join("other");
    std::fs::write(&other, "of the next").unwrap();
    std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
    std::fs::rename(&other, &page).unwrap();
    eventually("the page is read again", SOON, || {
        vhost.get("example.com", "/status/404").text() == "of the next"
    });
}

#[test]
fn what_is_the_servers_own_is_no_backend_of_a_command() {
    let (management, metrics) = (free_address(), free_address());
    let vhost = Setup::new()
        .set("proxy.management_api_addr", format!("\"{management}\""))
        .set("metrics.enabled", true)
        .set("metrics.listen_addr", format!("\"{metrics}\""))
        .start();
    let socket = text(&vhost.socket());
    let path = |name: &str| vhost.directory().join(name);
    symlink(vhost.socket(), path("link.sock")).unwrap();
    std::fs::hard_link(vhost.socket(), path("hard.sock")).unwrap();
    symlink(vhost.directory(), path("folder")).unwrap();
    for address in [
        format!("unix:{socket}"),
        format!("unix:/proc/self/root{socket}"),
        format!("unix:{}", text(&path("folder/admin.sock"))),
        format!("unix:{}", text(&path("link.sock"))),
        format!("unix:{}", text(&path("hard.sock"))),
        format!("unix:{}", text(&path("state/../admin.sock"))),
        format!("unix:{}", text(&path("state/any.sock"))),
        management.to_string(),
        metrics.to_string(),
        format!("0.0.0.0:{}", metrics.port()),
    ] {
        let params = json!({"id": "w", "address": address, "tags": ["a"]});
        let fault = vhost.rpc("backend.add", params).expect_err(&address);
        assert!(fault.message.contains("address"), "{fault:?}");
    }
    vhost.rpc("backend.add", json!({"id": "w", "address": "127.0.0.1:9", "tags": ["a"]})).unwrap();
    let moved = json!({"id": "w", "address": format!("unix:{socket}")});
    assert!(vhost.rpc("backend.set", moved).is_err());
    let own_ca = json!({
        "id": "x", "address": "127.0.0.1:9", "tags": ["a"], "scheme": "https",
        "tls_ca_file": text(&vhost.state_dir().join("state.db")),
    });
    assert!(vhost.rpc("backend.add", own_ca).unwrap_err().message.contains("tls_ca_file"));
}

#[test]
fn a_backend_that_becomes_the_admin_socket_reaches_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let vhost = Setup::new()
        .tcp_probes()
        .domain("example.com", "a")
        .backend("w1", format!("unix:{}", path.display()), &["a"])
        .start();
    symlink(vhost.socket(), &path).unwrap();
    vhost.wait_for_log("a backend of this server leads to it");
    let response = vhost.get("example.com", "/api/v1/domains");
    assert!(response.status >= 502, "{response:?}");
    assert!(!response.text().contains("example.com\""), "{response:?}");
    // Others still come in.
    assert_eq!(vhost.ctl(&["status"]).code, 0);
}

#[test]
fn no_file_that_a_config_names_makes_anybody_wait() {
    let backend = Backend::start("w1");
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    mkfifo(&path("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    let fifo = text(&path("fifo"));
    let setup = Setup::new()
        .set("proxy.default_cert", format!("{fifo:?}"))
        .set("proxy.default_key", format!("{fifo:?}"))
        .domain_with(
            "example.com",
            "a",
            &format!("tls = {{ cert = {fifo:?}, key = {fifo:?} }}\nerror_pages.404 = {fifo:?}"),
        )
        .backend("w1", backend.address(), &["a"])
        .backend_with(
            "w2",
            "127.0.0.1:9",
            &["b"],
            &format!("scheme = \"https\"\ntls_ca_file = {fifo:?}"),
        );
    let file = path("vhost.toml");
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    let checked = vhost(&["check", &text(&file)]);
    assert_eq!(checked.code, 2, "{checked:?}");
    for key in ["default_cert", "tls", "tls_ca_file"] {
        let line = checked.stderr.lines().find(|line| line.contains(&format!("{key}: ")));
        assert!(line.is_some_and(|line| line.contains("a FIFO")), "{key}: {checked:?}");
    }
    // A start goes on without them.
    let server = setup.start();
    server.wait_for_health("w1", "healthy");
    assert_eq!(server.get("example.com", "/").status, 200);
    std::fs::write(&file, format!("include = [{fifo:?}]\n{}", setup.text(directory.path())))
        .unwrap();
    let checked = vhost(&["check", &text(&file)]);
    assert!(checked.code == 2 && checked.stderr.contains("include"), "{checked:?}");
}

#[test]
fn a_config_neither_includes_nor_serves_what_is_the_servers_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("state")).unwrap();
    std::fs::write(path("state/tokens.json"), "{\"secret\":\"hunter2\"}").unwrap();
    symlink(path("state"), path("link")).unwrap();
    let head = format!(
        "include = [\"link/*.json\"]\n[proxy]\nlisten_addr_http = \"127.0.0.1:0\"\n\
         state_dir = \"{}\"\nadmin_socket = \"{}\"\n",
        path("state").display(),
        path("admin.sock").display()
    );
    let entries = "[[virtual_hosts]]\ndomain = \"a.test\"\nenabled_backends_tag = \"a\"\n\
                   error_pages = { 404 = \"link/tokens.json\" }\n\
                   [[backends]]\nid = \"w\"\naddress = \"unix:ADMIN\"\ntags = [\"a\"]\n";
    let entries = entries.replace("ADMIN", &text(&path("admin.sock")));
    std::fs::write(path("vhost.toml"), head + &entries).unwrap();
    let checked = vhost(&["check", &text(&path("vhost.toml"))]);
    assert_eq!(checked.code, 2, "{checked:?}");
    for key in ["include[0]", "error_pages", "address"] {
        let line = checked.stderr.lines().find(|line| line.contains(key));
        assert!(line.is_some_and(|line| line.contains("server's own")), "{key}: {checked:?}");
    }
    assert!(!checked.stderr.contains("hunter2"), "{checked:?}");
}

#[test]
fn check_names_what_a_start_would_miss() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vhost.toml");
    let setup = Setup::new()
        .set("proxy.admin_group", "\"no-such-group\"")
        .set("access_log.enabled", true)
        .set("access_log.output", "\"file\"")
        .set("access_log.file_path", "\"nowhere/access.log\"")
        .domain_with("a.test", "a", "error_pages.404 = \"nowhere.html\"")
        .backend("w1", "127.0.0.1:9", &["a"]);
    std::fs::write(&path, setup.text(directory.path())).unwrap();
    let _taken = std::net::TcpListener::bind(setup.http_address()).unwrap();
    let checked = vhost(&["check", &text(&path)]);
    assert_eq!(checked.code, 1, "as a start would exit: {checked:?}");
    for (key, is_warning) in [
        ("proxy.admin_group", false),
        ("access_log.file_path", false),
        ("error_pages", true),
        ("proxy.listen_addr_http", true),
    ] {
        let line = checked.stderr.lines().find(|line| line.contains(&format!("{key}: ")));
        let line = line.unwrap_or_else(|| panic!("{key}: {checked:?}"));
        assert_eq!(line.contains(": warning: "), is_warning, "{line}");
    }
    let json = vhost(&["check", "--format", "json", &text(&path)]);
    let answer: Value = serde_json::from_str(&json.stdout).unwrap();
    let count = |key: &str| answer[key].as_array().unwrap().len();
    assert_eq!((json.code, &answer["valid"]), (1, &json!(false)));
    assert_eq!((count("problems"), count("warnings")), (2, 2), "{answer}");
}

/// A command whose standard error nobody reads.
fn unheard(args: &[&str]) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = Command::new(vhost_binary())
        .args(args)
        .env_remove("VHOST_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    let status = eventually_some("it ends", SOON, || child.try_wait().unwrap());
    status.code()
}

#[test]
fn that_nobody_reads_the_errors_changes_no_exit_status() {
    let directory = tempfile::tempdir().unwrap();
    let bad = directory.path().join("bad.toml");
    std::fs::write(&bad, "[proxy]\nlisten_addr = 1\n").unwrap();
    let bad = text(&bad);
    let nowhere = "/dev/null/nowhere";
    for (args, code) in [
        (&["serve", "--config", bad.as_str()][..], 2),
        (&["serve", "--config", nowhere], 2),
        (&["check", &bad], 2),
        (&["hash-password"], 2),
        (&["man", nowhere], 1),
        (&["ctl", "--socket", nowhere, "status"], 3),
        (&["no-such-command"], 2),
    ] {
        assert_eq!(unheard(args), Some(code), "{args:?}");
    }
}

#[test]
fn a_server_whose_log_nobody_reads_serves_and_stops_as_any() {
    let backend = Backend::start("w1");
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::new().domain("example.com", "a").backend("w1", backend.address(), &["a"]);
    let file = directory.path().join("vhost.toml");
    std::fs::write(&file, setup.text(directory.path())).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = Command::new(vhost_binary())
        .args(["serve", "--config"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    drop(reader);
    eventually("it serves", SOON, || {
        std::net::TcpStream::connect(setup.http_address()).is_ok()
            && Client::connect(setup.http_address()).get("example.com", "/").status == 200
    });
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    let status = eventually_some("it ends", SOON, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_folder_that_a_stranger_made_is_used_by_neither_end() {
    if !Uid::effective().is_root() {
        eprintln!("SKIPPED: only root can be two users");
        return;
    }
    // Nobody's number; its folder is in the temporary directory of all.
    let victim = 4_000_000 + std::process::id() % 90_000;
    let folder = std::path::PathBuf::from(format!("/tmp/vhost-{victim}"));
    // Where that user can run it.
    let open = tempfile::tempdir().unwrap();
    let binary = open.path().join("vhost");
    std::fs::copy(vhost_binary(), &binary).unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(open.path(), everybody).unwrap();
    std::fs::create_dir(&folder).unwrap();
    chown(&folder, Some(Uid::from_raw(victim + 1)), None).unwrap();
    // The stranger listens, and would hear what is sent.
    let listener = std::os::unix::net::UnixListener::bind(folder.join("admin.sock")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(args).env_clear().env("HOME", open.path()).uid(victim).gid(victim);
        RunningCtl::of(command).wait()
    };
    let asked = run(&["ctl", "status"]);
    let state = open.path().join("state");
    std::fs::create_dir(&state).unwrap();
    chown(&state, Some(Uid::from_raw(victim)), None).unwrap();
    let served = run(&["serve", "--http", "127.0.0.1:0", "--state-dir", &text(&state)]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(asked.code, 1, "{asked:?}");
    assert!(asked.stderr.contains("cannot be trusted"), "{asked:?}");
    assert!(asked.stderr.contains("XDG_RUNTIME_DIR"), "it says what to do: {asked:?}");
    assert!(listener.accept().is_err(), "nobody connected");
    assert_eq!(served.code, 1, "{served:?}");
    assert!(served.stderr.contains("cannot be trusted"), "{served:?}");
}
