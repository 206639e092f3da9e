//! A server that takes the header off, as one would that speaks the PROXY protocol.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::Runtime;

use crate::harness::*;

/// Stands before a backend: notes the line that each connection begins with, and passes on the rest.
pub(super) struct Unwrapped {
    address: String,
    noted: Noted,
    _runtime: Runtime,
}

type Noted = Arc<Mutex<Vec<String>>>;

impl Unwrapped {
    /// At a port of this address.
    pub(super) fn at(ip: IpAddr, backend: SocketAddr) -> Self {
        let (runtime, noted) = (runtime(), Noted::default());
        let listener = runtime.block_on(TcpListener::bind((ip, 0))).expect("a free address");
        let address = listener.local_addr().expect("it is bound").to_string();
        let lines = Arc::clone(&noted);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, backend, Arc::clone(&lines)));
            }
        });
        Self { address, noted, _runtime: runtime }
    }

    /// At a Unix socket.
    pub(super) fn at_socket(path: &Path, backend: SocketAddr) -> Self {
        let (runtime, noted) = (runtime(), Noted::default());
        let listener = {
            let _context = runtime.enter();
            UnixListener::bind(path).expect("a socket")
        };
        let lines = Arc::clone(&noted);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, backend, Arc::clone(&lines)));
            }
        });
        Self { address: format!("unix:{}", path.display()), noted, _runtime: runtime }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The lines that connections of clients began with; without those of probes.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.noted();
        lines.retain(|line| line != "PROXY UNKNOWN\r\n");
        lines
    }

    /// How many connections were probes'.
    pub(super) fn probes(&self) -> usize {
        self.noted().len() - self.lines().len()
    }

    fn noted(&self) -> Vec<String> {
        self.noted.lock().expect("whoever notes does not fail").clone()
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("a runtime")
}

async fn pass_on<S>(mut stream: S, backend: SocketAddr, noted: Noted)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        line.push(byte);
    }
    let line = String::from_utf8_lossy(&line).into_owned();
    let is_right = line.starts_with("PROXY ");
    noted.lock().expect("whoever notes does not fail").push(line);
    if is_right && let Ok(mut there) = TcpStream::connect(backend).await {
        let _ = copy_bidirectional(&mut stream, &mut there).await;
    }
}

#[test]
fn it_passes_on_what_follows_the_line() {
    let backend = Backend::start("web");
    let unwrapped = Unwrapped::at(free_ip(), backend.socket_addr());
    let mut client = Client::connect(unwrapped.address().parse().unwrap());
    client.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    assert_eq!(client.get("example.com", "/").status, 200);
    assert_eq!(unwrapped.lines(), ["PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"]);
}
