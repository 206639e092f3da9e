//! `vhost ctl status`.

use clap::Args;

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{Cell, Table, Tone, count, join};
use crate::cli::time::{elapsed, timestamp};
use crate::model::with_unicode_names;
use crate::rpc::methods::state::ReplacedInfo;
use crate::rpc::methods::{NoParams, state};

/// Show the state of the server
///
/// Warnings are problems that need your attention: a domain that no backend can serve, one that is
/// paused or in maintenance, a rollout that is paused, or a backend that should serve but is unhealthy.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vhost ctl status\n  vhost ctl status --check --quiet")]
pub(super) struct StatusArgs {
    /// Exit with status 1 if there is a warning; with `--quiet`, print only the warnings
    #[arg(long)]
    check: bool,
}

impl StatusArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let server = session.call::<state::Get>("show the status", &NoParams {}).await?;
        let table = facts(&server, session.printer.now_ms());
        if self.check && session.printer.look.quiet {
            session.printer.for_scripts(&server);
            let warnings = server.warnings.iter().map(|warning| with_unicode_names(warning));
            warnings.for_each(|warning| session.printer.line(&warning));
        } else {
            session.printer.show(&server, table);
        }
        let alarm = self.check && !server.warnings.is_empty();
        Ok(if alarm { ExitCode::Failed } else { ExitCode::Done })
    }
}

fn facts(server: &state::ServerInfo, now_ms: u64) -> Table {
    let mut table = Table::facts();
    let new = if server.new_program {
        "; another program is on the disk: `vhost ctl upgrade`"
    } else {
        ""
    };
    table.fact("version", format!("{}{new}", server.version));
    table.fact("process", server.pid.to_string());
    let (up, since) = (elapsed(now_ms, server.started_ms), timestamp(server.started_ms));
    table.fact("up", format!("{up}, since {since}"));
    for ReplacedInfo { pid, since_ms, connections, in_flight } in &server.replaced {
        let (connections, requests) =
            (count(*connections, "connection"), count(*in_flight, "request"));
        let since = elapsed(now_ms, *since_ms);
        table.fact("draining", format!("process {pid}: {connections}, {requests}, for {since}"));
    }
    table.fact("revision", server.revision.to_string());
    table.fact("listeners", join(&server.listeners));
    let held = [(server.paused, "paused"), (server.maintenance, "in maintenance")];
    let held: Vec<_> = held.into_iter().filter(|(domains, _)| *domains > 0).collect();
    let tone = if held.is_empty() { Tone::Plain } else { Tone::Unsure };
    let held = join(held.iter().map(|(domains, how)| format!("{domains} {how}")));
    let held = if held.is_empty() { held } else { format!(": {held}") };
    table.fact("domains", Cell::toned(format!("{}{held}", server.domains), tone));
    if server.trials > 0 {
        table.fact("on trial", format!("{}: `vhost ctl rollout status`", server.trials));
    }
    let tone = match (server.healthy, server.unhealthy) {
        (_, 0) => Tone::Plain,
        (0, _) => Tone::Bad,
        _ => Tone::Unsure,
    };
    let (all, healthy, unhealthy) = (server.backends, server.healthy, server.unhealthy);
    let backends = format!("{all}: {healthy} healthy, {unhealthy} unhealthy");
    table.fact("backends", Cell::toned(backends, tone));
    table.fact("connections", server.connections.to_string());
    table.fact("in flight", server.in_flight.to_string());
    table.fact("requests", server.requests.to_string());
    let refused = server.refused.iter().map(|(reason, number)| format!("{reason} {number}"));
    table.fact("refused", join(refused));
    for warning in &server.warnings {
        table.fact("warning", Cell::toned(with_unicode_names(warning), Tone::Bad));
    }
    table
}
