//! Starts the programs of the operator.

use std::io;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::sleep;

/// Starts the program. An editor that has just saved it may still have it open for writing.
///
/// # Errors
/// When it can't be started.
pub(crate) async fn spawn(command: &mut Command) -> io::Result<Child> {
    const RETRY_INTERVAL: Duration = Duration::from_millis(50);
    for _ in 0..20 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                sleep(RETRY_INTERVAL).await;
            }
            done => return done,
        }
    }
    command.spawn()
}
