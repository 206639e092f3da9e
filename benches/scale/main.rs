//! What a large server costs: 100,000 domains and 10,000 backends, unless the arguments say otherwise.
//!
//! Drives the real binary over real sockets, on loopback alone. The backends are one small server
//! that all ids point to. It measures; nothing here fails for being slow.

#[path = "../common/mod.rs"]
mod common;
mod shape;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use common::figures::{Figures, median, megabytes, millis, percentile, to_float};
use common::rpc::{RpcConnection, request};
use common::server::{Prepared, Server};
use common::traffic::{Backend, while_running};
use shape::{Shape, alias, domain};

const USAGE: &str = "\
Usage: ./dev bench --bench scale -- [ARGS]

  --domains N     100000 unless given
  --backends N    10000 unless given
  --binary FILE   another build of vhost, to compare with
  --json          the figures as JSON, at the end";

/// Switches that are measured each way.
const SWITCHES: usize = 200;

/// Requests that go over the socket as one line.
const BATCH: usize = 500;

/// Rounds of traffic of each kind, and how long one is.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);

/// A deploy of everything, as fast as somebody may want it.
const BETWEEN_SWITCHES: Duration = Duration::from_millis(50);

fn main() {
    let mut shape = Shape { domains: 100_000, backends: 10_000 };
    let mut binary = PathBuf::from(env!("CARGO_BIN_EXE_vhost"));
    let mut as_json = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(misused);
        match argument.as_str() {
            "--domains" => shape.domains = value().parse().unwrap_or_else(|_| misused()),
            "--backends" => shape.backends = value().parse().unwrap_or_else(|_| misused()),
            "--binary" => binary = value().into(),
            "--json" => as_json = true,
            // Cargo says so to every benchmark.
            "--bench" => {}
            _ => misused(),
        }
    }
    if shape.domains < 100 || shape.backends < 20 {
        eprintln!("there must be at least 100 domains and 20 backends");
        std::process::exit(2);
    }
    raise_file_limit();
    let mut figures = Figures::new(as_json);
    figures.add("domains", to_float(shape.domains), "");
    figures.add("backends", to_float(shape.backends), "");
    measure(&binary, shape, &mut figures);
    if as_json {
        println!("{}", figures.json());
    }
}

fn misused<T>() -> T {
    eprintln!("{USAGE}");
    std::process::exit(2);
}

fn measure(binary: &Path, shape: Shape, figures: &mut Figures) {
    let backend = Backend::start();
    let host = domain(0);
    commits(figures);

    let prepare = |shape: Shape| {
        Prepared::new(binary, |directory, http| shape.file(directory, http, backend.address))
    };
    let nothing = Shape { domains: 0, backends: 0 };
    let (empty, took) = prepare(nothing).start(None);
    figures.add("start of an empty server", millis(took), "ms");
    let without = empty.memory();
    figures.add("memory of an empty server", megabytes(without), "MB");

    let prepared = prepare(shape);
    let size = std::fs::metadata(prepared.file()).expect("written").len();
    figures.add("config file", megabytes(size), "MB");
    let checking = Instant::now();
    let checked =
        Command::new(binary).arg("check").arg(prepared.file()).stderr(Stdio::null()).status();
    assert!(checked.expect("it runs").success(), "the file is valid");
    figures.add("`vhost check`", millis(checking.elapsed()), "ms");

    let (mut server, took) = prepared.start(Some(&host));
    figures.below(5.0, "first start, to the first answer", took.as_secs_f64(), "s");
    server.wait_until_proven(shape.backends);
    memory(&server, without, shape, "after the first start", figures);
    let took = server.restart(Some(&host));
    figures.below(5.0, "restart with the same file", took.as_secs_f64(), "s");
    server.wait_until_proven(shape.backends);
    memory(&server, without, shape, "after a restart", figures);

    lists(&server, figures);
    switches(&server, shape, figures);
    let reloads = reloads(&server, figures);
    requests(&server, shape, reloads, figures);
    memory(&server, without, shape, "after all that", figures);
    drop(server);

    let (mut server, _) = prepare(nothing).start(None);
    add_all(&server, shape, backend.address, figures);
    server.wait_until_proven(shape.backends);
    memory(&server, without, shape, "filled through the socket", figures);
    switches(&server, shape, figures);
    lists(&server, figures);
    let took = server.restart(Some(&host));
    figures.below(5.0, "restart of what the socket made", took.as_secs_f64(), "s");
}

