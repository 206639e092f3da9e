//! The backend that all ids point to, and clients with a steady rate.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream as AsyncStream};
use tokio::runtime::Runtime;

/// Connections of clients, and the pause between two requests on each.
const CLIENTS: usize = 8;
const PACE: Duration = Duration::from_millis(5);

/// One HTTP server that stands in for every backend: what is measured is the proxy.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("bound");
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self { address, _runtime: runtime }
    }
}

async fn serve(mut stream: AsyncStream) {
    let mut buffer = [0; 4096];
    let mut held = 0;
    while let Ok(read) = stream.read(&mut buffer[held..]).await {
        held += read;
        if read == 0 || held == buffer.len() {
            return;
        }
        if buffer[..held].ends_with(b"\r\n\r\n") {
            held = 0;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

/// Asks for `hosts` from some connections, each at a steady pace, until `work` has ended. Gives what
/// every request took; each is answered with `status`.
pub(crate) fn while_running(
    http: SocketAddr,
    hosts: &[String],
    status: u16,
    work: impl FnOnce(),
) -> Vec<Duration> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let stop = &stop;
                scope.spawn(move || keep_asking(http, hosts, status, client, stop))
            })
            .collect();
        work();
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("no request fails")).collect()
    })
}

fn keep_asking(
    http: SocketAddr,
    hosts: &[String],
    status: u16,
    client: usize,
    stop: &AtomicBool,
) -> Vec<Duration> {
    let stream = TcpStream::connect(http).expect("the proxy accepts");
    stream.set_nodelay(true).expect("an option of TCP");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    let mut reader = BufReader::new(stream);
    let status = format!(" {status} ");
    let mut took = Vec::new();
    let mut next = Instant::now() + PACE.mul_f64(fastrand::f64());
    for host in hosts.iter().cycle().skip(client) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Clients that are late don't catch up: a pause would be paid for by its own requests.
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next = (next + PACE).max(Instant::now());
        let asked = Instant::now();
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
        reader.get_mut().write_all(request.as_bytes()).expect("the proxy reads");
        assert!(answer(&mut reader).contains(&status), "every request is answered so");
        took.push(asked.elapsed());
    }
    took
}

/// Reads one answer, and gives its status line.
fn answer(reader: &mut BufReader<TcpStream>) -> String {
    let mut status = String::new();
    reader.read_line(&mut status).expect("an answer");
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a head");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    status
}
