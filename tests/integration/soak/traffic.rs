//! The kinds of traffic that go on while a domain is switched. Every answer is checked to be the one to its own
//! request, and every request with a body has a number, which backends count.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::harness::*;

pub(crate) const HOST: &str = "example.com";

/// Requests after which a client of TLS connects anew.
const REQUESTS_PER_HANDSHAKE: usize = 20;

/// Does one exchange, and gives the backends that served it.
pub(crate) type Exchange<'a> = Box<dyn FnMut() -> Result<Vec<String>, String> + 'a>;

/// Makes a client, which has connections of its own.
pub(crate) type Start = fn(&Site) -> Exchange<'_>;

/// The kinds of traffic, how many clients of each there are, and what makes one.
pub(crate) const TRAFFIC: [(&str, usize, Start); 11] = [
    ("kept connections", 2, kept_connections),
    ("new connections", 1, new_connections),
    ("TLS", 1, tls),
    ("HTTP/2", 1, http2),
    ("uploads with a length", 1, uploads_with_a_length),
    ("uploads in chunks", 1, uploads_in_chunks),
    ("downloads", 1, downloads),
    ("WebSockets", 2, web_sockets),
    ("POSTs", 1, posts),
    ("the client of hyper-util", 1, hyper_util_client),
    ("the client of Python", 1, python_client),
];

/// What clients know of the site, and the numbers that they have given to requests.
pub(crate) struct Site {
    http: SocketAddr,
    https: SocketAddr,
    tls: TlsClient,
    paths: AtomicUsize,
    orders: AtomicUsize,
    /// Whether the server may close a connection behind an answer that says so.
    may_close: bool,
}

impl Site {
    pub(crate) fn of(vhost: &Vhost) -> Self {
        Self {
            http: vhost.http(),
            https: vhost.https(),
            tls: TlsClient::accepts_any(),
            paths: AtomicUsize::new(0),
            orders: AtomicUsize::new(0),
            may_close: false,
        }
    }

    /// The same, where the server may close connections behind answers that say so.
    pub(crate) fn closing(vhost: &Vhost) -> Self {
        Self { may_close: true, ..Self::of(vhost) }
    }

    /// Whether the connection is kept behind an answer. One that must be is an error otherwise.
    fn keeps(&self, closes: bool) -> Result<bool, String> {
        if closes && !self.may_close {
            return Err("a kept connection was to be closed".to_owned());
        }
        Ok(!closes)
    }

    /// How many numbers were given out.
    pub(crate) fn orders(&self) -> usize {
        self.orders.load(Ordering::SeqCst)
    }

    /// The number of a request that must not be carried out twice.
    fn order(&self) -> String {
        format!("order-{}", self.orders.fetch_add(1, Ordering::SeqCst))
    }

    /// A path that no other request has.
    fn path(&self) -> String {
        format!("/page/{}", self.paths.fetch_add(1, Ordering::SeqCst))
    }

    fn connect(&self) -> Result<Client, String> {
        Client::try_connect(self.http).map_err(|error| format!("connect: {error}"))
    }
}

fn kept_connections(site: &Site) -> Exchange<'_> {
    let mut kept = None;
    Box::new(move || {
        let (served, keeps) = get(site, kept_or_new(&mut kept, site)?)?;
        kept = kept.take().filter(|_| keeps);
        Ok(served)
    })
}

fn new_connections(site: &Site) -> Exchange<'_> {
    Box::new(move || Ok(get(site, &mut site.connect()?)?.0))
}

fn tls(site: &Site) -> Exchange<'_> {
    let (mut kept, mut done) = (None, 0);
    Box::new(move || {
        if kept.is_none() || done % REQUESTS_PER_HANDSHAKE == 0 {
            kept = Some(site.tls.connect(site.https, Some(HOST)).map_err(text)?);
        }
        done += 1;
        let (served, keeps) = get(site, kept.as_mut().expect("it was connected"))?;
        kept = kept.take().filter(|_| keeps);
        Ok(served)
    })
}

/// Three requests at once on one connection.
fn http2(site: &Site) -> Exchange<'_> {
    let (runtime, mut kept) = (runtime(), None::<H2>);
    Box::new(move || {
        runtime.block_on(async {
            let asked = ask_over_http2(site, &mut kept).await;
            match asked {
                // Nothing was done for whoever came after the GOAWAY without an error (RFC 9113 §6.8).
                Err(error) if site.may_close && error.contains("not a result of an error") => {
                    kept = None;
                    ask_over_http2(site, &mut kept).await
                }
                asked => asked,
            }
        })
    })
}

