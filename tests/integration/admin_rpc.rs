//! `docs/admin-rpc.md` and its `OpenRPC` document: generated from the methods' types, with examples that
//! a real server has answered.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use vhost::rpc::catalogue;

use crate::harness::*;

mod markdown;
mod openrpc;
mod settle;

/// A request of the page, and what the server answered.
struct Example {
    /// What it shows; nothing where it shows its method.
    about: Option<String>,
    line: Value,
    answers: Vec<Value>,
}

impl Example {
    fn method(&self) -> &str {
        self.line["method"].as_str().unwrap_or_default()
    }
}

/// A server and the values that are other ones at each run, with what stands for them on the page.
struct Stage {
    vhost: Vhost,
    _backends: Vec<Backend>,
    _pebble: Pebble,
    /// A certificate for `shop.test` that did not come from a CA of the server's, and its key.
    imported: Issued,
    /// In the order in which they are replaced: one may be the beginning of another.
    addresses: Vec<(String, String)>,
    /// The numbers of the events that were shown.
    events: RefCell<Vec<u64>>,
}

impl Stage {
    fn set() -> Self {
        let backends: Vec<Backend> =
            ["web-a", "web-b", "web-c"].iter().map(|id| Backend::start(id)).collect();
        let setup = Setup::new();
        let pebble = Pebble::start(&PebbleOptions::validating(&setup));
        let https = setup.https_address();
        let setup = setup
            .acme(&pebble)
            .entries("[[notify]]\nname = \"chat\"\nexec = [\"/bin/true\"]\nevents = [\"guard\"]\n")
            .domain_with("example.com", "a", "aliases = [\"www.example.com\"]")
            .backend("web-a", backends[0].address(), &["a"])
            .backend("web-b", backends[1].address(), &["b"]);
        let vhost = setup.start();
        vhost.wait_until_healthy(2);
        for name in ["example.com", "www.example.com"] {
            vhost.wait_for_certificate(name, "valid");
        }
        let mut addresses = vec![
            (setup.http_address().to_string(), "0.0.0.0:80".to_owned()),
            (https.to_string(), "0.0.0.0:443".to_owned()),
            (format!("https://www.example.com:{}", https.port()), "https://www.example.com".into()),
            (format!("https://example.com:{}", https.port()), "https://example.com".into()),
            (pebble.address().to_string(), "acme.example.net".to_owned()),
            (pebble.ca_root().display().to_string(), "/etc/vhost/ca-root.pem".to_owned()),
            (pebble.address().ip().to_string(), "acme.example.net".to_owned()),
        ];
        for (number, backend) in backends.iter().enumerate() {
            addresses.push((backend.address().clone(), format!("127.0.0.1:{}", 3001 + number)));
        }
        let directory = vhost.directory().display().to_string();
        addresses.push((directory, "/etc/vhost".to_owned()));
        let imported = Authority::new().issue(&["shop.test"]);
        Self {
            vhost,
            _backends: backends,
            _pebble: pebble,
            imported,
            addresses,
            events: RefCell::default(),
        }
    }

    /// Sends the line and gives what came back, as the page has it.
    fn answers(&self, connection: &mut RpcConnection, line: &Value) -> Vec<Value> {
        let mut line = line.clone();
        for (member, pem) in [("cert", self.imported.cert()), ("key", self.imported.key())] {
            if line["params"][member].is_string() {
                line["params"][member] = pem.into();
            }
        }
        let mut sent = line.to_string();
        for (real, shown) in &self.addresses {
            sent = sent.replace(shown, real);
        }
        connection.send_line(&sent).unwrap();
        let mut answers = Vec::new();
        loop {
            let answer = connection.read_line().unwrap().expect("an answer");
            let progress = answer["method"] == "progress";
            answers.push(answer);
            if !progress {
                return answers;
            }
        }
    }

    /// The answer with what is another one at each run replaced.
    fn settled(&self, answer: &Value) -> Value {
        let mut text = answer.to_string();
        for (real, shown) in &self.addresses {
            text = text.replace(real, shown);
        }
        let mut answer = serde_json::from_str(&text).expect("JSON");
        settle::settle(&mut answer, &self.events);
        answer
    }
}

/// What a backend that was added just now has; it may have been probed already.
const NOT_PROBED: &str = r#"{"status":"unknown","since_ms":null,"checked_ms":null,"latency_ms":null,
    "last_status":null,"last_error":null,"failed_ms":null}"#;

/// The first notification of each phase: how many there are depends on the moment.
fn one_of_each_phase(answers: &mut Vec<Value>) {
    let mut seen = BTreeSet::new();
    answers.retain(|answer| {
        answer["method"] != "progress"
            || seen.insert(answer["params"]["progress"]["phase"].to_string())
    });
}

/// Waits for a certificate: how far it is at which moment is another one each time.
fn one_step(answers: &mut Vec<Value>) {
    answers.retain(|answer| answer["method"] != "progress");
    let step = json!({ "step": "waiting for the CA to check tls-alpn-01" });
    let params = json!({ "id": 1, "progress": step });
    answers.insert(0, json!({ "jsonrpc": "2.0", "method": "progress", "params": params }));
}

