//! `vhost ctl upgrade`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::table::count;
use crate::cli::time::span;
use crate::model::{UpgradeProgress, UpgradeReport};
use crate::rpc::methods::server::{self, UpgradeParams};

/// Replace the running server by the program that is on the disk now, without a gap
///
/// A new process starts with the config as it is now, gets the listening sockets and the state, and proves that
/// it can serve. Only then does the old process accept no more; what it serves, WebSockets too, it serves to the
/// end, for `proxy.upgrade_drain_timeout_secs`. If the new process fails, nothing has changed. Settings that want
/// a restart are in effect after it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl upgrade
  vhost ctl upgrade /opt/vhost-1.3/bin/vhost")]
pub(super) struct UpgradeArgs {
    /// The program to run [default: the path by which the server was started]
    #[arg(value_hint = ValueHint::ExecutablePath)]
    program: Option<PathBuf>,
    /// Go on although the new version changes the state so that the old one can't read it any more
    #[arg(long)]
    migrate: bool,
}

impl UpgradeArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { program, migrate } = self;
        let program = program.map(|path| std::path::absolute(&path).unwrap_or(path));
        upgrade(session, &UpgradeParams { program, migrate }).await
    }
}

/// Upgrades the server, and prints how that goes.
pub(super) async fn upgrade(
    session: &mut Session<'_>,
    params: &UpgradeParams,
) -> Result<ExitCode, Problem> {
    let report = session
        .attend::<server::Upgrade>(
            "upgrade the server",
            params,
            Problem::interrupted,
            |printer, progress| tell(printer, &progress),
        )
        .await?;
    session.printer.changed(&report, &conclusion(&report));
    Ok(ExitCode::Done)
}

/// Prints the phases of an upgrade.
fn tell(printer: &mut Printer<'_>, progress: &UpgradeProgress) {
    match progress {
        UpgradeProgress::Started { pid } => {
            printer.reached("started", &format!("process {pid}"));
        }
        UpgradeProgress::Prepared { version } => {
            printer.reached("prepared", &format!("version {version}; it takes over the state"));
        }
    }
}

fn conclusion(report: &UpgradeReport) -> String {
    let UpgradeReport { pid, version, old_pid, old_version, connections, .. } = report;
    let from = if version == old_version {
        format!("version {version}")
    } else {
        format!("version {old_version} → {version}")
    };
    let took = span(Duration::from_millis(report.took_ms));
    let rest = match connections {
        0 => String::new(),
        left => format!(
            "; process {old_pid} serves {} to the end, for at most {}",
            count(*left, "connection"),
            span(Duration::from_millis(report.drain_timeout_ms))
        ),
    };
    format!("done      process {pid} serves, {from} ({took}){rest}")
}
