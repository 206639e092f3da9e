//! What certificates cost: 10,000 of them, unless the arguments say otherwise, beside ten.
//!
//! Drives the real binary over real sockets, on loopback alone. All certificates are there and good,
//! so that none is ordered. It measures; nothing here fails for being slow.

mod bundles;
#[path = "../common/mod.rs"]
mod common;
mod site;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde_json::{Value, json};

use bundles::sign_all;
use common::authority::{Authority, Bundle};
use common::client::Client;
use common::figures::{Figures, median, megabytes, millis, percentile, to_float};
use common::server::{Prepared, Server};
use common::traffic::{Backend, while_running};
use site::{Site, Tls, UNTRUSTED, domain};

const USAGE: &str = "\
Usage: ./dev bench --bench certificates -- [ARGS]

  --certificates N  10000 unless given
  --binary FILE     another build of vhost
  --before FILE     an older build, whose plain HTTP is compared with this one's; nothing else
  --json            the figures as JSON, at the end";

/// What the many are compared with.
const FEW: usize = 10;

/// Rounds of each kind. The servers take turns, so that what else the machine does falls on all alike.
const ROUNDS: usize = 9;

/// How long a round of traffic is.
const ROUND: Duration = Duration::from_secs(1);

/// Handshakes of each kind in a round.
const HANDSHAKES: usize = 200;

/// Resumed handshakes after a full one.
const RESUMED: usize = 10;

const IMPORTS: usize = 50;

fn main() {
    let mut count = 10_000;
    let mut binary = PathBuf::from(env!("CARGO_BIN_EXE_vhost"));
    let mut before = None;
    let mut as_json = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(misused);
        match argument.as_str() {
            "--certificates" => count = value().parse().unwrap_or_else(|_| misused()),
            "--binary" => binary = value().into(),
            "--before" => before = Some(PathBuf::from(value())),
            "--json" => as_json = true,
            // Cargo says so to every benchmark.
            "--bench" => {}
            _ => misused(),
        }
    }
    if count < 1000 {
        eprintln!("there must be at least 1000 certificates");
        std::process::exit(2);
    }
    let mut figures = Figures::new(as_json);
    let backend = Backend::start();
    match before {
        Some(before) => compare(&before, &binary, backend.address, &mut figures),
        None => measure(&binary, count, backend.address, &mut figures),
    }
    if as_json {
        println!("{}", figures.json());
    }
}

fn misused<T>() -> T {
    eprintln!("{USAGE}");
    std::process::exit(2);
}

/// A server that serves HTTPS.
struct Running {
    server: Server,
    https: SocketAddr,
    names: Vec<String>,
    /// Resumes sessions of this server alone.
    resuming: Client,
}

fn measure(binary: &Path, count: usize, backend: SocketAddr, figures: &mut Figures) {
    figures.add("certificates", to_float(count), "");
    let authority = Authority::new();
    let bundles = sign_all(&authority, &(0..count).map(domain).collect::<Vec<_>>());
    let material = bundles.iter().map(|bundle| bundle.material).sum::<usize>();
    let material = to_float(material) / to_float(count);
    figures.add("leaf, intermediate and key, DER, of each", material, "bytes");
    let client = Client::new(authority.roots());

    let few = Site::with(binary, &bundles[..FEW], backend);
    let (few, took) = start(few, &authority, &client, FEW);
    figures.add(format!("start with {FEW}, to the first handshake"), millis(took), "ms");
    let many = starts_and_memory(binary, &bundles, material, &authority, backend, figures);

    handshakes((&few, &many), &client, figures);
    list(&many, count, figures);
    requests((&few, &many), figures);
    imports(&few, &many, &authority, &client, figures);
    list(&many, count, figures);
}

/// Starts a server, and waits for its first handshake.
fn start(site: Site, authority: &Authority, client: &Client, count: usize) -> (Running, Duration) {
    let Site { prepared, https, .. } = site;
    let last = domain(count - 1);
    let (server, took) = prepared.start_until(|| client.shake(https, &last).is_ok());
    // Names all over, and as many at every size.
    let asked = FEW.max(HANDSHAKES.min(count));
    let names = (0..asked).map(|index| domain(index * count / asked)).collect();
    let resuming = Client::resuming(authority.roots(), asked);
    (Running { server, https, names, resuming }, took)
}

