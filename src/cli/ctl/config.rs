//! `vhost ctl config`.

use clap::Subcommand;

use super::config_show::ShowArgs;
use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    Show(ShowArgs),
}

impl ConfigVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::Show(args) => args.run(session).await,
        }
    }
}
