//! `vhost ctl reload`.

use clap::Args;

use super::connect::Session;
use super::switch_progress::draining;
use crate::cli::exit_code::ExitCode;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::table::count;
use crate::cli::time::{parse_drain_timeout, span};
use crate::model::{NeedsRestart, Outcome, ReloadProgress, ReloadReport, with_unicode_names};
use crate::rpc::envelope::{FaultKind, code};
use crate::rpc::methods::config::{self, ReloadParams};
use crate::rpc::methods::server::UpgradeParams;
use crate::rpc::methods::{NoParams, state};

/// Read the config file again and apply what changed in it
///
/// Changes made with `vhost ctl`, such as a switch, stay. If the file moves a domain to another
/// tag, the new tag is probed first, as in a switch. Either all of the file is applied, or nothing.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent flags of the command line")]
#[command(after_help = "Examples:
  vhost ctl reload --dry-run
  vhost ctl reload")]
pub(super) struct ReloadArgs {
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Skip the health check of the new tags, and allow a domain to lose its last backend
    #[arg(long)]
    force: bool,
    /// How long requests of removed entries may take to end
    /// [default: `drain_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_drain_timeout, conflicts_with = "no_drain")]
    drain_timeout: Option<u64>,
    /// Don't wait for the requests of removed entries to end
    #[arg(long)]
    no_drain: bool,
    /// If settings have changed that a running process can't change, or another program is on the disk, have a new
    /// process take over, without a gap
    #[arg(long, conflicts_with = "dry_run")]
    upgrade: bool,
}

impl ReloadArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { dry_run, force, drain_timeout, no_drain, upgrade } = self;
        let params = ReloadParams { dry_run, force, no_drain, drain_timeout_ms: drain_timeout };
        let action = "reload the config";
        let report = session
            .attend::<config::Reload>(action, &params, Problem::interrupted, |printer, progress| {
                tell(printer, &progress);
            })
            .await
            .map_err(usage_of_invalid)?;
        let word = if dry_run { "would    " } else { "changed  " };
        for change in &report.changed {
            let change = change.to_string();
            session.printer.note(&format!("{word} {}", with_unicode_names(&change)));
        }
        for warning in &report.warnings {
            session.printer.note(&format!("warning   {warning}"));
        }
        let upgrades =
            upgrade && (!report.needs_restart.is_empty() || new_program(session).await?);
        if !upgrades {
            print_restarts(&mut session.printer, &report.needs_restart);
        }
        let problem = shortfall(&report);
        if upgrades {
            // The old process serves to the end what had not drained.
            let exit = super::upgrade::upgrade(session, &UpgradeParams::default()).await?;
            return problem.map_or(Ok(exit), Err);
        }
        if let Some(problem) = problem {
            session.printer.for_scripts(&report);
            return Err(problem);
        }
        session.printer.changed(&report, &conclusion(&report));
        Ok(ExitCode::Done)
    }
}

/// Whether another program is on the disk than runs.
async fn new_program(session: &mut Session<'_>) -> Result<bool, Problem> {
    Ok(session.call::<state::Get>("show the status", &NoParams {}).await?.new_program)
}

/// An invalid config is a usage error, as in `vhost check`.
fn usage_of_invalid(problem: Problem) -> Problem {
    let is_config = problem.json["code"] == code::PRODUCT
        && problem.json["data"]["kind"] == serde_json::json!(FaultKind::Invalid);
    if is_config { Problem { exit: ExitCode::Usage, ..problem } } else { problem }
}

/// Prints which settings need a restart.
pub(super) fn print_restarts(printer: &mut Printer<'_>, waiting: &[NeedsRestart]) {
    for NeedsRestart { key, running, file, hint } in waiting {
        let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        printer.note(&format!(
            "not yet   `{key}` is {}, the file says {}: {hint}",
            word(running),
            word(file)
        ));
    }
}

fn conclusion(report: &ReloadReport) -> String {
    let ReloadReport { source, revision, changed, needs_restart, .. } = report;
    let what = match changed.len() {
        0 if needs_restart.is_empty() => "nothing changed".to_owned(),
        0 => "nothing was applied".to_owned(),
        changes => count(changes, "change"),
    };
    let drain = match report.outcome {
        Outcome::NotDrained => ", drain not waited for".to_owned(),
        _ if report.drain_ms > 0 => {
            format!(", drain {}", span(std::time::Duration::from_millis(report.drain_ms)))
        }
        _ => String::new(),
    };
    let verb = if report.dry_run { "checked " } else { "done    " };
    format!("{verb}  {source}: {what}, revision {revision}{drain}")
}

/// The problem to print if the reload is done but not drained.
fn shortfall(report: &ReloadReport) -> Option<Problem> {
    let Outcome::DrainTimedOut { remaining } = report.outcome else { return None };
    let drain = span(std::time::Duration::from_millis(report.drain_ms));
    let message =
        format!("{} of removed entries had not ended after {drain}", count(remaining, "request"));
    let hint = "they may still finish; don't stop their backends before that".to_owned();
    let what = format!("reloaded, but not drained: revision {}", report.revision);
    Some(Problem::found(what, message, FaultKind::Timeout, hint))
}

/// Prints the phases of a reload.
fn tell(printer: &mut Printer<'_>, progress: &ReloadProgress) {
    match progress {
        ReloadProgress::Checking { tag, healthy, needed: _, total } => {
            let backends = count(*total, "backend");
            printer.passing("checking", &format!("{healthy} of {backends} of `{tag}` healthy"));
        }
        ReloadProgress::Applied { revision } => {
            printer.reached("applied", &format!("at revision {revision}"));
        }
        ReloadProgress::Draining { remaining } => draining(printer, *remaining),
    }
}
