//! HTTP/1.1 at a steady rate from clients that connect again when their connection is closed, as
//! browsers do. `h2load` gives a client up then, which would spare a proxy that reloads its load.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::{Instant as Moment, sleep_until};

use super::Latency;
use crate::proxy::HOST;

const CLIENTS: u32 = 32;

/// What clients have seen.
pub(crate) struct Seen {
    /// From the time at which a request was to be sent.
    pub(crate) latency: Latency,
    /// Connections that were closed under a request or before it, and made anew.
    pub(crate) closed: usize,
    /// Requests that failed also on a new connection.
    pub(crate) failed: usize,
}

#[derive(Default)]
struct Tally {
    took: Vec<Duration>,
    closed: usize,
    failed: usize,
}

/// Asks so often a second, on all connections together.
pub(crate) fn run(http: SocketAddr, rate: u32, seconds: u64) -> Seen {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pause = Duration::from_secs(1) * CLIENTS / rate;
    let started = Instant::now();
    let ends = started + Duration::from_secs(seconds);
    let tally = runtime.block_on(async {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let first = started + pause * client / CLIENTS;
                tokio::spawn(keep_asking(http, first, pause, ends))
            })
            .collect();
        let mut all = Tally::default();
        for client in clients {
            let one = client.await.expect("it ends");
            all.took.extend(one.took);
            all.closed += one.closed;
            all.failed += one.failed;
        }
        all
    });
    Seen { latency: Latency::of(tally.took), closed: tally.closed, failed: tally.failed }
}

async fn keep_asking(http: SocketAddr, first: Instant, pause: Duration, ends: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    let mut due = first;
    while due < ends && Instant::now() < ends {
        // A request that waits for the one before it is late. A timer that is late counts for nobody:
        // it knows milliseconds only.
        let mut since = due;
        if Instant::now() < due {
            sleep_until(Moment::from_std(due)).await;
            since = Instant::now();
        }
        let mut answered = match connection.take() {
            Some(stream) => {
                let answered = ask(stream).await;
                tally.closed += usize::from(answered.is_err());
                answered
            }
            None => Err(ErrorKind::NotConnected.into()),
        };
        if answered.is_err() {
            answered = match TcpStream::connect(http).await {
                Ok(stream) => ask(stream).await,
                Err(error) => Err(error),
            };
        }
        match answered {
            Ok(stream) => {
                tally.took.push(since.elapsed());
                connection = Some(stream);
            }
            Err(_) => tally.failed += 1,
        }
        due += pause;
    }
    tally
}

/// Sends a request and reads its answer, whose body is the backend's.
async fn ask(mut stream: TcpStream) -> std::io::Result<TcpStream> {
    let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut answer, mut filled) = ([0; 4096], 0);
    while !answer[..filled].ends_with(b"xxxxxxxxxxxxx") {
        let read = stream.read(&mut answer[filled..]).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        filled += read;
    }
    if answer.starts_with(b"HTTP/1.1 200") {
        Ok(stream)
    } else {
        Err(ErrorKind::InvalidData.into())
    }
}