async fn ask_over_http2(site: &Site, kept: &mut Option<H2>) -> Result<Vec<String>, String> {
    if kept.is_none() {
        let connecting = site.tls.connect_h2(site.https, Some(HOST));
        *kept = Some(connecting.await.map_err(text)?.0);
    }
    let client = kept.as_mut().expect("it was connected");
    let mut streams = Vec::new();
    for path in [site.path(), site.path(), site.path()] {
        let request = Request::get(format!("https://{HOST}{path}")).body(());
        let started = client.start(request.expect("a request"), true).await;
        streams.push((path, started.map_err(text)?.0));
    }
    let mut served = Vec::new();
    for (path, stream) in streams {
        let answer = read(stream).await.map_err(text)?;
        let backend = answer.headers.get("x-backend").and_then(|id| id.to_str().ok());
        served.push(check(answer.status.as_u16(), backend, &answer.body, "uri", &path)?);
    }
    Ok(served)
}

fn uploads_with_a_length(site: &Site) -> Exchange<'_> {
    uploads(site, "Content-Length: 60190", |piece| piece, b"")
}

fn uploads_in_chunks(site: &Site) -> Exchange<'_> {
    let chunk =
        |piece: Vec<u8>| [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
    uploads(site, "Transfer-Encoding: chunked", chunk, b"0\r\n\r\n")
}

/// Sends a body piece by piece, each as `frame` makes it.
fn uploads<'a>(
    site: &'a Site,
    framing: &'static str,
    frame: fn(Vec<u8>) -> Vec<u8>,
    end: &'static [u8],
) -> Exchange<'a> {
    let pieces = || (0..20_u8).map(|index| vec![b'a' + index; 3000 + usize::from(index)]);
    let body: Vec<u8> = pieces().flatten().collect();
    let mut kept = None;
    Box::new(move || {
        let (client, order) = (kept_or_new(&mut kept, site)?, site.order());
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: {HOST}\r\n{ORDER}: {order}\r\n{framing}\r\n\r\n"
        );
        client.try_send(head).map_err(text)?;
        for piece in pieces() {
            client.try_send(frame(piece)).map_err(text)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        client.try_send(end).map_err(text)?;
        let response = client.try_read_response().map_err(text)?;
        let backend = check_order(&response, &order)?;
        if !site.keeps(response.closes())? {
            kept = None;
        }
        let echo = response.echo();
        if echo["length"] != body.len() || echo["checksum"] != checksum(&body) {
            return Err(format!("{} bytes sent, arrived: {echo}", body.len()));
        }
        Ok(vec![backend])
    })
}

/// By turns one that takes its time, and a megabyte at once.
fn downloads(site: &Site) -> Exchange<'_> {
    let (mut kept, mut is_large) = (None, false);
    Box::new(move || {
        is_large = !is_large;
        let (chunks, pause) = if is_large { (1000, 0) } else { (20, 2) };
        let path = format!("/stream?chunks={chunks}&ms={pause}");
        let response = kept_or_new(&mut kept, site)?.try_get(HOST, &path).map_err(text)?;
        check_stream(&response.body, chunks)?;
        if !site.keeps(response.closes())? {
            kept = None;
        }
        Ok(vec![served(response.status, response.backend(), &response.body)?])
    })
}

fn web_sockets(site: &Site) -> Exchange<'_> {
    Box::new(move || {
        let mut socket = WebSocket::try_open(site.http, HOST)?;
        for number in 0..10 {
            socket.echo(&format!("message {number}"))?;
            std::thread::sleep(Duration::from_millis(2));
        }
        let backend = socket.backend.clone();
        socket.close()?;
        Ok(vec![backend])
    })
}

fn posts(site: &Site) -> Exchange<'_> {
    let mut kept = None;
    Box::new(move || {
        let (client, order) = (kept_or_new(&mut kept, site)?, site.order());
        let head = format!(
            "POST /order HTTP/1.1\r\nHost: {HOST}\r\n{ORDER}: {order}\r\nContent-Length: 8\r\n\r\none book"
        );
        client.try_send(head).map_err(text)?;
        let response = client.try_read_response().map_err(text)?;
        if !site.keeps(response.closes())? {
            kept = None;
        }
        Ok(vec![check_order(&response, &order)?])
    })
}

