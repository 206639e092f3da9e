//! The flags of guards and rollouts, and how `vhost ctl` follows one to its end.

use std::num::NonZeroU32;

use clap::Args;

use super::connect::Session;
use super::trial_view::{conclusion, standing};
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::model::{
    DomainName, GuardOptions, Inconclusive, Ratio, Seconds, Share, TrialEnd, TrialKind, TrialReport,
};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::rollout::{self, WaitParams};

/// By what a new tag is judged.
#[derive(Debug, Clone, Args)]
pub(super) struct JudgeArgs {
    /// By how many points, in percent, the new tag's share of requests that its backends fail may be above
    /// the old one's [default: that of its app, or 1%]
    #[arg(long, value_name = "PERCENT", help_heading = "Guard")]
    max_error_delta: Option<Share>,
    /// How many times as long the new tag's 95th percentile to the first byte may be [default: that of its
    /// app, or 1.5]
    #[arg(long, value_name = "RATIO", help_heading = "Guard")]
    max_p95_ratio: Option<Ratio>,
    /// How many requests of the new tag it takes to say that it is no worse [default: that of its app, or 100]
    #[arg(long, value_name = "NUMBER", help_heading = "Guard")]
    min_requests: Option<NonZeroU32>,
    /// What becomes of the new tag when its traffic doesn't say whether it is worse: `keep` or `rollback`
    /// [default: that of its app, or keep]
    #[arg(long, value_name = "WHAT", help_heading = "Guard")]
    inconclusive: Option<Inconclusive>,
    /// Return as soon as the new tag serves; the server goes on to watch it
    #[arg(long, help_heading = "Guard")]
    pub(super) no_wait: bool,
}

/// How a switch is watched.
#[derive(Debug, Clone, Args)]
pub(super) struct GuardArgs {
    /// Watch the new tag for this time, such as `5m`, and go back to the old one if it is worse; 0 for not
    /// at all [default: that of its app, or not at all]
    #[arg(long, value_name = "TIME", help_heading = "Guard")]
    guard: Option<Seconds<true>>,
    #[command(flatten)]
    pub(super) judge: JudgeArgs,
}

impl JudgeArgs {
    /// What is given.
    pub(super) fn options(&self) -> GuardOptions {
        GuardOptions {
            time_secs: None,
            max_error_delta: self.max_error_delta,
            max_p95_ratio: self.max_p95_ratio,
            min_requests: self.min_requests,
            inconclusive: self.inconclusive,
        }
    }
}

impl GuardArgs {
    /// What is given; nothing where nothing is.
    pub(super) fn options(&self) -> Option<GuardOptions> {
        let options = GuardOptions { time_secs: self.guard, ..self.judge.options() };
        (options != GuardOptions::default()).then_some(options)
    }
}

/// Follows a trial to its end, and prints how it stands meanwhile.
pub(super) async fn follow(session: &mut Session<'_>, id: u64) -> Result<ExitCode, Problem> {
    let params = WaitParams { domain: None, id: Some(id), through_pauses: false, timeout_ms: None };
    attend(session, "watch the new tag", &params).await
}

/// The same for parameters that say what is waited for.
pub(super) async fn attend(
    session: &mut Session<'_>,
    action: &str,
    params: &WaitParams,
) -> Result<ExitCode, Problem> {
    let report = session
        .attend::<rollout::Wait>(action, params, Problem::interrupted, |printer, now| {
            let phase = match now.kind {
                TrialKind::Guard => "guarding",
                TrialKind::Rollout => "rollout",
            };
            printer.counting(phase, &standing(&now));
        })
        .await?;
    if let Some(problem) = shortfall(&report) {
        session.printer.for_scripts(&report);
        return Err(problem);
    }
    session.printer.concluded(&report, &conclusion(&report));
    Ok(ExitCode::Done)
}

/// The problem to print if a trial did not end well.
fn shortfall(report: &TrialReport) -> Option<Problem> {
    let cause = report
        .cause
        .clone()
        .or_else(|| report.evidence.as_ref().map(|evidence| evidence.reason.clone()));
    let cause = cause.unwrap_or_else(|| "no cause is known".to_owned());
    let name = report.domains.first().map_or_else(|| "DOMAIN".to_owned(), DomainName::shown);
    let (from, to) = (&report.from, &report.to);
    let (exit, what, hint, kind) = match report.end {
        Some(TrialEnd::Passed | TrialEnd::Promoted) => return None,
        Some(TrialEnd::RolledBack) => (
            ExitCode::RolledBack,
            format!("rolled back: {name} is on {from} again, not on {to}"),
            format!("compare both: `vhost ctl compare {name} {from} {to}`"),
            FaultKind::Unhealthy,
        ),
        Some(TrialEnd::Inconclusive) => (
            ExitCode::CannotTell,
            format!("cannot tell whether {to} is worse than {from}: it stays"),
            format!("`vhost ctl undo {name}` goes back"),
            FaultKind::Unhealthy,
        ),
        None => (
            ExitCode::CannotTell,
            format!("paused: the rollout of {to} at {name} waits for a person"),
            format!(
                "`vhost ctl rollout resume {name}` goes on, `promote` makes it live, `abort` ends it"
            ),
            FaultKind::Unhealthy,
        ),
        Some(TrialEnd::Alarm) => (
            ExitCode::Failed,
            format!("{to} is worse than {from}, and {from} can't take its place"),
            format!("make a backend of `{from}` healthy, then `vhost ctl undo {name}`"),
            FaultKind::Unhealthy,
        ),
        Some(TrialEnd::Aborted) => (
            ExitCode::Conflict,
            format!("aborted: {name} is on {from} again"),
            format!("see `vhost ctl history {name}`"),
            FaultKind::Conflict,
        ),
        Some(TrialEnd::Superseded) => (
            ExitCode::Conflict,
            format!("somebody else has moved {name} meanwhile"),
            format!("see `vhost ctl history {name}`"),
            FaultKind::Conflict,
        ),
    };
    Some(Problem { exit, ..Problem::found(what, cause, kind, hint) })
}
