//! What is known, what is chosen, and what keys and news lead to.

mod keys;

use std::collections::{BTreeSet, VecDeque};

use ratatui::crossterm::event::{KeyEvent, KeyEventKind};

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

    /// The tags that a domain could be switched to: those of the backends that are known.
    pub(super) fn tags_beside_live(&self, domain: &DomainName) -> BTreeSet<&Tag> {
        let Some(report) = &self.report else { return BTreeSet::new() };
        let live = report.domains.iter().find(|of| of.domain == *domain).map(|of| &of.live);
        let tags = report.backends.iter().flat_map(|of| &of.tags);
        tags.filter(|tag| Some(*tag) != live).collect()
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
