//! What a scrape costs: 10,000 domains that all had requests, unless the arguments say otherwise.
//!
//! Drives the real binary over real sockets, on loopback alone. It measures; nothing here fails for
//! being slow.

#[path = "../common/mod.rs"]
mod common;
#[path = "../scale/shape.rs"]
#[expect(dead_code, reason = "it is shared with another benchmark, which uses all of it")]
mod shape;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use common::figures::{Figures, megabytes, millis, percentile, to_float};
use common::server::{Prepared, Server, free_address};
use common::traffic::{Backend, while_running};
use shape::{Shape, domain};

/// Scrapes of each kind.
const SCRAPES: usize = 20;

/// Between two scrapes: far more often than anybody scrapes.
const PAUSE: Duration = Duration::from_millis(300);

fn main() {
    let mut domains = 10_000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next().map(|value| value.parse())) {
            ("--domains", Some(Ok(number))) => domains = number,
            // Cargo says so to every benchmark.
            ("--bench", None) => {}
            _ => {
                eprintln!("Usage: ./dev bench --bench scrape -- [--domains N]");
                std::process::exit(2);
            }
        }
    }
    let shape = Shape { domains, backends: 100 };
    let mut figures = Figures::new(false);
    figures.add("domains", to_float(domains), "");
    for (limit, what) in
        [(1000, "1,000 of them with series of their own"), (domains, "all of them")]
    {
        measure(shape, limit, what, &mut figures);
    }
}

fn measure(shape: Shape, limit: usize, what: &str, figures: &mut Figures) {
    let backend = Backend::start();
    let metrics = free_address();
    let binary = Path::new(env!("CARGO_BIN_EXE_vhost"));
    let prepared = Prepared::new(binary, |directory, http| {
        let mut text = shape.file(directory, http, backend.address);
        let _ = write!(
            text,
            "\n[metrics]\nenabled = true\nlisten_addr = \"{metrics}\"\nper_domain_limit = {limit}\n\
             \n[logging]\nlevel = \"warn\"\n"
        );
        text
    });
    let (server, _) = prepared.start(Some(&domain(0)));
    server.wait_until_proven(shape.backends);
    ask_all(&server, shape);
    let size = scrape(metrics, "identity").len() as u64;
    figures.add(format!("{what}: text of a scrape"), megabytes(size), "MB");
    let hosts: Vec<_> = (0..64).map(domain).collect();
    let without = while_running(server.http(), &hosts, 200, || {
        std::thread::sleep(PAUSE * u32::try_from(SCRAPES).expect("a few"));
    });
    for coding in ["identity", "gzip"] {
        let mut took = Vec::new();
        let mut requests = Vec::new();
        let ((), cpu) = server.cpu_of(|| {
            for _ in 0..SCRAPES {
                let started = Instant::now();
                scrape(metrics, coding);
                took.push(started.elapsed());
            }
        });
        requests.extend(while_running(server.http(), &hosts, 200, || {
            for _ in 0..SCRAPES {
                scrape(metrics, coding);
                std::thread::sleep(PAUSE);
            }
        }));
        let median = millis(percentile(&took, 50));
        figures.below(200.0, &format!("{what}: a scrape, {coding}, median"), median, "ms");
        let scrapes = u32::try_from(SCRAPES).expect("a few");
        figures.add(format!("{what}: CPU of it"), millis(cpu / scrapes), "ms");
        figures.spread(&format!("{what}: requests meanwhile"), &requests, None);
    }
    figures.spread(&format!("{what}: requests without scrapes"), &without, None);
}

/// One request for each domain.
fn ask_all(server: &Server, shape: Shape) {
    let mut stream = TcpStream::connect(server.http()).expect("the proxy accepts");
    let mut buffer = [0; 4096];
    for index in 0..shape.domains {
        let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", domain(index));
        stream.write_all(request.as_bytes()).expect("the proxy reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            let read = stream.read(&mut buffer).expect("an answer");
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..read]);
        }
    }
}

fn scrape(metrics: SocketAddr, coding: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(metrics).expect("metrics are served");
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: metrics\r\naccept-encoding: {coding}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "a scrape is answered");
    answer
}
