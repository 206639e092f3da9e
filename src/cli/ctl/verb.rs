//! The verbs of `vhost ctl` and the flags that all of them share.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::connect::{Session, socket_of_environment};
use super::{
    app, backend, call, cert, compare, config, deploy, domain, events, explain, history, log,
    notify, preview, reload, rollout, split, stats, status, switch, token, top, upgrade, wait,
};
use crate::cli::exit_code::{self, ExitCode};
use crate::cli::output::{ColorChoice, Format, Look, Printer};
use crate::cli::problem::Problem;
use crate::clock::now_ms;

/// Operate a running server over its admin socket.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, after_help = exit_code::help())]
pub(crate) struct CtlArgs {
    #[command(flatten)]
    shared: SharedArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct SharedArgs {
    #[arg(
        help = "The server's admin socket [env: VHOST_SOCKET] [default: the path that the server uses]"
    )]
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    socket: Option<PathBuf>,
    /// How to print results: table, wide (more columns), or json (for scripts)
    #[arg(long, short, global = true, value_name = "FORMAT", default_value = "table")]
    #[arg(hide_possible_values = true)]
    output: Format,
    /// Print only results and errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Leave out the header of lists
    #[arg(long, global = true)]
    no_headers: bool,
    /// When to use colours: auto (which respects `NO_COLOR`), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(hide_possible_values = true)]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::StatusArgs),
    Stats(stats::StatsArgs),
    Top(top::TopArgs),
    Deploy(Box<deploy::DeployArgs>),
    Switch(Box<switch::SwitchArgs>),
    Undo(switch::UndoArgs),
    Split(split::SplitArgs),
    Promote(split::PromoteArgs),
    /// Make a tag live step by step, judged by its own traffic
    #[command(subcommand, arg_required_else_help = true)]
    Rollout(Box<rollout::RolloutVerb>),
    Compare(compare::CompareArgs),
    Preview(preview::PreviewArgs),
    Wait(wait::WaitArgs),
    /// Show and change apps
    #[command(subcommand, arg_required_else_help = true)]
    App(app::AppVerb),
    /// Show and change domains
    #[command(subcommand, arg_required_else_help = true)]
    Domain(domain::DomainVerb),
    /// Show and change backends
    #[command(subcommand, arg_required_else_help = true)]
    Backend(backend::BackendVerb),
    /// Show, order, import and export certificates
    #[command(subcommand, arg_required_else_help = true)]
    Cert(cert::CertVerb),
    /// Show, make and remove the tokens of the management API
    #[command(subcommand, arg_required_else_help = true)]
    Token(token::TokenVerb),
    /// Show and test who is notified of events
    #[command(subcommand, arg_required_else_help = true)]
    Notify(notify::NotifyVerb),
    History(history::HistoryArgs),
    Reload(reload::ReloadArgs),
    Upgrade(upgrade::UpgradeArgs),
    /// Show the settings, compare the file with the live state, export a file
    #[command(subcommand, arg_required_else_help = true)]
    Config(config::ConfigVerb),
    /// Show and change how much the server logs
    #[command(subcommand, arg_required_else_help = true)]
    Log(log::LogVerb),
    Events(events::EventsArgs),
    Explain(explain::ExplainArgs),
    Call(call::CallArgs),
}

/// Runs `vhost ctl` on the process's own streams.
pub(crate) fn run(mut args: CtlArgs) -> u8 {
    args.shared.socket = args.shared.socket.or_else(socket_of_environment);
    let surroundings = Surroundings {
        stdout_terminal: io::stdout().is_terminal(),
        stdout_width: columns(std::env::var("COLUMNS").ok())
            .or_else(|| comfy_table::Table::new().width()),
        stderr_terminal: io::stderr().is_terminal(),
        // https://no-color.org: set and not empty.
        no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb"),
        now_ms: now_ms(),
    };
    // Not locked: another thread draws the progress line.
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    run_in(args, surroundings, &mut stdout, &mut stderr).into()
}

/// The width in `COLUMNS`, as in POSIX; a shell passes it on only if the user exports it.
fn columns(variable: Option<String>) -> Option<u16> {
    variable?.parse().ok().filter(|columns| *columns > 0)
}

/// The environment of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    pub(super) stdout_terminal: bool,
    pub(super) stdout_width: Option<u16>,
    pub(super) stderr_terminal: bool,
    pub(super) no_color: bool,
    pub(super) now_ms: u64,
}

/// Runs `vhost ctl` on the given streams.
pub(super) fn run_in(
    args: CtlArgs,
    surroundings: Surroundings,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitCode {
    let SharedArgs { socket, output, quiet, no_headers, color } = args.shared;
    let look = Look {
        format: output,
        terminal: surroundings.stdout_terminal,
        words_terminal: surroundings.stderr_terminal,
        quiet,
        width: surroundings.stdout_width,
        header: !no_headers,
        color: color.applies(surroundings.stdout_terminal, surroundings.no_color),
        color_words: color.applies(surroundings.stderr_terminal, surroundings.no_color),
        now_ms: surroundings.now_ms,
    };
    let mut session = Session::new(socket, Printer::new(look, stdout, stderr));
    let code = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(args.verb.run(&mut session)),
        Err(error) => Err(Problem::starting(&error)),
    };
    let code = code.unwrap_or_else(|problem| {
        session.printer.problem(&problem);
        problem.exit
    });
    session.printer.finish(code)
}

impl Verb {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::Status(args) => args.run(session).await,
            Self::Stats(args) => args.run(session).await,
            Self::Top(args) => args.run(session).await,
            Self::Deploy(args) => args.run(session).await,
            Self::Switch(args) => args.run(session).await,
            Self::Undo(args) => args.run(session).await,
            Self::Split(args) => args.run(session).await,
            Self::Promote(args) => args.run(session).await,
            Self::Rollout(verb) => verb.run(session).await,
            Self::Compare(args) => args.run(session).await,
            Self::Preview(args) => args.run(session).await,
            Self::Wait(args) => args.run(session).await,
            Self::App(verb) => verb.run(session).await,
            Self::Domain(verb) => verb.run(session).await,
            Self::Backend(verb) => verb.run(session).await,
            Self::Cert(verb) => verb.run(session).await,
            Self::Token(verb) => verb.run(session).await,
            Self::Notify(verb) => verb.run(session).await,
            Self::History(args) => args.run(session).await,
            Self::Reload(args) => args.run(session).await,
            Self::Upgrade(args) => args.run(session).await,
            Self::Config(verb) => verb.run(session).await,
            Self::Log(verb) => verb.run(session).await,
            Self::Events(args) => args.run(session).await,
            Self::Explain(args) => args.run(session).await,
            Self::Call(args) => args.run(session).await,
        }
    }
}
