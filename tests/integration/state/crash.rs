//! SIGKILL, of the server beside which a backup is made, and of a restore.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// What a restore passes.
pub(crate) const POINTS: [&str; 4] =
    ["restore.begun", "restore.aside", "2*off->restore.aside", "restore.moved"];

const ROUNDS: usize = 6;

#[test]
fn a_backup_under_changes_and_kills_is_one_moment_of_the_state() {
    let backends = backends();
    let mut vhost = server(&backends);
    let config = vhost.config_file();
    let path = vhost.directory().join("backup.tar");
    for round in 0..ROUNDS {
        let ends = AtomicBool::new(false);
        let socket = vhost.socket();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Two domains that always move together.
                let Ok(mut connection) = RpcConnection::try_connect(&socket) else { return };
                for number in 0.. {
                    let tag = if number % 2 == 0 { "a" } else { "b" };
                    let options = json!({"force": true, "no_drain": true});
                    let domains = [HOST, "imported.example.com"];
                    let params = json!({"domains": domains, "tag": tag, "options": options});
                    let called = connection.try_call("switch.start", &params, |_| {});
                    if called.is_err() || ends.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            for number in 0..5 {
                if number == 3 {
                    vhost.kill();
                }
                let output = state_ok(&[
                    "backup",
                    "--config",
                    text(&config),
                    "--output",
                    text(&path),
                    "--force",
                ]);
                assert!(output.stderr.starts_with("backed up: revision "), "{output:?}");
                let unpacked = tempfile::tempdir().unwrap();
                let restored = unpacked.path().join("state");
                state_ok(&["restore", text(&path), "--state-dir", text(&restored)]);
                let live = live(&restored);
                let [one, two] = &live[..] else { panic!("{live:?}") };
                assert!(one == two || round == 0, "half of a switch: {live:?}");
            }
            ends.store(true, Ordering::Relaxed);
        });
        vhost.restart();
    }
}

/// The live tags of the domains in a database.
fn live(state: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(state.join("state.db")).unwrap();
    let mut statement = connection.prepare("SELECT value FROM domains ORDER BY name").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let value = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    rows.map(|row| value(row.unwrap())["live"].to_string()).collect()
}

#[test]
fn after_a_restore_that_was_cut_short_no_server_starts_until_it_has_run_again() {
    let backends = backends();
    let mut vhost = server(&backends);
    let (config, path) = (vhost.config_file(), backed_up(&vhost));
    vhost.ctl_ok(&["switch", HOST, "a", "--force"]);
    vhost.kill();
    for point in POINTS {
        let (count, point) = point.split_once("->").unwrap_or(("", point));
        let action =
            if count.is_empty() { "return".to_owned() } else { format!("{count}->return") };
        let mut command = Command::new(vhost_binary());
        command.args(["state", "restore", text(&path), "--config", text(&config)]);
        command.env("FAILPOINTS", format!("{point}={action}"));
        let output = RunningCtl::of(command).wait();
        assert_eq!(output.code, -1, "it is killed: {output:?}");
        let started = serve_once(&config);
        assert_eq!(started.code, 1, "{started:?}");
        assert!(started.stderr.contains("was cut short"), "{started:?}");
        assert!(started.stderr.contains("vhost state restore"), "{started:?}");
        let checked = state(&["check", "--config", text(&config)]);
        assert_eq!(checked.code, 1, "{checked:?}");
    }
    state_ok(&["restore", text(&path), "--config", text(&config)]);
    state_ok(&["check", "--config", text(&config)]);
    let left: Vec<_> = std::fs::read_dir(vhost.state_dir()).unwrap().flatten().collect();
    let is_unpacked = |name: &str| name.starts_with(".vhost-state-");
    assert!(!left.iter().any(|of| is_unpacked(of.file_name().to_str().unwrap())), "{left:?}");
    vhost.restart();
    assert_eq!(vhost.live(HOST), "b");
}
