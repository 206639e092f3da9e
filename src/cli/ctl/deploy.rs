//! `vhost ctl deploy`.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::before::BeforeArgs;
use super::connect::Session;
use super::domain::unfit;
use super::guard::{GuardArgs, follow};
use super::history::deployed;
use super::options::OptionArgs;
use super::smoke::SmokeArgs;
use super::switch::late_web_sockets;
use super::switch_progress::{left_behind, moves, smoke};
use super::{cert, cert_view};
use crate::cli::exit_code::ExitCode;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::table::{count, join};
use crate::cli::time::{parse_drain_timeout, parse_millis, parse_timeout, span};
use crate::model::{
    AppName, AppOptions, BackendAddr, DeployOptions, DeployPlan, DeployProgress, DeployReport,
    DeployRollout, DeployedApp, DomainName, HealthPath, Outcome, ReleaseLabel, RolloutSteps,
    Scheme, SwitchOptions, Tag, Weight,
};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::app;
use crate::rpc::methods::switch::ApplyParams;

/// What a plan says already. Not `exclusive`, which would refuse `--socket` too.
const OTHERS: [&str; 28] = [
    "before",
    "app",
    "addresses",
    "hosts",
    "health_path",
    "release",
    "tag",
    "keep",
    "also",
    "weight",
    "scheme",
    "option",
    "no_option",
    "plan",
    "wait",
    "timeout",
    "drain_timeout",
    "no_drain",
    "force",
    "reason",
    "steps",
    "max_wait",
    "smoke",
    "guard",
    "max_error_delta",
    "max_p95_ratio",
    "min_requests",
    "inconclusive",
];

/// Make a new version of an app live without losing a request
///
/// The new backends are probed first: that is the gate. If too few are healthy in time, nothing changes.
/// Then all domains of the app move in one step, and the command returns when the requests of the old
/// version have ended. The old version is kept as a stand-by for `vhost ctl undo APP` until the next deploy;
/// what is older is removed.
///
/// The new version takes the tag that was live before the present one, or else whichever of `a` and `b` is
/// free. It replaces what carries that tag: backends of the app with that tag alone are removed, also those
/// that you added yourself. `--plan` lists what is removed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl deploy shop localhost:3007 --host shop.example.com
  vhost ctl deploy shop 10.0.0.5:3000 10.0.0.6:3000 --release v42
  vhost ctl deploy shop localhost:3008 --plan")]
#[expect(clippy::struct_excessive_bools, reason = "they are independent flags of the command line")]
pub(super) struct DeployArgs {
    /// The app; the first deploy makes it
    #[arg(required_unless_present = "apply")]
    app: Option<AppName>,
    /// Where the backends of the new version listen: `host:port` or `unix:/path`
    #[arg(value_name = "ADDRESS", required_unless_present = "apply")]
    addresses: Vec<BackendAddr>,
    /// A domain of the app; added if it is new, refused if it is in another app or in none; may be repeated
    #[arg(long = "host", value_name = "DOMAIN")]
    hosts: Vec<DomainName>,
    /// The path that the app's health check requests; other keys of it are `--option health_check.KEY=…`
    #[arg(long, value_name = "PATH")]
    health_path: Option<HealthPath>,
    /// A label for the new version, such as a version number or a commit: at most 64 ASCII letters, digits
    /// and marks, without spaces
    #[arg(long, value_name = "LABEL")]
    release: Option<ReleaseLabel>,
    /// The tag of the new version; what carries it is replaced [default: the tag that was live before the
    /// present one, or else whichever of `a` and `b` is free]
    #[arg(long)]
    tag: Option<Tag>,
    /// How long to keep the stand-by after the end of the drain, such as `1h`; `0` removes it at the end of
    /// the drain, also of one that timed out (exit status 7): then there is no `undo`
    /// [default: until the next deploy]
    #[arg(long, value_name = "TIME", value_parser = parse_millis)]
    keep: Option<u64>,
    /// Another app that gets the same version in the same step; may be repeated
    #[arg(long, value_name = "APP")]
    also: Vec<AppName>,
    /// The share of traffic of each new backend, relative to others
    #[arg(long)]
    weight: Option<Weight>,
    /// The protocol that the new backends speak: http, https, h2 or h2c
    #[arg(long)]
    scheme: Option<Scheme>,
    /// Show what the deploy would do now, without a probe or a change, and print a token for `--apply`
    #[arg(long)]
    plan: bool,
    /// Carry out the plan with this token; refused if it would do something else by now. A plan is kept for
    /// 24 hours
    #[arg(long, value_name = "TOKEN", conflicts_with_all = OTHERS)]
    apply: Option<String>,
    /// If another deploy of the app is under way, wait for its end
    #[arg(long)]
    wait: bool,
    /// How long the gate waits for the new version to be healthy, such as `30s`
    /// [default: `gate_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    timeout: Option<u64>,
    /// How long requests of the old version may take to end
    /// [default: `drain_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_drain_timeout, conflicts_with = "no_drain")]
    drain_timeout: Option<u64>,
    /// Don't wait for the requests of the old version to end
    #[arg(long)]
    no_drain: bool,
    /// Go on without the gate: the version becomes live even if it is not healthy
    #[arg(long)]
    force: bool,
    /// A text for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    hooks: BeforeArgs,
    /// Make it live step by step: the shares of clients that get it, and how long each lasts at least, such as
    /// `1%:5m,10%:10m,50%:10m`
    #[arg(long, value_name = "SHARE:TIME,…", help_heading = "Guard", conflicts_with = "keep")]
    steps: Option<RolloutSteps>,
    /// How long a step may wait for enough requests after its own time; then it counts as inconclusive
    /// [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout, requires = "steps", help_heading = "Guard")]
    max_wait: Option<u64>,
    #[command(flatten)]
    smoke: SmokeArgs,
    #[command(flatten)]
    guard: GuardArgs,
    /// Wait until a valid certificate is served for each `--host`
    #[arg(long, requires = "hosts", conflicts_with = "plan")]
    wait_cert: bool,
    // Behind `no_drain`, so that this is no flag that is refused for the key `drain`.
    #[command(flatten)]
    options: OptionArgs<AppOptions, false>,
}

