//! `vhost ctl log`.

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::Table;
use crate::model::LogLevel;
use crate::rpc::methods::log::{self, LevelInfo, LevelParams};

#[derive(Debug, Subcommand)]
pub(super) enum LogVerb {
    /// Show or change the level of the server's log
    ///
    /// The change takes effect at once. It lasts until the server ends, or until a reload of a config
    /// file in which the level has changed.
    #[command(after_help = "Examples:\n  vhost ctl log level\n  vhost ctl log level debug")]
    Level {
        /// The least important level that is logged
        #[arg(value_parser = levels())]
        level: Option<LogLevel>,
    },
}

fn levels() -> impl TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(LogLevel::ALL.map(LogLevel::as_str))
        .try_map(|text| text.parse::<LogLevel>())
}

impl LogVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self::Level { level: wanted } = self;
        let params = LevelParams { level: wanted };
        let action = match wanted {
            None => "show the log level",
            Some(_) => "change the log level",
        };
        let info = session.call::<log::Level>(action, &params).await?;
        let LevelInfo { level, before, config } = info;
        if wanted.is_none() {
            let mut table = Table::facts();
            table.fact("level", level.as_str());
            table.fact("config", config.as_str());
            session.printer.show(&info, table);
        } else {
            session.printer.changed(&info, &format!("the log level is {level}; it was {before}"));
        }
        Ok(ExitCode::Done)
    }
}
