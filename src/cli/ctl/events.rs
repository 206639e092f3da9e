//! `vhost ctl events`.

use clap::Args;
use clap::builder::RangedU64ValueParser;
use tokio::sync::Notify;

use super::connect::Session;
use super::history::{what, who};
use crate::cli::exit_code::ExitCode;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::time::timestamp;
use crate::model::{DomainName, Event};
use crate::rpc::methods::event::{self, ListParams, WatchParams};

/// Show events, one per line, the newest last
///
/// With `--output json`, each line is a JSON object. A switch that is shown while it drains is
/// shown again when it has ended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl events --follow
  vhost ctl events example.com --follow --limit 1 --output json")]
pub(super) struct EventsArgs {
    /// Only events of this domain
    domain: Option<DomainName>,
    /// Show new events as they happen, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Begin with at most this many past events [default: the server's, 20]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
}

impl EventsArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { domain, follow, limit } = self;
        if !follow {
            let params = ListParams { domain, limit };
            let list = session.call::<event::List>("read the history", &params).await?;
            if list.events.is_empty() {
                session.printer.note("nothing has happened yet");
            }
            list.events.iter().rev().for_each(|event| show(&mut session.printer, event));
            return Ok(ExitCode::Done);
        }
        let params = WatchParams { domain, limit, after: None, count: None };
        let unread = Notify::new();
        let show = |printer: &mut Printer<'_>, event: Event| {
            show(printer, &event);
            if printer.has_failed() {
                unread.notify_one();
            }
        };
        tokio::select! {
            biased;
            followed = session.watch::<event::Watch>("follow the events", &params, show) => {
                followed.map(|_| {
                    session.printer.note("the server is stopping");
                    ExitCode::Done
                })
            }
            Ok(()) = tokio::signal::ctrl_c() => Ok(ExitCode::Done),
            // The printer reports the error at the end.
            () = unread.notified() => Ok(ExitCode::Done),
        }
    }
}

fn show(printer: &mut Printer<'_>, event: &Event) {
    let (time, revision) = (timestamp(event.at_ms), event.revision);
    let (who, what) = (who(&event.actor), what(&event.kind));
    printer.entry(event, &format!("{time}  {revision:>4}  {who:<11}  {what}"));
}
