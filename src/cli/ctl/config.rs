//! `vhost ctl config`.

use clap::{Args, Subcommand};

use super::config_show::ShowArgs;
use super::connect::Session;
use super::history::who;
use super::reload::print_restarts;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{Table, count};
use crate::cli::time::elapsed;
use crate::model::Difference;
use crate::rpc::methods::NoParams;
use crate::rpc::methods::config::{self, ConfigDiff};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    Show(ShowArgs),
    Diff(DiffArgs),
    Export(ExportArgs),
}

/// Show where the live state differs from the config file
///
/// Shows what was changed with `vhost ctl` since the file was last applied, and by whom. Also says
/// if the file has changed since.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl config diff")]
pub(super) struct DiffArgs {
    /// Exit with status 1 if something differs
    #[arg(long)]
    check: bool,
}

/// Print a config file that reproduces the settings and the live state
///
/// A reference to the environment stays a reference, `${NAME}`. Password hashes are written to a
/// file or a pipe, and hidden on a terminal.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vhost ctl config export > vhost.toml\n  vhost ctl config export --secrets"
)]
pub(super) struct ExportArgs {
    /// Write password hashes to a terminal, too
    #[arg(long)]
    secrets: bool,
}

impl ConfigVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::Show(args) => args.run(session).await,
            Self::Diff(args) => args.run(session).await,
            Self::Export(args) => args.run(session).await,
        }
    }
}

impl DiffArgs {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let diff = session.call::<config::Diff>("compare the config", &NoParams {}).await?;
        let ConfigDiff { source, differences, pending, needs_restart, problem, .. } = &diff;
        let nothing = format!("nothing differs from {source} as it was last applied");
        let table = table(differences, session.printer.now_ms());
        session.printer.list(&diff, table, &nothing);
        if !pending.is_empty() {
            let changes = count(pending.len(), "change");
            let show = "`vhost ctl reload --dry-run` shows them";
            session.printer.note(&format!("{source} has {changes} not applied yet: {show}"));
        }
        print_restarts(&mut session.printer, needs_restart);
        if let Some(problem) = problem {
            session.printer.note(&format!("a reload would fail: {problem}"));
        }
        let differs = !differences.is_empty() || !pending.is_empty();
        Ok(if self.check && differs { ExitCode::Failed } else { ExitCode::Done })
    }
}

fn table(differences: &[Difference], now_ms: u64) -> Table {
    let header = ["KIND", "NAME", "FIELD", "FILE", "LIVE", "AGE", "WHO"];
    let mut table = Table::list(&header).shortening(&[(3, 12), (4, 12), (1, 14), (2, 8)]);
    for Difference { kind, name, field, file, live, made } in differences {
        let made = made.as_ref();
        table.row([
            kind.as_str().into(),
            name.as_str().into(),
            field.as_deref().unwrap_or_default().into(),
            file.as_deref().unwrap_or_default().into(),
            live.as_deref().unwrap_or_default().into(),
            made.map_or_else(String::new, |made| elapsed(now_ms, made.at_ms)).into(),
            made.map_or_else(String::new, |made| who(&made.actor)).into(),
        ]);
    }
    table
}

impl ExportArgs {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let secrets = self.secrets || !session.printer.is_terminal();
        let params = config::ExportParams { secrets };
        let export = session.call::<config::Export>("export the config", &params).await?;
        session.printer.text(&export, &export.text);
        for warning in &export.warnings {
            session.printer.note(&format!("warning: {warning}"));
        }
        Ok(ExitCode::Done)
    }
}
