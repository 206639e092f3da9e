//! What was acknowledged is on the disk, not only handed to the system: seen from outside, by the system calls of the server.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::*;

const CALLS: &str = "write,writev,pwrite64,pwritev,ftruncate,fsync,fdatasync,rename,renameat,\
                     renameat2,mkdir,mkdirat,unlink,unlinkat,link,linkat,sendto,sendmsg";

const SOON: std::time::Duration = std::time::Duration::from_secs(30);

/// One system call. It had begun with one line of the trace, and was over with another.
#[derive(Debug)]
struct Call {
    name: String,
    arguments: String,
    begun: usize,
    over: usize,
    is_done: bool,
}

impl Call {
    /// The path of its first argument, a descriptor.
    fn file(&self) -> Option<&Path> {
        let (_, rest) = self.arguments.split_once('<')?;
        Some(Path::new(rest.split_once('>')?.0))
    }

    /// Its arguments that are text.
    fn texts(&self) -> Vec<&str> {
        self.arguments.split('"').skip(1).step_by(2).collect()
    }

    fn is_sync(&self) -> bool {
        ["fsync", "fdatasync"].contains(&self.name.as_str()) && self.is_done
    }

    /// What it changes, and what must be synced after it, so that the change outlives a power cut.
    fn changes(&self) -> Option<(&Path, &Path)> {
        if !self.is_done {
            return None;
        }
        match self.name.as_str() {
            "write" | "writev" | "pwrite64" | "pwritev" | "ftruncate" => {
                let file = self.file()?;
                Some((file, file))
            }
            // What it was called is of no importance any more, only where it is now.
            "rename" | "renameat" | "renameat2" | "link" | "linkat" | "mkdir" | "mkdirat"
            | "unlink" | "unlinkat" => {
                let name = Path::new(*self.texts().last()?);
                Some((name, name.parent()?))
            }
            _ => None,
        }
    }
}

/// The calls of a trace of several threads, in the order in which they were over.
fn calls(trace: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut begun: Vec<(&str, usize, &str)> = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let (start, text) = if let Some(text) = rest.strip_suffix(" <unfinished ...>") {
            begun.push((thread, number, text));
            continue;
        } else if rest.starts_with("<... ") {
            let Some(place) = begun.iter().position(|(of, ..)| *of == thread) else { continue };
            let (_, start, text) = begun.remove(place);
            let end = rest.split_once("resumed>").map_or("", |(_, end)| end);
            (start, format!("{text}{end}"))
        } else {
            (number, rest.to_owned())
        };
        let Some((name, arguments)) = text.split_once('(') else { continue };
        let Some((arguments, result)) = arguments.rsplit_once(" = ") else { continue };
        calls.push(Call {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            begun: start,
            over: number,
            is_done: !result.starts_with('-'),
        });
    }
    calls
}

/// Fails unless all that was written below `directory` in the calls between two lines had been synced by the second.
fn assert_synced(calls: &[Call], directory: &Path, after: usize, before: usize, what: &str) {
    let within: Vec<&Call> =
        calls.iter().filter(|call| call.begun >= after && call.over < before).collect();
    let mut written = 0;
    for call in &within {
        let Some((changed, path)) = call.changes() else { continue };
        let name = changed.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The index of the log is made anew after a crash. The journal is SQLite's own while it makes the database.
        if !changed.starts_with(directory) || ["state.db-shm", "state.db-journal"].contains(&name) {
            continue;
        }
        written += 1;
        let is_synced = within
            .iter()
            .any(|sync| sync.is_sync() && sync.file() == Some(path) && sync.begun > call.over);
        assert!(
            is_synced,
            "{what} was answered before `{}` was synced after {call:?}",
            path.display()
        );
    }
    assert!(written > 0, "{what} has written something");
}

