//! The state of the view, and how keys and messages change it.

mod keys;

use std::collections::{BTreeSet, VecDeque};

use ratatui::crossterm::event::{KeyEvent, KeyEventKind};

use crate::cli::ctl::switch_progress;
use crate::model::{
    DomainName, Event, StatsSort, StatsWindow, SwitchPlan, SwitchProgress, Tag, TrialReport,
};
use crate::rpc::methods::stats::{DomainStats, GetParams, StatsReport};

/// The most events to keep.
pub(super) const MAX_EVENTS: usize = 50;

/// The most domains to fetch; more during a search.
const MAX_DOMAINS: usize = 100;
const MAX_SEARCHED_DOMAINS: usize = 1000;

/// A message to the model.
#[derive(Debug)]
pub(super) enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// Figures of one domain or of all.
    Report { of: Option<DomainName>, report: Box<StatsReport> },
    /// The open domain does not exist any more.
    Gone(DomainName),
    /// The last events, the newest last; they replace earlier ones.
    Events(Vec<Event>),
    /// One more.
    Event(Box<Event>),
    /// The server does not answer.
    Lost(String),
    /// The plan of a switch.
    Planned(Box<Planned>),
    /// The rollouts and guards that run.
    Trials(Vec<TrialReport>),
    /// Planning failed.
    Unplanned { domain: DomainName, why: String, tag_was_named: bool },
    /// A phase of a switch.
    Phase(SwitchProgress),
    /// The operation has ended, successfully or not.
    Ended(String, bool),
    /// The process is to end.
    Stop,
}

/// A planned switch that waits for confirmation.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) domain: DomainName,
    pub(super) undo: bool,
    pub(super) plan: SwitchPlan,
}

/// An action for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    None,
    /// Leave.
    Quit,
    /// Fetch again at once: the query has changed.
    Ask,
    /// Plan a switch.
    Plan { domain: DomainName, tag: Option<Tag>, undo: bool },
    /// Make the switch of this token.
    Apply(String),
    /// Move the domain back.
    Undo(DomainName),
    /// End the rollout or the guard of the domain.
    Abort(DomainName),
    /// Make the tag that is rolled out at the domain live alone.
    Promote(DomainName),
}

/// The state of the last operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Doing {
    /// None.
    #[default]
    Nothing,
    /// Its phase.
    Busy(String),
    /// Its end, successful or not.
    Ended(String, bool),
}

/// The mode of key input.
#[derive(Debug, Default)]
pub(super) enum Mode {
    /// The lists.
    #[default]
    Browse,
    /// Typing a search.
    Search,
    /// The keys are explained.
    Help,
    /// Typing the tag for a switch.
    Tag { domain: DomainName, typed: String },
    /// A yes or no.
    Confirm(Box<Planned>),
    /// A yes or no to the end of a trial: the new tag live alone, or not at all.
    End { trial: Box<TrialReport>, promote: bool },
}

/// Everything that a frame shows.
#[derive(Debug, Default)]
pub(super) struct Model {
    report: Option<StatsReport>,
    events: VecDeque<Event>,
    /// The rollouts and guards that run.
    trials: Vec<TrialReport>,
    /// Why the server doesn't answer.
    pub(super) lost: Option<String>,
    pub(super) mode: Mode,
    pub(super) doing: Doing,
    /// The domain that is open.
    pub(super) open: Option<DomainName>,
    /// The domain under the cursor.
    chosen: Option<DomainName>,
    /// The search text.
    pub(super) search: String,
    pub(super) sort: StatsSort,
    pub(super) window: StatsWindow,
}

impl Model {
    pub(super) fn new(open: Option<DomainName>, window: StatsWindow) -> Self {
        Self { open, window, ..Self::default() }
    }

    /// The query for the server.
    pub(super) fn question(&self) -> GetParams {
        let limit = if self.search.is_empty() { MAX_DOMAINS } else { MAX_SEARCHED_DOMAINS };
        GetParams {
            domain: self.open.clone(),
            backend: None,
            window_secs: self.window,
            sort: self.sort,
            limit: Some(limit),
        }
    }

