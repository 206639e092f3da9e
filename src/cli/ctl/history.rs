//! `vhost ctl history`.

use clap::Args;
use clap::builder::RangedU64ValueParser;
use nix::unistd::{Uid, User};

use super::connect::Session;
use super::switch_progress::moves;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{Table, join};
use crate::cli::time::timestamp;
use crate::model::{Actor, DomainName, Event, EventKind, Outcome};
use crate::rpc::methods::event::{self, ListParams};

/// Show what changed, when, and by whom, the newest first
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl history example.com --limit 5")]
pub(super) struct HistoryArgs {
    /// Only what concerns this domain
    #[arg(value_name = "DOMAIN")]
    domain: Option<DomainName>,
    /// At most so many entries [default: the server's, 20]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
}

impl HistoryArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { domain, limit } = self;
        let nothing = match &domain {
            Some(domain) => format!("nothing has happened to `{domain}` yet"),
            None => "nothing has happened yet".to_owned(),
        };
        let params = ListParams { domain, limit };
        let list = session.call::<event::List>("read the history", &params).await?;
        let table = table(&list.events, session.printer.is_wide());
        session.printer.list(&list, table, &nothing);
        Ok(ExitCode::Done)
    }
}

fn table(events: &[Event], wide: bool) -> Table {
    let mut table = if wide {
        Table::list(&["EVENT", "TIME", "REVISION", "WHO", "WHAT", "PROCESS"])
    } else {
        Table::list(&["TIME", "REVISION", "WHO", "WHAT"])
    };
    for event in events {
        let usual = [
            timestamp(event.at_ms).into(),
            event.revision.to_string().into(),
            who(&event.actor).into(),
            what(&event.kind).into(),
        ];
        if wide {
            let number = std::iter::once(event.id.to_string().into());
            table.row(number.chain(usual).chain([event.actor.to_string().into()]));
        } else {
            table.row(usual);
        }
    }
    table
}

/// The user's name where this machine knows one: the peer of a Unix socket is on this machine.
pub(super) fn who(actor: &Actor) -> String {
    match actor {
        Actor::Socket { uid, .. } => match User::from_uid(Uid::from_raw(*uid)) {
            Ok(Some(user)) => user.name,
            Ok(None) | Err(_) => format!("uid {uid}"),
        },
        Actor::File => "config file".to_owned(),
    }
}

pub(super) fn what(kind: &EventKind) -> String {
    match kind {
        EventKind::Switch { steps, outcome, undo, forced, reason } => {
            let verb = if *undo { "undo " } else { "" };
            let gate = if *forced { ", forced" } else { "" };
            let outcome = match outcome {
                Outcome::GateFailed { cause } => format!("gate failed: {cause}"),
                other => other.to_string(),
            };
            let reason = reason.as_ref().map_or_else(String::new, |text| format!(" ({text})"));
            format!("{verb}{}{gate}, {outcome}{reason}", moves(steps))
        }
        EventKind::DomainAdded { domain, live } => format!("{domain} added, live {live}"),
        EventKind::DomainSet { domain, changed } => format!("{domain} {}", join(changed)),
        EventKind::DomainRemoved { domain } => format!("{domain} removed"),
        EventKind::BackendAdded { backend } => format!("{backend} added"),
        EventKind::BackendSet { backend, changed } => format!("{backend} {}", join(changed)),
        EventKind::BackendRemoved { backend } => format!("{backend} removed"),
        EventKind::FileApplied { path, changed, .. } => {
            // A first start adds everything; `--output json` has it all.
            let rest = changed.len().saturating_sub(MOST_CHANGES);
            let more = (rest > 0).then(|| format!("and {rest} more"));
            let shown = changed.iter().take(MOST_CHANGES).cloned().chain(more);
            format!("{path} applied: {}", join(shown))
        }
    }
}

/// Changes of a config file that one line tells.
const MOST_CHANGES: usize = 3;
