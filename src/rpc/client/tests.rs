use proptest::prelude::*;
use serde_json::json;

use super::fake_server::{FakeServer, ID};
use super::*;
use crate::model::{
    Actor, EventKind, HealthStatus, Outcome, SwitchOptions, SwitchProgress, SwitchStep,
};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::{Changed, NoParams, backend, domain, event, state, switch};

fn params() -> domain::DomainParams {
    domain::DomainParams { domain: "example.com".parse().unwrap() }
}

async fn remove(server: &FakeServer) -> Result<Changed, ClientError> {
    let mut client = Client::connect(&server.socket()).await?;
    client.call::<domain::Remove>(&params(), |()| {}).await.map(|confirmed| confirmed.now)
}

#[tokio::test]
async fn a_call_is_one_line_and_its_result_is_typed() {
    let server = FakeServer::answering(&[
        json!({"jsonrpc": "2.0", "id": ID, "result": {"revision": 7, "of_a_newer_server": true}}),
    ]);
    assert_eq!(remove(&server).await.unwrap(), Changed { revision: 7 });
    assert_eq!(
        server.request(),
        json!({"jsonrpc": "2.0", "id": 1, "client": PeerVersion::OWN, "method": "domain.remove",
               "params": {"domain": "example.com"}})
    );
}

#[tokio::test]
async fn progress_comes_in_order_and_only_this_calls() {
    let progress = |id: serde_json::Value, progress: serde_json::Value| json!({"jsonrpc": "2.0", "method": "progress", "params": {"id": id, "progress": progress}});
    let server = FakeServer::answering(&[
        progress(
            json!(ID),
            json!({"phase": "switched", "revision": 3, "switch_ms": 0.9,
            "steps": [{"domain": "example.com", "from": "b", "to": "a"}]}),
        ),
        progress(json!(ID), json!({"phase": "of a newer server"})),
        progress(json!("another"), json!({"phase": "draining", "remaining": 9})),
        json!({"jsonrpc": "2.0", "method": "news", "params": {}}),
        progress(json!(ID), json!({"phase": "draining", "remaining": 1})),
        json!({"jsonrpc": "2.0", "id": ID, "result": {
            "steps": [], "unchanged": [], "revision": 3, "outcome": {"state": "done"},
            "gate_ms": 0, "switch_ms": 0, "drain_ms": 0}}),
    ]);
    let mut seen = Vec::new();
    let params = switch::UndoParams {
        domain: "example.com".parse().unwrap(),
        options: SwitchOptions::default(),
    };
    let mut client = Client::connect(&server.socket()).await.unwrap();
    client.call::<switch::Undo>(&params, |progress| seen.push(progress)).await.unwrap();
    let step = SwitchStep {
        domain: "example.com".parse().unwrap(),
        from: "b".parse().unwrap(),
        to: "a".parse().unwrap(),
    };
    let switched = SwitchProgress::Switched {
        steps: vec![step],
        revision: 3,
        switch_ms: Some(Duration::from_micros(900).into()),
    };
    // One of an older server.
    let draining = SwitchProgress::Draining { remaining: 1, web_sockets: 0, ended_in_ms: None };
    assert_eq!(seen, [switched, draining]);
}

#[tokio::test]
async fn a_fault_is_handed_on_whole() {
    for id in [json!(ID), json!(null)] {
        let server = FakeServer::answering(&[json!({"jsonrpc": "2.0", "id": id, "error": {
            "code": -32000, "message": "no such domain",
            "data": {"kind": "not_found", "hint": "see `vhost ctl domain list`"}}})]);
        let error = remove(&server).await.unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("see `vhost ctl domain list`"));
        let ClientError::Fault(fault) = error else { panic!("{error:?}") };
        assert_eq!((fault.code, fault.data.kind), (-32000, FaultKind::NotFound));
    }
}