/// Sends every request of the file, in its order, to one server.
fn replay(document: &Value) -> Vec<Example> {
    let stage = Stage::set();
    let mut connection = stage.vhost.rpc_connection();
    let mut examples = Vec::new();
    let mut token = Value::Null;
    for entry in include_str!("admin_rpc/requests.jsonl").lines() {
        let entry: Value = serde_json::from_str(entry).expect("a line of the file is JSON");
        let line = match entry.get("line") {
            Some(line) => line.clone(),
            None => json!({
                "jsonrpc": "2.0", "id": 1, "method": entry["method"], "params": entry["params"],
            }),
        };
        let mut sent = line.clone();
        if sent["params"]["token"].is_string() {
            sent["params"]["token"] = token.clone();
        }
        let real = stage.answers(&mut connection, &sent);
        if let Some(plan) = real.iter().find(|answer| answer["result"]["token"].is_string()) {
            token = plan["result"]["token"].clone();
        }
        check(document, &line, &real);
        if entry["hidden"] == true {
            continue;
        }
        let mut answers: Vec<Value> = real.iter().map(|answer| stage.settled(answer)).collect();
        if line["method"] == "cert.wait" {
            one_step(&mut answers);
            check(document, &line, &answers);
        } else {
            one_of_each_phase(&mut answers);
        }
        if let Some(member) = entry["unsettled"].as_str() {
            let result = &mut answers.last_mut().expect("an answer")["result"];
            result[member] = serde_json::from_str(NOT_PROBED).expect("JSON");
        }
        let about = entry["about"].as_str().map(str::to_owned);
        examples.push(Example { about, line: stage.settled(&line), answers });
    }
    examples
}

/// Holds request and answers against their schemas.
fn check(document: &Value, line: &Value, answers: &[Value]) {
    if line.is_array() {
        return;
    }
    let methods = document["methods"].as_array().expect("methods");
    let method = methods.iter().find(|method| method["name"] == line["method"]);
    for answer in answers {
        let progress = method.and_then(|method| method.get("x-progress"));
        let (schema, part) = if answer["method"] == "progress" {
            (progress.expect("a method that reports"), &answer["params"]["progress"])
        } else if answer["error"].is_null() {
            (&method.expect("a method")["result"]["schema"], &answer["result"])
        } else {
            (&json!({ "$ref": "#/components/schemas/Fault" }), &answer["error"])
        };
        let errors: Vec<_> = openrpc::validator(document, schema)
            .iter_errors(part)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{line}\n{answer}\n{errors:#?}");
    }
    let succeeded = answers.iter().any(|answer| !answer["result"].is_null());
    if let Some(method) = method.filter(|_| succeeded) {
        let params = line.get("params").cloned().unwrap_or(json!({}));
        let validator = openrpc::params_validator(document, method);
        assert!(validator.is_valid(&params), "{line}");
        let more = json!({ "no_such_parameter": 1 });
        assert!(!validator.is_valid(&more), "{line}");
    }
}

/// Compares a file of `docs/` with what it should be, or writes it under `VHOST_BLESS=1`.
fn hold(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("VHOST_BLESS").is_some() {
        std::fs::write(&path, text).expect("the file is written");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    if found == text {
        return;
    }
    let lines = found.lines().map(Some).chain(std::iter::repeat(None));
    let expected = text.lines().map(Some).chain(std::iter::repeat(None));
    let (number, (is, should)) = lines
        .zip(expected)
        .enumerate()
        .find(|(_, (is, should))| is != should)
        .expect("they differ");
    panic!(
        "`docs/{name}` is not what the types and the server say, first in line {}\n is: {is:?}\n \
         should be: {should:?}\nrun `./dev bless`",
        number + 1
    );
}

#[test]
fn the_generated_pages_of_the_socket_are_up_to_date() {
    let document = openrpc::document();
    let examples = replay(&document);
    for entry in catalogue::all() {
        let shown = |example: &&Example| {
            example.about.is_none()
                && example.method() == entry.name
                && example.answers.iter().any(|answer| !answer["result"].is_null())
        };
        assert!(
            examples.iter().any(|example| shown(&example)),
            "`{}` has no example that succeeds: add one to `admin_rpc/requests.jsonl`",
            entry.name
        );
    }
    hold("admin-rpc.openrpc.json", &(serde_json::to_string_pretty(&document).unwrap() + "\n"));
    hold("admin-rpc.md", &(markdown::page(&document, &examples).trim_end().to_owned() + "\n"));
}

#[test]
fn the_program_on_the_page_switches_a_domain() {
    let page = include_str!("admin_rpc/preface.md");
    let (_, program) = page.split_once("```python\n").expect("there is a program");
    let (program, _) = program.split_once("```").expect("it ends");
    let stage = Stage::set();
    let socket = stage.vhost.socket().display().to_string();
    let program = program.replace("/run/vhost/admin.sock", &socket);
    let output = Command::new("timeout")
        .args(["30", "python3", "-c", &program])
        .output()
        .expect("python runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(stdout.contains("'phase': 'switched'") && stdout.contains("'done'"), "{stdout}");
    assert_eq!(stage.vhost.live("example.com"), "b");
}
