//! The meaning of keys in each mode.

use std::mem;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Action, Doing, Mode, Model, Planned};
use crate::model::{TrialKind, Word};

impl Model {
    pub(super) fn key(&mut self, key: KeyEvent) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Action::Quit;
        }
        if key.modifiers.contains(KeyModifiers::ALT) {
            return Action::None;
        }
        match &mut self.mode {
            Mode::Browse => self.browse(key.code),
            Mode::Search => self.type_in(key.code),
            Mode::Help => {
                self.mode = Mode::Browse;
                Action::None
            }
            Mode::Tag { typed, .. } => match key.code {
                KeyCode::Char(letter) => {
                    typed.push(letter);
                    Action::None
                }
                KeyCode::Backspace => {
                    typed.pop();
                    Action::None
                }
                KeyCode::Enter => self.choose_tag(),
                KeyCode::Esc => {
                    self.mode = Mode::Browse;
                    self.doing = Doing::Nothing;
                    Action::None
                }
                _ => Action::None,
            },
            Mode::Confirm(_) => self.answer(key.code),
            Mode::End { .. } => self.answer_end(key.code),
        }
    }

    fn browse(&mut self, key: KeyCode) -> Action {
        if matches!(self.doing, Doing::Ended(..)) {
            // Any further key dismisses the result.
            self.doing = Doing::Nothing;
        }
        match key {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('j') | KeyCode::Down => self.step(1),
            KeyCode::Char('k') | KeyCode::Up => self.step(-1),
            KeyCode::PageDown => self.step(10),
            KeyCode::PageUp => self.step(-10),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Char('s') => {
                self.sort = next(self.sort);
                return Action::Ask;
            }
            KeyCode::Char('w') => {
                self.window = next(self.window);
                return Action::Ask;
            }
            KeyCode::Char('/') if self.open.is_none() => self.mode = Mode::Search,
            KeyCode::Enter | KeyCode::Char('l') | KeyCode::Right if self.open.is_none() => {
                if let Some(chosen) = self.chosen().map(|of| of.domain.clone()) {
                    self.chosen = Some(chosen.clone());
                    self.open = Some(chosen);
                    return Action::Ask;
                }
            }
            KeyCode::Esc | KeyCode::Char('h') | KeyCode::Left | KeyCode::Backspace => {
                return self.back();
            }
            KeyCode::Char('S') => return self.plan(false),
            KeyCode::Char('u') => return self.plan(true),
            KeyCode::Char('a') => self.ask_end(false),
            KeyCode::Char('p') => self.ask_end(true),
            _ => {}
        }
        Action::None
    }

    /// Closes the open domain, or otherwise the search.
    fn back(&mut self) -> Action {
        if self.open.is_some() {
            return self.close();
        }
        if !self.search.is_empty() {
            self.search.clear();
            return Action::Ask;
        }
        Action::None
    }

    pub(super) fn close(&mut self) -> Action {
        self.open = None;
        Action::Ask
    }

    fn type_in(&mut self, key: KeyCode) -> Action {
        match key {
            KeyCode::Char(letter) => self.search.push(letter.to_ascii_lowercase()),
            KeyCode::Backspace => {
                if self.search.pop().is_none() {
                    self.mode = Mode::Browse;
                }
            }
            KeyCode::Esc => {
                self.search.clear();
                self.mode = Mode::Browse;
            }
            KeyCode::Enter => self.mode = Mode::Browse,
            KeyCode::Down => self.step(1),
            KeyCode::Up => self.step(-1),
            _ => return Action::None,
        }
        Action::Ask
    }

    fn answer(&mut self, key: KeyCode) -> Action {
        let Mode::Confirm(planned) = mem::replace(&mut self.mode, Mode::Browse) else {
            return Action::None;
        };
        match key {
            KeyCode::Char('y' | 'Y') => {
                let Planned { domain, undo, plan } = *planned;
                let Some(token) = plan.token else { return Action::None };
                self.doing = Doing::Busy("asking the server".to_owned());
                if undo { Action::Undo(domain) } else { Action::Apply(token) }
            }
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => {
                self.doing = Doing::Ended("nothing was changed".to_owned(), true);
                Action::None
            }
            // Neither: ignored.
            _ => {
                self.mode = Mode::Confirm(planned);
                Action::None
            }
        }
    }

    /// Asks whether a trial is to end.
    fn ask_end(&mut self, promote: bool) {
        if matches!(self.doing, Doing::Busy(_)) {
            return;
        }
        let Some(trial) = self.trial().cloned() else {
            self.doing = Doing::Ended("nothing is on trial here".to_owned(), false);
            return;
        };
        if promote && trial.kind == TrialKind::Guard {
            let how = format!("{} is live already: its guard ends by itself", trial.to);
            self.doing = Doing::Ended(how, false);
            return;
        }
        self.mode = Mode::End { trial: Box::new(trial), promote };
    }

    fn answer_end(&mut self, key: KeyCode) -> Action {
        let Mode::End { trial, promote } = mem::replace(&mut self.mode, Mode::Browse) else {
            return Action::None;
        };
        match key {
            KeyCode::Char('y' | 'Y') => {
                let Some(domain) = trial.domains.first().cloned() else { return Action::None };
                self.doing = Doing::Busy("asking the server".to_owned());
                if promote { Action::Promote(domain) } else { Action::Abort(domain) }
            }
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => {
                self.doing = Doing::Ended("nothing was changed".to_owned(), true);
                Action::None
            }
            // Neither: ignored.
            _ => {
                self.mode = Mode::End { trial, promote };
                Action::None
            }
        }
    }

    fn plan(&mut self, undo: bool) -> Action {
        if matches!(self.doing, Doing::Busy(_)) {
            return Action::None;
        }
        let Some(of) = self.subject() else { return Action::None };
        let (domain, tag) = (of.domain.clone(), of.previous.clone().filter(|_| undo));
        if undo && tag.is_none() {
            let how = format!("{} has no previous tag: there is nothing to undo", domain.shown());
            self.doing = Doing::Ended(how, false);
            return Action::None;
        }
        self.doing = Doing::Busy("planning".to_owned());
        Action::Plan { domain, tag, undo }
    }

    fn choose_tag(&mut self) -> Action {
        let Mode::Tag { domain, typed } = mem::replace(&mut self.mode, Mode::Browse) else {
            return Action::None;
        };
        match typed.parse() {
            Ok(tag) => {
                self.doing = Doing::Busy("planning".to_owned());
                Action::Plan { domain, tag: Some(tag), undo: false }
            }
            Err(error) => {
                self.doing = Doing::Ended(error.to_string(), false);
                Action::None
            }
        }
    }

    fn step(&mut self, by: isize) {
        let shown = self.domains();
        let last = shown.len().saturating_sub(1);
        let now = self.cursor().unwrap_or_default();
        let next = now.saturating_add_signed(by).min(last);
        let next = shown.get(next).map(|of| of.domain.clone());
        self.chosen = next;
    }
}

/// The next one of all, and the first behind the last.
fn next<T: Word + PartialEq>(now: T) -> T {
    let mut all = T::all().iter().cycle().copied();
    all.find(|one| *one == now);
    all.next().unwrap_or(now)
}
