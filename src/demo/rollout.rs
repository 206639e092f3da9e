//! A version that is bad meets its first clients and goes by itself; one that is good stays.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::backend::Plan;
use super::report;
use super::stage::{DemoError, Stage, domain, parsed};
use super::tour::DemoOutcome;
use super::traffic::{Tally, Traffic};
use crate::model::{
    GuardOptions, RolloutOptions, SideFigures, SwitchOptions, TrialEnd, TrialReport, time_in_words,
};
use crate::rpc::client::Client;
use crate::rpc::methods::rollout;

/// How long traffic flows before the first rollout: what the old version does is what new ones are compared with.
const BEFORE: Duration = Duration::from_secs(3);

/// The steps of both rollouts.
const STEPS: &str = "5%:4s,25%:4s,50%:4s";

/// The width of the bar of a share.
const BAR: usize = 20;

/// Shows two rollouts; with `stay`, keeps the server and its traffic running until `ended`.
///
/// # Errors
/// When the demo can't be set up.
pub(crate) async fn run(
    talk: &mut (impl Write + Send),
    stay: bool,
    mut ended: watch::Receiver<bool>,
) -> Result<DemoOutcome, DemoError> {
    let plan = |id, tag, failing| Plan { id, tag, failing };
    let plans = [plan("web-1", "a", 0), plan("web-2", "b", 30), plan("web-3", "c", 0)];
    let stage = Stage::set_up(&plans).await?;
    writeln!(talk, "vhost demo --rollout: new versions meet their first clients\n")?;
    report::places(talk, &stage.site, &stage.backends)?;
    writeln!(talk, "\nsending requests to a …")?;
    let traffic = Traffic::start(&stage.site);
    let shown = tokio::select! {
        shown = show(talk, &traffic, stage.socket()) => shown?,
        _ = ended.wait_for(|ended| *ended) => return Ok(DemoOutcome::Interrupted),
    };
    let tally = traffic.tally();
    conclude(talk, &tally)?;
    if stay {
        report::invite_to_rollouts(talk, &stage.site, stage.socket())?;
        // An error means that the sender is gone, which ends it too.
        let _ = ended.wait_for(|ended| *ended).await;
    }
    let tally = traffic.stop().await;
    stage.take_down().await;
    let is_well = shown && (stay || tally.failed.is_empty());
    Ok(if is_well { DemoOutcome::NoneFailed } else { DemoOutcome::SomeFailed })
}

/// Whether both rollouts ended as they must.
async fn show(
    talk: &mut (impl Write + Send),
    traffic: &Arc<Traffic>,
    socket: &Path,
) -> Result<bool, DemoError> {
    tokio::time::sleep(BEFORE).await;
    let mut client = Client::connect(socket).await?;
    writeln!(talk, "\nb is bad: 30 of 100 of its requests fail\n")?;
    let bad = roll_out(talk, &mut client, traffic, "b").await?;
    writeln!(talk, "\nc is good\n")?;
    let good = roll_out(talk, &mut client, traffic, "c").await?;
    Ok(bad == Some(TrialEnd::RolledBack) && good == Some(TrialEnd::Promoted))
}

async fn roll_out(
    talk: &mut (impl Write + Send),
    client: &mut Client,
    traffic: &Arc<Traffic>,
    tag: &'static str,
) -> Result<Option<TrialEnd>, DemoError> {
    writeln!(talk, "  $ vhost ctl rollout start {} {tag} --steps {STEPS}\n", domain())?;
    writeln!(
        talk,
        "  {:<29}{:>15}   {:>18}",
        format!("clients of {tag}"),
        format!("{tag} failed"),
        "clients saw"
    )?;
    let options = RolloutOptions {
        steps: STEPS.parse().map_err(io::Error::other)?,
        max_wait_ms: None,
        unguarded: false,
        guard: GuardOptions::default(),
        switch: SwitchOptions::default(),
    };
    let params = rollout::StartParams { domains: vec![domain()], tag: Some(parsed(tag)), options };
    let began = Instant::now();
    let started = client.call::<rollout::Start>(&params, |_| {}).await?;
    let params = rollout::WaitParams {
        domain: None,
        id: started.trial,
        through_pauses: false,
        timeout_ms: None,
    };
    // The client reports from where nothing can be awaited.
    let lines = Mutex::new((talk, Instant::now().checked_sub(Duration::from_secs(1))));
    let ended = client
        .call::<rollout::Wait>(&params, |now| {
            let mut lines = lines.lock();
            let (talk, last) = &mut *lines;
            if last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1)) {
                *last = Some(Instant::now());
                let _ = writeln!(talk, "  {}", line(&now, &traffic.tally()));
                let _ = talk.flush();
            }
        })
        .await?;
    let (talk, _) = lines.into_inner();
    let what = match ended.end {
        Some(TrialEnd::RolledBack) => "rolled back",
        Some(TrialEnd::Promoted) => "promoted: it is live alone",
        _ => "not as it should be",
    };
    let took = time_in_words(Duration::from_secs(began.elapsed().as_secs()));
    writeln!(talk, "\n  {what} after {took}")?;
    if let Some(cause) = &ended.cause {
        writeln!(talk, "  {cause}")?;
    }
    Ok(ended.end)
}

/// How a rollout stands.
fn line(now: &TrialReport, tally: &Tally) -> String {
    let share = now.rollout.as_ref().map(|rollout| rollout.share).unwrap_or_default();
    let full = (0..BAR)
        .take_while(|at| share.fraction() * 20.0 > f64::from(u8::try_from(*at).unwrap_or(0)));
    let full = full.count();
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
    let failed = |side: &SideFigures| format!("{} of {}", side.failures, side.requests);
    let failed = now.evidence.as_ref().map(|evidence| failed(&evidence.new)).unwrap_or_default();
    let seen: u64 = tally.failed.values().sum();
    format!("{bar} {:>5}   {failed:>15}   {:>11} errors", share.to_string(), seen)
}

fn conclude(talk: &mut impl Write, tally: &Tally) -> io::Result<()> {
    let failed: u64 = tally.failed.values().sum();
    writeln!(talk, "\n  requests sent                     {}", tally.sent)?;
    writeln!(talk, "  failed                            {failed}")?;
    for (reason, count) in &tally.failed {
        writeln!(talk, "    {count} × {reason}")?;
    }
    writeln!(
        talk,
        "\nWhat b failed before its answer began, a has answered: nobody saw it, and b\n\
         was blamed."
    )?;
    talk.flush()
}
