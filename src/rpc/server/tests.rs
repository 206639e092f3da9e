use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::net::unix::OwnedReadHalf;

use super::request::{json as read_json, parse};
use super::*;
use crate::config::{Config, ProxySettings, Source};
use crate::control::{Configuration, ControlOptions, ControlPlane, Probed, Services};
use crate::counters::Metrics;
use crate::hand_over::UpgradeError;
use crate::model::{Actor, Backend, BackendState, HealthReport};
use crate::rpc::catalogue;
use crate::rpc::envelope::code;
use crate::rpc::version::PeerVersion;
use crate::rpc::{Asked, ServerFacts, UpgradeServer};
use crate::state::{Snapshot, publication};
use crate::store::Store;
use crate::telemetry::LevelHandle;

mod fuzz;

/// A server at a socket of its own, with one backend, and bounds that a test reaches.
struct Server {
    socket: PathBuf,
    _folder: tempfile::TempDir,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

const SMALL: Limits = Limits {
    request: 64 * 1024,
    batch: 5,
    result: 4096,
    batch_answer: 1024,
    connections: 4,
    idle: Duration::from_millis(200),
    slowest_reader: Duration::from_millis(200),
    place_wait: Duration::from_millis(50),
};

/// Bounds of time that no test of the rest runs into.
fn patient(limits: Limits) -> Limits {
    let long = Duration::from_mins(1);
    Limits { idle: long, slowest_reader: long, ..limits }
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let listener = StdListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        let peer_check = PeerCheck::new(None);
        let dispatch = dispatch(folder.path()).await;
        let http: ServeHttp = Arc::new(|_, _| Box::pin(async {}));
        let accepting =
            tokio::spawn(accept(listener, peer_check, Speakers { dispatch, http }, limits));
        Self { socket, _folder: folder, accepting }
    }

    async fn connect(&self) -> Peer {
        let (reader, writer) = UnixStream::connect(&self.socket).await.unwrap().into_split();
        Peer { lines: BufReader::new(reader), writer }
    }
}

async fn dispatch(folder: &std::path::Path) -> Dispatch {
    let (publisher, reader) = publication(Snapshot::default());
    let options = ControlOptions {
        gate_timeout: Duration::from_millis(20),
        drain_timeout: Duration::from_millis(20),
        min_healthy_percent: 100,
        min_capacity_percent: 50,
        max_requests_per_backend: None,
        health_check: crate::model::HealthCheckOptions::default(),
        health_check_written: serde_json::Map::new(),
        hooks: crate::control::Hooks::default(),
        reach: crate::control::Reach::default(),
    };
    let probe: crate::control::ProbeNow = Arc::new(|_| {
        let report = HealthReport::default();
        Box::pin(std::future::ready(Probed { succeeded: false, report }))
    });
    let store = Store::open(&folder.join("state")).unwrap();
    let certificates = crate::certs::testing::certificates(folder, reader.clone());
    let stats = crate::stats::Stats::spawn(reader.clone());
    let of_trials = reader.clone();
    let control = ControlPlane::new(
        store,
        publisher,
        reader,
        options,
        Services {
            probe,
            baseline: Arc::new(|_, _, _| None),
            peak: Arc::new(|_| 0),
            smoke: std::sync::Arc::new(|_| Box::pin(std::future::ready(Vec::new()))),
        },
        Arc::default(),
        crate::counters::Elsewhere::default(),
    );
    let backend = Backend {
        id: "web".parse().unwrap(),
        address: "127.0.0.1:9".parse().unwrap(),
        tags: ["a".parse().unwrap()].into(),
        options: crate::model::BackendOptions::default(),
        state: BackendState::Ready,
    };
    control.add_backend(Actor::File, backend).await.unwrap();
    let tokens = crate::tokens::Tokens::open(folder).unwrap();
    let state_dir = std::path::Path::new("/nowhere");
    let notifier = crate::notify::Notifier::new(Vec::new(), state_dir, Arc::default());
    let facts = ServerFacts {
        notifier,
        elsewhere: crate::counters::Elsewhere::default(),
        new_program: Asked::new(|| false),
        upgrade: UpgradeServer::new(|_, _, _| async { Err(UpgradeError::UnderWay) }),
        started_ms: 0,
        listeners: Vec::new(),
        warnings: crate::rpc::Warnings::new(Vec::new),
        metrics: Arc::new(Metrics::default()),
        explainer: crate::proxy::explain::Explainer::new(
            std::sync::Arc::new(arc_swap::ArcSwap::from_pointee(crate::proxy::tests::options())),
            None,
            crate::proxy::tests::host_services(),
        ),
        stats,
        trials: crate::rollout::Trials::new(control.clone(), of_trials, Arc::default()),
        stopping: tokio::sync::watch::channel(false).1,
        log_level: LevelHandle::default(),
    };
    let config = Config::new(ProxySettings::new(PathBuf::new(), PathBuf::new()));
    let source = Source::Made("the test", Box::new(config));
    let configuration = Configuration::new(control.clone(), source, Vec::new(), Box::new(|_| {}));
    Dispatch::new(control, configuration, certificates, tokens, facts)
}

