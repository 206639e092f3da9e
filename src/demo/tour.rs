//! What is shown, step by step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::backend::Plan;
use super::report;
use super::report::{Leg, Report};
use super::stage::{DemoError, Stage, domain, parsed};
use super::traffic::{Site, Traffic};
use crate::model::SwitchOptions;
use crate::rpc::client::{Client, ClientError};
use crate::rpc::methods::switch;

/// How long traffic flows before a switch and after it.
const LEG_DURATION: Duration = Duration::from_secs(1);

/// How the demo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DemoOutcome {
    /// Not one request failed.
    NoneFailed,
    SomeFailed,
    /// It was interrupted before the end.
    Interrupted,
}

/// Shows the tour; with `stay`, keeps the server running until `ended`.
///
/// # Errors
/// When the demo can't be set up.
pub(crate) async fn run(
    talk: &mut impl std::io::Write,
    stay: bool,
    mut ended: watch::Receiver<bool>,
) -> Result<DemoOutcome, DemoError> {
    let plan = |id, tag| Plan { id, tag, failing: 0 };
    let plans = [plan("web-1", "a"), plan("web-2", "a"), plan("web-3", "b"), plan("web-4", "b")];
    let stage = Stage::set_up(&plans).await?;
    report::introduce(talk, &stage.site, &stage.backends)?;

    let report = tokio::select! {
        report = show(&stage.site, stage.socket()) => report?,
        _ = ended.wait_for(|ended| *ended) => return Ok(DemoOutcome::Interrupted),
    };
    report.tell(talk)?;

    if stay {
        report::invite(talk, &stage.site, stage.socket())?;
        // An error means that the sender is gone, which ends it too.
        let _ = ended.wait_for(|ended| *ended).await;
    }
    stage.take_down().await;
    Ok(if report.none_failed() { DemoOutcome::NoneFailed } else { DemoOutcome::SomeFailed })
}

/// Sends traffic, switches under it, and back.
async fn show(site: &Site, socket: &Path) -> Result<Report, ClientError> {
    let traffic = Traffic::start(site);
    tokio::time::sleep(LEG_DURATION).await;
    let mut client = Client::connect(socket).await?;
    let there = leg(&traffic, &mut client, Some("b")).await?;
    let back = leg(&traffic, &mut client, None).await?;
    Ok(Report { there, back, totals: traffic.stop().await })
}

/// Switches to `tag`, or back, under traffic, and keeps the traffic running for a while.
async fn leg(
    traffic: &Arc<Traffic>,
    client: &mut Client,
    tag: Option<&'static str>,
) -> Result<Leg, ClientError> {
    let to = tag.unwrap_or("a");
    let options = SwitchOptions::default();
    traffic.expect_any();
    let switched = if let Some(tag) = tag {
        let params =
            switch::StartParams { domains: vec![domain()], tag: Some(parsed(tag)), options };
        client.call::<switch::Start>(&params, |_| {}).await?
    } else {
        let params = switch::UndoParams { domain: domain(), options };
        client.call::<switch::Undo>(&params, |_| {}).await?
    };
    let first = traffic.expect_only(to).await;
    tokio::time::sleep(LEG_DURATION).await;
    Ok(Leg { to, switched, first })
}
