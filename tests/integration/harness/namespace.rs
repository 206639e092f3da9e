//! Commands that see a part of the system of their own, through util-linux's `unshare`.

use std::process::{Command, Stdio};

use nix::unistd::geteuid;

/// A command that runs the words added to it where mounts are seen by nobody else. `None` where
/// the system does not permit it.
pub(crate) fn mount_namespace() -> Option<Command> {
    unshare(if geteuid().is_root() { &["-m"] } else { &["-rm"] })
}

/// A command that runs the words added to it as `nobody`, where ports below 1024 are privileged as
/// they are on most machines. `None` where the system does not permit it.
pub(crate) fn unprivileged() -> Option<Command> {
    if !geteuid().is_root() {
        return None;
    }
    let mut command = unshare(&["-n"])?;
    command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    Some(command)
}

fn unshare(flags: &[&str]) -> Option<Command> {
    let permitted = Command::new("unshare")
        .args(flags)
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    permitted.then(|| {
        let mut command = Command::new("unshare");
        command.args(flags).arg("--");
        command
    })
}
