//! An HTTP/1 client that sends exactly the bytes it is given and parses exactly what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use serde_json::Value;

use super::TlsStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a response's body was delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The response has no body.
    None,
    Length,
    Chunked,
    /// By the end of the connection.
    Close,
}

/// A response, whole.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
    /// The fields behind a chunked body.
    pub(crate) trailers: Vec<(String, String)>,
}

impl Response {
    /// The values of a header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The backend that answered; nothing when the proxy itself did.
    pub(crate) fn backend(&self) -> Option<&str> {
        self.header("x-backend")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What the backend says that it received.
    #[track_caller]
    pub(crate) fn echo(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: status {} {}", self.status, self.text()))
    }

    /// The values of a header that the backend received.
    #[track_caller]
    pub(crate) fn sent(&self, name: &str) -> Vec<String> {
        let echo = self.echo();
        let headers = echo["headers"].as_array().expect("headers are a list");
        headers
            .iter()
            .filter(|pair| pair[0] == name)
            .map(|pair| pair[1].as_str().expect("a header value is text").to_owned())
            .collect()
    }

    /// Whether the server says that it closes the connection.
    pub(crate) fn closes(&self) -> bool {
        self.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// One GET on a connection of its own.
pub(crate) fn get(address: SocketAddr, host: &str, path: &str) -> Response {
    Client::connect(address).get(host, path)
}

/// A connection from an address of the loopback network, which may have a receive buffer of so many
/// bytes: that of a client who takes little.
pub(crate) fn connect_from(
    source: IpAddr,
    address: SocketAddr,
    receive_buffer: Option<usize>,
) -> std::io::Result<TcpStream> {
    let (IpAddr::V4(source), SocketAddr::V4(address)) = (source, address) else {
        panic!("the tests use IPv4")
    };
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // It holds for connecting, too.
    let patience = TimeVal::new(i64::try_from(PATIENCE.as_secs()).expect("small"), 0);
    setsockopt(&socket, sockopt::SendTimeout, &patience)?;
    if let Some(bytes) = receive_buffer {
        setsockopt(&socket, sockopt::RcvBuf, &bytes)?;
    }
    bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0)))?;
    connect(socket.as_raw_fd(), &SockaddrIn::from(address))?;
    Ok(socket.into())
}

/// What a [`Client`] can speak over: a socket, or TLS on top of one.
pub(crate) trait Channel: Read + Write {
    /// The socket below.
    fn socket(&self) -> &TcpStream;
}

