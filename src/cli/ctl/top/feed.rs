//! Fetches from the server, as messages.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::sleep;

use super::model::{MAX_EVENTS, Message, Planned};
use crate::cli::ctl::switch_progress::moves;
use crate::model::{
    DomainName, Event, Outcome, SwitchOptions, SwitchProgress, SwitchReport, Tag, TrialReport,
    with_unicode_names,
};
use crate::rpc::client::{Client, ClientError};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::Method;
use crate::rpc::methods::event::{self, ListParams, WatchParams};
use crate::rpc::methods::rollout;
use crate::rpc::methods::stats::{self, GetParams, StatsReport};
use crate::rpc::methods::switch::{self, StartParams};

/// The interval of attempts to reconnect.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// One fetch of everything.
pub(super) async fn look(
    socket: &Path,
    question: &GetParams,
) -> Result<(StatsReport, Vec<TrialReport>, Vec<Event>), ClientError> {
    let mut client = Client::connect(socket).await?;
    let report = client.call::<stats::Get>(question, |()| {}).await?;
    let trials = trials(&mut client).await?;
    let params = ListParams { domain: None, limit: Some(MAX_EVENTS) };
    let mut events = client.call::<event::List>(&params, |()| {}).await?.events;
    events.reverse();
    Ok((report, trials, events))
}

/// The rollouts and guards; none at a server that knows of none.
async fn trials(client: &mut Client) -> Result<Vec<TrialReport>, ClientError> {
    match client.call::<rollout::List>(&rollout::ListParams::default(), |()| {}).await {
        Ok(list) => Ok(list.trials),
        Err(ClientError::Fault(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Fetches the figures periodically, and at once if the query changes.
pub(super) async fn figures(
    socket: PathBuf,
    mut questions: watch::Receiver<GetParams>,
    interval: Duration,
    messages: UnboundedSender<Message>,
) {
    let mut client = None;
    while !messages.is_closed() {
        let question = questions.borrow_and_update().clone();
        let asked = ask(&mut client, &socket, &question).await;
        let (message, pause) = match asked {
            Ok((report, trials)) => {
                let _ = messages.send(Message::Trials(trials));
                let of = question.domain;
                (Message::Report { of, report: Box::new(report) }, interval)
            }
            Err(error) => {
                client = None;
                match (&error, question.domain) {
                    (ClientError::Fault(fault), Some(domain))
                        if fault.data.kind == FaultKind::NotFound =>
                    {
                        (Message::Gone(domain), interval)
                    }
                    _ => (Message::Lost(error.to_string()), RETRY_INTERVAL),
                }
            }
        };
        let _ = messages.send(message);
        tokio::select! {
            () = sleep(pause) => {}
            changed = questions.changed() => if changed.is_err() { return },
        }
    }
}

async fn ask(
    client: &mut Option<Client>,
    socket: &Path,
    question: &GetParams,
) -> Result<(StatsReport, Vec<TrialReport>), ClientError> {
    let client = match client {
        Some(client) => client,
        None => client.insert(Client::connect(socket).await?),
    };
    let report = client.call::<stats::Get>(question, |()| {}).await?;
    Ok((report, trials(client).await?))
}

/// Sends each event as it happens; from the beginning after a reconnect.
pub(super) async fn events(socket: PathBuf, messages: UnboundedSender<Message>) {
    while !messages.is_closed() {
        if let Ok(mut client) = Client::connect(&socket).await {
            let params =
                WatchParams { domain: None, limit: Some(MAX_EVENTS), count: None, after: None };
            let send = |event| drop(messages.send(Message::Event(Box::new(event))));
            let _ = messages.send(Message::Events(Vec::new()));
            // In either case the server is gone, which the figures report.
            let _ = client.call::<event::Watch>(&params, send).await;
        }
        sleep(RETRY_INTERVAL).await;
    }
}

/// Plans a switch of `domain` to `tag`, or to the other one.
pub(super) async fn plan(
    socket: PathBuf,
    domain: DomainName,
    tag: Option<Tag>,
    undo: bool,
    messages: UnboundedSender<Message>,
) {
    let tag_was_named = tag.is_some();
    let params =
        StartParams { domains: vec![domain.clone()], tag, options: SwitchOptions::default() };
    let planned =
        async { Client::connect(&socket).await?.call::<switch::Plan>(&params, |()| {}).await };
    let _ = messages.send(match planned.await {
        Ok(plan) if plan.token.is_none() => {
            Message::Ended(format!("{} is already there", domain.shown()), false)
        }
        Ok(plan) => Message::Planned(Box::new(Planned { domain, undo, plan })),
        Err(error) => Message::Unplanned { domain, why: message_of(&error), tag_was_named },
    });
}

/// Makes a switch, or what ends like one. `phase_of` says what of its progress is shown.
pub(super) async fn operate<M>(
    socket: PathBuf,
    params: M::Params,
    phase_of: fn(M::Progress) -> Option<SwitchProgress>,
    messages: UnboundedSender<Message>,
) where
    M: Method<Result = SwitchReport>,
{
    let phase = |progress| {
        if let Some(phase) = phase_of(progress) {
            let _ = messages.send(Message::Phase(phase));
        }
    };
    let operated = async { Client::connect(&socket).await?.call::<M>(&params, phase).await };
    let ended = match operated.await {
        Ok(report) => {
            let moves = moves(&report.steps);
            let well = !matches!(report.outcome, Outcome::DrainTimedOut { .. });
            Message::Ended(format!("{moves}: {}", report.outcome), well)
        }
        Err(error) => Message::Ended(message_of(&error), false),
    };
    let _ = messages.send(ended);
}

/// An error and its hint in one line.
fn message_of(error: &ClientError) -> String {
    let text = match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    with_unicode_names(&text).into_owned()
}
