//! What clients send. `/PATH` stands for the path that says which answer is given.

/// What a client does next.
pub(super) enum Step {
    Send(Vec<u8>),
    /// Waits for the head of an answer; what follows is only sent behind a `100 Continue`.
    AwaitContinue,
    /// Ends its side of the connection.
    EndSide,
}

/// What is sent over one connection.
pub(super) struct Request {
    pub(super) name: &'static str,
    /// One for each answer.
    pub(super) methods: Vec<&'static str>,
    pub(super) steps: Vec<Step>,
    /// Its body breaks off, or is refused on its way.
    pub(super) is_broken: bool,
}

impl Request {
    fn ends(mut self) -> Self {
        self.steps.push(Step::EndSide);
        self
    }

    fn broken(self) -> Self {
        Self { is_broken: true, ..self }
    }

    fn awaits(mut self, behind: &str) -> Self {
        self.steps.push(Step::AwaitContinue);
        self.steps.push(Step::Send(behind.as_bytes().to_vec()));
        self
    }

    /// Whether it waits for what a backend may never say.
    pub(super) fn waits(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::AwaitContinue))
    }
}

/// One request, as it stands.
fn raw(name: &'static str, method: &'static str, bytes: &str) -> Request {
    let bytes = bytes.chars().map(|c| u8::try_from(c).expect("a byte")).collect();
    Request { name, methods: vec![method], steps: vec![Step::Send(bytes)], is_broken: false }
}

/// A request with these header lines, each with its end.
fn with(name: &'static str, method: &'static str, lines: &str, body: &str) -> Request {
    let head = format!("{method} /PATH HTTP/1.1\r\nHost: example.com\r\n{lines}\r\n");
    raw(name, method, &(head + body))
}

fn chunked(name: &'static str, body: &str) -> Request {
    with(name, "POST", "Transfer-Encoding: chunked\r\n", body)
}

const GET: &str = "GET /PATH HTTP/1.1\r\nHost: example.com\r\n\r\n";
const WEB_SOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// All requests; the first one is what is in order.
pub(super) fn all() -> Vec<Request> {
    [methods(), bodies(), expecting(), several(), old(), fields(), upgrades(), broken()]
        .into_iter()
        .flatten()
        .collect()
}