/// A client that sees every byte.
struct Peer {
    lines: BufReader<OwnedReadHalf>,
    writer: tokio::net::unix::OwnedWriteHalf,
}

impl Peer {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next line, or nothing at the end.
    async fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = timeout(Duration::from_secs(20), self.lines.read_line(&mut line)).await;
        if read.expect("a line in time").unwrap_or(0) == 0 {
            return None;
        }
        Some(serde_json::from_str(&line).expect("JSON"))
    }

    async fn answer(&mut self, request: &Value) -> Value {
        self.send(format!("{request}\n")).await;
        self.line().await.expect("an answer")
    }
}

fn request(id: &Value, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn code_of(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

#[test]
fn a_notification_has_no_answer_even_when_its_parameters_are_wrong() {
    let refused = |request| parse(request).err().expect("params are named");
    let request = json!({"jsonrpc": "2.0", "id": 7, "method": "domain.show", "params": ["x"]});
    let with_id = refused(request.clone());
    assert_eq!(with_id.id, Some(RequestId::Number(7)));
    assert_eq!(with_id.fault.code, code::INVALID_PARAMS);
    let mut notification = request;
    notification.as_object_mut().unwrap().remove("id");
    assert_eq!(refused(notification).id, None);
    // What is no request at all is answered, to nobody in particular.
    assert_eq!(refused(json!({"method": "domain.show"})).id, Some(RequestId::Null));
}

#[test]
fn a_line_becomes_no_more_than_it_should() {
    let objects = format!("[{}]", vec!["{}"; 100_000].join(","));
    let numbers = format!("[{}]", vec!["0"; 1 << 20].join(","));
    for line in [objects, numbers] {
        let fault = read_json(line.as_bytes()).unwrap_err();
        assert!(fault.message.contains("too many values"), "{}", fault.message);
    }
    assert!(read_json(format!("[{}]", vec!["{}"; 20_000].join(",")).as_bytes()).is_ok());
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(read_json(deep(127).as_bytes()).is_ok());
    let fault = read_json(deep(200_000).as_bytes()).unwrap_err();
    assert_eq!(fault.code, code::PARSE_ERROR);
    assert!(fault.message.contains("recursion limit"), "{}", fault.message);
}

#[tokio::test]
async fn every_method_of_the_catalogue_is_carried_out() {
    let server = Server::start(patient(SMALL)).await;
    let mut peer = server.connect().await;
    for entry in catalogue::all() {
        let mut params = match entry.name {
            "backend.add" => json!({"id": "x", "address": "127.0.0.1:1"}),
            "backend.set" => json!({"id": "x"}),
            "domain.add" => json!({"domain": "x.test", "tag": "a"}),
            "domain.set" => json!({"domain": "x.test"}),
            "app.add" | "app.set" => json!({"app": "x"}),
            _ => json!({}),
        };
        params["no_such_parameter"] = json!(1);
        let answer = peer.answer(&request(&json!(1), entry.name, &params)).await;
        assert_eq!(code_of(&answer), -32602, "{}: {answer}", entry.name);
        assert!(answer.to_string().contains("no_such_parameter"), "{}: {answer}", entry.name);
    }
}

#[tokio::test]
async fn a_client_without_a_place_is_told_so_and_the_next_one_gets_it() {
    let server = Server::start(patient(SMALL)).await;
    let mut inside = Vec::new();
    for _ in 0..SMALL.connections {
        let mut peer = server.connect().await;
        peer.answer(&request(&json!(1), "state.get", &json!({}))).await;
        inside.push(peer);
    }
    let mut late = server.connect().await;
    let told = late.line().await.expect("it is told");
    assert!(told["error"]["message"].as_str().unwrap().contains("too many connections"), "{told}");
    assert_eq!(told["error"]["data"]["kind"], "denied");
    assert!(late.line().await.is_none());
    drop(inside);
    let mut next = server.connect().await;
    assert!(next.answer(&request(&json!(1), "state.get", &json!({}))).await["result"].is_object());
}

#[tokio::test]
async fn a_silent_connection_is_closed_also_in_the_middle_of_a_line() {
    let server = Server::start(SMALL).await;
    let mut silent = server.connect().await;
    assert!(silent.line().await.is_none());
    // Nor is it kept by lines that ask for nothing.
    let mut idle = server.connect().await;
    let kept = async {
        while idle.writer.write_all(b"\nnull\n").await.is_ok() && idle.line().await.is_some() {}
    };
    timeout(Duration::from_secs(20), kept).await.expect("it is closed");
    let mut half = server.connect().await;
    half.send("{\"jsonrpc\":").await;
    assert!(half.line().await.is_none());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_nothing_more_is_done_for_it() {
    let limits = Limits { request: 8 << 20, result: 1 << 20, ..SMALL };
    let server = Server::start(limits).await;
    let mut deaf = server.connect().await;
    // Far more answers than the kernel holds for it.
    let ask = request(&json!("x".repeat(1000)), "state.get", &json!({})).to_string() + "\n";
    let add = json!({"id": "after", "address": "127.0.0.1:9"});
    let sent = async {
        for _ in 0..2000 {
            deaf.writer.write_all(ask.as_bytes()).await?;
        }
        deaf.writer
            .write_all((request(&json!(1), "backend.add", &add).to_string() + "\n").as_bytes())
            .await
    };
    let failed = timeout(Duration::from_secs(20), sent).await.expect("it is dropped in time");
    assert!(failed.is_err(), "it was read on and on");
    let mut other = server.connect().await;
    let shown = other.answer(&request(&json!(1), "backend.show", &json!({"id": "after"}))).await;
    assert_eq!(shown["error"]["data"]["kind"], "not_found");
    let mut rest = Vec::new();
    let _ = deaf.lines.read_to_end(&mut rest).await;
    assert!(rest.len() < 2000 * ask.len() / 2, "{} bytes were kept for it", rest.len());
}

#[tokio::test]
async fn a_result_that_is_too_long_is_an_error() {
    let limits = Limits { result: 300, ..patient(SMALL) };
    let server = Server::start(limits).await;
    let mut peer = server.connect().await;
    let answer = peer.answer(&request(&json!(7), "backend.show", &json!({"id": "web"}))).await;
    assert_eq!((code_of(&answer), &answer["id"]), (-32000, &json!(7)), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("300 is the most"), "{answer}");
    let answer = peer.answer(&request(&json!(8), "domain.list", &json!({}))).await;
    assert_eq!(answer["result"]["domains"], json!([]));
}

#[tokio::test]
async fn a_batch_has_a_bound_and_so_have_its_answers() {
    let server = Server::start(patient(SMALL)).await;
    let mut peer = server.connect().await;
    let get = |id: usize| request(&json!(id), "state.get", &json!({}));
    let too_many: Vec<_> = (0..6).map(get).collect();
    let answer = peer.answer(&json!(too_many)).await;
    assert_eq!((code_of(&answer), &answer["id"]), (-32600, &Value::Null));
    assert!(answer["error"]["message"].as_str().unwrap().contains("at most 5"), "{answer}");
    let long = "x".repeat(600);
    let show = |id: &str| request(&json!(long), "backend.show", &json!({ "id": id }));
    let add =
        |id: &str| request(&json!(id), "backend.add", &json!({"id": id, "address": "127.0.0.1:9"}));
    let batch = json!([add("one"), show("web"), show("web"), add("two"), 5]);
    let answers = peer.answer(&batch).await;
    let answers = answers.as_array().expect("an array");
    assert_eq!(answers.len(), 5, "each has its answer: {answers:?}");
    assert_eq!(answers[0]["result"]["id"], "one");
    assert!(answers[1]["result"].is_object());
    assert!(answers[3]["error"]["message"].as_str().unwrap().contains("not carried out"));
    assert_eq!(answers[3]["id"], "two");
    assert_eq!(code_of(&answers[4]), -32600);
    let shown = peer.answer(&show("two")).await;
    assert_eq!(shown["error"]["data"]["kind"], "not_found", "what was cut off was not done");
}

#[tokio::test]
async fn clients_one_minor_version_away_are_served_and_others_told() {
    let server = Server::start(patient(SMALL)).await;
    let mut peer = server.connect().await;
    let own = PeerVersion::OWN.to_string();
    let minor: u32 = env!("CARGO_PKG_VERSION_MINOR").parse().unwrap();
    let major: u32 = env!("CARGO_PKG_VERSION_MAJOR").parse().unwrap();
    let of = |minor: u32| format!("{major}.{minor}.7");
    for (client, served) in [
        (own.clone(), true),
        (of(minor.saturating_sub(1)), true),
        (of(minor + 1), true),
        (of(minor + 2), false),
        (format!("{}.{minor}.0", major + 1), false),
    ] {
        let mut get = request(&json!(1), "state.get", &json!({}));
        get["client"] = json!(client);
        let answer = peer.answer(&get).await;
        assert_eq!(answer["server"], json!(own), "{answer}");
        assert_eq!(answer["result"].is_object(), served, "{client}: {answer}");
        if !served {
            assert_eq!(code_of(&answer), i64::from(code::VERSION));
            let said = answer["error"].to_string();
            assert!(said.contains(&client) && said.contains(&own), "{said}");
            assert!(said.contains("update the server"), "{said}");
        }
    }
    // A newer client that asks for what this server does not know.
    for (method, params) in [("domain.paint", json!({})), ("state.get", json!({"paint": 1}))] {
        let mut get = request(&json!(1), method, &params);
        get["client"] = json!(of(minor + 1));
        let said = peer.answer(&get).await["error"].to_string();
        assert!(said.contains("paint") && said.contains("update the server"), "{said}");
        assert!(said.contains(&own), "{said}");
    }
    let answer = peer.answer(&request(&json!(1), "state.get", &json!({}))).await;
    assert!(answer.get("server").is_none(), "plain JSON-RPC stays plain: {answer}");
    for wrong in [json!("new"), json!(1), json!(null)] {
        let mut get = request(&json!(1), "state.get", &json!({}));
        get["client"] = wrong;
        assert_eq!(code_of(&peer.answer(&get).await), -32600);
    }
}
