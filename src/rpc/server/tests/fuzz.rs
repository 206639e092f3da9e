//! Lines of every kind at a real dispatch: never a panic, always an answer that JSON-RPC allows.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;

/// Text, numbers and structures as a program gone wrong might send them.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("web")),
        Just(Value::from("example.com")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_name(), inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Names of members that mean something somewhere, and others.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["id", "domain", "tag", "tags", "options", "params", "method"])
            .prop_map(str::to_owned),
        ".{0,8}",
    ]
}

/// Every method that comes to an end by itself; a watch goes on until the connection is closed.
fn answering() -> impl Iterator<Item = &'static str> {
    catalogue::all().map(|entry| entry.name).filter(|name| *name != "event.watch")
}

/// A request, or nearly one.
fn nearly_a_request() -> impl Strategy<Value = Value> {
    let methods: Vec<&str> = answering().collect();
    let method = prop_oneof![
        4 => prop::sample::select(methods).prop_map(Value::from),
        1 => any_json(),
    ];
    (method, any_json(), any_json(), any::<[bool; 4]>()).prop_map(|(method, id, params, given)| {
        let mut request = json!({});
        let version = json!("2.0");
        for (given, (name, value)) in given.into_iter().zip([
            ("jsonrpc", version),
            ("id", id),
            ("method", method),
            ("params", params),
        ]) {
            if given || name == "method" {
                request[name] = value;
            }
        }
        request
    })
}

/// A request of every kind, with a few bytes of it changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let requests: Vec<Vec<u8>> = answering()
        .map(|name| {
            let params = json!({"domain": "example.com", "id": "web", "tags": ["a"]});
            request(&json!(1), name, &params).to_string().into_bytes()
        })
        .collect();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6);
    (prop::sample::select(requests), edits).prop_map(|(mut bytes, edits)| {
        for (at, byte, what) in edits {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

/// What a connection answers to a line, with a line after it that shows that it goes on.
async fn after(peer: &mut Peer, line: &[u8]) -> Vec<Value> {
    // A line feed would make two lines of it.
    let line: Vec<u8> = line.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    peer.send([line.as_slice(), b"\n"].concat()).await;
    peer.send(request(&json!("the next"), "state.get", &json!({})).to_string() + "\n").await;
    let mut answers = Vec::new();
    loop {
        let answer = peer.line().await.expect("the connection goes on");
        if answer["id"] == "the next" && answer["result"].is_object() {
            return answers;
        }
        answers.push(answer);
    }
}

/// Every answer is a response or a notification of JSON-RPC 2.0, and an error says what it is about.
fn is_json_rpc(answer: &Value) -> Result<(), TestCaseError> {
    if let Some(batch) = answer.as_array() {
        prop_assert!(!batch.is_empty());
        return batch.iter().try_for_each(is_json_rpc);
    }
    prop_assert_eq!(&answer["jsonrpc"], "2.0");
    if answer["method"] == "progress" {
        return Ok(());
    }
    let result = answer.get("result").is_some();
    prop_assert!(result != answer.get("error").is_some(), "{}", answer);
    prop_assert!(answer.get("id").is_some(), "{}", answer);
    if !result {
        let error = &answer["error"];
        prop_assert!(error["code"].is_i64(), "{}", answer);
        prop_assert!(error["message"].as_str().is_some_and(|text| text.len() > 4), "{}", answer);
        prop_assert!(error["data"]["kind"] != "internal", "{}", answer);
    }
    Ok(())
}

/// Sends lines to one server after the other, on one connection.
fn fuzz(cases: u32, lines: impl Strategy<Value = Vec<u8>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limits = Limits { batch: 50, ..patient(Limits::default()) };
    let (_server, peer) = runtime.block_on(async {
        let server = Server::start(limits).await;
        let mut peer = server.connect().await;
        // A first line that begins with a capital would be HTTP.
        assert!(after(&mut peer, b"").await.is_empty());
        (server, std::cell::RefCell::new(peer))
    });
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&lines, |line| {
            let answers = runtime.block_on(after(&mut peer.borrow_mut(), &line));
            answers.iter().try_for_each(is_json_rpc)
        })
        .unwrap();
}

#[test]
fn any_bytes_are_answered_with_an_error_or_not_at_all() {
    fuzz(400, prop::collection::vec(any::<u8>(), 0..200));
}

#[test]
fn any_json_is_answered_as_json_rpc_says() {
    fuzz(400, any_json().prop_map(|value| value.to_string().into_bytes()));
}

#[test]
fn what_is_nearly_a_request_is_answered_as_json_rpc_says() {
    fuzz(800, nearly_a_request().prop_map(|value| value.to_string().into_bytes()));
    let batches = prop::collection::vec(nearly_a_request(), 0..5);
    fuzz(100, batches.prop_map(|batch| json!(batch).to_string().into_bytes()));
}

#[test]
fn a_damaged_request_is_answered_as_json_rpc_says() {
    fuzz(800, mutated());
}
