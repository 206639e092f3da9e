//! The same bytes go to two servers, one with each carrier of requests, in front of equal backends: what
//! comes back, and what the backends get, is the same, but for what is listed.

mod answers;
mod backend;
mod differences;
mod observed;
mod requests;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use answers::{Answer, Expect};
use backend::ScriptedBackend;
use differences::{DIFFERENCES, Extent};
use observed::Reach;
use requests::{Request, Step};

use crate::harness::*;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Larger pieces leave at once: what they are made of is all the same.
const MAX_BYTEWISE: usize = 2000;

/// How pieces leave: those of the client, and those of the backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bytewise {
    client: bool,
    backend: bool,
}

/// A server with one of the carriers.
struct Side {
    vhost: Vhost,
    backend: ScriptedBackend,
}

/// What was seen of a case.
#[derive(PartialEq, Eq)]
struct Observed {
    client: Vec<String>,
    backend: Vec<String>,
}

impl Side {
    fn start(answers: &'static [Answer], is_pingora: bool) -> Self {
        let mut backend = ScriptedBackend::start(answers);
        let setup = Setup::new()
            .lifetime(Duration::from_mins(5))
            .tcp_probes()
            .set("logging.level", "\"error\"")
            .set("health_check.interval_secs", 3600)
            .set("health_check.unhealthy_threshold", 1000)
            .domain_with("example.com", "a", "max_body_bytes = 300000")
            .backend("web", backend.address(), &["a"]);
        let setup = if is_pingora { setup.env("VHOST_CARRIER", "pingora".into()) } else { setup };
        let vhost = setup.start();
        vhost.wait_until_healthy(1);
        // What has probed it.
        let _ = backend.end_case();
        Self { vhost, backend }
    }

    fn run(
        &mut self,
        request: &Request,
        number: usize,
        answer: &Answer,
        mode: Bytewise,
    ) -> Observed {
        self.backend.set_bytewise(mode.backend);
        let path = format!("/a{number:03}");
        let client = Dialogue::run(&self.vhost, request, &path, mode.client);
        let received = self.backend.end_case();
        let reach = match (request.is_broken, answer.is_body_open()) {
            (true, _) => Reach::Unsure,
            (false, true) => Reach::Head,
            (false, false) => Reach::Whole,
        };
        let requests = received.iter().flat_map(|bytes| observed::requests(bytes, reach));
        Observed { client, backend: requests.collect() }
    }
}

/// One connection of a client.
struct Dialogue {
    stream: TcpStream,
    received: Vec<u8>,
    has_ended: bool,
}

impl Dialogue {
    /// Runs a request, and another one behind it where the connection is kept.
    fn run(vhost: &Vhost, request: &Request, path: &str, bytewise: bool) -> Vec<String> {
        let stream = TcpStream::connect(vhost.http()).expect("the proxy accepts");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let mut dialogue = Self { stream, received: Vec::new(), has_ended: false };
        for step in &request.steps {
            match step {
                Step::Send(bytes) => {
                    let bytes = with_path(bytes, path);
                    write_pieces(&dialogue.stream, &bytes, bytewise);
                }
                Step::AwaitContinue => {
                    while !dialogue.received.windows(4).any(|window| window == b"\r\n\r\n") {
                        if !dialogue.read() {
                            break;
                        }
                    }
                    if !dialogue.received.starts_with(b"HTTP/1.1 100 ") {
                        break;
                    }
                }
                Step::EndSide => _ = dialogue.stream.shutdown(Shutdown::Write),
            }
        }
        let answers = loop {
            let (bytes, has_ended) = (&dialogue.received, dialogue.has_ended);
            let answers = observed::answers(bytes, &request.methods, has_ended);
            if answers.whole >= request.methods.len() || !dialogue.read() {
                break answers;
            }
        };
        let mut seen = answers.found;
        if seen.iter().any(|answer| answer.contains("\n[tunnel ")) {
            return seen;
        }
        dialogue.received.clear();
        let next = "GET /a000?next HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
        write_pieces(&dialogue.stream, next.as_bytes(), false);
        while dialogue.read() {}
        let behind = observed::answers(&dialogue.received, &["GET"], true);
        seen.extend(behind.found.into_iter().map(|answer| format!("next: {answer}")));
        seen
    }

    /// Reads some more; false at the end.
    fn read(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(count @ 1..) => {
                self.received.extend_from_slice(&buffer[..count]);
                return true;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.received.extend_from_slice(b"(nothing more, and no end)");
            }
            _ => {}
        }
        self.has_ended = true;
        false
    }
}

fn with_path(bytes: &[u8], path: &str) -> Vec<u8> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(5).position(|window| window == b"/PATH") {
        parts.push(&rest[..at]);
        parts.push(path.as_bytes());
        rest = &rest[at + 5..];
    }
    parts.push(rest);
    parts.concat()
}

