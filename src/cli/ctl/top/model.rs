//! What is known, what is chosen, and what keys and news lead to.

use std::collections::{BTreeSet, VecDeque};
use std::mem;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::cli::ctl::switch_progress;
use crate::cli::table::count;
use crate::model::{DomainName, Event, StatsSort, StatsWindow, SwitchPlan, SwitchProgress, Tag};
use crate::rpc::methods::stats::{DomainStats, GetParams, StatsReport};

/// Events that are kept.
pub(super) const EVENTS: usize = 50;

/// Domains that are asked for; more while they are searched.
const DOMAINS: usize = 100;
const SEARCHED: usize = 1000;

/// Something that happened.
#[derive(Debug)]
pub(super) enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// The server answered how traffic is, of a domain or of all.
    Report { of: Option<DomainName>, report: Box<StatsReport> },
    /// The domain that is open is not there any more.
    Gone(DomainName),
    /// The last events, the newest last; what was known before is void.
    Events(Vec<Event>),
    /// One more.
    Event(Box<Event>),
    /// The server does not answer.
    Lost(String),
    /// What a switch would do.
    Planned(Box<Planned>),
    /// Why nothing could be planned.
    Unplanned { domain: DomainName, why: String, tag_was_named: bool },
    /// A phase of a switch that was reached.
    Phase(SwitchProgress),
    /// What was asked for has ended, well or not.
    Ended(String, bool),
    /// The process is to end.
    Stop,
}

/// A switch that waits for a yes.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) domain: DomainName,
    pub(super) undo: bool,
    pub(super) plan: SwitchPlan,
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    None,
    /// Leave.
    Quit,
    /// Ask again at once: the question is another one.
    Ask,
    /// Find out what a switch would do.
    Plan { domain: DomainName, tag: Option<Tag>, undo: bool },
    /// Make the switch of this token.
    Apply(String),
    /// Move the domain back.
    Undo(DomainName),
}

/// How the last thing that was asked for is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing was asked for.
    Nothing,
    /// Where it is.
    Busy(String),
    /// How it ended, well or not.
    Ended(String, bool),
}

/// What keys go to.
#[derive(Debug)]
pub(super) enum Mode {
    /// The lists.
    Browse,
    /// The words to search for.
    Search,
    /// The keys are explained.
    Help,
    /// The tag that a domain is to be switched to.
    Tag { domain: DomainName, typed: String },
    /// A yes or no.
    Confirm(Box<Planned>),
}

/// Everything that a frame shows.
#[derive(Debug)]
pub(super) struct Model {
    report: Option<StatsReport>,
    events: VecDeque<Event>,
    /// Why the server doesn't answer.
    pub(super) lost: Option<String>,
    pub(super) mode: Mode,
    pub(super) doing: Doing,
    /// The domain that is open.
    pub(super) open: Option<DomainName>,
    /// The domain under the cursor.
    chosen: Option<DomainName>,
    /// What domains are searched for.
    pub(super) search: String,
    pub(super) sort: StatsSort,
    pub(super) window: StatsWindow,
}

impl Model {
    pub(super) fn new(open: Option<DomainName>, window: StatsWindow) -> Self {
        Self {
            report: None,
            events: VecDeque::new(),
            lost: None,
            mode: Mode::Browse,
            doing: Doing::Nothing,
            open,
            chosen: None,
            search: String::new(),
            sort: StatsSort::Rate,
            window,
        }
    }

    /// What to ask the server.
    pub(super) fn question(&self) -> GetParams {
        let limit = if self.search.is_empty() { DOMAINS } else { SEARCHED };
        GetParams {
            domain: self.open.clone(),
            backend: None,
            window_secs: self.window,
            sort: self.sort,
            limit: Some(limit),
        }
    }

    /// Takes in what happened. Says what is to be done.
    pub(super) fn update(&mut self, message: Message) -> Action {
        match message {
            Message::Key(key) if key.kind != KeyEventKind::Release => return self.key(key),
            Message::Key(_) | Message::Resized => {}
            Message::Report { of, report } => return self.take(of.as_ref(), *report),
            Message::Gone(domain) => {
                if self.open.as_ref() == Some(&domain) {
                    self.doing = Doing::Ended(format!("{domain} was removed"), false);
                    return self.close();
                }
            }
            Message::Events(events) => self.events = events.into(),
            Message::Event(event) => self.tell(*event),
            Message::Lost(why) => self.lost = Some(why),
            Message::Planned(planned) => {
                self.doing = Doing::Nothing;
                self.mode = Mode::Confirm(planned);
            }
            Message::Unplanned { domain, why, tag_was_named } => {
                self.doing = Doing::Ended(why, false);
                // Which one is the other is the server's to know; where it doesn't, it is asked for.
                if !tag_was_named {
                    self.mode = Mode::Tag { domain, typed: String::new() };
                }
            }
            Message::Phase(phase) => self.doing = Doing::Busy(words(&phase)),
            Message::Ended(how, well) => {
                self.doing = Doing::Ended(how, well);
                return Action::Ask;
            }
            Message::Stop => return Action::Quit,
        }
        Action::None
    }

