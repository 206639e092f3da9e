//! JSON-RPC 2.0 on the admin socket, byte by byte.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{geteuid, getpid};
use serde_json::{Value, json};

use crate::config::for_everyone;
use crate::harness::*;

/// Sends a line and reads the answer.
fn answer(connection: &mut RpcConnection, line: &str) -> Value {
    connection.send_line(line).unwrap();
    connection.read_line().unwrap().expect("an answer")
}

#[test]
fn what_is_not_json_is_a_parse_error_and_the_connection_goes_on() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    for line in ["{", "{\"jsonrpc\": \"2.0\", \"id\": 1,", "[1,", "{]"] {
        let response = answer(&mut connection, line);
        assert_eq!(
            (&response["error"]["code"], &response["id"]),
            (&json!(-32700), &Value::Null),
            "{line}"
        );
    }
    assert!(connection.call("state.get", &json!({})).is_ok());
}

#[test]
fn what_is_json_and_no_request_is_invalid() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    for line in [
        "{}",
        "[]",
        r#"{"jsonrpc": "1.0", "id": 1, "method": "state.get"}"#,
        r#"{"id": 1, "method": "state.get"}"#,
        r#"{"jsonrpc": "2.0", "id": 1, "method": 5}"#,
        r#"{"jsonrpc": "2.0", "id": [], "method": "state.get"}"#,
    ] {
        let response = answer(&mut connection, line);
        assert_eq!(response["error"]["code"], -32600, "{line}: {response}");
        assert_eq!(response["error"]["data"]["kind"], "invalid", "{line}: {response}");
    }
    assert!(connection.call("state.get", &json!({})).is_ok());
}

#[test]
fn an_unknown_method_is_named() {
    let vhost = Setup::new().start();
    let fault = vhost.rpc("backend.paint", json!({})).unwrap_err();
    assert_eq!(fault.code, -32601);
    assert!(fault.message.contains("backend.paint"), "{}", fault.message);
    let fault = vhost.rpc("domain.lst", json!({})).unwrap_err();
    assert_eq!(fault.whole["data"]["hint"], "did you mean `domain.list`?");
    vhost.wait_for_log("unknown method `domain.lst`");
}

#[test]
fn unknown_and_malformed_params_are_refused_by_name() {
    let vhost = Setup::new().start();
    for (method, params, part) in [
        ("backend.show", json!({"id": "x", "colour": "red"}), "colour"),
        ("state.get", json!({"verbose": true}), "verbose"),
        ("switch.start", json!({"domains": ["x.test"], "options": {"fast": true}}), "fast"),
        ("backend.add", json!({"id": "web", "address": "localhost"}), "add the port"),
        ("backend.add", json!({"id": "a/b", "address": "localhost:1"}), "a/b"),
        ("domain.add", json!({"domain": "exa mple", "tag": "a"}), "exa mple"),
        ("domain.show", json!({}), "domain"),
        ("backend.set", json!({"id": "web", "weight": 0}), "1 to 1000"),
    ] {
        let fault = vhost.rpc(method, params.clone()).unwrap_err();
        assert_eq!((fault.code, fault.kind.as_str()), (-32602, "invalid"), "{method} {params}");
        assert!(fault.message.contains(part), "no `{part}` in {}", fault.message);
    }
}

#[test]
fn params_by_position_are_refused() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    for (params, part) in [(json!(["example.com"]), "by position"), (json!("x"), "not an object")] {
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": "domain.show", "params": params});
        let error = &answer(&mut connection, &line.to_string())["error"];
        assert_eq!(error["code"], -32602, "{error}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert!(error["data"]["hint"].as_str().unwrap().contains("name each"), "{error}");
    }
}

#[test]
fn every_kind_of_id_comes_back_as_it_was() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    let longest = "i".repeat(1024);
    for id in
        [json!(0), json!(-7), json!(i64::MAX), json!(""), json!("ä\n"), json!(null), json!(longest)]
    {
        let line = json!({"jsonrpc": "2.0", "id": id, "method": "state.get"});
        let response = answer(&mut connection, &line.to_string());
        assert!(response["result"].is_object() && response.get("id") == Some(&id), "{response}");
    }
    for id in [
        "1.5",
        "1e3",
        "18446744073709551616",
        "true",
        "{}",
        "[1]",
        &json!("i".repeat(1025)).to_string(),
    ] {
        let line = format!(r#"{{"jsonrpc": "2.0", "id": {id}, "method": "state.get"}}"#);
        let response = answer(&mut connection, &line);
        assert_eq!((&response["error"]["code"], &response["id"]), (&json!(-32600), &Value::Null));
        assert!(response["error"]["message"].as_str().unwrap().contains("`id`"), "{response}");
    }
}

