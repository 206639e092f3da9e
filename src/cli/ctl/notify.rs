//! `vhost ctl notify …`: who is notified of events.

use clap::Subcommand;

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{Table, join};
use crate::cli::time::timestamp;
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::NoParams;
use crate::rpc::methods::notify::{self, NameParams, TargetInfo};

#[derive(Debug, Subcommand)]
pub(super) enum NotifyVerb {
    /// List the services and programs that are notified of events
    ///
    /// They are those of `[[notify]]` in the config file.
    #[command(after_help = "Example:\n  vhost ctl notify list")]
    List,
    /// Send a test event to one of them right now
    ///
    /// The exit status is 1 if it does not get the event.
    #[command(after_help = "Example:\n  vhost ctl notify test chat")]
    Test {
        /// Its name in the config file
        name: String,
    },
}

impl NotifyVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::List => {
                let list =
                    session.call::<notify::List>("list who is notified", &NoParams {}).await?;
                let table = table(&list.targets);
                session.printer.list(&list, table, "nobody is notified of events");
                Ok(ExitCode::Done)
            }
            Self::Test { name } => {
                let params = NameParams { name };
                let report = session.call::<notify::Test>("send the test", &params).await?;
                if !report.delivered {
                    let what = format!("cannot deliver a test to `{}`", report.name);
                    let hint = "look at its `url` or `exec` in the config file, and at its own log";
                    let kind = FaultKind::Internal;
                    return Err(Problem::found(what, report.answer, kind, hint.to_owned()));
                }
                let notify::TestReport { name, answer, took_ms, .. } = &report;
                let text = format!("{name}: delivered in {took_ms} ms: {answer}\n");
                session.printer.text(&report, &text);
                Ok(ExitCode::Done)
            }
        }
    }
}

fn table(targets: &[TargetInfo]) -> Table {
    Table::of(targets, |target| {
        let last_error = match &target.last_error {
            Some(error) => error.as_str().into(),
            None => "-".into(),
        };
        let delivered = target.delivered_ms.map_or_else(|| "-".to_owned(), timestamp);
        [
            ("NAME", target.name.as_str().into()),
            ("BY", target.by.as_str().into()),
            ("EVENTS", join(&target.events).into()),
            ("WAITING", target.waiting.to_string().into()),
            ("LAST DELIVERED", delivered.into()),
            ("LAST ERROR", last_error),
        ]
    })
}