fn methods() -> Vec<Request> {
    vec![
        with("GET", "GET", "", ""),
        with("HEAD", "HEAD", "", ""),
        with("POST without a body", "POST", "", ""),
        with("DELETE", "DELETE", "", ""),
        with("OPTIONS", "OPTIONS", "", ""),
        with("an unknown method", "BREW", "", ""),
        with("TRACE", "TRACE", "", ""),
        with("CONNECT to a path", "CONNECT", "", ""),
        raw(
            "an absolute target",
            "GET",
            "GET http://example.com/PATH?q=1 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        ),
        raw("a query", "GET", "GET /PATH?a=[1]&b={2}|^` HTTP/1.1\r\nHost: example.com\r\n\r\n"),
        raw("an empty line before", "GET", &format!("\r\n{GET}")),
    ]
}

fn bodies() -> Vec<Request> {
    let large = "x".repeat(200_000);
    let too_large = "x".repeat(400_000);
    vec![
        with("a length", "POST", "Content-Length: 5\r\n", "hello"),
        with("an empty body", "POST", "Content-Length: 0\r\n", ""),
        with("PUT", "PUT", "Content-Length: 5\r\n", "hello"),
        with("GET with a body", "GET", "Content-Length: 5\r\n", "hello"),
        with("GET with an empty body", "GET", "Content-Length: 0\r\n", ""),
        with("HEAD with a body", "HEAD", "Content-Length: 5\r\n", "hello"),
        with("zeros before a length", "POST", "Content-Length: 0005\r\n", "hello"),
        with("a large body", "POST", "Content-Length: 200000\r\n", &large),
        with("a body that is too large", "POST", "Content-Length: 400000\r\n", &too_large).broken(),
        chunked("a large chunk", &format!("30d40\r\n{large}\r\n0\r\n\r\n")),
        chunked("chunks that are too large", &format!("61a80\r\n{too_large}\r\n0\r\n\r\n"))
            .broken(),
        chunked("chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
        chunked("no chunk but the last", "0\r\n\r\n"),
        chunked("chunk extensions", "5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n"),
        chunked("trailers", "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n"),
        chunked(
            "trailers that are none",
            "5\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\nAuthorization: a\r\n\r\n",
        ),
        with("GET with chunks", "GET", "Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n"),
        with(
            "a coding in capitals",
            "POST",
            "transfer-encoding: CHUNKED\r\n",
            "2\r\nhi\r\n0\r\n\r\n",
        ),
    ]
}

fn expecting() -> Vec<Request> {
    let expect = "Expect: 100-continue\r\n";
    let length = format!("{expect}Content-Length: 5\r\n");
    let chunks = format!("{expect}Transfer-Encoding: chunked\r\n");
    vec![
        with("Expect and the body at once", "POST", &length, "hello"),
        with("Expect and the body later", "POST", &length, "").awaits("hello"),
        with("Expect and chunks later", "POST", &chunks, "").awaits("2\r\nhi\r\n0\r\n\r\n"),
        with("Expect without a body", "GET", expect, ""),
        with("Expect of something else", "POST", "Expect: magic\r\nContent-Length: 5\r\n", "hello"),
    ]
}

fn several() -> Vec<Request> {
    let post = "POST /PATH HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello";
    let chunks = "POST /PATH HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\nhi\r\n0\r\n\r\n";
    vec![
        Request { methods: vec!["GET"; 3], ..raw("pipelined", "GET", &GET.repeat(3)) },
        Request {
            methods: vec!["POST", "POST", "GET"],
            ..raw("pipelined bodies", "POST", &[post, chunks, GET].concat())
        },
        Request {
            methods: vec!["GET"; 2],
            ..raw("pipelined and ended", "GET", &GET.repeat(2)).ends()
        },
        raw("ended behind it", "GET", GET).ends(),
        raw("ended behind its body", "POST", post).ends(),
        raw("ended behind its chunks", "POST", chunks).ends(),
    ]
}

fn old() -> Vec<Request> {
    let old = |name, method: &'static str, lines: &str, body: &str| {
        let head = format!("{method} /PATH HTTP/1.0\r\nHost: example.com\r\n{lines}\r\n");
        raw(name, method, &(head + body))
    };
    vec![
        old("HTTP/1.0", "GET", "", ""),
        old("HTTP/1.0 with keep-alive", "GET", "Connection: Keep-Alive\r\n", ""),
        old("HTTP/1.0 with a body", "POST", "Content-Length: 5\r\n", "hello"),
        old("HEAD of HTTP/1.0", "HEAD", "", ""),
    ]
}

fn fields() -> Vec<Request> {
    let get = |name, lines: &str| with(name, "GET", lines, "");
    vec![
        get(
            "odd values",
            "X-Empty:\r\nX-Tab: a\tb\r\nX-Obs: \u{fc}\u{ff}\r\nX-Quote: \"a\\\"b\"\r\n",
        ),
        get("spaces around values", "X-A:   1 \t \r\nX-B:2\r\n"),
        get("fields in their order", "b: 1\r\nA: 2\r\nB: 3\r\nx-CASE: 4\r\n"),
        get("cookies", "Cookie: a=1\r\nCookie: b=2\r\n"),
        get(
            "many fields",
            &(0..80).map(|n| format!("X-{n}: {n}\r\n")).collect::<Vec<_>>().concat(),
        ),
        get("Connection: close", "Connection: close\r\n"),
        get("Connection: keep-alive", "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"),
        get("Connection: Close and more", "Connection: X-A, Close\r\nX-A: 1\r\n"),
        get(
            "nominated fields",
            "Connection: X-A, x-b\r\nConnection: ,X-C\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\nX-D: 4\r\n",
        ),
        get("an empty Connection", "Connection:\r\n"),
        get("a Connection that names Host", "Connection: host\r\n"),
        get("a Connection that names no field", "Connection: \"a b\"\r\n"),
        get("TE", "TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n"),
        get(
            "Proxy-Connection",
            "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\n",
        ),
        get("Trailer", "Trailer: X-Sum\r\n"),
        get("Max-Forwards", "Max-Forwards: 0\r\n"),
        get(
            "what proxies say",
            "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nVia: 1.1 other\r\n",
        ),
        get("Range", "Range: bytes=0-1\r\n"),
        get("Accept-Encoding", "Accept-Encoding: gzip, br\r\n"),
    ]
}

fn upgrades() -> Vec<Request> {
    let get = |name, lines: &str, behind: &str| with(name, "GET", lines, behind);
    vec![
        get("a WebSocket", WEB_SOCKET, ""),
        // Where the upgrade is refused, what it says is a request that is none. One byte: were there
        // more that nobody reads, the close behind it would be a reset, and take the answer along.
        Request {
            methods: vec!["GET"; 2],
            ..get("a WebSocket that speaks at once", WEB_SOCKET, "\u{81}")
        },
        get(
            "h2c",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
            "",
        ),
        get("another protocol", "Connection: upgrade\r\nUpgrade: foo/2\r\n", ""),
        get("Upgrade that is not nominated", "Upgrade: websocket\r\n", ""),
        with("POST of a WebSocket", "POST", &format!("{WEB_SOCKET}Content-Length: 5\r\n"), "hello"),
    ]
}

fn broken() -> Vec<Request> {
    let requests = vec![
        chunked("a size that is none", "zz\r\nhello\r\n0\r\n\r\n"),
        chunked("a size padded with spaces", "5 \r\nhello\r\n0\r\n\r\n"),
        chunked("a chunk without its end", "5\r\nhelloXX0\r\n\r\n"),
        chunked("a trailer that is none", "5\r\nhello\r\n0\r\nno field\r\n\r\n"),
        chunked("cut in a chunk", "5\r\nhel").ends(),
        chunked("cut before the last chunk", "5\r\nhello\r\n").ends(),
        with("cut in its body", "POST", "Content-Length: 5\r\n", "hel").ends(),
        with(
            "both framings",
            "POST",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        with("two lengths", "POST", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        with("two Hosts", "GET", "Host: other.test\r\n", ""),
    ];
    requests.into_iter().map(Request::broken).collect()
}