#[tokio::test]
async fn a_missing_and_a_dead_socket_are_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.sock");
    let dead = folder.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    for path in [missing.clone(), missing.join("below"), dead.clone(), dead.join("below")] {
        let error = Client::connect(&path).await.unwrap_err();
        assert!(matches!(error, ClientError::NoServer { .. }), "{}: {error:?}", path.display());
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_socket_that_may_not_be_opened_is_told_apart() {
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let error = ClientError::connecting(Path::new("/run/vhost/admin.sock"), denied);
    assert!(matches!(error, ClientError::Denied { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("admin_group"));
}

#[tokio::test]
async fn a_connection_that_ends_early_says_that_the_work_may_go_on() {
    for bytes in ["", r#"{"jsonrpc": "2.0", "id": 1, "resu"#] {
        let server = FakeServer::sending(bytes.to_owned());
        let error = remove(&server).await.unwrap_err();
        assert!(matches!(error, ClientError::Closed { .. }), "{bytes}: {error:?}");
        assert!(error.hint().unwrap().contains("vhost ctl history"));
    }
}

#[tokio::test]
async fn replies_that_are_not_the_sockets_are_told_apart() {
    for line in [
        "HTTP/1.1 400 Bad Request",
        "{}",
        "[]",
        r#"{"jsonrpc": "2.0", "id": 1}"#,
        r#"{"jsonrpc": "2.0", "id": 99, "result": {"revision": 1}}"#,
        r#"{"jsonrpc": "2.0", "id": 1, "result": {"revision": "seven"}}"#,
    ] {
        let server = FakeServer::answering(&[line]);
        let error = remove(&server).await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{line}: {error:?}");
    }
}

#[tokio::test]
async fn an_endless_line_is_given_up() {
    let full = format!(r#"{{"id": 1, "result": {{"revision": 1}}{}}}"#, " ".repeat(64));
    for (longest, fits) in [(full.len(), true), (full.len() - 1, false)] {
        let server = FakeServer::answering(&[&full]);
        let mut client = Client::connect(&server.socket()).await.unwrap();
        client.longest_line = longest;
        match client.call::<domain::Remove>(&params(), |()| {}).await {
            Ok(_) => assert!(fits),
            Err(ClientError::Protocol { reason, .. }) if !fits => {
                assert!(reason.contains("more than"), "{reason}");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_turns_clients_away_unread_is_still_heard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut client = Client::connect(&path).await.unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let refusal = json!({"jsonrpc": "2.0", "id": null, "error": {
        "code": -32000, "message": "user 1000 may not", "data": {"kind": "denied"}}});
    io::Write::write_all(&mut stream, format!("{refusal}\n").as_bytes()).unwrap();
    drop(stream);
    let error = client.call::<state::Get>(&NoParams {}, |()| {}).await.unwrap_err();
    assert!(matches!(error, ClientError::Fault(_)), "{error:?}");
}

/// What a server one minor version newer might answer: members, kinds and values that are new.
#[tokio::test]
async fn what_a_newer_server_adds_is_tolerated() {
    let health = json!({"status": "wobbly", "since_ms": 1, "checked_ms": 1, "latency_ms": 0.001,
        "last_status": 200, "last_error": null, "failed_ms": null, "trend": "up"});
    let server = FakeServer::answering(&[json!({"jsonrpc": "2.0", "id": ID, "server": "0.2.0",
        "result": {"revision": 1, "id": "web", "address": "127.0.0.1:1", "resolved": [], "tags": [],
            "weight": 1, "scheme": "h3", "state": "asleep", "health": health, "in_flight": 0,
            "requests": 0, "failures": 0, "zone": "north"}})]);
    let mut client = Client::connect(&server.socket()).await.unwrap();
    let params = backend::BackendParams { id: "web".parse().unwrap() };
    let shown = client.call::<backend::Show>(&params, |()| {}).await.unwrap();
    assert_eq!(
        (shown.options.text("scheme"), shown.state.to_string()),
        ("h3".into(), "asleep".into())
    );
    assert_eq!(shown.health.status, HealthStatus::Unknown);
    assert_eq!(json!(shown)["state"], "asleep", "scripts get it as it came");

    let event = |kind: Value| {
        let mut event =
            json!({"id": 1, "revision": 1, "at_ms": 1, "actor": {"via": "rest", "token": "ci"}});
        event.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        event
    };
    let server = FakeServer::answering(&[json!({"jsonrpc": "2.0", "id": ID, "result": {
    "revision": 1, "events": [
        event(json!({"kind": "certificate_renewed", "domain": "example.com"})),
        event(json!({"kind": "switch", "steps": [], "outcome": {"state": "mirrored", "by": 2}})),
    ]}})]);
    let mut client = Client::connect(&server.socket()).await.unwrap();
    let events =
        client.call::<event::List>(&event::ListParams::default(), |()| {}).await.unwrap().events;
    assert_eq!((&events[0].kind, &events[0].actor), (&EventKind::Unknown, &Actor::Unknown));
    assert!(matches!(&events[1].kind, EventKind::Switch { outcome: Outcome::Unknown, .. }));

    let server = FakeServer::answering(&[json!({"jsonrpc": "2.0", "id": ID, "server": ["odd"],
        "error": {"code": -31000, "message": "no", "data": {"kind": "new", "backends": [{"x": 1}]}}})]);
    let error = remove(&server).await.unwrap_err();
    let ClientError::Fault(fault) = error else { panic!("{error:?}") };
    assert_eq!((fault.data.kind, fault.message.as_str()), (FaultKind::Unknown, "no"));
}

#[tokio::test]
async fn an_answer_that_another_version_wrote_is_told_apart() {
    for (server_version, part) in
        [("99.0.0", "update this `vhost`"), ("0.0.1", "update the server")]
    {
        let server = FakeServer::answering(&[json!({"jsonrpc": "2.0", "id": ID,
            "server": server_version, "result": {"changes": []}})]);
        let error = remove(&server).await.unwrap_err();
        let said = error.to_string();
        let own = PeerVersion::OWN.to_string();
        assert!(said.contains(server_version) && said.contains(&own), "{said}");
        assert!(said.contains("revision"), "{said}");
        assert!(error.hint().unwrap().contains(part), "{:?}", error.hint());
    }
}

/// Reads what a server of 0.1 has answered, as it was recorded then: what a later version adds to a
/// result may be missing.
#[test]
fn the_answers_of_the_version_before_are_read() {
    fn read<M: Method>(part: &str, value: Value) -> Result<(), serde_json::Error> {
        match part {
            "result" => serde_json::from_value::<M::Result>(value).map(drop),
            "progress" => serde_json::from_value::<M::Progress>(value).map(drop),
            _ => serde_json::from_value::<Fault>(value).map(drop),
        }
    }
    let recorded = include_str!("../../../tests/wire/answers-0.1.jsonl");
    for line in recorded.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let part =
            ["result", "progress", "error"].into_iter().find(|part| entry.get(part).is_some());
        let part = part.expect("an answer");
        let value = entry[part].clone();
        let done = match entry["method"].as_str().unwrap() {
            "state.get" => read::<state::Get>(part, value),
            "domain.list" => read::<domain::List>(part, value),
            "domain.show" => read::<domain::Show>(part, value),
            "domain.add" => read::<domain::Add>(part, value),
            "domain.set" => read::<domain::Set>(part, value),
            "domain.remove" => read::<domain::Remove>(part, value),
            "domain.wait" => read::<domain::Wait>(part, value),
            "backend.list" => read::<backend::List>(part, value),
            "backend.show" => read::<backend::Show>(part, value),
            "backend.add" => read::<backend::Add>(part, value),
            "backend.set" => read::<backend::Set>(part, value),
            "backend.remove" => read::<backend::Remove>(part, value),
            "backend.tag" => read::<backend::AddTags>(part, value),
            "backend.untag" => read::<backend::RemoveTags>(part, value),
            "backend.drain" => read::<backend::Drain>(part, value),
            "backend.ready" => read::<backend::Ready>(part, value),
            "backend.disable" => read::<backend::Disable>(part, value),
            "switch.start" => read::<switch::Start>(part, value),
            "switch.undo" => read::<switch::Undo>(part, value),
            "event.list" => read::<event::List>(part, value),
            other => panic!("`{other}` was recorded and is gone"),
        };
        done.unwrap_or_else(|error| panic!("{error} in {line}"));
    }
}

/// What is sent by what is no server of ours, or a broken one.
fn any_lines() -> impl Strategy<Value = String> {
    let answer = json!({"jsonrpc": "2.0", "id": ID, "result": {"revision": 7}}).to_string();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..8);
    let damaged = (Just(answer), edits).prop_map(|(answer, edits)| {
        let mut characters: Vec<char> = answer.chars().collect();
        for (at, character) in edits {
            let at = at.index(characters.len());
            characters[at] = character;
        }
        characters.into_iter().collect()
    });
    let lines = prop::collection::vec(prop_oneof![".{0,60}", damaged], 0..4);
    lines.prop_map(|lines| lines.join("\n") + "\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_lines_of_a_server_become_a_result_or_an_error(lines in any_lines()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answered = runtime.block_on(async {
            let server = FakeServer::sending(lines);
            let called = remove(&server);
            tokio::time::timeout(Duration::from_secs(20), called).await
        });
        match answered.expect("it ends") {
            // The damage may leave the answer whole, or change the revision alone.
            Ok(Changed { .. }) => {}
            Err(error) => {
                prop_assert!(error.to_string().len() > 1 || matches!(error, ClientError::Fault(_)));
                prop_assert!(error.hint().is_some() || matches!(error, ClientError::Fault(_)));
            }
        }
    }
}
