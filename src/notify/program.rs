//! A call by running a program.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, Command};
use tokio::time::timeout;

use super::payload::{Again, Payload, Refusal};
use crate::model::time_in_words;
use crate::own_program::spawn;

/// The bytes of its standard error that are kept at most: the last.
const MAX_STDERR_BYTES: usize = 4096;

/// How long is read, after it has ended, what another process that it has started may still write.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(200);

/// Runs a program with the payload on its standard input, in a process group of its own. It has nothing of the
/// server's environment but `PATH`. When it takes too long, or nobody waits for it any more, its group is killed.
pub(super) async fn run(
    exec: &[String],
    limit: Duration,
    payload: &Payload,
) -> Result<String, Refusal> {
    let Some((program, arguments)) = exec.split_first() else {
        return Err(Refusal::unreachable("there is no program"));
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").process_group(0).env_clear();
    command.env("VHOST_EVENT", payload.event);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = spawn(&mut command)
        .await
        .map_err(|error| Refusal::unreachable(format!("it cannot be run: {error}")))?;
    let group = Group(child.id());
    let tail = Arc::new(Mutex::new(Vec::new()));
    let reading =
        child.stderr.take().map(|stderr| tokio::spawn(keep_last(stderr, Arc::clone(&tail))));
    let stdin = child.stdin.take();
    let written = async {
        // It may do without reading.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(&payload.body).await;
        }
    };
    let ended = async {
        tokio::pin!(written);
        tokio::select! {
            // What is not read by then never will be.
            status = child.wait() => status,
            () = &mut written => child.wait().await,
        }
    };
    let ended = timeout(limit, ended).await;
    let status = if let Ok(status) = ended {
        // Its number may be another's from here on.
        group.disarm();
        status.map_err(|error| Refusal::unreachable(error.to_string()))
    } else {
        drop(group);
        Err(Refusal::unreachable(format!("it did not end within {}", time_in_words(limit))))
    };
    if let Some(mut reading) = reading
        && timeout(LAST_WORDS_TIMEOUT, &mut reading).await.is_err()
    {
        reading.abort();
    }
    let said = String::from_utf8_lossy(&tail.lock()).into_owned();
    match status {
        Ok(status) if status.success() => Ok(status.to_string()),
        Ok(status) => Err(Refusal { what: in_words(status), said, again: Again::After(None) }),
        Err(refusal) => Err(Refusal { said, ..refusal }),
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with status {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}

async fn keep_last(mut stderr: ChildStderr, tail: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut piece).await {
        let mut tail = tail.lock();
        tail.extend_from_slice(&piece[..read]);
        let excess = tail.len().saturating_sub(MAX_STDERR_BYTES);
        tail.drain(..excess);
    }
}

/// A process group, which is killed when this is dropped.
struct Group(Option<u32>);

impl Group {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = self.0.and_then(|leader| i32::try_from(leader).ok());
        if let Some(group) = group {
            // It may have ended meanwhile.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    async fn sh(script: &str, limit: Duration) -> Result<String, Refusal> {
        let exec = ["/bin/sh", "-c", script].map(str::to_owned);
        let payload = Payload { event: "switch", body: r#"{"id":"1"}"#.into() };
        run(&exec, limit, &payload).await
    }

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_program_gets_the_payload_and_its_own_words_say_why_it_failed() {
        let read = sh(r#"[ "$(cat)" = '{"id":"1"}' ] && [ "$VHOST_EVENT" = switch ]"#, SOON).await;
        assert_eq!(read.unwrap(), "exit status: 0");
        let why = sh("echo not now >&2; exit 3", SOON).await.unwrap_err();
        assert_eq!(why.in_full(), "it ended with status 3: not now");
        let why = sh("kill -9 $$", SOON).await.unwrap_err();
        assert_eq!(why.in_full(), "it was ended by signal 9");
        let long =
            sh("head -c 100000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1", SOON).await;
        let said = long.unwrap_err().said;
        assert!(said.len() == MAX_STDERR_BYTES && said.ends_with("xend\n"), "{}", said.len());
        let nothing = Payload { event: "x", body: Bytes::new() };
        let gone = run(&["/nowhere/x".into()], SOON, &nothing).await;
        assert!(gone.unwrap_err().what.contains("cannot be run"));
    }

    #[tokio::test]
    async fn one_that_takes_too_long_is_killed_with_what_it_has_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        // The pipe of standard error stays open in the second process.
        let script = format!("echo waiting >&2; sleep 60 & echo $! > {}; wait", file.display());
        let why = sh(&script, Duration::from_millis(500)).await.unwrap_err();
        assert_eq!(why.in_full(), "it did not end within 500ms: waiting");
        let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let is_there = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let deadline = std::time::Instant::now() + SOON;
        while is_there() {
            assert!(std::time::Instant::now() < deadline, "it still runs");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn one_that_leaves_a_process_behind_is_not_waited_for() {
        let begun = std::time::Instant::now();
        assert!(sh("sleep 30 & exit 0", SOON).await.is_ok());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