#[test]
fn lines_from_windows_and_empty_ones_do_no_harm() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    connection.send_line("\r\n\r\n   \n").unwrap();
    let line = "\t{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"state.get\"} \r";
    assert!(answer(&mut connection, line)["result"].is_object());
}

#[test]
fn what_could_be_read_in_two_ways_or_fits_nowhere_is_refused() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = "9".repeat(100_000);
    for (line, code, part) in [
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "state.get", "method": "domain.list"}"#,
            -32600,
            "twice",
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "backend.set", "params": {"id": "a", "id": "b"}}"#,
            -32600,
            "`id` is there twice",
        ),
        (&deep, -32700, "recursion limit"),
        (
            &format!(
                r#"{{"jsonrpc": "2.0", "id": 1, "method": "state.get", "params": {{"x": {long}}}}}"#
            ),
            -32700,
            "number",
        ),
        ("\u{feff}{}", -32700, "not JSON"),
    ] {
        let error = &answer(&mut connection, line)["error"];
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert!(error["message"].as_str().unwrap().len() < 500, "{error}");
    }
    let huge = json!({"id": "x".repeat(1 << 20), "address": "127.0.0.1:1"});
    let fault = connection.call("backend.add", &huge).unwrap_err();
    assert_eq!((fault.code, fault.message.len() < 1000), (-32602, true), "{}", fault.message);
}

#[test]
fn binary_garbage_is_a_parse_error_a_line() {
    let vhost = Setup::new().start();
    let mut stream = UnixStream::connect(vhost.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
        .write_all(b"\x00\xff\xfe\x80\n\x16\x03\x01\x02\x00\n{\"jsonrpc\": \"\xc3\x28\"}\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.lines().count(), 3, "{answers}");
    assert!(answers.lines().all(|line| line.contains("-32700")), "{answers}");
}

#[test]
fn half_a_message_is_none_and_what_came_before_it_is_answered() {
    let vhost = Setup::new().start();
    let mut stream = UnixStream::connect(vhost.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let add = r#"{"jsonrpc": "2.0", "id": 2, "method": "backend.add", "params": {"id": "half", "address": "127.0.0.1:9"}}"#;
    let whole = r#"{"jsonrpc": "2.0", "id": 1, "method": "state.get"}"#;
    stream.write_all(format!("{whole}\n{add}").as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.lines().count(), 1, "{answers}");
    assert_eq!(vhost.rpc("backend.show", json!({"id": "half"})).unwrap_err().kind, "not_found");
}

#[test]
fn params_that_are_left_out_are_an_empty_object() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    let response = answer(&mut connection, r#"{"jsonrpc":"2.0","id":"x","method":"state.get"}"#);
    assert_eq!(response["id"], "x");
    assert!(response["result"]["revision"].is_u64(), "{response}");
}

#[test]
fn a_batch_is_answered_in_one_line() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "state.get"},
        {"jsonrpc": "2.0", "method": "state.get"},
        {"jsonrpc": "2.0", "id": 2, "method": "no.such"},
        5,
    ]);
    let responses = answer(&mut connection, &batch.to_string());
    let responses = responses.as_array().expect("an array");
    assert_eq!(responses.len(), 3, "a notification has no answer: {responses:?}");
    assert!(responses[0]["id"] == 1 && responses[0]["result"].is_object());
    assert_eq!((&responses[1]["id"], &responses[1]["error"]["code"]), (&json!(2), &json!(-32601)));
    assert_eq!(
        (&responses[2]["id"], &responses[2]["error"]["code"]),
        (&Value::Null, &json!(-32600))
    );
    let quiet = json!([
        {"jsonrpc": "2.0", "method": "state.get"},
        {"jsonrpc": "2.0", "method": "domain.show", "params": ["wrong"]},
    ]);
    connection.send_line(&quiet.to_string()).unwrap();
    assert!(connection.call("state.get", &json!({})).is_ok(), "notifications alone have no answer");
}

#[test]
fn a_notification_is_carried_out_and_not_answered() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    let add = json!({
        "jsonrpc": "2.0", "method": "backend.add",
        "params": {"id": "quiet", "address": "127.0.0.1:9", "tags": ["a"]},
    });
    connection.send_line(&add.to_string()).unwrap();
    let shown =
        connection.call("state.get", &json!({})).expect("the next line answers the next call");
    assert!(shown["revision"].is_u64());
    eventually("it is carried out", Duration::from_secs(10), || {
        vhost.rpc("backend.show", json!({"id": "quiet"})).is_ok()
    });
}

