//! Server-sent events: a switch's phases, and the history as it grows.

use super::*;

/// A response that goes on.
pub(super) struct Stream {
    client: Client,
    text: String,
}

/// One server-sent event.
#[derive(Debug, Default)]
pub(super) struct Sent {
    name: String,
    id: Option<String>,
    pub(super) data: Value,
}

impl Stream {
    pub(super) fn open(
        api: &Api,
        method: &str,
        path: &str,
        more: Headers<'_>,
        body: Option<&Value>,
    ) -> Self {
        Self::open_as(&api.token, api, method, path, more, body)
    }

    /// As [`open`](Self::open), with a token that is not the server's own.
    fn open_as(
        token: &str,
        api: &Api,
        method: &str,
        path: &str,
        more: Headers<'_>,
        body: Option<&Value>,
    ) -> Self {
        let token = format!("Bearer {token}");
        let mut headers = vec![("Authorization", token.as_str()), ("Accept", "text/event-stream")];
        headers.extend(more);
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        let mut client = Client::connect(api.address);
        let body = body.map(Value::to_string);
        client.send(api.request(method, path, &headers, body.as_deref()));
        let head = client.read_head().unwrap();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Self { client, text: String::new() }
    }

    /// The next event; nothing at the end.
    pub(super) fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if event.lines().all(|line| line.starts_with(':')) {
                    continue;
                }
                let mut sent = Sent::default();
                for line in event.lines() {
                    let (field, value) = line.split_once(": ").expect("field: value");
                    match field {
                        "event" => value.clone_into(&mut sent.name),
                        "id" => sent.id = Some(value.to_owned()),
                        "data" => sent.data = serde_json::from_str(value).expect("JSON"),
                        other => panic!("{other}"),
                    }
                }
                return Some(sent);
            }
            let chunk = self.client.read_chunk().ok().filter(|chunk| !chunk.is_empty())?;
            self.text.push_str(&String::from_utf8(chunk).expect("text"));
        }
    }

    fn rest(&mut self) -> Vec<Sent> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[test]
fn a_switch_tells_its_phases_and_its_end() {
    let api = Api::start();
    let body = json!({"tag": "b"});
    let path = format!("{EXAMPLE}/switch");
    let events = Stream::open(&api, "POST", &path, &[], Some(&body)).rest();
    let phases: Vec<_> = events.iter().filter_map(|event| event.data["phase"].as_str()).collect();
    assert!(phases.contains(&"checking") && phases.contains(&"switched"), "{events:?}");
    let last = events.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data["outcome"]["state"]), ("result", &json!("done")));
    assert!(events[..events.len() - 1].iter().all(|event| event.name == "progress"));

    let dead = json!({"id": "dead", "address": refusing_address().to_string(), "tags": ["dead"]});
    assert_eq!(api.ask("POST", BACKENDS, Some(&dead)).status, 201);
    let body = json!({"tag": "dead", "timeout_secs": 0.3});
    let events = Stream::open(&api, "POST", &path, &[], Some(&body)).rest();
    let last = events.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data["kind"]), ("error", &json!("unhealthy")));
    assert_eq!(last.data["status"], 422);
    // What never began is an answer like any other.
    let none = "/api/v1/domains/no.test/switch";
    let refused = api.ask_with("POST", none, &[("Accept", "text/event-stream")], None);
    assert_eq!((refused.status, problem(&refused).0.as_str()), (404, "not_found"));
    let events = Stream::open(&api, "POST", &format!("{EXAMPLE}/undo"), &[], None).rest();
    assert_eq!(events.last().unwrap().name, "result");
    assert_eq!(api.vhost.live("example.com"), "a");
}

#[test]
fn a_client_that_hangs_up_does_not_end_its_switch() {
    let api = Api::start();
    let mut held = api.vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request runs", SOON, || api.vhost.in_flight() == 1);
    let path = format!("{EXAMPLE}/switch");
    let mut stream = Stream::open(&api, "POST", &path, &[], Some(&json!({"tag": "b"})));
    let switched = std::iter::from_fn(|| stream.next()).find(|e| e.data["phase"] == "switched");
    assert!(switched.is_some());
    drop(stream);
    held.reset();
    assert_eq!(api.vhost.live("example.com"), "b");
    eventually("its end is in the history", SOON, || {
        api.vhost.newest_event()["outcome"]["state"] == "done"
    });
}

#[test]
fn a_token_that_is_removed_or_rotated_keeps_no_stream() {
    let api = Api::start();
    let added = |name: &str| api.vhost.ctl_ok(&["token", "add", name, "--read"]).stdout;
    let follow = |token: &str| {
        let mut stream = Stream::open_as(token.trim(), &api, "GET", "/api/v1/events", &[], None);
        assert!(stream.next().is_some());
        stream
    };
    let (mut board, mut wall) = (follow(&added("board")), follow(&added("wall")));
    let mut kept = follow(&api.token);
    api.vhost.ctl_ok(&["token", "remove", "board"]);
    api.vhost.ctl_ok(&["token", "rotate", "wall"]);
    board.rest();
    wall.rest();
    let new = json!({"domain": "later.test", "enabled_backends_tag": "a"});
    assert_eq!(api.ask("POST", DOMAINS, Some(&new)).status, 201);
    assert_eq!(kept.next().unwrap().data["domain"], "later.test");
}

#[test]
fn the_history_is_followed_and_taken_up_again() {
    let api = Api::start();
    let mut stream = Stream::open(&api, "GET", "/api/v1/events", &[], None);
    let first = stream.next().unwrap();
    assert_eq!(first.data["kind"], "file_applied");
    let add = |name: &str| {
        let new = json!({"domain": name, "enabled_backends_tag": "a"});
        assert_eq!(api.ask("POST", DOMAINS, Some(&new)).status, 201);
    };
    add("b.test");
    let second = stream.next().unwrap();
    assert_eq!(
        (&second.data["kind"], &second.data["domain"]),
        (&json!("domain_added"), &json!("b.test"))
    );
    let last = second.id.expect("a number");
    assert_eq!(second.data["id"].to_string(), last);
    drop(stream);
    add("c.test");
    for (path, headers) in [
        ("/api/v1/events?count=1&after=1", &[("Last-Event-ID", last.as_str())][..]),
        (&format!("/api/v1/events?count=1&after={last}"), &[]),
    ] {
        let events = Stream::open(&api, "GET", path, headers, None).rest();
        let domains: Vec<_> = events.iter().map(|event| &event.data["domain"]).collect();
        assert_eq!(domains, ["c.test"], "{path}");
    }
    // A switch is told when it has switched, and again when it has ended, under no new number.
    let mut stream = Stream::open(&api, "GET", "/api/v1/events?limit=0", &[], None);
    assert_eq!(
        api.ask("POST", &format!("{EXAMPLE}/switch"), Some(&json!({"tag": "b"}))).status,
        200
    );
    let ended = std::iter::from_fn(|| stream.next()).find(|e| e.data["outcome"]["state"] == "done");
    assert!(ended.is_some());
    api.vhost.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(stream.next().is_none(), "the stop ends it");
}