impl DeployArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        if let Some(token) = self.apply {
            let report = session
                .attend::<app::ApplyDeploy>(
                    "apply the plan",
                    &ApplyParams { token },
                    Problem::interrupted,
                    |printer, progress| tell(printer, &progress),
                )
                .await?;
            return ended(session, &report, self.guard.judge.no_wait).await;
        }
        let (plan, wait_cert, no_wait) = (self.plan, self.wait_cert, self.guard.judge.no_wait);
        let params = self.params().map_err(unfit)?;
        let action = format!("deploy `{}`", params.app);
        if plan {
            let action = format!("plan to {action}");
            let plan = session.call::<app::PlanDeploy>(&action, &params).await?;
            session.printer.text(&plan, &planned(&params, &plan));
            return Ok(ExitCode::Done);
        }
        let report = session
            .attend::<app::Deploy>(&action, &params, Problem::interrupted, |printer, progress| {
                tell(printer, &progress);
            })
            .await?;
        if !wait_cert || shortfall(&report).is_some() {
            return ended(session, &report, no_wait).await;
        }
        // The result for scripts, even if there is no certificate in the end.
        session.printer.for_scripts(&report);
        session.printer.reached("deployed", &conclusion(&report));
        for host in &params.hosts {
            let report = cert::wait(session, host, None).await?;
            if let Some(problem) = cert::shortfall(&report) {
                return Err(problem);
            }
            session.printer.reached("done", &cert_view::summary(&report));
        }
        if let Some(id) = report.trial.filter(|_| !no_wait) {
            return follow(session, id).await;
        }
        Ok(ExitCode::from(&report.outcome))
    }

    fn params(self) -> Result<DeployOptions, String> {
        let app = self.app.ok_or_else(|| "an app is missing".to_owned())?;
        let mut backend = Map::new();
        backend.extend(self.weight.map(|weight| ("weight".to_owned(), json!(weight))));
        backend.extend(self.scheme.map(|scheme| ("scheme".to_owned(), json!(scheme))));
        let switch = SwitchOptions {
            timeout_ms: self.timeout,
            drain_timeout_ms: self.drain_timeout,
            no_drain: self.no_drain,
            force: self.force,
            reason: self.reason,
            guard: self.guard.options(),
            smoke: self.smoke.read()?,
            before: self.hooks.before,
        };
        let health =
            self.health_path.map(|path| ("health_check".to_owned(), json!({ "path": path })));
        let options: Map<String, Value> = self.options.patch(health.into_iter().collect())?;
        Ok(DeployOptions {
            app,
            addresses: self.addresses,
            also: self.also,
            tag: self.tag,
            hosts: self.hosts,
            release: self.release,
            keep_ms: self.keep,
            backend: backend.into(),
            options,
            wait: self.wait,
            rollout: self.steps.map(|steps| DeployRollout { steps, max_wait_ms: self.max_wait }),
            switch,
        })
    }
}

/// Prints how a deploy ended, and follows its guard or its rollout where it has one.
async fn ended(
    session: &mut Session<'_>,
    report: &DeployReport,
    no_wait: bool,
) -> Result<ExitCode, Problem> {
    match report.trial.filter(|_| !no_wait && shortfall(report).is_none()) {
        Some(id) => {
            session.printer.reached("deployed", &conclusion(report));
            follow(session, id).await
        }
        None => conclude(session, report).map_or(Ok(ExitCode::from(&report.outcome)), Err),
    }
}

/// Prints how a deploy ended, if it ended as intended; what is wrong otherwise.
fn conclude(session: &mut Session<'_>, report: &DeployReport) -> Option<Problem> {
    let problem = shortfall(report);
    match problem {
        Some(_) => session.printer.for_scripts(report),
        None => session.printer.concluded(report, &conclusion(report)),
    }
    problem
}

