//! `vhost ctl rollout …`: a new tag gets its share step by step.

use clap::{Args, Subcommand};

use super::before::BeforeArgs;
use super::connect::Session;
use super::domain::unfit;
use super::guard::{JudgeArgs, attend, follow};
use super::smoke::SmokeArgs;
use super::split::{PromoteArgs, moved};
use super::{switch_progress, trial_view};
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::time::{parse_drain_timeout, parse_timeout};
use crate::model::{DomainName, RolloutOptions, RolloutSteps, SwitchOptions, SwitchProgress, Tag};
use crate::rpc::methods::rollout::{
    self, AbortParams, ListParams, NameParams, StartParams, WaitParams,
};

#[derive(Debug, Subcommand)]
pub(super) enum RolloutVerb {
    Start(StartArgs),
    /// Show the rollouts and guards that run, and the last that ended
    #[command(
        after_help = "Examples:\n  vhost ctl rollout status\n  vhost ctl rollout status example.com"
    )]
    Status {
        /// The domain, or its app: shown in full
        #[arg(value_name = "DOMAIN|APP")]
        domain: Option<DomainName>,
    },
    /// Pause a rollout: the new tag keeps its share, and is still judged
    #[command(after_help = "Example:\n  vhost ctl rollout pause example.com")]
    Pause {
        /// The domain, or its app
        #[arg(value_name = "DOMAIN|APP")]
        domain: DomainName,
    },
    /// Let a paused rollout go on
    #[command(after_help = "Example:\n  vhost ctl rollout resume example.com")]
    Resume {
        /// The domain, or its app
        #[arg(value_name = "DOMAIN|APP")]
        domain: DomainName,
    },
    #[command(after_help = "Example:\n  vhost ctl rollout promote example.com")]
    Promote(PromoteArgs),
    Abort(AbortArgs),
    Wait(WaitArgs),
}

/// Make a tag live step by step, each judged by its own traffic
///
/// The new tag's backends are probed first. Then it gets the share of the first step, and more at each further
/// one, as long as its backends fail no more requests than the old tag's, and answer no later. If they do, every
/// client gets the old tag again, and the command exits with 8. A client that has got the new tag keeps it. After
/// the last step the new tag is live alone. The rollout goes on if this command ends, and after a restart.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl rollout start example.com b --steps 1%:5m,10%:10m,50%:10m
  vhost ctl rollout start shop --steps 5%:2m,50%:5m --max-error-delta 0.5% --no-wait")]
pub(super) struct StartArgs {
    /// The domain, or the app, all of whose domains are meant
    #[arg(value_name = "DOMAIN|APP")]
    domain: DomainName,
    /// The new tag [default: the other one]
    tag: Option<Tag>,
    /// Another domain in the same rollout; may be repeated
    #[arg(long, value_name = "DOMAIN")]
    also: Vec<DomainName>,
    /// The shares, and how long the new tag has each at least
    #[arg(long, value_name = "SHARE:TIME,…")]
    steps: RolloutSteps,
    /// How long a step may wait for enough requests after its own time; then it counts as inconclusive
    /// [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    max_wait: Option<u64>,
    /// Don't judge the new tag: each step ends by its time alone
    #[arg(long, conflicts_with_all = ["max_error_delta", "max_p95_ratio", "min_requests", "inconclusive", "max_wait"])]
    unguarded: bool,
    #[command(flatten)]
    judge: JudgeArgs,
    /// How long the gate waits for the new tag to be healthy, such as `30s`
    /// [default: `gate_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    timeout: Option<u64>,
    /// Go on without the gate
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    smoke: SmokeArgs,
    /// A text for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    hooks: BeforeArgs,
}