impl Channel for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Channel for TlsStream {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

/// One connection.
pub(crate) struct Client<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    /// The fields behind the last chunked body.
    trailers: Vec<(String, String)>,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the proxy accepts")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self::over(TcpStream::connect_timeout(&address, PATIENCE)?))
    }

    /// Connects from an address of the loopback network, so as to be somebody else.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        Self::over(connect_from(source, address, None).expect("the proxy accepts"))
    }

    /// Whether the connection is open with nothing to read.
    pub(crate) fn is_idle(&self) -> bool {
        self.stream.set_nonblocking(true).expect("can be set");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("can be set");
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

impl Client<TlsStream> {
    /// Says that nothing more comes, in TLS and in TCP.
    pub(crate) fn end_side(&mut self) {
        self.stream.conn.send_close_notify();
        while self.stream.conn.wants_write() {
            self.stream.conn.write_tls(&mut self.stream.sock).expect("the proxy reads");
        }
        self.stream.sock.shutdown(std::net::Shutdown::Write).expect("it was open");
    }
}

impl<S: Channel> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        let socket = stream.socket();
        socket.set_nodelay(true).expect("TCP_NODELAY can be set");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        socket.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Self { stream, buffer: Vec::new(), trailers: Vec::new() }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// What is below, for another protocol.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the proxy reads");
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    #[track_caller]
    pub(crate) fn get(&mut self, host: &str, path: &str) -> Response {
        self.try_get(host, path).unwrap_or_else(|error| panic!("GET {host} {path}: {error}"))
    }

    pub(crate) fn try_get(&mut self, host: &str, path: &str) -> std::io::Result<Response> {
        self.try_send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))?;
        self.try_read_response()
    }

    /// A GET with more header lines, each ended by CRLF.
    #[track_caller]
    pub(crate) fn get_with(&mut self, host: &str, path: &str, headers: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"));
        self.read_response()
    }

    #[track_caller]
    pub(crate) fn post(&mut self, host: &str, path: &str, body: &[u8]) -> Response {
        self.try_post(host, path, body).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    pub(crate) fn try_post(
        &mut self,
        host: &str,
        path: &str,
        body: &[u8],
    ) -> std::io::Result<Response> {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        self.try_send(head)?;
        self.try_send(body)?;
        self.try_read_response()
    }

    #[track_caller]
    pub(crate) fn read_response(&mut self) -> Response {
        self.try_read_response().expect("the proxy answers")
    }

    /// Reads one response; interim ones (1xx) are skipped, except `101`.
    pub(crate) fn try_read_response(&mut self) -> std::io::Result<Response> {
        loop {
            let mut response = self.read_head()?;
            if (100..200).contains(&response.status) && response.status != 101 {
                continue;
            }
            let bodiless = response.status == 101 || matches!(response.status, 204 | 304);
            response.framing = framing(&response, bodiless)?;
            self.trailers.clear();
            response.body = match response.framing {
                Framing::None => Vec::new(),
                Framing::Length => {
                    let length = response.header("content-length").unwrap_or_default();
                    let length = length.parse().map_err(bad)?;
                    self.take(length)?
                }
                Framing::Chunked => self.read_chunks()?,
                Framing::Close => {
                    self.stream.read_to_end(&mut self.buffer)?;
                    std::mem::take(&mut self.buffer)
                }
            };
            response.trailers = std::mem::take(&mut self.trailers);
            return Ok(response);
        }
    }

    /// Reads the head of a response and nothing of its body.
    pub(crate) fn read_head(&mut self) -> std::io::Result<Response> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).map_err(bad)?;
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let (version, rest) = status_line.split_once(' ').ok_or_else(|| bad(status_line))?;
        let status = rest.get(..3).unwrap_or_default().parse().map_err(bad)?;
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':').ok_or_else(|| bad(line))?;
                Ok((name.to_owned(), value.trim().to_owned()))
            })
            .collect::<std::io::Result<_>>()?;
        if !version.starts_with("HTTP/1.") {
            return Err(bad(status_line));
        }
        let (body, trailers) = (Vec::new(), Vec::new());
        Ok(Response { status, headers, body, framing: Framing::None, trailers })
    }

    /// Reads exactly so many bytes.
    pub(crate) fn take(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Reads one chunk; an empty one is the last.
    pub(crate) fn read_chunk(&mut self) -> std::io::Result<Vec<u8>> {
        let size = usize::from_str_radix(self.read_line()?.trim(), 16).map_err(bad)?;
        let chunk = self.take(size)?;
        if size == 0 {
            self.trailers = self.read_trailers()?;
            return Ok(chunk);
        }
        let end = self.take(2)?;
        if end == b"\r\n" { Ok(chunk) } else { Err(bad("a chunk does not end in CRLF")) }
    }

    /// The lines behind the last chunk.
    fn read_trailers(&mut self) -> std::io::Result<Vec<(String, String)>> {
        let mut trailers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(trailers);
            }
            let (name, value) = line.split_once(": ").ok_or_else(|| bad("a trailer is none"))?;
            trailers.push((name.to_owned(), value.to_owned()));
        }
    }

    fn read_line(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return String::from_utf8(line[..end].to_vec()).map_err(bad);
            }
            self.fill()?;
        }
    }

    fn read_chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.read_chunk()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }

    fn fill(&mut self) -> std::io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        let count = self.stream.read(&mut bytes)?;
        if count == 0 {
            let text = String::from_utf8_lossy(&self.buffer);
            let message = format!("closed in the middle of a response, after {text:?}");
            return Err(std::io::Error::new(ErrorKind::UnexpectedEof, message));
        }
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(())
    }

    /// Waits until the server closes; the time that took, or nothing when it didn't in time.
    pub(crate) fn closed_within(&mut self, deadline: Duration) -> Option<Duration> {
        let start = Instant::now();
        loop {
            let left = deadline.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
            self.stream.socket().set_read_timeout(Some(left)).expect("a timeout can be set");
            let mut bytes = [0; 1024];
            let read = self.stream.read(&mut bytes);
            self.stream.socket().set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
            match read {
                Ok(0) => return Some(start.elapsed()),
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return None;
                }
                Err(_) => return Some(start.elapsed()),
            }
        }
    }

    /// Closes so that the server sees a reset, as when a client's process dies.
    pub(crate) fn reset(self) {
        // Unread bytes in the receive buffer turn the close into a reset; SO_LINGER does always.
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        let socket = self.stream.socket();
        let _ = setsockopt(socket, sockopt::Linger, &linger);
    }
}

fn framing(response: &Response, bodiless: bool) -> std::io::Result<Framing> {
    let (codings, lengths) = (response.all("transfer-encoding"), response.all("content-length"));
    match (codings.as_slice(), lengths.as_slice()) {
        _ if bodiless => Ok(Framing::None),
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        ([], [_]) => Ok(Framing::Length),
        ([], []) => Ok(Framing::Close),
        _ => Err(bad(format!("ambiguous framing: {:?}", response.headers))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn bad(error: impl ToString) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, error.to_string())
}