#[test]
fn requests_may_be_sent_without_waiting_for_answers() {
    let vhost = Setup::new().start();
    let mut connection = vhost.rpc_connection();
    let sent: Vec<_> = (0..50).map(|_| connection.send("state.get", &json!({})).unwrap()).collect();
    let answered: Vec<_> = sent
        .iter()
        .map(|_| connection.read_line().unwrap().expect("an answer")["id"].as_u64().unwrap())
        .collect();
    assert_eq!(answered, sent, "in their order");
}

#[test]
fn a_long_operation_does_not_hold_up_other_connections() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    b.set_health(500);
    let mut connection = vhost.rpc_connection();
    let options = json!({"timeout_ms": 30_000});
    let params = json!({"domains": ["example.com"], "tag": "b", "options": options});
    connection.send("switch.start", &params).unwrap();
    let first = connection.read_line().unwrap().expect("progress");
    assert_eq!(first["params"]["progress"]["phase"], "checking");
    let params = json!({"id": "a1", "weight": 2});
    assert_eq!(vhost.rpc("backend.set", params).unwrap()["weight"], 2);
    b.set_health(200);
    while connection.read_line().unwrap().expect("a line")["id"].is_null() {}
    assert_eq!(vhost.live("example.com"), "b");
}

/// `example.com` with `a1` and `b1`, and a client that waits for an answer of `a1`.
fn busy() -> (Vhost, [Backend; 2], Client) {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    let mut client = vhost.connect();
    client.send("GET /hold HTTP/1.1\r\nhost: example.com\r\n\r\n");
    eventually("a request runs", Duration::from_secs(10), || vhost.in_flight() == 1);
    (vhost, [a, b], client)
}

#[test]
fn a_switch_goes_on_when_its_client_goes_away_or_does_not_read() {
    for goes_away in [true, false] {
        let (vhost, backends, mut client) = busy();
        let mut connection = vhost.rpc_connection();
        let params = json!({"domains": ["example.com"], "tag": "b"});
        connection.send("switch.start", &params).unwrap();
        let mut deaf = Some(connection);
        eventually("it drains", Duration::from_secs(10), || vhost.live("example.com") == "b");
        if goes_away {
            drop(deaf.take());
        }
        // The control plane is not held up by whoever does not listen.
        let params = json!({"id": "a1", "weight": 2});
        assert_eq!(vhost.rpc("backend.set", params).unwrap()["weight"], 2);
        backends[0].release();
        assert_eq!(client.read_response().status, 200);
        eventually("the switch is done", Duration::from_secs(10), || {
            let list = vhost.rpc("event.list", json!({"domain": "example.com"})).unwrap();
            list["events"][0]["outcome"]["state"] == "done"
        });
    }
}

#[test]
fn a_thousand_idle_connections_cost_little_and_disturb_nobody() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if hard < 4096 {
        eprintln!("skipped: at most {hard} files may be open, which is too few for this test");
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, 4096, hard).unwrap();
    let vhost = Setup::new().start();
    let mut working = vhost.rpc_connection();
    working.call("state.get", &json!({})).unwrap();
    let before = resident(&vhost);
    let mut idle: Vec<_> = (0..1000).map(|_| vhost.rpc_connection()).collect();
    for connection in &mut idle {
        connection.call("state.get", &json!({})).unwrap();
    }
    let each = resident(&vhost).saturating_sub(before) / idle.len();
    eprintln!("an idle connection costs {each} bytes");
    assert!(each < 32 * 1024, "{each} bytes each");
    let start = std::time::Instant::now();
    for _ in 0..100 {
        working.call("state.get", &json!({})).unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(10), "100 calls took {:?}", start.elapsed());
}

