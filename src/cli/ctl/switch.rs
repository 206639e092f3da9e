//! `vhost ctl switch` and `vhost ctl undo`.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;

use super::before::BeforeArgs;
use super::connect::Session;
use super::domain::unfit;
use super::guard::{GuardArgs, follow};
use super::plan;
use super::smoke::SmokeArgs;
use super::switch_progress::{self, moves};
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{count, join};
use crate::cli::time::{parse_drain_timeout, parse_timeout, span};
use crate::model::{DomainName, Outcome, SwitchOptions, SwitchProgress, SwitchReport, Tag};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::Method;
use crate::rpc::methods::switch::{self, ApplyParams, StartParams, UndoParams};

/// What a plan says already. Not `exclusive`, which would refuse `--socket` too.
const OTHERS: [&str; 15] = [
    "before",
    "domain",
    "also",
    "plan",
    "timeout",
    "drain_timeout",
    "no_drain",
    "force",
    "reason",
    "smoke",
    "guard",
    "max_error_delta",
    "max_p95_ratio",
    "min_requests",
    "inconclusive",
];

/// Move a domain, or all domains of an app, to another tag
///
/// No request is lost. The new tag's backends are probed first: that is the gate. If too few are healthy in
/// time, nothing changes. Then every new request goes to the new tag, and the command returns when the old
/// tag's requests have ended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl switch example.com b
  vhost ctl switch example.com --also shop.example.com --reason 'release 42'
  vhost ctl switch example.com b --guard 5m
  vhost ctl switch example.com b --before approve
  vhost ctl switch example.com b --plan
  vhost ctl switch --apply p2223k7q4xmw")]
pub(super) struct SwitchArgs {
    /// The domain to move, or the app, all of whose domains move
    #[arg(value_name = "DOMAIN|APP", required_unless_present = "apply")]
    domain: Option<DomainName>,
    /// The tag to move to [default: the other one]
    tag: Option<Tag>,
    /// Another domain to move in the same step; may be repeated
    #[arg(long, value_name = "DOMAIN")]
    also: Vec<DomainName>,
    /// Show what the switch would do now, without switching, and print a token for `--apply`
    #[arg(long)]
    plan: bool,
    /// Carry out the plan with this token; refused if its domains, or the backends of their old and
    /// new tags, have changed since. A plan is kept for 24 hours
    #[arg(long, value_name = "TOKEN", conflicts_with_all = OTHERS)]
    apply: Option<String>,
    #[command(flatten)]
    options: OptionArgs,
    #[command(flatten)]
    smoke: SmokeArgs,
    #[command(flatten)]
    hooks: BeforeArgs,
    #[command(flatten)]
    guard: GuardArgs,
}

/// Move a domain, or all domains of an app, back to the previous tag
///
/// It goes through the same gate and drain as `switch`. A second undo moves forward again.
#[derive(Debug, Args)]
#[command(
    // `mut_arg` would move it behind the others.
    mut_args(|arg| match arg.get_id().as_str() {
        "timeout" => arg.help(
            "How long the gate waits for the previous tag to be healthy, such as `30s` [default: \
             `gate_timeout_secs` of `[switch]`, 30s]",
        ),
        _ => arg,
    }),
    after_help = "Examples:
  vhost ctl undo example.com --reason 'checkout is broken'
  vhost ctl undo shop"
)]
pub(super) struct UndoArgs {
    /// The domain to move back, or the app, all of whose domains move
    #[arg(value_name = "DOMAIN|APP")]
    domain: DomainName,
    #[command(flatten)]
    options: OptionArgs,
}

#[derive(Debug, Args)]
struct OptionArgs {
    /// How long the gate waits for the new tag to be healthy, such as `30s`
    /// [default: `gate_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    timeout: Option<u64>,
    /// How long the old tag's requests may take to end [default: `drain_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_drain_timeout, conflicts_with = "no_drain")]
    drain_timeout: Option<u64>,
    /// Don't wait for the old tag's requests to end
    #[arg(long)]
    no_drain: bool,
    /// Go on without the gate: switch even if the new tag's backends are not healthy, or serve another
    /// domain only
    #[arg(long)]
    force: bool,
    /// A text for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl SwitchArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { domain, tag, also, plan, apply, options, smoke, guard, hooks } = self;
        let no_wait = guard.judge.no_wait;
        if let Some(token) = apply {
            let params = ApplyParams { token };
            return operate::<switch::Apply>(session, "apply the plan", &params, None, no_wait)
                .await;
        }
        let domains: Vec<_> = domain.into_iter().chain(also).collect();
        let names = join(domains.iter().map(|domain| format!("`{}`", domain.shown())));
        let action = match &tag {
            Some(tag) => format!("switch {names} to `{tag}`"),
            None => format!("switch {names}"),
        };
        let (guard, before, smoke) = (guard.options(), hooks.before, smoke.read().map_err(unfit)?);
        let options = SwitchOptions { guard, smoke, before, ..options.into() };
        let params = StartParams { domains, tag: tag.clone(), options };
        if plan {
            let action = format!("plan to {action}");
            let plan = session.call::<switch::Plan>(&action, &params).await?;
            plan::show(&mut session.printer, &plan);
            return Ok(ExitCode::Done);
        }
        operate::<switch::Start>(session, &action, &params, tag.as_ref(), no_wait).await
    }
}

