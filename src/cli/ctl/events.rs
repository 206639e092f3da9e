//! `vhost ctl events`.

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::connect::Session;
use super::history::{what, who};
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::time::timestamp;
use crate::model::{DomainName, Event};
use crate::rpc::methods::event::{self, ListParams, WatchedEvent};

/// Show what happens, the newest last; with `--follow`, as it happens
///
/// With `--output json`, each event is one line. A switch whose drain had not ended when it was told
/// is told again when it has. Ctrl-C ends it, and so does the server's stop.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl events --follow
  vhost ctl events example.com --follow --limit 1 --output json")]
pub(super) struct EventsArgs {
    /// Only what concerns this domain
    #[arg(value_name = "DOMAIN")]
    domain: Option<DomainName>,
    /// Go on with what happens from now on
    #[arg(long, short)]
    follow: bool,
    /// Begin with so many past events, 0 for none [default: the server's, 20]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new())]
    limit: Option<usize>,
}

impl EventsArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { domain, follow, limit } = self;
        let params = ListParams { domain, limit };
        if follow {
            return follow_from(session, &params).await;
        }
        let list = session.call::<event::List>("read the history", &params).await?;
        if list.events.is_empty() {
            session.printer.note("nothing has happened yet");
        }
        let mut header = HEADER.to_owned();
        for event in list.events.into_iter().rev() {
            let line = line(&event, false);
            session.printer.item(&event, &mut header, &line);
        }
        Ok(ExitCode::Done)
    }
}

async fn follow_from(session: &mut Session<'_>, params: &ListParams) -> Result<ExitCode, Problem> {
    let mut header = HEADER.to_owned();
    let mut was_behind = false;
    let end = session
        .follow::<event::Watch>("follow the history", params, |printer, told| {
            let is_behind = told.behind >= FAR_BEHIND;
            if is_behind && !was_behind {
                printer.note(&format!("behind by up to {} events; catching up", told.behind));
            }
            was_behind = is_behind;
            let WatchedEvent { event, ended, .. } = &told;
            let line = line(event, *ended);
            printer.item(&told, &mut header, &line);
        })
        .await?;
    if end.is_some() {
        session.printer.note("the server is stopping");
    }
    Ok(ExitCode::Done)
}

const HEADER: &str = "TIME                  REVISION  WHO         WHAT";

/// Events that are still to be told when it is worth a word.
const FAR_BEHIND: u64 = 200;

fn line(event: &Event, ended: bool) -> String {
    let (time, who) = (timestamp(event.at_ms), who(&event.actor));
    let verb = if ended { "ended: " } else { "" };
    format!("{time}  {:<8}  {who:<10}  {verb}{}", event.revision, what(&event.kind))
}
