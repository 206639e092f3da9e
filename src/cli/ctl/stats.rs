//! `vhost ctl stats`.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::connect::Session;
use super::figures::{bytes, count, millis, number, share};
use crate::cli::exit_code::ExitCode;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::table::{Cell, Table, Tone};
use crate::model::{BackendState, DomainName, StatsSort, StatsWindow};
use crate::rpc::methods::stats::{
    self, BackendStats, DomainStats, Figures, GetParams, StatsReport, TagStats,
};

/// Show traffic: rates, errors, latency
///
/// Shows every domain; with DOMAIN, each of its tags and their backends. Errors are answers with
/// status 500 or above, and answers that broke off. The latency of a backend is the time until its
/// answer begins.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl stats
  vhost ctl stats example.com --watch
  vhost ctl stats --backends --window start --sort errors")]
pub(super) struct StatsArgs {
    /// Show only this domain, tag by tag
    domain: Option<DomainName>,
    /// Show backends instead of domains or tags
    #[arg(long)]
    backends: bool,
    /// The time that the figures cover: `10s`, `60s`, or `start` for the time since the server
    /// started
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = window())]
    #[arg(hide_possible_values = true)]
    window: StatsWindow,
    /// The order of the rows
    #[arg(long, value_name = "FIGURE", value_enum, default_value_t)]
    sort: StatsSort,
    /// Show at most this many rows [default: the server's, 100]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
    /// Refresh every SECS seconds (2 if not given), until Ctrl-C
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "2", value_parser = RangedU64ValueParser::<u64>::new().range(1..=3600))]
    watch: Option<u64>,
}

impl ValueEnum for StatsSort {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(if *self == Self::InFlight { "in-flight" } else { self.as_str() }))
    }
}

/// The windows, for the parser and for completions.
pub(super) fn window() -> impl TypedValueParser<Value = StatsWindow> {
    PossibleValuesParser::new(StatsWindow::ALL.map(StatsWindow::as_str))
        .try_map(|text| text.parse::<StatsWindow>())
}

impl StatsArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Some(secs) = self.watch else {
            let report = self.ask(session).await?;
            let tables = self.tables(&report, session.printer.is_wide());
            session.printer.show_all(&report, tables);
            session.printer.note(&summary(&report, self.backends));
            return Ok(ExitCode::Done);
        };
        let mut ticks = tokio::time::interval(Duration::from_secs(secs));
        let redraws = redraws();
        while !session.printer.has_failed() {
            tokio::select! {
                biased;
                Ok(()) = tokio::signal::ctrl_c() => break,
                _ = ticks.tick() => {}
            }
            let report = self.ask(session).await?;
            let tables = self.tables(&report, session.printer.is_wide());
            let summary = summary(&report, self.backends);
            show_again(&mut session.printer, &report, tables, &summary, redraws);
        }
        Ok(ExitCode::Done)
    }

    async fn ask(&self, session: &mut Session<'_>) -> Result<StatsReport, Problem> {
        let params = GetParams {
            domain: self.domain.clone(),
            backend: None,
            window_secs: self.window,
            sort: self.sort,
            limit: self.limit,
        };
        session.call::<stats::Get>("show the figures", &params).await
    }

    fn tables(&self, report: &StatsReport, wide: bool) -> Vec<Table> {
        match (&self.domain, self.backends) {
            (_, true) => vec![backends(report, wide)],
            (Some(_), false) => vec![tags(report, wide), backends(report, wide)],
            (None, false) => vec![domains(report, wide)],
        }
    }
}

/// Whether stdout is a terminal whose cursor can be moved.
fn redraws() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn show_again(
    printer: &mut Printer<'_>,
    report: &StatsReport,
    tables: Vec<Table>,
    summary: &str,
    redraws: bool,
) {
    let lines = ratatui::crossterm::terminal::size().map_or(24, |(_, lines)| usize::from(lines));
    printer.show_again(report, tables, summary, redraws.then_some(lines));
}

/// The figures of all domains in a line.
fn summary(report: &StatsReport, of_backends: bool) -> String {
    let Figures { rate, error_share, p50_ms, p99_ms, in_flight, .. } = &report.total;
    let time = match report.window_ms {
        Some(ms) => format!("the last {} s", ms / 1000),
        None => "the time since the start".to_owned(),
    };
    let (left_out, what) = if of_backends {
        (report.more_backends, "backends")
    } else {
        (report.more_domains, "domains")
    };
    let more = match left_out {
        0 => String::new(),
        more => format!("; {more} more {what}, see `--limit`"),
    };
    format!(
        "all domains in {time}: {}/s, {} errors, p50 {}, p99 {}, {in_flight} in flight{more}",
        number(*rate),
        share(*error_share),
        millis(*p50_ms),
        millis(*p99_ms),
    )
}

/// The columns of figures, behind those that say whose they are.
fn columns(
    first: [(&'static str, Cell); 2],
    figures: &Figures,
    wide: bool,
) -> Vec<(&'static str, Cell)> {
    let mut columns = Vec::from(first);
    columns.extend([
        ("RATE/S", number(figures.rate).into()),
        ("ERRORS", Cell::toned(share(figures.error_share), Tone::of_errors(figures.error_share))),
        ("P50", millis(figures.p50_ms).into()),
        ("P99", millis(figures.p99_ms).into()),
        ("IN-FLIGHT", figures.in_flight.to_string().into()),
        ("REQUESTS", count(figures.requests).into()),
    ]);
    if wide {
        columns.extend([
            ("P90", millis(figures.p90_ms).into()),
            ("RECEIVED", bytes(figures.received_bytes).into()),
            ("SENT", bytes(figures.sent_bytes).into()),
            ("RETRIES", figures.retries.to_string().into()),
        ]);
    }
    columns
}

fn domains(report: &StatsReport, wide: bool) -> Table {
    let row = |of: &DomainStats| {
        let first = [("DOMAIN", of.domain.shown().into()), ("LIVE", of.live.as_str().into())];
        columns(first, &of.figures, wide)
    };
    Table::of(&report.domains, row).shortening(&[(0, 16), (1, 8)])
}

fn tags(report: &StatsReport, wide: bool) -> Table {
    let row = |of: &TagStats| {
        let live = if of.live { "yes" } else { "no" };
        columns([("TAG", of.tag.as_str().into()), ("LIVE", live.into())], &of.figures, wide)
    };
    let tags = report.domains.iter().flat_map(|domain| &domain.tags);
    Table::of(tags, row).shortening(&[(0, 16)])
}

fn backends(report: &StatsReport, wide: bool) -> Table {
    let row = |of: &BackendStats| {
        let (health, tone) = standing(of);
        let first = [("BACKEND", of.id.as_str().into()), ("HEALTH", Cell::toned(health, tone))];
        columns(first, &of.figures, wide)
    };
    Table::of(&report.backends, row).shortening(&[(0, 12)])
}

/// A backend's health, or its state if it is not ready.
pub(super) fn standing(backend: &BackendStats) -> (String, Tone) {
    match backend.state.known() {
        Some(BackendState::Ready) => (backend.health.to_string(), Tone::of_health(backend.health)),
        Some(BackendState::Draining | BackendState::Disabled) | None => {
            (backend.state.to_string(), Tone::Unsure)
        }
    }
}
