use serde_json::json;

use super::fake_server::{FakeServer, ID};
use super::*;
use crate::model::{SwitchProgress, SwitchStep};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::{Changed, NoParams, domain, state, switch};

fn params() -> domain::DomainParams {
    domain::DomainParams { domain: "example.com".parse().unwrap() }
}

async fn remove(server: &FakeServer) -> Result<Changed, ClientError> {
    let mut client = Client::connect(&server.socket()).await?;
    client.call::<domain::Remove>(&params(), |()| {}).await
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
            json!({"phase": "switched", "revision": 3, "switch_us": 900,
            "steps": [{"domain": "example.com", "from": "b", "to": "a"}]}),
        ),
        progress(json!(ID), json!({"phase": "of a newer server"})),
        progress(json!("another"), json!({"phase": "draining", "remaining": 9})),
        json!({"jsonrpc": "2.0", "method": "news", "params": {}}),
        progress(json!(ID), json!({"phase": "draining", "remaining": 1})),
        json!({"jsonrpc": "2.0", "id": ID, "result": {
            "steps": [], "unchanged": [], "revision": 3, "outcome": {"state": "done"},
            "gate_ms": 0, "switch_us": 0, "drain_ms": 0}}),
    ]);
    let mut seen = Vec::new();
    let params = switch::UndoParams {
        domain: "example.com".parse().unwrap(),
        options: switch::SwitchOptions::default(),
    };
    let mut client = Client::connect(&server.socket()).await.unwrap();
    client.call::<switch::Undo>(&params, |progress| seen.push(progress)).await.unwrap();
    let step = SwitchStep {
        domain: "example.com".parse().unwrap(),
        from: "b".parse().unwrap(),
        to: "a".parse().unwrap(),
    };
    let switched = SwitchProgress::Switched { steps: vec![step], revision: 3, switch_us: 900 };
    assert_eq!(seen, [switched, SwitchProgress::Draining { remaining: 1 }]);
}

#[tokio::test]
async fn a_fault_is_handed_on_whole() {
    for id in [json!(ID), json!(null)] {
        let server = FakeServer::answering(&[json!({"jsonrpc": "2.0", "id": id, "error": {
            "code": -32000, "message": "no such domain",
            "data": {"kind": "not_found", "hint": "see `vhost ctl domain list`"}}})]);
        let error = remove(&server).await.unwrap_err();
        assert_eq!(error.hint(), Some("see `vhost ctl domain list`"));
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
