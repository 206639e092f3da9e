//! `vhost ctl config show`.

use clap::Args;

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::Table;
use crate::rpc::methods::config::{self, ShowParams, ShownSetting};

/// Show the current settings of the server, and where each comes from
///
/// References to the environment are shown as they are written, `${NAME}`. For domains and backends
/// use `domain list` and `backend list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vhost ctl config show\n  vhost ctl config show --effective\n  vhost ctl config show health_check --effective"
)]
pub(super) struct ShowArgs {
    /// Show only this key, or the keys of this section
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Show every key, also those with their default
    #[arg(long)]
    effective: bool,
}

impl ShowArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let nothing = match (&self.key, self.effective) {
            (Some(key), true) => format!("there is no key `{key}`"),
            (Some(key), false) => format!("nothing is set at `{key}`; try `--effective`"),
            (None, _) => "every setting has its default".to_owned(),
        };
        let params = ShowParams { effective: self.effective, key: self.key };
        let shown = session.call::<config::Show>("show the settings", &params).await?;
        session.printer.list(&shown, table(&shown.settings), &nothing);
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