#[test]
fn whatever_is_acknowledged_was_synced_before() {
    if !has_strace() {
        return;
    }
    let issued = Authority::new().issue(&["three.test"]);
    let mut vhost = Setup::new()
        .trace(CALLS)
        .set("logging.level", "\"warn\"")
        .set("health_check.interval_secs", 600)
        .set("proxy.management_api_addr", format!("\"{}\"", free_address()))
        .domain("one.test", "a")
        .domain("two.test", "a")
        .backend("a1", refusing_address(), &["a"])
        .backend("b1", refusing_address(), &["b"])
        .start();
    let both = json!(["one.test", "two.test"]);
    let forced = json!({ "force": true });
    let text = std::fs::read_to_string(vhost.config_file()).unwrap();
    let text = text + "\n[[virtual_hosts]]\ndomain = \"four.test\"\nenabled_backends_tag = \"b\"\n";
    std::fs::write(vhost.config_file(), text).unwrap();
    let commands = [
        ("switch.start", json!({ "domains": both, "tag": "b", "options": forced })),
        ("switch.undo", json!({ "domain": "one.test", "options": forced })),
        ("domain.add", json!({ "domain": "three.test", "tag": "a" })),
        ("domain.set", json!({ "domain": "three.test", "aliases": ["www.three.test"] })),
        ("backend.add", json!({ "id": "c1", "address": "127.0.0.1:9", "tags": ["c"] })),
        ("backend.tag", json!({ "id": "c1", "tags": ["d"] })),
        ("backend.disable", json!({ "id": "c1" })),
        ("backend.remove", json!({ "id": "c1" })),
        ("config.reload", forced.clone()),
        ("token.add", json!({ "name": "deploy", "access": "full" })),
        ("token.remove", json!({ "name": "deploy" })),
        (
            "cert.import",
            json!({ "name": "three.test", "cert": issued.cert(), "key": issued.key() }),
        ),
        ("domain.remove", json!({ "domain": "three.test" })),
    ];
    let mut connection = vhost.rpc_connection();
    for (method, params) in &commands {
        let answer = connection.call(method, params);
        assert!(answer.is_ok(), "{method}: {answer:?}");
    }
    let directory = vhost.state_dir();
    vhost.signal(Signal::SIGKILL);
    vhost.wait_for_exit(SOON);
    // Its last line.
    eventually("the trace is whole", SOON, || vhost.system_calls().contains("+++ killed by"));
    let trace = vhost.system_calls();
    let calls = calls(&trace);
    let answers = |id: usize| {
        let id = format!("\\\"id\\\":{id},");
        calls.iter().filter(move |call| {
            (call.name.starts_with("send") || call.name.starts_with("write"))
                && call.arguments.contains(&id)
                && call.arguments.contains("\\\"result\\\"")
        })
    };
    // The answer to the harness, which saw that the server serves.
    let served = answers(1).next().expect("the first answer");
    assert_synced(&calls, &directory, 0, served.begun, "the start");
    let mut after = served.over;
    for (number, (method, _)) in commands.iter().enumerate() {
        let answer = answers(number + 1).find(|call| call.begun > after);
        let answer = answer.unwrap_or_else(|| panic!("no answer to {method} in the trace"));
        assert_synced(&calls, &directory, after, answer.begun, method);
        after = answer.over;
    }
}

/// Whether `strace` can trace here.
fn has_strace() -> bool {
    let mut traced = std::process::Command::new("strace");
    traced.args(["-D", "-f", "-o", "/dev/null", "true"]);
    let works = traced.status().is_ok_and(|status| status.success());
    let needed = std::env::var_os("VHOST_NEEDS_TOOLS").is_some();
    assert!(works || !needed, "`strace` is missing: `./dev test` installs it");
    works
}

#[test]
fn a_trace_is_read_as_it_was_written() {
    let trace = "\
7 pwrite64(9</s/state.db-wal>, \"x = 1\", 5, 0) = 5
7 fdatasync(9</s/state.db-wal> <unfinished ...>
8 write(2</t/stderr>, \"<...\", 4) = 4
7 <... fdatasync resumed>) = 0
8 rename(\"/s/.unfinished-1\", \"/s/c/tokens.json\") = 0
8 mkdir(\"/s/c\", 0700) = -1 EEXIST (File exists)
8 +++ killed by SIGKILL +++
";
    let calls = calls(trace);
    let told: Vec<_> = calls
        .iter()
        .map(|call| (call.name.as_str(), call.begun, call.over, call.is_done))
        .collect();
    let expected = [
        ("pwrite64", 0, 0, true),
        ("write", 2, 2, true),
        ("fdatasync", 1, 3, true),
        ("rename", 4, 4, true),
        ("mkdir", 5, 5, false),
    ];
    assert_eq!(told, expected);
    assert_eq!(calls[2].file(), Some(Path::new("/s/state.db-wal")));
    let renamed = (Path::new("/s/c/tokens.json"), Path::new("/s/c"));
    assert_eq!(calls[3].changes(), Some(renamed));
    let is_synced = |trace: &str| {
        let calls = self::calls(trace);
        let check = || assert_synced(&calls, Path::new("/s"), 0, 99, "a test");
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
    };
    let wal = trace.lines().take(4).collect::<Vec<_>>().join("\n");
    assert!(is_synced(&wal));
    assert!(!is_synced(&wal.replace("= 0", "= -1 EIO")), "a sync that failed is none");
    assert!(!is_synced(trace), "the directory of what was renamed is not synced");
}