/// Prints the phases of a deploy.
fn tell(printer: &mut Printer<'_>, progress: &DeployProgress) {
    match progress {
        DeployProgress::Waiting { app } => {
            printer.reached("waiting", &format!("another deploy of `{app}` is under way"));
        }
        DeployProgress::Checking { app, tag, healthy, needed, total } => {
            let backends = count(*total, "backend");
            let enough = if needed == total { String::new() } else { format!(", {needed} needed") };
            let text = format!("{healthy} of {backends} of `{app}`, tag `{tag}`, healthy{enough}");
            printer.passing("checking", &text);
        }
        DeployProgress::Smoke { passed, failed, total } => smoke(printer, *passed, *failed, *total),
        DeployProgress::Switched { apps, steps, revision, switch_ms } => {
            let took = span(switch_ms.get());
            let what =
                if steps.is_empty() { join(apps.iter().map(deployed)) } else { moves(steps) };
            printer.reached("switched", &format!("{what} at revision {revision} ({took})"));
        }
        DeployProgress::Draining { remaining, web_sockets, ended_in_ms } => {
            printer.counting("draining", &left_behind(*remaining, *web_sockets, *ended_in_ms));
        }
    }
}

/// The last line of a successful deploy.
fn conclusion(report: &DeployReport) -> String {
    let revision = report.revision;
    if report.apps.is_empty() {
        return format!("nothing to do, this is live already; revision {revision}");
    }
    let apps = join(report.apps.iter().map(live_now));
    let gate = span(Duration::from_millis(report.gate_ms));
    let switch = span(report.switch_ms.get());
    let drain = match report.outcome {
        Outcome::Done => format!("drain {}", span(Duration::from_millis(report.drain_ms))),
        _ => "drain not waited for".to_owned(),
    };
    format!("{apps}; revision {revision} (check {gate}, switch {switch}, {drain})")
}

fn live_now(of: &DeployedApp) -> String {
    let DeployedApp { app, to, release, backends_added, .. } = of;
    let name =
        release.as_ref().map_or_else(|| format!("`{to}`"), |label| format!("{label} (`{to}`)"));
    let backends = match backends_added.len() {
        0 => String::new(),
        added => format!(" with {}", count(added, "backend")),
    };
    format!("{app}: {name} is live{backends}")
}

/// What a deploy would do, in lines.
fn planned(params: &DeployOptions, plan: &DeployPlan) -> String {
    if plan.apps.is_empty() {
        return format!("{}: nothing to do, this is live already\n", params.app);
    }
    let mut lines = Vec::new();
    for of in &plan.apps {
        if of.is_new {
            lines.push(format!("add       app {}", of.app));
        }
        lines.extend(of.domains_added.iter().map(|domain| format!("add       domain {domain}")));
        let backends = of.backends_added.iter().zip(&params.addresses);
        lines.extend(backends.map(|(id, address)| format!("add       backend {id} at {address}")));
        lines.extend(of.backends_removed.iter().map(|id| format!("remove    backend {id}")));
    }
    if !plan.steps.is_empty() {
        lines.push(format!("switch    {}", moves(&plan.steps)));
    }
    let gate = span(Duration::from_millis(plan.gate_timeout_ms));
    let drain = plan.drain_timeout_ms.map_or_else(
        || "not waited for".to_owned(),
        |drain| format!("at most {}", span(Duration::from_millis(drain))),
    );
    lines.extend(plan.before.iter().map(|hook| format!("ask       hook {hook}")));
    lines.push(format!("check     at most {gate}, before anything changes; drain {drain}"));
    lines.extend(plan.warnings.iter().map(|warning| format!("warning   {warning}")));
    lines.extend(
        plan.token.as_ref().map(|token| format!("apply     vhost ctl deploy --apply {token}")),
    );
    lines.join("\n") + "\n"
}

/// The problem to print if the deploy did not end as intended.
fn shortfall(report: &DeployReport) -> Option<Problem> {
    let revision = report.revision;
    let app = join(report.apps.iter().map(|of| &of.app));
    let (what, message, hint, kind) = match &report.outcome {
        Outcome::Done | Outcome::NotDrained | Outcome::Draining => return None,
        Outcome::DrainTimedOut { remaining } => (
            format!("deployed, but not drained: {app} at revision {revision}"),
            format!(
                "{} of the version before not ended after {}",
                count(*remaining, "request"),
                span(Duration::from_millis(report.drain_ms))
            ),
            format!(
                "they may still finish; don't stop that version before they have{}",
                late_web_sockets(report.web_sockets, report.ended_after_ms)
            ),
            FaultKind::Timeout,
        ),
        Outcome::Superseded => (
            format!("deployed, and then undone: {app} at revision {revision}"),
            "another switch began before the drain had ended".to_owned(),
            "see `vhost ctl history`".to_owned(),
            FaultKind::Conflict,
        ),
        Outcome::Interrupted | Outcome::Unknown | Outcome::GateFailed { .. } => (
            format!("cannot tell how the deploy of {app} ended"),
            format!("the server reports `{}`", report.outcome),
            "see `vhost ctl history`; update this `vhost`".to_owned(),
            FaultKind::Unknown,
        ),
    };
    let exit = ExitCode::from(&report.outcome);
    Some(Problem { exit, ..Problem::found(what, message, kind, hint) })
}
