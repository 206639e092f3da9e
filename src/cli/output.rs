//! What a command prints: results on stdout, messages on stderr, as table or JSON.

use std::io::{self, Write};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::exit_code::ExitCode;
use super::problem::Problem;
use super::progress::{COUNT_INTERVAL, Progress};
use super::table::{Cell, Columns, Table, Tone, printable, shortened};
use super::time::{age, span};
use crate::model::{
    BackendAnswer, HealthReport, HealthStatus, printable_json, printable_lines, with_unicode_names,
};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// More columns, however wide.
    Wide,
    /// The server's answer as JSON, for scripts.
    Json,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    /// Whether to colour a stream. `refused`: whether the environment forbids it.
    pub(super) fn applies(self, terminal: bool, refused: bool) -> bool {
        match self {
            Self::Auto => terminal && !refused,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// The requested form of the output.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent flags of the command line")]
pub(super) struct Look {
    /// Table or JSON.
    pub(super) format: Format,
    /// No confirmations, notes and progress.
    pub(super) quiet: bool,
    /// A header above lists.
    pub(super) header: bool,
    /// Whether results go to a terminal.
    pub(super) terminal: bool,
    /// Whether messages go to a terminal.
    pub(super) words_terminal: bool,
    /// The width of the terminal on stdout, if it is one.
    pub(super) width: Option<u16>,
    /// Colour stdout.
    pub(super) color: bool,
    /// Colour stderr.
    pub(super) color_words: bool,
    /// The current time for ages, in milliseconds since the Unix epoch.
    pub(super) now_ms: u64,
}

/// Writes a command's output. Write errors are reported by [`Printer::finish`].
pub(super) struct Printer<'w> {
    pub(super) look: Look,
    stdout: &'w mut dyn Write,
    stderr: &'w mut dyn Write,
    progress: Progress,
    failed: Option<io::Error>,
}

impl<'w> Printer<'w> {
    /// A printer onto these streams.
    pub(super) fn new(look: Look, stdout: &'w mut dyn Write, stderr: &'w mut dyn Write) -> Self {
        let progress = Progress::new(look.words_terminal);
        Self { look, stdout, stderr, progress, failed: None }
    }

    /// Prints a list, or `nothing` on stderr when it is empty.
    pub(super) fn list(&mut self, result: &impl Serialize, table: Table, nothing: &str) {
        if self.look.format != Format::Json && table.is_empty() {
            self.note(nothing);
        } else {
            self.show(result, table);
        }
    }

    /// Prints rows of a paged list, for people. Returns whether the output is still open.
    pub(super) fn part(&mut self, table: Table, columns: &mut Option<Columns>) -> bool {
        if self.look.format != Format::Json {
            let Look { header, color, .. } = self.look;
            let text = table.render_part(columns, header, color, self.table_width());
            self.data(&text);
        }
        self.failed.is_none()
    }

    /// Prints a result.
    pub(super) fn show(&mut self, result: &impl Serialize, table: Table) {
        self.show_all(result, [table]);
    }

    /// Prints a result that is a text of its own: the text for people, the result for scripts.
    pub(super) fn text(&mut self, result: &impl Serialize, text: &str) {
        match self.look.format {
            Format::Json => self.json(result),
            Format::Table | Format::Wide if self.look.terminal => self.data(&printable_lines(text)),
            // Unchanged: a file must have the same meaning.
            Format::Table | Format::Wide => self.data(text),
        }
    }

    /// Prints a result that takes several tables, an empty line between them.
    pub(super) fn show_all(
        &mut self,
        result: &impl Serialize,
        tables: impl IntoIterator<Item = Table>,
    ) {
        if self.look.format == Format::Json {
            return self.json(result);
        }
        let text = self.texts(tables).join("\n");
        self.data(&text);
    }

    /// Prints a periodic result with a line about it: on a terminal with this many lines over the
    /// previous one; elsewhere after it.
    pub(super) fn show_again(
        &mut self,
        result: &impl Serialize,
        tables: impl IntoIterator<Item = Table>,
        about: &str,
        lines: Option<usize>,
    ) {
        if self.look.format == Format::Json {
            return self.entry(result, "");
        }
        let text = self.texts(tables).join("\n");
        let about = fitting(&printable(about), self.table_width());
        self.data(&match lines {
            None => format!("{about}\n{text}\n"),
            // Home, clear the rest of each line and what is below: no flicker.
            Some(lines) => {
                let shown = [about.as_str(), ""].into_iter().chain(text.lines());
                let shown: Vec<_> = shown.take(lines.saturating_sub(1)).collect();
                let shown = shown.iter().map(|line| format!("{line}\u{1b}[K\r\n"));
                format!("\u{1b}[H{}\u{1b}[J", shown.collect::<String>())
            }
        });
        self.flush();
    }

    fn texts(&self, tables: impl IntoIterator<Item = Table>) -> Vec<String> {
        let Look { header, color, .. } = self.look;
        let shown = tables.into_iter().filter(|table| !table.is_empty());
        shown.map(|table| table.render(header, color, self.table_width())).collect()
    }

    /// Prints the result of a change: one line for people, JSON for scripts.
    pub(super) fn changed(&mut self, result: &impl Serialize, confirmation: &str) {
        self.for_scripts(result);
        self.note(confirmation);
    }

    /// Prints a result for scripts; people get another text.
    pub(super) fn for_scripts(&mut self, result: &impl Serialize) {
        if self.look.format == Format::Json {
            self.json(result);
        }
    }

    /// Prints the progress of an operation, one JSON object a line.
    pub(super) fn progress(&mut self, progress: &impl Serialize) {
        if !self.look.quiet {
            let line = serde_json::json!({ "progress": progress }).to_string();
            self.words(&format!("{}\n", printable_json(&line)));
        }
    }

    /// Prints one of many results that come one after the other, a line each.
    pub(super) fn entry(&mut self, result: &impl Serialize, line: &str) {
        match self.look.format {
            Format::Json => match serde_json::to_string(result) {
                Ok(text) => self.data(&(printable_json(&text).into_owned() + "\n")),
                Err(error) => self.failed = Some(error.into()),
            },
            Format::Table | Format::Wide => self.line(line),
        }
        // Flushed, because the reader follows live.
        self.flush();
    }

    /// Prints a line of a textual result.
    pub(super) fn line(&mut self, line: &str) {
        if self.look.format != Format::Json {
            let line = fitting(&printable(line), self.table_width());
            self.data(&format!("{line}\n"));
        }
    }

    /// Whether writing has failed, so that the command can stop.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Flushes the output.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.stdout.flush() {
            self.failed.get_or_insert(error);
        }
    }

    /// Whether tables may be wider than a terminal, for more columns.
    pub(super) fn is_wide(&self) -> bool {
        self.look.format == Format::Wide
    }

    /// The width limit of a table.
    fn table_width(&self) -> Option<u16> {
        if self.is_wide() { None } else { self.look.width }
    }

    /// Prints the result of an operation: its last phase for people.
    pub(super) fn concluded(&mut self, result: &impl Serialize, text: &str) {
        self.for_scripts(result);
        self.reached("done", text);
    }

    /// Prints a message for people.
    pub(super) fn note(&mut self, line: &str) {
        if self.talks() {
            self.words(&format!("{}\n", printable(line)));
        }
    }

    /// Prints a phase that an operation has reached.
    pub(super) fn reached(&mut self, phase: &str, text: &str) {
        let line = self.progress.reached(phase, text);
        self.note(&line);
    }

    /// Prints the progress of a phase, which changes soon.
    pub(super) fn passing(&mut self, phase: &str, text: &str) {
        self.under_way(phase, text, Duration::ZERO);
    }

    /// The same for a count that may change by thousands quickly.
    pub(super) fn counting(&mut self, phase: &str, text: &str) {
        self.under_way(phase, text, COUNT_INTERVAL);
    }

    fn under_way(&mut self, phase: &str, text: &str, pause: Duration) {
        if self.talks()
            && let Some(line) = self.progress.under_way(phase, &printable(text), pause)
        {
            self.note(&line);
        }
    }

    /// Prints the server's progress message for scripts.
    pub(super) fn progress_for_scripts(&mut self, progress: &impl Serialize) {
        if self.look.format == Format::Json {
            self.progress(progress);
        }
    }

    /// Removes the line of [`Self::passing`] from the terminal.
    pub(super) fn end_progress(&mut self) {
        self.progress.end();
    }

    fn talks(&self) -> bool {
        self.look.format != Format::Json && !self.look.quiet
    }

    /// Prints a problem.
    pub(super) fn problem(&mut self, problem: &Problem) {
        if self.look.format == Format::Json {
            let text = serde_json::json!({ "error": problem.json }).to_string();
            return self.words(&format!("{}\n", printable_json(&text)));
        }
        let (on, off) =
            if self.look.color_words { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        // The server names domains as scripts do.
        let people = |text: &str| printable(&with_unicode_names(text));
        let (what, cause) = (printable(&problem.what), people(&problem.cause));
        self.words(&format!("{on}error:{off} {what}\ncause: {cause}\n"));
        for line in &problem.problems {
            self.words(&format!("  {}\n", people(line)));
        }
        let answers = self.answers(&problem.answers);
        self.words(&answers);
        if let Some(hint) = &problem.hint {
            self.words(&format!("hint: {}\n", people(hint)));
        }
    }

    /// The current time for ages.
    pub(super) fn now_ms(&self) -> u64 {
        self.look.now_ms
    }

    /// Ends the output of a command that ended with `code`.
    pub(super) fn finish(mut self, code: ExitCode) -> ExitCode {
        self.end_progress();
        let flushed = self.stdout.flush();
        let _ = self.stderr.flush();
        match self.failed.take().or(flushed.err()) {
            // A reader that closes the pipe has read enough.
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.words(&format!("error: cannot write the result\ncause: {error}\n"));
                if code == ExitCode::Done { ExitCode::Failed } else { code }
            }
            _ => code,
        }
    }

    fn answers(&self, answers: &[BackendAnswer]) -> String {
        if answers.is_empty() {
            return String::new();
        }
        let mut table = Table::list(&[]);
        for BackendAnswer { backend, health } in answers {
            table.row([
                Cell::from(format!("  {backend}")),
                health_cell(health.status),
                last_answer(health, self.look.now_ms).into(),
            ]);
        }
        table.render(false, self.look.color_words, None)
    }

    /// Prints a result as JSON, whatever was asked for.
    pub(super) fn json(&mut self, result: &impl Serialize) {
        match serde_json::to_string_pretty(result) {
            Ok(text) => self.data(&(printable_json(&text).into_owned() + "\n")),
            Err(error) => self.failed = Some(error.into()),
        }
    }

    fn data(&mut self, text: &str) {
        if self.failed.is_none()
            && let Err(error) = self.stdout.write_all(text.as_bytes())
        {
            self.failed = Some(error);
        }
    }

    fn words(&mut self, text: &str) {
        let stderr = &mut self.stderr;
        self.progress.around(|| {
            // There is nowhere left to print an error.
            let _ = stderr.write_all(text.as_bytes());
        });
    }
}

/// The line, cut where the terminal ends.
fn fitting(line: &str, width: Option<u16>) -> String {
    width.map_or_else(|| line.to_owned(), |width| shortened(line, usize::from(width), true))
}

/// The verdict on a backend.
pub(super) fn health_cell(status: HealthStatus) -> Cell {
    Cell::toned(status.as_str(), Tone::of_health(status))
}

/// The last answer of a backend, and when it came.
pub(super) fn last_answer(health: &HealthReport, now_ms: u64) -> String {
    if let Some(error) = &health.last_error {
        return match health.failed_ms.or(health.checked_ms) {
            Some(at_ms) => format!("{error} ({})", age(now_ms, at_ms)),
            None => error.clone(),
        };
    }
    let Some(checked_ms) = health.checked_ms else { return "no answer yet".to_owned() };
    let status = health.last_status.map_or_else(|| "accepted".to_owned(), |s| s.to_string());
    let took = health.latency_ms.map(|latency| format!(" in {}", span(latency.get())));
    format!("{status}{} ({})", took.unwrap_or_default(), age(now_ms, checked_ms))
}