/// What the disk alone takes to make a page last.
fn commits(figures: &mut Figures) {
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    let took: Vec<_> = (0..SWITCHES)
        .map(|_| {
            let writing = Instant::now();
            file.write_all(&[0; 4096]).expect("a page is written");
            file.sync_data().expect("and lasts");
            writing.elapsed()
        })
        .collect();
    figures.spread("this disk: one page made to last", &took, None);
}

fn memory(server: &Server, without: u64, shape: Shape, when: &str, figures: &mut Figures) {
    let with = server.memory();
    figures.add(format!("memory {when}"), megabytes(with), "MB");
    let each = to_float(usize::try_from(with.saturating_sub(without)).unwrap_or(usize::MAX))
        / to_float(shape.domains);
    figures.below(1536.0, "  above the empty server, for each domain", each, "bytes");
}

fn lists(server: &Server, figures: &mut Figures) {
    for noun in ["domain", "backend"] {
        for format in ["table", "json"] {
            let started = Instant::now();
            let mut child = server
                .ctl(&[noun, "list", "--no-headers", "--output", format])
                .stdout(Stdio::piped())
                .spawn()
                .expect("vhost ctl starts");
            let mut output = BufReader::new(child.stdout.take().expect("piped"));
            let mut row = String::new();
            output.read_line(&mut row).expect("a first row");
            let first = millis(started.elapsed());
            let mut rest = Vec::new();
            output.read_to_end(&mut rest).expect("the rest");
            assert!(child.wait().expect("it ends").success(), "{noun} list");
            let what = format!("`{noun} list --output {format}`");
            if format == "table" {
                figures.below(300.0, &format!("{what}, first row"), first, "ms");
            }
            figures.add(format!("{what}, whole"), millis(started.elapsed()), "ms");
        }
    }
}

/// Moves domains all over to their other tag and back: only the switch's own work, without its gate
/// and its drain.
fn switches(server: &Server, shape: Shape, figures: &mut Figures) {
    let mut connection = server.connection();
    let apart = shape.domains / (SWITCHES / 2);
    let (mut answered, mut own) = (Vec::new(), Vec::new());
    for turn in 0..SWITCHES {
        let params = switch_params(shape, turn / 2 * apart, turn % 2 == 0);
        let asking = Instant::now();
        let report = connection.call("switch.start", &params).expect("it switches");
        answered.push(asking.elapsed());
        let millis = report["switch_ms"].as_f64().expect("a number");
        own.push(Duration::from_secs_f64(millis / 1000.0));
    }
    figures.spread("switch, as the server tells it", &own, Some(20.0));
    figures.spread("switch, over one connection", &answered, Some(20.0));

    let commands: Vec<_> = (0..SWITCHES / 2)
        .map(|turn| {
            let name = domain(turn / 2 * apart);
            let tag = if turn % 2 == 0 {
                shape.other(turn / 2 * apart)
            } else {
                shape.live(turn / 2 * apart)
            };
            let started = Instant::now();
            let ended =
                server.ctl(&["switch", &name, &tag, "--force", "--no-drain", "--quiet"]).status();
            assert!(ended.expect("it runs").success(), "the switch of {name}");
            started.elapsed()
        })
        .collect();
    figures.spread("`vhost ctl switch`, the whole command", &commands, None);
}

fn switch_params(shape: Shape, index: usize, away: bool) -> Value {
    let tag = if away { shape.other(index) } else { shape.live(index) };
    json!({
        "domains": [domain(index)],
        "tag": tag,
        "options": {"force": true, "no_drain": true},
    })
}

/// How long the reload of a file takes that has not changed. Says whether this version can reload.
fn reloads(server: &Server, figures: &mut Figures) -> bool {
    if !reload(server) {
        return false;
    }
    let took = (0..5).map(|_| {
        let started = Instant::now();
        assert!(reload(server), "the reload");
        started.elapsed().as_secs_f64()
    });
    figures.below(2.0, "`vhost ctl reload` of the same file", median(took.collect()), "s");
    true
}

fn reload(server: &Server) -> bool {
    let mut command = server.ctl(&["reload", "--quiet"]);
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    ended.expect("it runs").success()
}

/// What goes on while requests are timed.
#[derive(Clone, Copy, PartialEq)]
enum Meanwhile {
    Nothing,
    /// Domains are switched that nobody asks for.
    OtherSwitches,
    /// The domains are switched that are asked for: their requests meet backends to which there may be
    /// no connection yet.
    OwnSwitches,
    Reloads,
}

impl Meanwhile {
    const ALL: [Self; 4] = [Self::Nothing, Self::OtherSwitches, Self::OwnSwitches, Self::Reloads];