/// What starts with all certificates take, and how much memory these have then.
fn starts_and_memory(
    binary: &Path,
    bundles: &[Bundle],
    material: f64,
    authority: &Authority,
    backend: SocketAddr,
    figures: &mut Figures,
) -> Running {
    let client = Client::new(authority.roots());
    let count = bundles.len();
    let memory_of = |domains, tls| {
        let (mut server, _) = Site::new(binary, domains, tls, backend).prepared.start(None);
        // The first start has the file to apply, which the others have not.
        server.restart(None);
        server.memory()
    };
    let empty = memory_of(0, Tls::Auto);
    figures.add("memory of an empty server", megabytes(empty), "MB");
    let without = memory_of(count, Tls::Off);
    figures.add("memory with the domains, and HTTPS off", megabytes(without), "MB");

    let site = Site::with(binary, bundles, backend);
    let files = site.files.clone();
    let (mut many, took) = start(site, authority, &client, count);
    figures.below(5.0, "first start, to the first handshake", took.as_secs_f64(), "s");
    let last = domain(count - 1);
    let https = many.https;
    for (what, is_cold) in [
        ("restart", false),
        ("restart", false),
        ("restart, the certificates not in the page cache", true),
    ] {
        many.server.stop();
        if is_cold {
            forget(&files);
        }
        let took = many.server.start_again(|| client.shake(https, &last).is_ok());
        figures.below(5.0, what, took.as_secs_f64(), "s");
    }
    let most = many.server.most_memory();
    let with = many.server.memory();
    figures.add("memory with all", megabytes(with), "MB");
    figures.add("  the most of it, while starting", megabytes(most), "MB");
    let each = |base: u64| {
        let above = usize::try_from(with.saturating_sub(base)).unwrap_or(usize::MAX);
        to_float(above) / to_float(count)
    };
    figures.add("  each, above the empty server", each(empty), "bytes");
    figures.below(8192.0, "  … beyond leaf, intermediate and key", each(empty) - material, "bytes");
    figures.add("  … and without the domain's own", each(without) - material, "bytes");
    many
}

/// Lets the system's page cache forget files.
fn forget(files: &[PathBuf]) {
    nix::unistd::sync();
    for path in files {
        let file = File::open(path).expect("it is there");
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("it is told");
    }
}

/// Figures of the few and of the many, from rounds in turns.
#[derive(Default)]
struct Turns {
    rounds: [Vec<f64>; 2],
}

impl Turns {
    fn tell(self, what: &str, unit: &'static str, count: usize, figures: &mut Figures) {
        let ratios = self.rounds[0].iter().zip(&self.rounds[1]).map(|(few, many)| many / few);
        let ratio = median(ratios.collect());
        let [few, many] = self.rounds;
        figures.add(format!("{what}, with {FEW}"), median(few), unit);
        figures.add(format!("{what}, with {count}"), median(many), unit);
        figures.add("  the ratio, median of the rounds", ratio, "times");
    }
}

/// Which of both is first in a turn: each as often, as the first may find a busier disk or cache.
fn order(turn: usize) -> [usize; 2] {
    if turn.is_multiple_of(2) { [0, 1] } else { [1, 0] }
}

/// Measures both in turns: what it is for people, and the server's CPU time in microseconds.
fn in_turns(
    what: &str,
    unit: &'static str,
    (few, many): (&Running, &Running),
    figures: &mut Figures,
    measure: impl Fn(&Running) -> (f64, f64),
) {
    let (mut seen, mut cpu) = (Turns::default(), Turns::default());
    for turn in 0..ROUNDS {
        for which in order(turn) {
            let (value, micros) = measure([few, many][which]);
            seen.rounds[which].push(value);
            cpu.rounds[which].push(micros);
        }
    }
    seen.tell(what, unit, many.count(), figures);
    cpu.tell("  the server's CPU time for each", "µs", many.count(), figures);
}

