//! Stands before a CA: passes on what is said, and says itself when certificates are to be renewed, which not every CA of tests does.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Authority, Pebble, Setup, TlsClient, free_ip};

/// Where the renewal information of certificates is (RFC 9773 §4.1).
const RENEWAL: &str = "/renewal";

/// A relay that runs, until it is dropped.
pub(crate) struct CaRelay {
    address: SocketAddr,
    directory: TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    ca: SocketAddr,
    client: TlsClient,
    tls: Arc<ServerConfig>,
    renewal: Box<dyn Fn(usize) -> Value + Send + Sync>,
    asked: AtomicUsize,
    is_over: AtomicBool,
}

impl CaRelay {
    /// Answers the question when a certificate is to be renewed with what `renewal` says, which is given how often it was
    /// asked before.
    pub(crate) fn start(
        pebble: &Pebble,
        renewal: impl Fn(usize) -> Value + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((free_ip(), 0)).expect("a free address");
        let address = listener.local_addr().expect("a bound listener has an address");
        let directory = tempfile::tempdir().expect("temporary directory");
        let authority = Authority::new();
        authority.write_to(directory.path());
        let root = std::fs::read_to_string(pebble.ca_root()).expect("the root of the CA");
        let shared = Arc::new(Shared {
            ca: pebble.address(),
            client: TlsClient::trusting(&root),
            tls: authority.serves(&address.ip().to_string(), &[]),
            renewal: Box::new(renewal),
            asked: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, directory, shared }
    }

    /// Certificates are ordered by way of it.
    pub(crate) fn in_setup(&self, setup: Setup) -> Setup {
        let root: PathBuf = self.directory.path().join("authority.pem");
        setup
            .set("lets_encrypt.directory_url", format!("\"https://{}/dir\"", self.address))
            .set("lets_encrypt.ca_root", format!("{:?}", root.display().to_string()))
    }

    /// How often it was asked when a certificate is to be renewed.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for CaRelay {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Answers one request after the other. Whatever fails ends the connection, as of a CA that fails.
    fn serve(&self, stream: TcpStream) {
        let Ok(connection) = ServerConnection::new(Arc::clone(&self.tls)) else { return };
        let mut stream = StreamOwned::new(connection, stream);
        while let Some((head, body)) = read_request(&mut stream) {
            let target = head.split(' ').nth(1).unwrap_or_default();
            let answer = if target.starts_with(RENEWAL) {
                let asked = self.asked.fetch_add(1, Ordering::SeqCst);
                let info = (self.renewal)(asked).to_string().into_bytes();
                whole(200, &[("content-type".into(), "application/json".into())], &info)
            } else {
                let Ok(answer) = self.pass_on(&head, &body) else { return };
                answer
            };
            if stream.write_all(&answer).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }

    fn pass_on(&self, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut ca = self.client.connect(self.ca, Some("localhost"))?;
        let head = head.trim_end();
        ca.try_send(format!("{head}\r\nConnection: close\r\n\r\n"))?;
        ca.try_send(body)?;
        let mut answer = ca.try_read_response()?;
        if head.split(' ').nth(1) == Some("/dir") {
            let mut directory: Value = serde_json::from_slice(&answer.body)?;
            // The CA names its own places by the host that it is asked as.
            let host = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("host").then(|| value.trim().to_owned())
            });
            directory["renewalInfo"] =
                json!(format!("https://{}{RENEWAL}", host.unwrap_or_default()));
            answer.body = directory.to_string().into_bytes();
        }
        Ok(whole(answer.status, &answer.headers, &answer.body))
    }
}

/// The head and the body of the next request; `None` at the connection's end.
fn read_request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(stream, &mut bytes)?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let length: usize = length.unwrap_or(0);
    while bytes.len() < end + length {
        read_more(stream, &mut bytes)?;
    }
    Some((head, bytes.split_off(end)))
}

fn read_more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Option<()> {
    let mut more = [0; 4096];
    let count = stream.read(&mut more).ok().filter(|count| *count > 0)?;
    bytes.extend(&more[..count]);
    Some(())
}

/// An answer with its length.
fn whole(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status} as the CA says\r\n");
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if !["content-length", "transfer-encoding", "connection"].contains(&name.as_str()) {
            let _ = write!(answer, "{name}: {value}\r\n");
        }
    }
    let _ = write!(answer, "Content-Length: {}\r\n\r\n", body.len());
    [answer.as_bytes(), body].concat()
}