impl UndoArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { domain, options } = self;
        let action = format!("undo the switch of `{}`", domain.shown());
        let params = UndoParams { domain, options: options.into() };
        operate::<switch::Undo>(session, &action, &params, None, false).await
    }
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

async fn operate<M>(
    session: &mut Session<'_>,
    action: &str,
    params: &M::Params,
    tag: Option<&Tag>,
    no_wait: bool,
) -> Result<ExitCode, Problem>
where
    M: Method<Result = SwitchReport, Progress = SwitchProgress>,
{
    let report = session
        .attend::<M>(action, params, Problem::interrupted, |printer, progress| {
            switch_progress::report(printer, tag, &progress);
        })
        .await?;
    for domain in &report.unchanged {
        let live = tag.map_or_else(|| "there".to_owned(), |tag| format!("on `{tag}`"));
        session.printer.reached("unchanged", &format!("{} is already {live}", domain.shown()));
    }
    if let Some(problem) = shortfall(action, &report) {
        session.printer.for_scripts(&report);
        return Err(problem);
    }
    if let Some(id) = report.trial.filter(|_| !no_wait) {
        session.printer.reached("done", &conclusion(&report));
        return follow(session, id).await;
    }
    session.printer.concluded(&report, &conclusion(&report));
    Ok(ExitCode::from(&report.outcome))
}

/// The last line of a successful switch; the moves were printed before.
fn conclusion(report: &SwitchReport) -> String {
    let revision = report.revision;
    if report.steps.is_empty() {
        return format!("nothing changed, revision {revision}");
    }
    let gate = span(Duration::from_millis(report.gate_ms));
    let switch = report.switch_ms.map(|took| format!(", switch {}", span(took.get())));
    let switch = switch.unwrap_or_default();
    let drain = match report.outcome {
        Outcome::Done => format!("drain {}", span(Duration::from_millis(report.drain_ms))),
        _ => "drain not waited for".to_owned(),
    };
    format!("revision {revision} (check {gate}{switch}, {drain})")
}

/// What to do about WebSockets for which a drain was too short.
pub(super) fn late_web_sockets(web_sockets: usize, ended_after_ms: Option<u64>) -> String {
    if web_sockets == 0 {
        return String::new();
    }
    let sockets = count(web_sockets, "WebSocket");
    match ended_after_ms.map(|ms| span(Duration::from_millis(ms))) {
        Some(time) => format!(
            "; the server closes the last of {sockets} {time} after the switch, so give more than \
             that as `--drain-timeout`"
        ),
        None => format!(
            "; of {sockets} each end is left to its client or backend, unless `drain.websockets` of \
             the domain says when the server closes them"
        ),
    }
}

/// The problem to print if the switch did not end as intended.
pub(super) fn shortfall(action: &str, report: &SwitchReport) -> Option<Problem> {
    let steps = moves(&report.steps);
    let domain = report.steps.first().map_or_else(String::new, |step| step.domain.shown());
    let (what, message, hint, kind) = match &report.outcome {
        Outcome::Done | Outcome::NotDrained | Outcome::Draining => return None,
        Outcome::DrainTimedOut { remaining } => {
            let requests = count(*remaining, "request");
            let old = report.steps.iter().map(|step| &step.from).collect::<BTreeSet<_>>();
            let old = join(old);
            let drain = span(Duration::from_millis(report.drain_ms));
            (
                format!("switched, but not drained: {steps} at revision {}", report.revision),
                format!("{requests} not ended on {old} after {drain}"),
                format!(
                    "they may still finish; wait with `vhost ctl wait {domain} --until drained`{}",
                    late_web_sockets(report.web_sockets, report.ended_after_ms)
                ),
                FaultKind::Timeout,
            )
        }
        Outcome::Interrupted => (
            format!("switched, but not drained: {steps} at revision {}", report.revision),
            "the server stopped before the drain had ended".to_owned(),
            "see `vhost ctl status`".to_owned(),
            FaultKind::Timeout,
        ),
        Outcome::Superseded => (
            format!("switched, and then switched again: {steps} at revision {}", report.revision),
            "another switch began before the drain had ended".to_owned(),
            format!("see `vhost ctl history {domain}`"),
            FaultKind::Conflict,
        ),
        Outcome::Unknown => (
            format!("cannot tell how it ended: {steps} at revision {}", report.revision),
            "the server is newer and reports an outcome that this `vhost` does not know".to_owned(),
            "see `vhost ctl status`; update this `vhost`".to_owned(),
            FaultKind::Unknown,
        ),
        Outcome::GateFailed { cause } => (
            format!("cannot {action}"),
            cause.clone(),
            "nothing has changed; see `vhost ctl backend list`".to_owned(),
            FaultKind::Unhealthy,
        ),
    };
    let exit = ExitCode::from(&report.outcome);
    Some(Problem { exit, ..Problem::found(what, message, kind, hint) })
}
