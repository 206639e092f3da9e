//! `vhost ctl split` and `vhost ctl promote`.

use std::str::FromStr;

use clap::Args;

use super::connect::Session;
use super::domain::unfit;
use super::smoke::SmokeArgs;
use super::{switch, switch_progress};
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::join;
use crate::cli::time::{parse_drain_timeout, parse_timeout};
use crate::model::{
    DomainName, Outcome, ParseError, Share, SplitReport, SwitchOptions, SwitchReport, Tag, TagShare,
};
use crate::rpc::methods::split::{self, PromoteParams, SetParams};

/// Give tags a share of a domain's clients; the live tag has the rest
///
/// A client that has got a tag keeps it while the tag's share grows. A tag that had no share is probed first, and
/// one that has none any more is drained.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl split example.com b=10%
  vhost ctl split example.com b=25% c=5%
  vhost ctl split example.com b=0")]
pub(super) struct SplitArgs {
    /// The domain, or the app, all of whose domains are meant
    #[arg(value_name = "DOMAIN|APP")]
    domain: DomainName,
    /// The tags with their shares in percent
    #[arg(value_name = "TAG=SHARE", required = true)]
    shares: Vec<ShareArg>,
    #[command(flatten)]
    options: OptionArgs,
    #[command(flatten)]
    smoke: SmokeArgs,
}

/// Make the tag that has a share, or that is being rolled out, live alone
///
/// The other tags are drained. `vhost ctl undo` goes back.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl promote example.com")]
pub(super) struct PromoteArgs {
    /// The domain, or the app, all of whose domains are meant
    #[arg(value_name = "DOMAIN|APP")]
    domain: DomainName,
    /// The tag, where several have a share
    tag: Option<Tag>,
    #[command(flatten)]
    options: OptionArgs,
}

#[derive(Debug, Args)]
struct OptionArgs {
    /// How long the gate waits for a tag to be healthy, such as `30s`
    /// [default: `gate_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    timeout: Option<u64>,
    /// How long requests of a tag that is left may take to end
    /// [default: `drain_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_drain_timeout, conflicts_with = "no_drain")]
    drain_timeout: Option<u64>,
    /// Don't wait for them to end
    #[arg(long)]
    no_drain: bool,
    /// Go on without the gate
    #[arg(long)]
    force: bool,
    /// A text for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl From<OptionArgs> for SwitchOptions {
    fn from(args: OptionArgs) -> Self {
        let OptionArgs { timeout, drain_timeout, no_drain, force, reason } = args;
        Self {
            timeout_ms: timeout,
            drain_timeout_ms: drain_timeout,
            no_drain,
            force,
            reason,
            ..Self::default()
        }
    }
}

/// A tag with its share, as it is typed.
#[derive(Debug, Clone)]
struct ShareArg(TagShare);

impl FromStr for ShareArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tag, share) = text.split_once('=').ok_or("write TAG=SHARE, such as `b=10%`")?;
        let tag: Tag = tag.parse().map_err(|error: ParseError| error.to_string())?;
        let share: Share = share.parse().map_err(|error: ParseError| error.to_string())?;
        Ok(Self(TagShare { tag, share }))
    }
}

impl SplitArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let action = format!("split `{}`", self.domain.shown());
        let shares = self.shares.into_iter().map(|share| share.0).collect();
        let smoke = self.smoke.read().map_err(unfit)?;
        let options = SwitchOptions { smoke, ..self.options.into() };
        let params = SetParams { domains: vec![self.domain], shares, options };
        let report = session
            .attend::<split::Set>(&action, &params, Problem::interrupted, |printer, progress| {
                switch_progress::report(printer, None, &progress);
            })
            .await?;
        session.printer.concluded(&report, &conclusion(&report));
        Ok(ExitCode::from(&report.outcome))
    }
}

impl PromoteArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { domain, tag, options } = self;
        let action = format!("promote the new tag of `{}`", domain.shown());
        let params = PromoteParams { domain, tag: tag.clone(), options: options.into() };
        let report = session
            .attend::<split::Promote>(
                &action,
                &params,
                Problem::interrupted,
                |printer, progress| {
                    switch_progress::report(printer, tag.as_ref(), &progress);
                },
            )
            .await?;
        moved(session, &action, &report).map_or(Ok(ExitCode::from(&report.outcome)), Err)
    }
}

/// Prints how a move ended that `report` is about. What is wrong, where something is.
pub(super) fn moved(
    session: &mut Session<'_>,
    action: &str,
    report: &SwitchReport,
) -> Option<Problem> {
    let problem = switch::shortfall(action, report);
    if problem.is_some() {
        session.printer.for_scripts(report);
    } else {
        let moves = switch_progress::moves(&report.steps);
        let text = format!("{moves} at revision {}", report.revision);
        session.printer.concluded(report, &text);
    }
    problem
}

fn conclusion(report: &SplitReport) -> String {
    if report.moves.is_empty() {
        return format!("nothing changed, revision {}", report.revision);
    }
    let moves = report
        .moves
        .iter()
        .map(|one| format!("{} {} {} → {}", one.domain.shown(), one.tag, one.before, one.after));
    let drain = match &report.outcome {
        Outcome::DrainTimedOut { remaining } => format!(", {remaining} requests not drained"),
        Outcome::NotDrained => ", drain not waited for".to_owned(),
        _ => String::new(),
    };
    format!("{} at revision {}{drain}", join(moves), report.revision)
}