/// Writes to who may have closed already.
fn write_pieces(mut stream: &TcpStream, bytes: &[u8], bytewise: bool) {
    let size = if bytewise && bytes.len() <= MAX_BYTEWISE { 1 } else { bytes.len().max(1) };
    for piece in bytes.chunks(size) {
        if stream.write_all(piece).is_err() {
            return;
        }
    }
}

/// The listed differences that explain this one; none if it is not listed.
fn explained(request: &str, answer: &str, pingora: &Observed, exchange: &Observed) -> Vec<usize> {
    let is_named = |names: &[&str], name| names.is_empty() || names.contains(&name);
    let listed = DIFFERENCES.iter().enumerate().filter(|(_, difference)| {
        is_named(difference.requests, request) && is_named(difference.answers, answer)
    });
    let (mut used, mut old, mut new) = (Vec::new(), lines(pingora), lines(exchange));
    let mut order = None;
    for (index, difference) in listed {
        match difference.extent {
            Extent::Race => return vec![index],
            Extent::Order => order = Some(index),
            Extent::Lines(listed) | Extent::LinesOfRace(listed) => {
                let is_listed = |line: &&&str| listed.contains(*line);
                if !old.iter().filter(is_listed).eq(new.iter().filter(is_listed)) {
                    used.push(index);
                }
                old.retain(|line| !listed.contains(line));
                new.retain(|line| !listed.contains(line));
            }
        }
    }
    if let Some(index) = order.filter(|_| old != new) {
        let sorted = |lines: &[&str]| {
            let mut lines: Vec<_> = lines.iter().map(|line| line.to_ascii_lowercase()).collect();
            lines.sort();
            lines
        };
        used.push(index);
        return if sorted(&old) == sorted(&new) { used } else { Vec::new() };
    }
    if old == new { used } else { Vec::new() }
}

fn lines(observed: &Observed) -> Vec<&str> {
    observed.client.iter().chain(&observed.backend).flat_map(|message| message.lines()).collect()
}

fn describe(case: &str, pingora: &Observed, exchange: &Observed) -> String {
    let side = |name: &str, pingora: &[String], exchange: &[String]| {
        if pingora == exchange {
            return String::new();
        }
        format!(
            "  {name} with Pingora:\n{}\n  {name} with the exchange:\n{}\n",
            pingora.join("\n--\n"),
            exchange.join("\n--\n")
        )
    };
    let client = side("the client", &pingora.client, &exchange.client);
    let backend = side("the backend", &pingora.backend, &exchange.backend);
    format!("=== {case}\n{client}{backend}")
}

/// Runs the pairs of a request and an answer that are asked for: which listed differences there were.
fn compare(mode: Bytewise, is_of: impl Fn(usize, usize) -> bool) -> BTreeSet<usize> {
    let answers: &'static [Answer] = Box::leak(answers::all().into_boxed_slice());
    let requests = requests::all();
    let (mut pingora, mut exchange) = (Side::start(answers, true), Side::start(answers, false));
    let (mut wrong, mut used, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for (first, request) in requests.iter().enumerate() {
        for (number, answer) in answers.iter().enumerate() {
            if !is_of(first, number) || (request.waits() && answer.expect == Expect::Ignored) {
                continue;
            }
            count += 1;
            let mut both = || {
                std::thread::scope(|scope| {
                    let old = scope.spawn(|| pingora.run(request, number, answer, mode));
                    let new = exchange.run(request, number, answer, mode);
                    (old.join().expect("the client does not panic"), new)
                })
            };
            let (mut old, new) = both();
            if old == new {
                continue;
            }
            let mut listed = explained(request.name, answer.name, &old, &new);
            if listed.is_empty() {
                // On a busy machine Pingora's carrier may close between two pipelined requests. Ours must do the same
                // each time.
                let (again, same) = both();
                if same == new && again == new {
                    continue;
                }
                old = again;
                listed = explained(request.name, answer.name, &old, &new);
            }
            if listed.is_empty() {
                let case = format!("{}; {}", request.name, answer.name);
                wrong.push(describe(&case, &old, &new));
            }
            used.extend(listed);
        }
    }
    assert!(wrong.is_empty(), "{} of {count}, {mode:?}:\n{}", wrong.len(), wrong.join("\n"));
    used
}

#[test]
fn both_carriers_carry_the_same() {
    let at_once = Bytewise { client: false, backend: false };
    let used = compare(at_once, |_, _| true);
    for (index, difference) in DIFFERENCES.iter().enumerate() {
        let is_race = matches!(difference.extent, Extent::Race | Extent::LinesOfRace(_));
        assert!(is_race || used.contains(&index), "listed, and no difference: {}", difference.why);
    }
}

#[test]
fn both_carriers_carry_the_same_byte_by_byte() {
    // A third of all pairs each way: each request and each answer has its turn in each.
    for (turn, client, backend) in [(0, true, false), (1, false, true), (2, true, true)] {
        let is_of = |request, answer| (request + answer) % 3 == turn;
        compare(Bytewise { client, backend }, is_of);
    }
}