/// A GET and a POST at once, on the connections that the client keeps.
fn hyper_util_client(site: &Site) -> Exchange<'_> {
    let runtime = runtime();
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    // It would hide a request that was lost.
    let client = builder.retry_canceled_requests(false).build_http::<Full<Bytes>>();
    let send = move |request: http::request::Builder, path: &str, body: &'static str| {
        let request = request.uri(format!("http://{}{path}", site.http)).header("host", HOST);
        let answering = client.request(request.body(Full::from(body)).expect("a request"));
        async move {
            let (head, body) = answering.await.map_err(|error| format!("{error:?}"))?.into_parts();
            let backend = head.headers.get("x-backend").and_then(|id| id.to_str().ok());
            let body = body.collect().await.map_err(text)?.to_bytes();
            Ok::<_, String>((head.status.as_u16(), backend.map(str::to_owned), body))
        }
    };
    Box::new(move || {
        let (path, order) = (site.path(), site.order());
        let asked = send(Request::builder(), &path, "");
        let post = Request::builder().method("POST").header(ORDER, &order);
        let posted = send(post, "/order", "one book");
        let (asked, posted) =
            runtime.block_on(async { futures_util::future::join(asked, posted).await });
        let ((status, backend, body), posted) = (asked?, posted?);
        let asked = check(status, backend.as_deref(), &body, "uri", &path)?;
        let (status, backend, body) = posted;
        let posted = check(status, backend.as_deref(), &body, "headers", &order)?;
        Ok(vec![asked, posted])
    })
}

/// A GET, and then a POST, on the connection that the client keeps.
fn python_client(site: &Site) -> Exchange<'_> {
    let mut python = None;
    Box::new(move || {
        let python = python.get_or_insert_with(|| Python::start(site.http));
        let (path, order) = (site.path(), site.order());
        let asked = python.ask(site, &format!("GET {path} none"), "uri", &path)?;
        let posted = python.ask(site, &format!("POST /order {order}"), "headers", &order)?;
        Ok(vec![asked, posted])
    })
}

/// Python with its own client of HTTP, until it is dropped.
struct Python {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start(address: SocketAddr) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/soak/client.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args([&address.ip().to_string(), &address.port().to_string(), HOST])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs; `./dev test` installs it");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, answers }
    }

    fn ask(
        &mut self,
        site: &Site,
        request: &str,
        key: &str,
        expected: &str,
    ) -> Result<String, String> {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{request}").map_err(text)?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(text)?;
        let answer: Value = serde_json::from_str(&line).map_err(|e| format!("{e}: {line:?}"))?;
        // It connects again by itself.
        site.keeps(answer["closes"] != false)?;
        let status = answer["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        let body = answer["text"].as_str().unwrap_or_default().as_bytes();
        check(status.unwrap_or_default(), answer["backend"].as_str(), body, key, expected)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn kept_or_new<'k>(kept: &'k mut Option<Client>, site: &Site) -> Result<&'k mut Client, String> {
    Ok(match kept {
        Some(client) => client,
        None => kept.insert(site.connect()?),
    })
}

/// Asks for a page: who served it, and whether the connection is kept.
fn get<S: Channel>(site: &Site, client: &mut Client<S>) -> Result<(Vec<String>, bool), String> {
    let path = site.path();
    let response = client.try_get(HOST, &path).map_err(text)?;
    let keeps = site.keeps(response.closes())?;
    let backend = check(response.status, response.backend(), &response.body, "uri", &path)?;
    Ok((vec![backend], keeps))
}

fn check_order(response: &Response, order: &str) -> Result<String, String> {
    check(response.status, response.backend(), &response.body, "headers", order)
}

/// The backend of a good answer, whose echo has this under `key`: the answer is to this request.
fn check(
    status: u16,
    backend: Option<&str>,
    body: &[u8],
    key: &str,
    expected: &str,
) -> Result<String, String> {
    let backend = served(status, backend, body)?;
    let echo: Value = serde_json::from_slice(body).map_err(text)?;
    let is_there = match &echo[key] {
        Value::Array(headers) => headers.iter().any(|pair| pair[0] == ORDER && pair[1] == expected),
        value => value == expected,
    };
    if is_there { Ok(backend) } else { Err(format!("no `{expected}` in {echo}")) }
}

fn served(status: u16, backend: Option<&str>, body: &[u8]) -> Result<String, String> {
    match (status, backend) {
        (200, Some(backend)) => Ok(backend.to_owned()),
        (status, _) => Err(format!("status {status}: {}", String::from_utf8_lossy(body))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn text(error: impl ToString) -> String {
    error.to_string()
}
