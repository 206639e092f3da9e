//! `vhost` beside nginx, `HAProxy`, h2o, Envoy and a bare relay: the same work for each, on a core of its own.
//!
//! Each proxy is a fresh process in each round. It has the second core that this program may use; the
//! load and the backend have the first. docs/performance.md says how to read what is printed.

mod cases;
#[path = "../common/mod.rs"]
mod common;
mod helpers;
mod lab;
mod load;
mod process;
mod proxies;
mod proxy;
mod table;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use cases::Case;
use lab::{Lab, Pace};
use proxy::Proxy;
use table::Table;

const USAGE: &str = "\
Usage: ./dev bench [ARGS]

  --quick         the core cases, in less than five minutes
  --case NAME     this case alone; may be given again
  --peer NAME     beside this peer alone: nginx, haproxy, h2o, envoy or relay
  --rounds N      5 unless given, 3 with `--quick`
  --seconds N     how long each load runs: 3 unless given, 1 with `--quick`
  --other FILE    another build of vhost takes part
  --binary FILE   this build of vhost, in place of the one of the sources
  --json          the figures as JSON, at the end
  --list          the names of the cases";

/// The most CPU time that a small request may take, to the bare relay's.
const TO_RELAY: f64 = 1.5;

struct Options {
    pace: Pace,
    cases: Vec<String>,
    peers: Vec<String>,
    binary: PathBuf,
    other: Option<PathBuf>,
    json: bool,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    helpers::run_if_asked(&arguments);
    let options = parse(&arguments);
    let cases = chosen(&options);
    let wanted = |proxy: Proxy| {
        let name = proxy.name().trim_start_matches("bare ");
        options.peers.is_empty() || options.peers.iter().any(|peer| peer == name)
    };
    let lab = Lab::new(options.pace, wanted, options.binary, options.other);
    let lab = lab.unwrap_or_else(|why| {
        eprintln!("{why}");
        std::process::exit(1);
    });
    let facts = lab.facts();
    if !options.json {
        println!("{}", header(&facts));
    }
    let started = Instant::now();
    let mut tables = Vec::new();
    for case in &cases {
        if options.json {
            eprintln!("{}", case.name);
        }
        let table = (case.measure)(&lab);
        if !options.json {
            println!("{}", table.text());
        }
        tables.push(table);
    }
    let short = short(&tables);
    if options.json {
        let cases: Vec<_> = tables.iter().map(Table::json).collect();
        println!("{}", json!({"machine": facts, "cases": cases, "short": short}));
        return;
    }
    println!(
        "short of the goal (CPU, memory and p99 no more than the best peer's; 1.5 × the relay):"
    );
    for line in short {
        println!("  {line}");
    }
    println!("took {} s", started.elapsed().as_secs());
}

fn parse(arguments: &[String]) -> Options {
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let mut options = Options {
        pace: if is_quick {
            Pace { rounds: 3, seconds: 1, idle: 1000, is_quick }
        } else {
            Pace { rounds: 5, seconds: 3, idle: 5000, is_quick }
        },
        cases: Vec::new(),
        peers: Vec::new(),
        binary: env!("CARGO_BIN_EXE_vhost").into(),
        other: None,
        json: false,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().cloned().unwrap_or_else(|| misused(argument));
        let number = |text: String| {
            let number = text.parse::<usize>().ok().filter(|number| *number > 0);
            number.unwrap_or_else(|| misused(argument))
        };
        match argument.as_str() {
            // Cargo says `--bench` to every benchmark.
            "--quick" | "--bench" => {}
            "--case" => options.cases.push(value()),
            "--peer" => options.peers.push(value()),
            "--rounds" => options.pace.rounds = number(value()),
            "--seconds" => {
                options.pace.seconds = u64::try_from(number(value())).expect("not so long");
            }
            "--binary" => options.binary = value().into(),
            "--other" => options.other = Some(value().into()),
            "--json" => options.json = true,
            "-h" | "--help" => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            "--list" => {
                for case in cases::all() {
                    println!("{}", case.name);
                }
                std::process::exit(0);
            }
            _ => misused(argument),
        }
    }
    options
}

fn chosen(options: &Options) -> Vec<Case> {
    let mut all = cases::all();
    if let Some(unknown) =
        options.cases.iter().find(|name| all.iter().all(|case| case.name != **name))
    {
        misused::<()>(unknown);
    }
    let known = ["nginx", "haproxy", "h2o", "envoy", "relay"];
    if let Some(unknown) = options.peers.iter().find(|name| !known.contains(&name.as_str())) {
        misused::<()>(unknown);
    }
    all.retain(|case| {
        if options.cases.is_empty() {
            case.is_core || !options.pace.is_quick
        } else {
            options.cases.iter().any(|name| name == case.name)
        }
    });
    all
}

fn misused<T>(argument: &str) -> T {
    eprintln!("`{argument}`?\n{USAGE}");
    std::process::exit(2);
}

fn header(facts: &Value) -> String {
    let mut text = String::new();
    for (what, fact) in facts.as_object().expect("facts have names") {
        let fact = fact.as_str().map_or_else(|| fact.to_string(), str::to_owned);
        let _ = writeln!(text, "{what}: {fact}");
    }
    text + "Medians ±(most − least) of the rounds. Beside others: what vhost has to theirs (theirs).\n"
}

/// Everything in which somebody does better than vhost is to.
fn short(tables: &[Table]) -> Vec<String> {
    let mut lines: Vec<String> = tables.iter().flat_map(Table::short).collect();
    let small = tables.iter().find(|table| table.name == "keep-alive");
    let ratio = small.and_then(|table| table.ratio("CPU µs", Proxy::Relay.name()));
    if let Some(ratio) = ratio.filter(|ratio| *ratio > TO_RELAY) {
        lines.push(format!("keep-alive, CPU µs: {ratio:.2} × the bare relay (goal {TO_RELAY})"));
    }
    lines
}
