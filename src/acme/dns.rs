//! Runs the operator's program that sets and clears DNS records.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::error::AcmeError;
use crate::own_program::spawn;

const HOOK_TIMEOUT: Duration = Duration::from_mins(1);

/// Runs `hook ACTION FQDN VALUE`; the action is `present` or `cleanup`. Other values of the same
/// name may be added and removed in between.
pub(super) async fn run(
    hook: &Path,
    action: &str,
    fqdn: &str,
    value: &str,
) -> Result<(), AcmeError> {
    run_within(HOOK_TIMEOUT, hook, action, fqdn, value).await
}

async fn run_within(
    limit: Duration,
    hook: &Path,
    action: &str,
    fqdn: &str,
    value: &str,
) -> Result<(), AcmeError> {
    let mut command = Command::new(hook);
    command.args([action, fqdn, value]).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped()).kill_on_drop(true);
    let failed = |why: String| {
        AcmeError::transient(format!("`{} {action} {fqdn}`: {why}", hook.display())).with_hint(
            "run the `dns_hook` by hand, with a value of your own, and look at its output",
        )
    };
    match timeout(limit, outcome(&mut command)).await {
        Ok(Ok(None)) => Ok(()),
        Ok(Ok(Some(why))) => Err(failed(why)),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("it did not end within {} s", limit.as_secs()))),
    }
}

/// Why it failed, if it did.
async fn outcome(command: &mut Command) -> io::Result<Option<String>> {
    let mut child = spawn(command).await?;
    let mut said = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        const MAX_STDERR_BYTES: u64 = 16 * 1024;
        (&mut stderr).take(MAX_STDERR_BYTES).read_to_end(&mut said).await?;
        // Further output must not block it.
        tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
    }
    let status = child.wait().await?;
    let said = String::from_utf8_lossy(&said);
    Ok((!status.success()).then(|| match said.trim() {
        "" => status.to_string(),
        said => format!("{status}: {said}"),
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tokio::time::sleep;

    use super::*;

    fn script(directory: &Path, text: &str) -> std::path::PathBuf {
        let path = directory.join("hook");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    #[tokio::test]
    async fn the_hook_is_told_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let hook = script(directory.path(), &format!("echo \"$@\" >> {}", log.display()));
        run(&hook, "present", "_acme-challenge.a.test", "value-1").await.unwrap();
        run(&hook, "cleanup", "_acme-challenge.a.test", "-value").await.unwrap();
        let log = fs::read_to_string(log).unwrap();
        let expected = "present _acme-challenge.a.test value-1\n\
                        cleanup _acme-challenge.a.test -value\n";
        assert_eq!(log, expected);
    }

    #[tokio::test]
    async fn a_hook_that_fails_is_quoted() {
        let directory = tempfile::tempdir().unwrap();
        let hook = script(directory.path(), "echo no such zone >&2; exit 3");
        let error = run(&hook, "present", "_acme-challenge.a.test", "v").await.unwrap_err();
        assert!(error.to_string().ends_with("exit status: 3: no such zone"), "{error}");
        assert!(error.hint().is_some());
        let missing = directory.path().join("missing");
        let error = run(&missing, "present", "x", "v").await.unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }

    #[tokio::test]
    async fn a_hook_that_is_still_being_saved_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let hook = script(directory.path(), "exit 0");
        let open = fs::File::options().append(true).open(&hook).unwrap();
        let saved = async {
            sleep(Duration::from_millis(100)).await;
            drop(open);
        };
        let (ran, ()) = tokio::join!(run(&hook, "present", "x", "v"), saved);
        ran.unwrap();
    }

    #[tokio::test]
    async fn a_hook_that_hangs_or_chatters_is_dealt_with() {
        let directory = tempfile::tempdir().unwrap();
        let hook = script(directory.path(), "exec sleep 60");
        let brief = Duration::from_millis(200);
        let error = run_within(brief, &hook, "present", "x", "v").await.unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
        let hook = script(directory.path(), "head -c 300000 /dev/zero >&2");
        run(&hook, "present", "x", "v").await.unwrap();
    }
}
