//! `vhost ctl config show`.

use clap::Args;

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::Table;
use crate::rpc::methods::config::{self, ShowParams, ShownSetting};

/// Show the settings that the server runs with, and where each came from
///
/// What a text of the file takes from the environment is shown as it is written, `${NAME}`. Domains and
/// backends are shown by `domain list` and `backend list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vhost ctl config show\n  vhost ctl config show --effective")]
pub(super) struct ShowArgs {
    /// Every key, also those that have their default
    #[arg(long)]
    effective: bool,
}

impl ShowArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let params = ShowParams { effective: self.effective };
        let shown = session.call::<config::Show>("show the settings", &params).await?;
        session.printer.list(&shown, table(&shown.settings), "every setting has its default");
        Ok(ExitCode::Done)
    }
}

fn table(settings: &[ShownSetting]) -> Table {
    let mut table = Table::list(&["KEY", "VALUE", "FROM"]).shortening(&[(2, 12), (1, 16)]);
    for setting in settings {
        let value = setting.value.as_ref().map(ToString::to_string).unwrap_or_default();
        table.row([setting.key.as_str().into(), value.into(), setting.from.as_str().into()]);
    }
    table
}