fn handshakes(both: (&Running, &Running), client: &Client, figures: &mut Figures) {
    in_turns("full handshake", "ms", both, figures, |running| {
        let names = running.names.iter().cycle().take(HANDSHAKES);
        let shake = |name: &String| {
            let shaken = client.shake(running.https, name).expect("a handshake");
            assert!(!shaken.is_resumed, "there is nothing to resume");
            shaken.took
        };
        let (took, cpu) = running.server.cpu_of(|| names.map(shake).collect::<Vec<_>>());
        (millis(percentile(&took, 50)), each_micros(cpu, took.len()))
    });
    in_turns("resumed handshake", "ms", both, figures, |running| {
        let (mut took, mut cpu) = (Vec::new(), Duration::ZERO);
        for name in running.names.iter().cycle().take(HANDSHAKES / RESUMED) {
            let shake = || running.resuming.shake(running.https, name).expect("a handshake");
            shake();
            let ((), had) = running.server.cpu_of(|| {
                for _ in 0..RESUMED {
                    let shaken = shake();
                    assert!(shaken.is_resumed, "the session is resumed");
                    took.push(shaken.took);
                }
            });
            cpu += had;
        }
        (millis(percentile(&took, 50)), each_micros(cpu, took.len()))
    });
    in_turns("full handshakes of eight clients", "a second", both, figures, |running| {
        let started = Instant::now();
        let ((took, failed), cpu) = running.server.cpu_of(|| {
            client.while_shaking(running.https, &running.names, || std::thread::sleep(ROUND))
        });
        assert_eq!(failed, 0, "every handshake succeeds");
        let rate = to_float(took.len()) / started.elapsed().as_secs_f64();
        (rate, each_micros(cpu, took.len()))
    });
}

impl Running {
    /// How many certificates it has.
    fn count(&self) -> usize {
        self.certificates().len()
    }

    fn certificates(&self) -> Vec<Value> {
        let mut connection = self.server.connection();
        let (mut all, mut params) = (Vec::new(), json!({}));
        loop {
            let mut page = connection.call("cert.list", &params).expect("a page");
            all.append(page["certificates"].as_array_mut().expect("a list"));
            match page.get("next") {
                Some(next) => params = json!({"after": next}),
                None => break,
            }
        }
        all.retain(|one| one["name"] != UNTRUSTED);
        all
    }
}

/// How long the list takes; and that nothing was ordered, for all are good.
fn list(many: &Running, count: usize, figures: &mut Figures) {
    let started = Instant::now();
    let mut command = many.server.ctl(&["cert", "list", "--output", "json"]);
    let listed = command.stdout(Stdio::null()).status();
    assert!(listed.expect("it runs").success(), "the list");
    figures.add("`vhost ctl cert list --output json`", millis(started.elapsed()), "ms");
    let certificates = many.certificates();
    assert_eq!(certificates.len(), count, "all are listed");
    for one in &certificates {
        assert!(one["state"] == "valid" && one.get("last_error").is_none(), "{one}");
    }
}

/// Plain HTTP: what is redirected, and what is not because nobody trusts the certificate.
fn requests(both: (&Running, &Running), figures: &mut Figures) {
    in_turns("redirected request", "ms", both, figures, |running| {
        round(&running.server, &running.names, 308)
    });
    let untrusted = [UNTRUSTED.to_owned()];
    in_turns("request that is not redirected", "ms", both, figures, |running| {
        round(&running.server, &untrusted, 200)
    });
}

/// A round of requests: the median in milliseconds, and the server's CPU time for each in
/// microseconds.
fn round(server: &Server, hosts: &[String], status: u16) -> (f64, f64) {
    let pause = || std::thread::sleep(ROUND);
    let (took, cpu) = server.cpu_of(|| while_running(server.http(), hosts, status, pause));
    (millis(percentile(&took, 50)), each_micros(cpu, took.len()))
}