    /// Applies a message. Returns the action to take.
    pub(super) fn update(&mut self, message: Message) -> Action {
        match message {
            Message::Key(key) if key.kind != KeyEventKind::Release => return self.key(key),
            Message::Key(_) | Message::Resized => {}
            Message::Report { of, report } => return self.take(of.as_ref(), *report),
            Message::Gone(domain) => {
                if self.open.as_ref() == Some(&domain) {
                    self.doing = Doing::Ended(format!("{} was removed", domain.shown()), false);
                    return self.close();
                }
            }
            Message::Trials(trials) => {
                self.trials = trials.into_iter().filter(|trial| trial.end.is_none()).collect();
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
                // The server knows the other tag; if it doesn't, the user is asked.
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
            // An answer to an earlier query.
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
        // A switch is sent again when it has ended.
        match self.events.iter_mut().find(|known| known.id == event.id) {
            Some(known) => *known = event,
            None => self.events.push_back(event),
        }
        while self.events.len() > MAX_EVENTS {
            self.events.pop_front();
        }
    }

    /// The tags that a domain could be switched to: those of the known backends.
    pub(super) fn tags_beside_live(&self, domain: &DomainName) -> BTreeSet<&Tag> {
        let Some(report) = &self.report else { return BTreeSet::new() };
        let live = report.domains.iter().find(|of| of.domain == *domain).map(|of| &of.live);
        let tags = report.backends.iter().flat_map(|of| &of.tags);
        tags.filter(|tag| Some(*tag) != live).collect()
    }

    /// The last report.
    pub(super) fn report(&self) -> Option<&StatsReport> {
        self.report.as_ref()
    }

    /// The listed domains, filtered by the search.
    pub(super) fn domains(&self) -> Vec<&DomainStats> {
        let all = self.report.iter().flat_map(|report| &report.domains);
        all.filter(|of| {
            self.search.is_empty()
                || of.domain.to_string().contains(&self.search)
                || of.domain.shown().contains(&self.search)
                || of.live.as_str().contains(&self.search)
        })
        .collect()
    }

    /// The index of the domain under the cursor; at first 0.
    pub(super) fn cursor(&self) -> Option<usize> {
        let shown = self.domains();
        let chosen = shown.iter().position(|of| Some(&of.domain) == self.chosen.as_ref());
        chosen.or(if shown.is_empty() { None } else { Some(0) })
    }

    fn chosen(&self) -> Option<&DomainStats> {
        self.domains().get(self.cursor()?).copied()
    }

    /// The open domain, if its figures have arrived.
    pub(super) fn opened(&self) -> Option<&DomainStats> {
        let open = self.open.as_ref()?;
        self.report.as_ref()?.domains.iter().find(|of| of.domain == *open)
    }

    /// The domain that keys apply to.
    fn subject(&self) -> Option<&DomainStats> {
        if self.open.is_some() { self.opened() } else { self.chosen() }
    }

    /// The trials of the shown domains.
    pub(super) fn trials(&self) -> impl Iterator<Item = &TrialReport> {
        self.trials
            .iter()
            .filter(|trial| self.open.as_ref().is_none_or(|domain| trial.domains.contains(domain)))
    }

    /// The trial that keys apply to: that of the domain, or the only one.
    pub(super) fn trial(&self) -> Option<&TrialReport> {
        let of_subject = self
            .subject()
            .and_then(|of| self.trials().find(|trial| trial.domains.contains(&of.domain)));
        let mut all = self.trials();
        of_subject.or_else(|| all.next().filter(|_| all.next().is_none()))
    }

    /// The events of the shown domains, the newest first.
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
        SwitchProgress::Smoke { passed, total, .. } => {
            format!("trying: {passed} of {total} requests passed")
        }
        SwitchProgress::Switched { steps, revision, .. } => {
            format!("switched: {} at revision {revision}", switch_progress::moves(steps))
        }
        SwitchProgress::Draining { remaining, web_sockets, ended_in_ms } => {
            let left = switch_progress::left_behind(*remaining, *web_sockets, *ended_in_ms);
            format!("draining: {left}")
        }
    }
}
