//! The terminal: keys in, frames out.

use std::path::Path;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::Instant;

use super::look::Look;
use super::model::{Action, Message, Model};
use super::{feed, view};
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::model::SwitchOptions;
use crate::rpc::methods::rollout::{Abort, AbortParams};
use crate::rpc::methods::split::{Promote, PromoteParams};
use crate::rpc::methods::stats::GetParams;
use crate::rpc::methods::switch::{Apply, ApplyParams, Undo, UndoParams};

/// The interval of frames without a key press: enough for people, and for slow connections.
const FRAME_INTERVAL: Duration = Duration::from_secs(1);

/// Shows the live view until it is closed.
pub(super) async fn run(
    model: Model,
    socket: &Path,
    interval: Duration,
    look: Look,
) -> Result<ExitCode, Problem> {
    // Also restores the terminal after a panic.
    let terminal = ratatui::try_init().map_err(|error| Problem::starting(&error))?;
    let (messages, inbox) = mpsc::unbounded_channel();
    let (questions, asked) = watch::channel(model.question());
    read_keys(messages.clone());
    let tasks = [
        tokio::spawn(stop_on_signals(messages.clone())),
        tokio::spawn(feed::figures(socket.to_owned(), asked, interval, messages.clone())),
        tokio::spawn(feed::events(socket.to_owned(), messages.clone())),
    ];
    let screen = Screen { terminal, look, last: Instant::now(), due: true };
    let left = screen.show(model, socket, &questions, &messages, inbox).await;
    ratatui::restore();
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    left.map_err(|error| Problem::starting(&error))?;
    Ok(ExitCode::Done)
}

struct Screen {
    terminal: DefaultTerminal,
    look: Look,
    /// When the last frame was drawn.
    last: Instant,
    /// Whether something has changed since.
    due: bool,
}

impl Screen {
    async fn show(
        mut self,
        mut model: Model,
        socket: &Path,
        questions: &watch::Sender<GetParams>,
        messages: &UnboundedSender<Message>,
        mut inbox: UnboundedReceiver<Message>,
    ) -> std::io::Result<()> {
        self.draw(&model)?;
        loop {
            let message = tokio::select! {
                message = inbox.recv() => message,
                () = tokio::time::sleep_until(self.last + FRAME_INTERVAL), if self.due => {
                    self.draw(&model)?;
                    continue;
                }
            };
            let Some(message) = message else { return Ok(()) };
            let at_once = matches!(
                message,
                Message::Key(_)
                    | Message::Resized
                    | Message::Planned(_)
                    | Message::Unplanned { .. }
                    | Message::Ended(..)
            );
            match model.update(message) {
                Action::None => {}
                Action::Quit => return Ok(()),
                Action::Ask => questions.send_modify(|question| *question = model.question()),
                Action::Plan { domain, tag, undo } => {
                    let plan = feed::plan(socket.to_owned(), domain, tag, undo, messages.clone());
                    tokio::spawn(plan);
                }
                Action::Apply(token) => {
                    let params = ApplyParams { token };
                    let (socket, messages) = (socket.to_owned(), messages.clone());
                    tokio::spawn(feed::operate::<Apply>(socket, params, Some, messages));
                }
                Action::Undo(domain) => {
                    let params = UndoParams { domain, options: SwitchOptions::default() };
                    let (socket, messages) = (socket.to_owned(), messages.clone());
                    tokio::spawn(feed::operate::<Undo>(socket, params, Some, messages));
                }
                Action::Abort(domain) => {
                    let params = AbortParams { domain, options: SwitchOptions::default() };
                    let (socket, messages) = (socket.to_owned(), messages.clone());
                    tokio::spawn(feed::operate::<Abort>(socket, params, |()| None, messages));
                }
                Action::Promote(domain) => {
                    let options = SwitchOptions::default();
                    let params = PromoteParams { domain, tag: None, options };
                    let (socket, messages) = (socket.to_owned(), messages.clone());
                    tokio::spawn(feed::operate::<Promote>(socket, params, Some, messages));
                }
            }
            if at_once || self.last.elapsed() >= FRAME_INTERVAL {
                self.draw(&model)?;
            } else {
                self.due = true;
            }
        }
    }

    /// Only differences to the previous frame are sent.
    fn draw(&mut self, model: &Model) -> std::io::Result<()> {
        let look = self.look;
        self.terminal.draw(|frame| view::draw(frame, model, look, false))?;
        self.last = Instant::now();
        self.due = false;
        Ok(())
    }
}

/// Reads keys on a thread of their own, which ends with the process.
fn read_keys(messages: UnboundedSender<Message>) {
    std::thread::spawn(move || {
        loop {
            let message = match event::read() {
                Ok(Event::Key(key)) => Message::Key(key),
                Ok(Event::Resize(..)) => Message::Resized,
                Ok(_) => continue,
                // The terminal is gone.
                Err(_) => Message::Stop,
            };
            let is_last = matches!(message, Message::Stop);
            if messages.send(message).is_err() || is_last {
                return;
            }
        }
    });
}

async fn stop_on_signals(messages: UnboundedSender<Message>) {
    let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()];
    let [Ok(mut terminate), Ok(mut hangup), Ok(mut interrupt)] = kinds.map(signal) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
        _ = interrupt.recv() => {}
    }
    let _ = messages.send(Message::Stop);
}