/// The memory of the server, in bytes.
fn resident(vhost: &Vhost) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", vhost.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is there");
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// What a client of 0.1 sends, as it was recorded then. A server that takes such clients takes all of it.
#[test]
fn requests_of_the_version_before_are_carried_out() {
    let backends: Vec<Backend> = ["web-a", "web-b", "web-c"].map(Backend::start).into();
    let vhost = Setup::new()
        .domain_with("example.com", "a", "aliases = [\"www.example.com\"]")
        .backend("web-a", backends[0].address(), &["a"])
        .backend("web-b", backends[1].address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    let mut connection = vhost.rpc_connection();
    for line in include_str!("../wire/requests-0.1.jsonl").lines() {
        let line = line.replace("127.0.0.1:3003", &backends[2].address());
        connection.send_line(&line).unwrap();
        let response = loop {
            let line = connection.read_line().unwrap().expect("an answer");
            if line["method"] != "progress" {
                break line;
            }
        };
        assert!(response["result"].is_object(), "{line}\n{response}");
        assert!(response["server"].is_string(), "{response}");
    }
}

#[test]
fn a_line_without_end_is_cut_off() {
    let vhost = Setup::new().start();
    let mut stream = UnixStream::connect(vhost.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0_usize;
    stream.write_all(b"{\"jsonrpc\": \"2.0\", \"method\": \"").unwrap();
    // What an honest client would never send.
    while sent < 256 && stream.write_all(&piece).is_ok() {
        sent += 1;
    }
    assert!(sent < 256, "256 MiB in one line were read");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(vhost.rpc("state.get", json!({})).is_ok(), "others are served");
}

#[test]
fn the_number_of_connections_is_bounded_and_recovers() {
    const MORE_THAN_ALLOWED: usize = 2100;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = soft.max(4096);
    if hard < wanted {
        eprintln!("skipped: at most {hard} files may be open, which is too few for this test");
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).unwrap();
    let vhost = Setup::new().set("logging.level", "\"info\"").start();
    let mut open: Vec<_> = (0..MORE_THAN_ALLOWED).map(|_| vhost.rpc_connection()).collect();
    let mut late = open.pop().expect("there are some");
    late.send("state.get", &json!({})).unwrap();
    let quick = Duration::from_millis(500);
    late.set_patience(quick);
    late.read_line().expect_err("it waits for its turn");
    for connection in open.iter_mut().take(16) {
        assert!(connection.call("state.get", &json!({})).is_ok(), "those before it are served");
    }
    drop(open);
    late.set_patience(Duration::from_secs(20));
    assert!(late.read_line().unwrap().expect("its turn has come")["result"].is_object());
}

#[test]
fn who_did_it_is_in_the_history() {
    let vhost = Setup::new().start();
    let params = json!({"id": "mine", "address": "127.0.0.1:9", "tags": ["a"]});
    vhost.rpc("backend.add", params).unwrap();
    let event = &vhost.newest_event();
    assert_eq!(event["kind"], "backend_added");
    let actor = json!({"via": "socket", "uid": geteuid().as_raw(), "pid": getpid().as_raw()});
    assert_eq!(event["actor"], actor);
    let ctl = vhost.ctl_in_background(&["backend", "set", "mine", "--weight", "2"]);
    let pid = ctl.pid().as_raw();
    assert_eq!(ctl.wait().code, 0);
    assert_eq!(vhost.newest_event()["actor"]["pid"], pid);
}

#[test]
fn another_user_is_denied_even_where_the_socket_file_would_let_him() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let vhost = Setup::new().start();
    let binary = for_everyone(vhost.directory());
    std::fs::set_permissions(vhost.socket(), PermissionsExt::from_mode(0o666)).unwrap();
    let mut command = Command::new(binary);
    command.args(["ctl", "--socket"]).arg(vhost.socket()).arg("status").uid(65534).gid(65534);
    let output = RunningCtl::of(command).wait();
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.contains("denied") || output.stderr.contains("may not"), "{output:?}");
    vhost.wait_for_log("65534");
    assert_eq!(vhost.ctl(&["status"]).code, 0);
}

#[test]
fn errors_carry_a_kind_and_a_hint() {
    let vhost = Setup::new().backend("one", "127.0.0.1:9", &["a"]).start();
    for (method, params, kind) in [
        ("backend.show", json!({"id": "none"}), "not_found"),
        ("domain.show", json!({"domain": "none.test"}), "not_found"),
        ("backend.add", json!({"id": "one", "address": "127.0.0.1:8"}), "already_exists"),
        ("domain.add", json!({"domain": "new.test", "tag": "nobody"}), "not_found"),
    ] {
        let fault = vhost.rpc(method, params.clone()).unwrap_err();
        assert_eq!((fault.code, fault.kind.as_str()), (-32000, kind), "{method} {params}");
        assert!(fault.whole["data"]["hint"].is_string(), "{:?}", fault.whole);
    }
}

#[test]
fn a_name_can_belong_to_one_domain_only() {
    let vhost = Setup::new()
        .domain_with("one.test", "a", "aliases = [\"www.one.test\"]")
        .backend("w", "127.0.0.1:9", &["a"])
        .start();
    for (method, params) in [
        ("domain.add", json!({"domain": "one.test", "tag": "a"})),
        ("domain.add", json!({"domain": "ONE.test.", "tag": "a"})),
        ("domain.add", json!({"domain": "www.one.test", "tag": "a"})),
        ("domain.add", json!({"domain": "two.test", "tag": "a", "aliases": ["www.one.test"]})),
        ("domain.add", json!({"domain": "two.test", "tag": "a", "aliases": ["one.test"]})),
    ] {
        let fault = vhost.rpc(method, params.clone()).unwrap_err();
        assert_eq!(fault.kind, "already_exists", "{params}");
    }
}
