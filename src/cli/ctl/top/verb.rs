//! The command line of `vhost ctl top`, and its one frame as text.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::feed;
use super::look::Look;
use super::model::{Message, Model};
use super::{run, view};
use crate::cli::ctl::connect::Session;
use crate::cli::ctl::stats::window;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::time::parse_millis;
use crate::model::{DomainName, StatsWindow};

/// The default number of columns.
const DEFAULT_COLUMNS: u16 = 80;

/// Watch traffic, backends and events; switch and undo from the same screen
///
/// Press `?` for the keys. If the output is not a terminal, or one that can't move its cursor, the
/// frames are printed one after the other.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl top
  vhost ctl top example.com --window 10s
  COLUMNS=100 vhost ctl top --once")]
pub(in crate::cli::ctl) struct TopArgs {
    /// Begin with this domain, tag by tag
    domain: Option<DomainName>,
    /// Print one frame as text and exit. Its width is `COLUMNS`, or that of the terminal, or 80
    #[arg(long)]
    once: bool,
    /// How often to refresh, such as `500ms` or `5s`
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// The time that the figures cover: `10s`, `60s`, or `start` for the time since the server
    /// started
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = window())]
    #[arg(hide_possible_values = true)]
    window: StatsWindow,
}

/// A duration that leaves time for an answer on a slow connection.
fn interval(text: &str) -> Result<Duration, String> {
    const MIN_INTERVAL: Duration = Duration::from_millis(200);
    let interval = parse_millis(text).map_err(|error| error.to_string())?;
    let interval = Duration::from_millis(interval);
    if interval < MIN_INTERVAL { Err("use 200ms or more".to_owned()) } else { Ok(interval) }
}

impl TopArgs {
    pub(in crate::cli::ctl) async fn run(
        self,
        session: &mut Session<'_>,
    ) -> Result<ExitCode, Problem> {
        let mut model = Model::new(self.domain.clone(), self.window);
        let moves_cursor = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        if !self.once && is_terminal && moves_cursor {
            // An error of the first fetch is printed as by any command.
            self.look(session, &mut model).await?;
            let look = Look { color: session.printer.look.color };
            let socket = session.socket().to_owned();
            return run::run(model, &socket, self.interval, look).await;
        }
        loop {
            self.look(session, &mut model).await?;
            let columns = session.printer.look.width.unwrap_or(DEFAULT_COLUMNS);
            session.printer.text(&model.report(), &frame(&model, columns));
            if self.once || session.printer.has_failed() {
                return Ok(ExitCode::Done);
            }
            session.printer.flush();
            tokio::select! {
                biased;
                Ok(()) = tokio::signal::ctrl_c() => return Ok(ExitCode::Done),
                () = tokio::time::sleep(self.interval) => {}
            }
        }
    }

    async fn look(&self, session: &mut Session<'_>, model: &mut Model) -> Result<(), Problem> {
        let looked = feed::look(session.socket(), &model.question()).await;
        let (report, trials, events) =
            looked.map_err(|error| Problem::calling("show the figures", error))?;
        let of = model.open.clone();
        model.update(Message::Trials(trials));
        model.update(Message::Report { of, report: Box::new(report) });
        model.update(Message::Events(events));
        Ok(())
    }
}

/// The screen as text, as many lines as there are to show.
pub(super) fn frame(model: &Model, columns: u16) -> String {
    let lines = view::lines_wanted(model, columns);
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, lines));
    let look = Look { color: false };
    let Ok(_) = terminal.draw(|frame| view::draw(frame, model, look, true));
    text_of(terminal.backend().buffer())
}

pub(super) fn text_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width.max(1));
    let mut text = String::new();
    for row in buffer.content.chunks(width) {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