    fn words(self) -> &'static str {
        match self {
            Self::Nothing => "requests while nothing happens",
            Self::OtherSwitches => "requests while other domains switch",
            Self::OwnSwitches => "requests while their domains switch",
            Self::Reloads => "requests while the file is reloaded",
        }
    }
}

/// What requests take while nothing else happens, while domains are switched, and while the file is
/// read again and again; in turns, so that what else the machine does falls on all alike.
fn requests(server: &Server, shape: Shape, reloads: bool, figures: &mut Figures) {
    let asked = 20.min(shape.applications());
    let hosts: Vec<String> = (0..asked).map(domain).collect();
    let mut connection = server.connection();
    let mut rounds: [Vec<(f64, f64)>; 4] = Default::default();
    let mut done = [0_usize; 4];
    for _ in 0..ROUNDS {
        for (kind, meanwhile) in Meanwhile::ALL.into_iter().enumerate() {
            if meanwhile == Meanwhile::Reloads && !reloads {
                continue;
            }
            let mut turn = done[kind];
            let took = while_running(server.http(), &hosts, 200, || {
                let ends = Instant::now() + ROUND;
                while Instant::now() < ends {
                    let away = (turn / asked).is_multiple_of(2);
                    let mut switch = |first| {
                        let params = switch_params(shape, first + turn % asked, away);
                        connection.call("switch.start", &params).expect("it switches");
                        std::thread::sleep(BETWEEN_SWITCHES);
                    };
                    match meanwhile {
                        Meanwhile::Nothing => std::thread::sleep(ROUND),
                        Meanwhile::OtherSwitches => switch(shape.domains / 2),
                        Meanwhile::OwnSwitches => switch(0),
                        Meanwhile::Reloads => assert!(reload(server), "the reload"),
                    }
                    turn += 1;
                }
            });
            done[kind] = turn;
            rounds[kind].push((millis(percentile(&took, 50)), millis(percentile(&took, 99))));
        }
    }
    let quiet = &rounds[0];
    for ((meanwhile, measured), done) in Meanwhile::ALL.iter().zip(&rounds).zip(done) {
        if measured.is_empty() {
            continue;
        }
        let what = meanwhile.words();
        let middle = |of: fn(&(f64, f64)) -> f64| median(measured.iter().map(of).collect());
        figures.add(format!("{what}, median"), middle(|round| round.0), "ms");
        figures.add(format!("{what}, p99"), middle(|round| round.1), "ms");
        if *meanwhile != Meanwhile::Nothing {
            let ratio = measured.iter().zip(quiet).map(|(this, quiet)| this.1 / quiet.1);
            figures.add("  p99 to that of the quiet round", median(ratio.collect()), "times");
            figures.add("  how often it was done", to_float(done), "");
        }
    }
}

/// Reads the answer to a batch, in which nothing has failed.
fn end_batch(connection: &mut RpcConnection) {
    let answer = connection.read_line().expect("the server answers").expect("a line");
    for answer in answer.as_array().expect("a batch is answered by a batch") {
        assert!(answer.get("error").is_none(), "{answer}");
    }
}

/// Adds everything over one connection, as batches, of which the server always has another waiting.
fn add_all(server: &Server, shape: Shape, backend: std::net::SocketAddr, figures: &mut Figures) {
    let mut connection = server.connection();
    let mut add = |what: &str, count: usize, params: &dyn Fn(usize) -> Value, method| {
        let started = Instant::now();
        let mut waiting = 0;
        for first in (0..count).step_by(BATCH) {
            let batch = first..(first + BATCH).min(count);
            let batch = batch.map(|index| request(1, method, &params(index))).collect();
            connection.send_line(&Value::Array(batch).to_string()).expect("the server reads");
            waiting += 1;
            if waiting > 1 {
                end_batch(&mut connection);
                waiting -= 1;
            }
        }
        for _ in 0..waiting {
            end_batch(&mut connection);
        }
        let each = to_float(count) / started.elapsed().as_secs_f64();
        figures.add(format!("{what} added through the socket"), each, "a second");
    };
    let backends = |index| json!({"id": shape.backend(index), "address": backend.to_string(), "tags": [shape.tag(index)]});
    add("backends", shape.backends, &backends, "backend.add");
    let domains = |index| {
        let aliases: Vec<_> = alias(index).into_iter().collect();
        json!({"domain": domain(index), "tag": shape.live(index), "aliases": aliases})
    };
    add("domains", shape.domains, &domains, "domain.add");
}

/// Ten thousand probes at once are as many connections to the one server here.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    raised.expect("the limit of open files can be raised");
}
