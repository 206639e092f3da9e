//! What backends answer.

/// When an answer is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    AfterRequest,
    /// Right behind the request's head; the body is read then.
    BeforeBody,
}

/// What becomes of the connection behind an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Keep,
    Close,
    Reset,
}

/// What a backend makes of `Expect: 100-continue`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    Honoured,
    Ignored,
    Refused,
}

/// An answer, byte for byte.
pub(super) struct Answer {
    pub(super) name: &'static str,
    pub(super) head: Vec<u8>,
    /// Not sent to HEAD, unless the backend insists.
    pub(super) body: Vec<u8>,
    pub(super) insists: bool,
    pub(super) when: When,
    pub(super) end: End,
    pub(super) expect: Expect,
}

/// Answers with these lines, behind the status line of a 200.
fn ok(name: &'static str, fields: &str, body: &str) -> Answer {
    raw(name, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"), body)
}

fn raw(name: &'static str, head: &str, body: &str) -> Answer {
    Answer {
        name,
        head: head.as_bytes().to_vec(),
        body: body.as_bytes().to_vec(),
        insists: false,
        when: When::AfterRequest,
        end: End::Keep,
        expect: Expect::Honoured,
    }
}

impl Answer {
    fn closes(self) -> Self {
        Self { end: End::Close, ..self }
    }

    fn resets(self) -> Self {
        Self { end: End::Reset, ..self }
    }

    fn early(self) -> Self {
        Self { when: When::BeforeBody, ..self }
    }

    fn insists(self) -> Self {
        Self { insists: true, ..self }
    }

    /// Whether it depends on who was faster what the backend gets of a body.
    pub(super) fn is_body_open(&self) -> bool {
        self.when == When::BeforeBody || self.expect == Expect::Refused
    }
}

const CHUNKED: &str = "Transfer-Encoding: chunked";

/// All answers; the first one is what is in order.
pub(super) fn all() -> Vec<Answer> {
    [in_order(), without_a_body(), interim(), about_the_connection(), broken(), early()]
        .into_iter()
        .flatten()
        .collect()
}

fn in_order() -> Vec<Answer> {
    let large = "0123456789abcdef".repeat(12_000);
    let large_chunks = format!("2ee00\r\n{large}\r\n0\r\n\r\n");
    vec![
        ok("a length", "Content-Length: 5", "hello"),
        ok("a length of zero", "Content-Length: 0", ""),
        ok("a large body", "Content-Length: 192000", &large),
        ok("a large chunk", CHUNKED, &large_chunks),
        ok("chunks", CHUNKED, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
        ok("chunks of one byte", CHUNKED, "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"),
        ok("no chunk but the last", CHUNKED, "0\r\n\r\n"),
        ok("chunk extensions", CHUNKED, "5;a\r\nhello\r\n1;b=\"c;d\"\r\n!\r\n0;e=f\r\n\r\n"),
        ok("sizes padded with spaces", CHUNKED, "5  \r\nhello\r\n0 \r\n\r\n"),
        ok("sizes with zeros", CHUNKED, "0005\r\nhello\r\n000\r\n\r\n"),
        ok("sizes in capitals", "Transfer-Encoding: Chunked", "A\r\n0123456789\r\n0\r\n\r\n"),
        ok(
            "trailers",
            "Trailer: X-Sum\r\nTransfer-Encoding: chunked",
            "2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
        ),
        ok(
            "trailers that are none",
            CHUNKED,
            "2\r\nok\r\n0\r\nContent-Length: 3\r\nSet-Cookie: a=b\r\nX-Sum: 1\r\n\r\n",
        ),
        raw("until close", "HTTP/1.1 200 OK\r\nX-End: 1\r\n\r\n", "hello").closes(),
        raw("HTTP/1.0 until close", "HTTP/1.0 200 OK\r\nX-End: 1\r\n\r\n", "hello").closes(),
        raw("HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "hello")
            .closes(),
        raw(
            "HTTP/1.0 with keep-alive",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
            "hello",
        ),
        raw("no reason phrase", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n", "hello"),
        raw("no reason and no space", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", "hello"),
        raw("a reason of its own", "HTTP/1.1 200 Very Fine\r\nContent-Length: 5\r\n\r\n", "hello"),
        raw("an unknown status", "HTTP/1.1 299 Odd\r\nContent-Length: 5\r\n\r\n", "hello"),
        raw("a status beyond 599", "HTTP/1.1 799 Odd\r\nContent-Length: 5\r\n\r\n", "hello"),
        raw("not found", "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n", "hello"),
        raw("broken inside", "HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\n", "hello"),
        ok("bare newlines", "X-A: 1\nContent-Length: 5", "hello"),
        ok(
            "fields in their order",
            "b: 1\r\nA: 2\r\nB: 3\r\nX-Empty:\r\nContent-Length: 5",
            "hello",
        ),
        ok("spaces around values", "X-A:  1 \t\r\nX-B:2\r\nContent-Length: 5", "hello"),
        ok("a space before the colon", "X-A : 1\r\nContent-Length: 5", "hello"),
        ok("a folded field", "X-A: 1\r\n  2\r\nContent-Length: 5", "hello"),
        ok(
            "a Date of its own",
            "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5",
            "hello",
        ),
        ok("cookies", "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 5", "hello"),
    ]
}

fn without_a_body() -> Vec<Answer> {
    vec![
        raw("204", "HTTP/1.1 204 No Content\r\nX-End: 1\r\n\r\n", ""),
        raw("204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""),
        raw("204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        raw("304", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", ""),
        raw("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ""),
        raw("205", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", ""),
        ok("a body behind HEAD", "Content-Length: 5", "hello").insists(),
    ]
}

fn interim() -> Vec<Answer> {
    let final_head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let before = |name, interim: &str| raw(name, &format!("{interim}{final_head}"), "hello");
    vec![
        before("100 unasked", "HTTP/1.1 100 Continue\r\n\r\n"),
        before("102", "HTTP/1.1 102 Processing\r\n\r\n"),
        before("103", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
        before(
            "several interim answers",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n\
             HTTP/1.1 103 Early Hints\r\nLink: <b>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
        ),
        before("an unknown interim answer", "HTTP/1.1 199 Odd\r\nX-A: 1\r\n\r\n"),
        before("103 with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"),
        raw("103 and the end", "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", "").closes(),
        raw(
            "101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "\u{1}tunnelled",
        )
        .closes(),
        raw("101 to nothing", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "x").closes(),
        raw(
            "426",
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\n",
            "hello",
        ),
    ]
}

fn about_the_connection() -> Vec<Answer> {
    vec![
        ok("Connection: close", "Connection: close\r\nContent-Length: 5", "hello").closes(),
        ok("Connection: keep-alive", "Connection: keep-alive\r\nContent-Length: 5", "hello"),
        ok(
            "Keep-Alive",
            "Connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 5",
            "hello",
        ),
        ok(
            "nominated fields",
            "Connection: X-Hop, x-too\r\nX-Hop: 1\r\nX-Too: 2\r\nX-End: 3\r\nContent-Length: 5",
            "hello",
        ),
        ok("Content-Length nominated", "Connection: content-length\r\nContent-Length: 5", "hello"),
        ok(
            "other fields of a connection",
            "Proxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\n\
             Proxy-Authenticate: Basic\r\nContent-Length: 5",
            "hello",
        ),
    ]
}

fn broken() -> Vec<Answer> {
    vec![
        ok("too short", "Content-Length: 10", "hello").closes().insists(),
        ok("too long", "Content-Length: 5", "hello, and more").insists(),
        ok("too long by an answer", "Content-Length: 0", "HTTP/1.1 200 OK\r\n\r\nsmuggled")
            .insists(),
        ok("more behind the last chunk", CHUNKED, "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
            .insists(),
        raw("no answer", "", "").closes(),
        raw("a reset before the answer", "", "").resets(),
        ok("a reset within the body", "Content-Length: 10", "hello").resets().insists(),
        raw("cut in the status line", "HTTP/1.1 20", "").closes(),
        raw("cut in the head", "HTTP/1.1 200 OK\r\nContent-Le", "").closes(),
        ok("cut in a chunk", CHUNKED, "5\r\nhel").closes(),
        ok("cut in a size", CHUNKED, "5\r\nhello\r\n6").closes(),
        ok("cut before the last chunk", CHUNKED, "5\r\nhello\r\n").closes(),
        ok("cut in the trailers", CHUNKED, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n").closes(),
        ok("a size that is none", CHUNKED, "zz\r\nhello\r\n0\r\n\r\n"),
        ok("a size that is too large", CHUNKED, "10000000000000000\r\nhello\r\n0\r\n\r\n"),
        ok("a chunk without its end", CHUNKED, "5\r\nhelloXX0\r\n\r\n"),
        ok("two equal lengths", "Content-Length: 5\r\nContent-Length: 5", "hello"),
        ok("two lengths", "Content-Length: 5\r\nContent-Length: 6", "hello"),
        ok("a list of lengths", "Content-Length: 5, 5", "hello"),
        ok("a length with a sign", "Content-Length: +5", "hello"),
        ok(
            "both framings",
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        ok("another coding", "Transfer-Encoding: gzip, chunked", "5\r\nhello\r\n0\r\n\r\n"),
        raw(
            "chunks over HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        raw("another protocol", "SSH-2.0-OpenSSH\r\n\r\n", ""),
        raw("another version", "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\n", "hello"),
        raw("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\n", "hello"),
        ok("a line without a colon", "X-A\r\nContent-Length: 5", "hello"),
        ok("a zero byte in a value", "X-A: a\0b\r\nContent-Length: 5", "hello"),
        raw("a leading space", "HTTP/1.1 200 OK\r\n X-A: 1\r\nContent-Length: 5\r\n\r\n", "hello"),
    ]
}

fn early() -> Vec<Answer> {
    vec![
        ok("before the body", "Content-Length: 5", "hello").early(),
        ok("before the body, and closed", "Connection: close\r\nContent-Length: 5", "hello")
            .early()
            .closes(),
        raw(
            "413 before the body",
            "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
            "hello",
        )
        .early()
        .closes(),
        Answer { expect: Expect::Ignored, ..ok("Expect is ignored", "Content-Length: 5", "hello") },
        Answer {
            expect: Expect::Refused,
            ..raw("Expect is refused", "HTTP/1.1 417 No\r\nContent-Length: 5\r\n\r\n", "hello")
        },
    ]
}