    fn take(&mut self, of: Option<&DomainName>, report: StatsReport) -> Action {
        self.lost = None;
        if of != self.open.as_ref() {
            // The answer to the question before.
            return Action::None;
        }
        let name = report.domains.first().map(|first| first.domain.clone());
        self.report = Some(report);
        if self.open.is_some() && name.is_some() && name != self.open {
            // It was opened by an alias.
            self.open = name;
            return Action::Ask;
        }
        Action::None
    }

    fn tell(&mut self, event: Event) {
        // A switch is told again when it has ended.
        match self.events.iter_mut().find(|known| known.id == event.id) {
            Some(known) => *known = event,
            None => self.events.push_back(event),
        }
        while self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    fn key(&mut self, key: KeyEvent) -> Action {
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
        }
    }

    fn browse(&mut self, key: KeyCode) -> Action {
        if matches!(self.doing, Doing::Ended(..)) {
            // Whoever goes on has read it.
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
                self.sort = next_sort(self.sort);
                return Action::Ask;
            }
            KeyCode::Char('w') => {
                self.window = next_window(self.window);
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
            _ => {}
        }
        Action::None
    }

    /// Leaves what is open; else the search.
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

    fn close(&mut self) -> Action {
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
            // Neither: somebody typed ahead.
            _ => {
                self.mode = Mode::Confirm(planned);
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
            let how = format!("{domain} has no tag before this one: there is nothing to undo");
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

    /// The tags that a domain could be switched to: those of the backends that are known.
    pub(super) fn tags_beside_live(&self, domain: &DomainName) -> BTreeSet<&Tag> {
        let Some(report) = &self.report else { return BTreeSet::new() };
        let live = report.domains.iter().find(|of| of.domain == *domain).map(|of| &of.live);
        let tags = report.backends.iter().flat_map(|of| &of.tags);
        tags.filter(|tag| Some(*tag) != live).collect()
    }

    fn step(&mut self, by: isize) {
        let shown = self.domains();
        let last = shown.len().saturating_sub(1);
        let now = self.cursor().unwrap_or_default();
        let next = now.saturating_add_signed(by).min(last);
        let next = shown.get(next).map(|of| of.domain.clone());
        self.chosen = next;
    }

    /// What was last answered.
    pub(super) fn report(&self) -> Option<&StatsReport> {
        self.report.as_ref()
    }

    /// The domains that are listed, as the search has it.
    pub(super) fn domains(&self) -> Vec<&DomainStats> {
        let all = self.report.iter().flat_map(|report| &report.domains);
        all.filter(|of| {
            self.search.is_empty()
                || of.domain.to_string().contains(&self.search)
                || of.live.as_str().contains(&self.search)
        })
        .collect()
    }

    /// Which of the domains is under the cursor; the first, until one was chosen.
    pub(super) fn cursor(&self) -> Option<usize> {
        let shown = self.domains();
        let chosen = shown.iter().position(|of| Some(&of.domain) == self.chosen.as_ref());
        chosen.or(if shown.is_empty() { None } else { Some(0) })
    }

    fn chosen(&self) -> Option<&DomainStats> {
        self.domains().get(self.cursor()?).copied()
    }

    /// The domain that is open, where its figures have come.
    pub(super) fn opened(&self) -> Option<&DomainStats> {
        let open = self.open.as_ref()?;
        self.report.as_ref()?.domains.iter().find(|of| of.domain == *open)
    }

    /// The domain that keys mean.
    fn subject(&self) -> Option<&DomainStats> {
        if self.open.is_some() { self.opened() } else { self.chosen() }
    }

    /// The events that concern what is shown, the newest first.
    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().rev().filter(|event| {
            self.open.as_ref().is_none_or(|domain| event.kind.domains().contains(&domain))
        })
    }
}

fn words(phase: &SwitchProgress) -> String {
    match phase {
        SwitchProgress::Checking { healthy, total, .. } => {
            format!("checking: {healthy} of {total} healthy")
        }
        SwitchProgress::Switched { steps, revision, .. } => {
            format!("switched: {} at revision {revision}", switch_progress::moves(steps))
        }
        SwitchProgress::Draining { remaining } => {
            format!("draining: {} left", count(*remaining, "request"))
        }
    }
}

fn next_sort(sort: StatsSort) -> StatsSort {
    match sort {
        StatsSort::Rate => StatsSort::Errors,
        StatsSort::Errors => StatsSort::P99,
        StatsSort::P99 => StatsSort::InFlight,
        StatsSort::InFlight => StatsSort::Name,
        StatsSort::Name => StatsSort::Rate,
    }
}

fn next_window(window: StatsWindow) -> StatsWindow {
    match window {
        StatsWindow::TenSecs => StatsWindow::Minute,
        StatsWindow::Minute => StatsWindow::Start,
        StatsWindow::Start => StatsWindow::TenSecs,
    }
}