/// Certificates that take the place of others.
fn imports(
    few: &Running,
    many: &Running,
    authority: &Authority,
    client: &Client,
    figures: &mut Figures,
) {
    let count = many.count();
    let mut took = Turns::default();
    let mut connections = [few.server.connection(), many.server.connection()];
    for turn in 0..IMPORTS {
        for which in order(turn) {
            let running = [few, many][which];
            let bundle = authority.sign(&running.names[turn % running.names.len()]);
            let params = json!({"name": bundle.name, "cert": bundle.chain, "key": bundle.key});
            let asking = Instant::now();
            let report = connections[which].call("cert.import", &params).expect("it is imported");
            took.rounds[which].push(millis(asking.elapsed()));
            let shaken = client.shake(running.https, &bundle.name).expect("a handshake");
            let sha256 = ::ring::digest::digest(&::ring::digest::SHA256, &shaken.leaf);
            let sha256 = sha256.as_ref().iter().map(|byte| format!("{byte:02x}"));
            assert_eq!(report["served"]["sha256"], sha256.collect::<String>(), "it is served");
        }
    }
    took.tell("`cert.import`, until it is stored and served", "ms", count, figures);

    let directory = tempfile::tempdir().expect("a directory");
    let [cert, key] = ["cert.pem", "key.pem"].map(|file| directory.path().join(file));
    let commands: Vec<_> = (0..IMPORTS)
        .map(|turn| {
            let bundle = authority.sign(&many.names[turn]);
            std::fs::write(&cert, &bundle.chain).expect("it is written");
            std::fs::write(&key, &bundle.key).expect("it is written");
            let mut command = many.server.ctl(&["cert", "import", &bundle.name, "--quiet"]);
            command.arg("--cert").arg(&cert).arg("--key").arg(&key);
            let started = Instant::now();
            assert!(command.status().expect("it runs").success(), "the import");
            started.elapsed()
        })
        .collect();
    figures.spread("`vhost ctl cert import`, the whole command", &commands, None);

    let names = &many.names[..FEW];
    let mut replaced = 0;
    let (shaken, failed) = client.while_shaking(many.https, names, || {
        let ends = Instant::now() + 3 * ROUND;
        while Instant::now() < ends {
            let bundle = authority.sign(&names[replaced % FEW]);
            let params = json!({"name": bundle.name, "cert": bundle.chain, "key": bundle.key});
            connections[1].call("cert.import", &params).expect("it is imported");
            replaced += 1;
        }
    });
    figures.add("certificates replaced under handshakes", to_float(replaced), "");
    figures.add("  handshakes with their names meanwhile", to_float(shaken.len()), "");
    figures.below(1.0, "  handshakes that failed", to_float(failed), "of them");
}

/// Plain HTTP of an older build and of this one: the same file, without HTTPS; and of this one with
/// HTTPS, where each request is asked about for a redirect.
fn compare(before: &Path, binary: &Path, backend: SocketAddr, figures: &mut Figures) {
    let plain = |binary: &Path| {
        let text = |directory: &Path, http| {
            let directory = directory.display();
            format!(
                "[proxy]\nlisten_addr_http = \"{http}\"\n\
                 admin_socket = \"{directory}/admin.sock\"\nstate_dir = \"{directory}/state\"\n\n\
                 [health_check]\ninterval_secs = 600\n\n\
                 [[backends]]\nid = \"web\"\naddress = \"{backend}\"\ntags = [\"a\"]\n\n\
                 [[virtual_hosts]]\ndomain = \"{UNTRUSTED}\"\nenabled_backends_tag = \"a\"\n"
            )
        };
        Prepared::new(binary, text).start(Some(UNTRUSTED)).0
    };
    let with_https = Site::new(binary, 0, Tls::Auto, backend);
    let servers = [plain(before), plain(binary), with_https.prepared.start(Some(UNTRUSTED)).0];
    let hosts = [UNTRUSTED.to_owned()];
    let mut rounds: [Vec<(f64, f64)>; 3] = Default::default();
    for _ in 0..ROUNDS * 3 {
        for (server, measured) in servers.iter().zip(&mut rounds) {
            measured.push(round(server, &hosts, 200));
        }
    }
    let words = ["the older build", "this build", "this build, with HTTPS"];
    for (measured, whose) in rounds.iter().zip(words) {
        let middle = |of: fn(&(f64, f64)) -> f64| median(measured.iter().map(of).collect());
        figures.add(format!("request, {whose}: median"), middle(|round| round.0), "ms");
        figures.add("  the server's CPU time for it", middle(|round| round.1), "µs");
        let ratios = |of: fn(&(f64, f64)) -> f64| {
            let ratios =
                measured.iter().zip(&rounds[0]).map(|(this, before)| of(this) / of(before));
            median(ratios.collect())
        };
        figures.add("  the median's ratio to the older build's", ratios(|round| round.0), "times");
        figures.add("  the CPU time's ratio", ratios(|round| round.1), "times");
    }
}

fn each_micros(took: Duration, count: usize) -> f64 {
    took.as_secs_f64() * 1e6 / to_float(count)
}