/// End a rollout, or a guard: every client gets the old tag again
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  vhost ctl rollout abort example.com --reason 'checkout is broken'"
)]
pub(super) struct AbortArgs {
    /// The domain, or its app
    #[arg(value_name = "DOMAIN|APP")]
    domain: DomainName,
    /// How long the new tag's requests may take to end [default: `drain_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_drain_timeout, conflicts_with = "no_drain")]
    drain_timeout: Option<u64>,
    /// Don't wait for the new tag's requests to end
    #[arg(long)]
    no_drain: bool,
    /// A text for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Wait for the end of a rollout or a guard, and exit as it ended
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl rollout wait example.com --timeout 40m")]
pub(super) struct WaitArgs {
    /// The domain, or its app
    #[arg(value_name = "DOMAIN|APP")]
    domain: DomainName,
    /// How long to wait [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    timeout: Option<u64>,
}

impl RolloutVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::Start(args) => args.run(session).await,
            Self::Status { domain } => status(session, domain).await,
            Self::Pause { domain } => {
                let action = format!("pause the rollout of `{}`", domain.shown());
                let report =
                    session.call::<rollout::Pause>(&action, &NameParams { domain }).await?;
                session
                    .printer
                    .changed(&report, &format!("paused: {}", trial_view::standing(&report)));
                Ok(ExitCode::Done)
            }
            Self::Resume { domain } => {
                let action = format!("resume the rollout of `{}`", domain.shown());
                let report =
                    session.call::<rollout::Resume>(&action, &NameParams { domain }).await?;
                session
                    .printer
                    .changed(&report, &format!("goes on: {}", trial_view::standing(&report)));
                Ok(ExitCode::Done)
            }
            Self::Promote(args) => args.run(session).await,
            Self::Abort(args) => {
                let AbortArgs { domain, drain_timeout, no_drain, reason } = args;
                let action = format!("abort the rollout of `{}`", domain.shown());
                let options = SwitchOptions {
                    drain_timeout_ms: drain_timeout,
                    no_drain,
                    reason,
                    ..SwitchOptions::default()
                };
                let params = AbortParams { domain, options };
                let report = session.call::<rollout::Abort>(&action, &params).await?;
                moved(session, &action, &report).map_or(Ok(ExitCode::from(&report.outcome)), Err)
            }
            Self::Wait(WaitArgs { domain, timeout }) => {
                let action = format!("wait for the rollout of `{}`", domain.shown());
                let params = WaitParams {
                    domain: Some(domain),
                    id: None,
                    through_pauses: true,
                    timeout_ms: timeout,
                };
                attend(session, &action, &params).await
            }
        }
    }
}

impl StartArgs {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let action = format!("roll out at `{}`", self.domain.shown());
        let domains = std::iter::once(self.domain).chain(self.also).collect();
        let switch = SwitchOptions {
            timeout_ms: self.timeout,
            force: self.force,
            reason: self.reason,
            smoke: self.smoke.read().map_err(unfit)?,
            before: self.hooks.before,
            ..SwitchOptions::default()
        };
        let options = RolloutOptions {
            steps: self.steps,
            max_wait_ms: self.max_wait,
            unguarded: self.unguarded,
            guard: self.judge.options(),
            switch,
        };
        let params = StartParams { domains, tag: self.tag.clone(), options };
        let report = session
            .attend::<rollout::Start>(
                &action,
                &params,
                Problem::interrupted,
                |printer, progress| match &progress {
                    SwitchProgress::Switched { steps, revision, .. } => {
                        let text =
                            format!("{} at revision {revision}", switch_progress::moves(steps));
                        printer.reached("started", &text);
                    }
                    _ => switch_progress::report(printer, self.tag.as_ref(), &progress),
                },
            )
            .await?;
        if let Some(id) = report.trial.filter(|_| !self.judge.no_wait) {
            return follow(session, id).await;
        }
        let moves = switch_progress::moves(&report.steps);
        session.printer.concluded(&report, &format!("rollout of {moves} began"));
        Ok(ExitCode::Done)
    }
}

async fn status(
    session: &mut Session<'_>,
    domain: Option<DomainName>,
) -> Result<ExitCode, Problem> {
    let params = ListParams { domain: domain.clone() };
    let list = session.call::<rollout::List>("list the rollouts", &params).await?;
    let now_ms = session.printer.now_ms();
    if let (Some(_), Some(first)) = (domain, list.trials.first()) {
        session.printer.show(first, trial_view::facts(first, now_ms));
    } else {
        let table = trial_view::table(&list.trials, now_ms);
        session.printer.list(&list, table, "nothing is rolled out, and nothing guarded");
    }
    Ok(ExitCode::Done)
}
