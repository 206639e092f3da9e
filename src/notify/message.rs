//! What targets get: an event, with what identifies it.

use serde_json::{Value, json};

use super::payload::Payload;
use crate::clock::now_ms;
use crate::health::HealthChange;
use crate::model::{Event, HealthStatus, NotifyKind};
use crate::state::Snapshot;

/// The version of the JSON. What is added later doesn't change it.
const VERSION: u32 = 1;

/// An event as targets get it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: NotifyKind,
    pub(super) payload: Payload,
    /// Where it stands in the history; nowhere for a change of health.
    pub(super) step: Option<Step>,
}

/// A place in the history that has a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// The number of the event.
    pub(super) number: u64,
    /// Whether its outcome is still to come, and with it another message.
    pub(super) is_open: bool,
}

/// What an event of the history is for those who want such events; `None` for one of no kind.
pub(super) fn of_event(event: &Event, server: Option<&str>) -> Option<Message> {
    let kind = NotifyKind::of(event)?;
    let step = Step { number: event.id, is_open: event.is_open() };
    // The same after a restart, so that a receiver knows what it has got already.
    let end = if step.is_open { "-draining" } else { "" };
    let id = format!("{}-{}{end}", event.at_ms, event.id);
    let content = serde_json::to_value(event).unwrap_or_default();
    let payload = payload(kind.as_str(), &id, event.at_ms, server, &content);
    Some(Message { kind, payload, step: Some(step) })
}

/// What a change of health is; `None` where a backend was found to be healthy for the first time: after a start
/// that is true of all.
pub(super) fn of_health(
    change: &HealthChange,
    state: &Snapshot,
    server: Option<&str>,
) -> Option<Message> {
    if change.from == HealthStatus::Unknown && change.to == HealthStatus::Healthy {
        return None;
    }
    let declared = state.backend(&change.backend).map(|node| &node.backend);
    let content = json!({
        "kind": "health",
        "backend": change.backend,
        "app": declared.and_then(|backend| backend.options.app.clone()),
        "tags": declared.map(|backend| backend.tags.clone()).unwrap_or_default(),
        "from": change.from,
        "to": change.to,
        "reason": change.reason,
    });
    let id = format!("{}-health-{:08x}", change.at_ms, fastrand::u32(..));
    let payload = payload("health", &id, change.at_ms, server, &content);
    Some(Message { kind: NotifyKind::Health, payload, step: None })
}

/// What an operator sends to see whether a target gets it.
pub(super) fn test(server: Option<&str>) -> Payload {
    let at_ms = now_ms();
    let id = format!("{at_ms}-test-{:08x}", fastrand::u32(..));
    payload("test", &id, at_ms, server, &json!({ "kind": "test" }))
}

fn payload(
    event: &'static str,
    id: &str,
    at_ms: u64,
    server: Option<&str>,
    content: &Value,
) -> Payload {
    let body = json!({
        "version": VERSION,
        "id": id,
        "at_ms": at_ms,
        "server": server,
        "event": content,
    });
    Payload::new(event, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, CertificateNews, EventKind, Outcome};

    fn event(kind: EventKind) -> Event {
        Event { id: 7, revision: 3, at_ms: 1000, actor: Actor::File, kind }
    }

    fn switch(outcome: Outcome) -> Event {
        let steps = Vec::new();
        let (reason, before) = (None, Vec::new());
        event(EventKind::Switch { steps, outcome, undo: false, forced: false, reason, before })
    }

    #[test]
    fn an_event_has_one_id_while_it_drains_and_another_at_its_end() {
        let id = |event: &Event| {
            let message = of_event(event, Some("edge-1")).unwrap();
            let body: Value = serde_json::from_slice(&message.payload.body).unwrap();
            assert_eq!(body["event"], serde_json::to_value(event).unwrap());
            assert_eq!((&body["server"], &body["version"]), (&json!("edge-1"), &json!(1)));
            (body["id"].as_str().unwrap().to_owned(), message.step.unwrap().is_open)
        };
        assert_eq!(id(&switch(Outcome::Draining)), ("1000-7-draining".to_owned(), true));
        assert_eq!(id(&switch(Outcome::Done)), ("1000-7".to_owned(), false));
    }

    #[test]
    fn events_have_kinds_and_those_of_none_are_left_out() {
        let domain = || "a.test".parse().unwrap();
        let kind = |event: &Event| of_event(event, None).map(|message| message.kind);
        assert_eq!(kind(&switch(Outcome::Done)), Some(NotifyKind::Switch));
        let news = CertificateNews::Failed { error: "x".into(), attempt: 1, next_ms: None };
        let certificate = event(EventKind::Certificate { domain: domain(), news });
        assert_eq!(kind(&certificate), Some(NotifyKind::Certificate));
        assert_eq!(kind(&event(EventKind::DomainRemoved { domain: domain() })), None);
    }
}
