//! `vhost ctl config …`.

use clap::Subcommand;

use super::connect::Session;
use super::history::who;
use super::reload::print_restarts;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{Table, count};
use crate::cli::time::elapsed;
use crate::model::{Difference, with_unicode_names};
use crate::rpc::methods::NoParams;
use crate::rpc::methods::config::{self, ConfigDiff, ShowParams, ShownSetting};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// Show the current settings of the server, and where each comes from
    ///
    /// References to the environment are shown as they are written, `${NAME}`. For domains and backends
    /// use `domain list` and `backend list`.
    #[command(
        after_help = "Examples:\n  vhost ctl config show\n  vhost ctl config show --effective\n  vhost ctl config show health_check --effective"
    )]
    Show {
        /// Show only this key, or the keys of this section
        key: Option<String>,
        /// Show every key, also those with their default
        #[arg(long)]
        effective: bool,
    },
    /// Show where the live state differs from the config file
    ///
    /// Shows what was changed with `vhost ctl` since the file was last applied, and by whom. Also says
    /// if the file has changed since.
    #[command(after_help = "Example:\n  vhost ctl config diff")]
    Diff {
        /// Exit with status 1 if something differs, or a reload would fail
        #[arg(long)]
        check: bool,
    },
    /// Print a config file that reproduces the settings and the live state
    ///
    /// A reference to the environment stays a reference, `${NAME}`. Password hashes are written to a
    /// file or a pipe, and hidden on a terminal.
    #[command(
        after_help = "Examples:\n  vhost ctl config export > vhost.toml\n  vhost ctl config export --secrets"
    )]
    Export {
        /// Write password hashes to a terminal, too
        #[arg(long)]
        secrets: bool,
    },
}

impl ConfigVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::Show { key, effective } => show(session, ShowParams { effective, key }).await,
            Self::Diff { check } => diff(session, check).await,
            Self::Export { secrets } => export(session, secrets).await,
        }
    }
}

async fn show(session: &mut Session<'_>, params: ShowParams) -> Result<ExitCode, Problem> {
    let nothing = match (&params.key, params.effective) {
        (Some(key), true) => format!("there is no key `{key}`"),
        (Some(key), false) => format!("nothing is set at `{key}`; try `--effective`"),
        (None, _) => "every setting has its default".to_owned(),
    };
    let shown = session.call::<config::Show>("show the settings", &params).await?;
    session.printer.list(&shown, settings_table(&shown.settings), &nothing);
    Ok(ExitCode::Done)
}

fn settings_table(settings: &[ShownSetting]) -> Table {
    let row = |setting: &ShownSetting| {
        let value = setting.value.as_ref().map(ToString::to_string).unwrap_or_default();
        let (key, from) = (setting.key.as_str().into(), setting.from.as_str().into());
        [("KEY", key), ("VALUE", value.into()), ("FROM", from)]
    };
    Table::of(settings, row).shortening(&[(2, 12), (1, 16)])
}

async fn diff(session: &mut Session<'_>, check: bool) -> Result<ExitCode, Problem> {
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
    let differs = !differences.is_empty() || !pending.is_empty() || problem.is_some();
    Ok(if check && differs { ExitCode::Failed } else { ExitCode::Done })
}

fn table(differences: &[Difference], now_ms: u64) -> Table {
    let row = |Difference { kind, name, field, file, live, made }: &Difference| {
        let text = |text: &Option<String>| {
            with_unicode_names(text.as_deref().unwrap_or_default()).into_owned().into()
        };
        let made = made.as_ref();
        [
            ("KIND", kind.as_str().into()),
            ("NAME", with_unicode_names(name).into_owned().into()),
            ("FIELD", text(field)),
            ("FILE", text(file)),
            ("LIVE", text(live)),
            ("AGE", made.map_or_else(String::new, |made| elapsed(now_ms, made.at_ms)).into()),
            ("WHO", made.map_or_else(String::new, |made| who(&made.actor)).into()),
        ]
    };
    Table::of(differences, row).shortening(&[(3, 12), (4, 12), (1, 14), (2, 8)])
}

async fn export(session: &mut Session<'_>, secrets: bool) -> Result<ExitCode, Problem> {
    let secrets = secrets || !session.printer.look.terminal;
    let params = config::ExportParams { secrets };
    let export = session.call::<config::Export>("export the config", &params).await?;
    session.printer.text(&export, &export.text);
    for warning in &export.warnings {
        session.printer.note(&format!("warning: {warning}"));
    }
    Ok(ExitCode::Done)
}
