//! A request whose backend of HTTP/1 fails, where the next one speaks HTTP/2: it is handed over whole, or not at all.

use http::Request;

use crate::harness::*;

const HOST: &str = "example.com";

fn body() -> Vec<u8> {
    (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect()
}

/// A server whose first backend speaks HTTP/1; the other one, of the same tag, is asked where that one fails.
fn serve(first: impl ToString, second: &Backend) -> Vhost {
    let vhost = Setup::new()
        // Only traffic finds out that a backend is gone, not a probe.
        .tcp_probes()
        .set("health_check.interval_secs", 600)
        .set("health_check.unhealthy_threshold", 1000)
        .domain(HOST, "a")
        .backend("first", first, &["a"])
        .backend_with("second", second.address(), &["a"], "scheme = \"h2c\"\nbackup = true")
        .start();
    vhost.wait_until_healthy(2);
    vhost
}

/// Sends a request with a body: the status of the answer, and its body.
type Send = fn(&Vhost, &str, &[u8]) -> (u16, Vec<u8>);

const PROTOCOLS: [(&str, Send); 3] = [
    ("HTTP/1.1 with a length", with_a_length),
    ("HTTP/1.1 in chunks", in_chunks),
    ("HTTP/2", over_http2),
];

fn with_a_length(vhost: &Vhost, method: &str, body: &[u8]) -> (u16, Vec<u8>) {
    over_http1(vhost, method, &format!("Content-Length: {}", body.len()), body)
}

fn in_chunks(vhost: &Vhost, method: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let chunks = body
        .chunks(5000)
        .flat_map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    let body: Vec<u8> = chunks.chain(*b"0\r\n\r\n").collect();
    over_http1(vhost, method, "Transfer-Encoding: chunked", &body)
}

fn over_http1(vhost: &Vhost, method: &str, framing: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut client = vhost.connect();
    client.send(format!("{method} /upload HTTP/1.1\r\nHost: {HOST}\r\n{framing}\r\n\r\n"));
    client.send(body);
    let response = client.read_response();
    (response.status, response.body)
}

fn over_http2(vhost: &Vhost, method: &str, body: &[u8]) -> (u16, Vec<u8>) {
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        let request = Request::builder().method(method).uri(format!("http://{HOST}/upload"));
        let request = request.body(()).expect("a request");
        let (response, mut stream) = client.start(request, false).await.expect("it is taken");
        stream.send_data(body.to_vec().into(), true).expect("it is open");
        let response = read(response).await.expect("an answer");
        (response.status.as_u16(), response.body)
    })
}

#[test]
fn a_request_that_could_not_be_sent_over_http1_goes_to_a_backend_of_http2_with_its_whole_body() {
    for (protocol, send) in PROTOCOLS {
        let (first, second) = (Backend::start("first"), Backend::builder("second").h2c().start());
        let vhost = serve(first.address(), &second);
        first.stop();
        for method in ["PUT", "POST"] {
            let (status, answer) = send(&vhost, method, &body());
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert_eq!(status, 200, "{protocol}, {method}: {answer}");
            let echo: serde_json::Value = serde_json::from_str(&answer).expect("an echo");
            assert_eq!((&echo["id"], &echo["version"]), (&"second".into(), &"HTTP/2.0".into()));
            assert_eq!(
                (&echo["length"], &echo["checksum"]),
                (&body().len().into(), &checksum(&body()).into()),
                "{protocol}, {method}"
            );
        }
        assert_eq!(second.requests(), 2, "{protocol}");
        let failures = vhost.backend("first")["failures"].as_u64();
        assert_eq!(failures, Some(2), "{protocol}: each was tried there before");
    }
}

/// A backend that answers until it has got a PUT on a connection that it was asked on before: then it is no more.
fn dies_of_a_second_request(body: usize) -> RawBackend {
    RawBackend::start(move |connection| {
        let mut is_used = false;
        while let Some(head) = connection.read_head() {
            if head.starts_with("PUT") && connection.read_exactly(body) && is_used {
                // The fresh connection that follows is refused.
                connection.stop_listening();
                return;
            }
            connection.send(&answer("first"));
            is_used = true;
        }
    })
}

/// A kept connection ends under a request whose method may be repeated, so it is sent once more, but its backend
/// is gone. What has been read of its body only the carrier of HTTP/1 has.
#[test]
fn a_request_that_was_sent_over_http1_is_not_handed_to_a_backend_of_http2_without_its_body() {
    const BODY: &[u8] = b"one book, and another";
    let requests = PROTOCOLS.map(|(protocol, send)| (protocol, send, BODY));
    // The end of a body is read too, and none of it is content.
    let empty: (&str, Send, &[u8]) = ("HTTP/1.1 in no chunk but the last", in_chunks, b"");
    for (protocol, send, body) in requests.into_iter().chain([empty]) {
        let is_chunked = protocol.contains("chunk") || protocol == "HTTP/2";
        let framed = if is_chunked { chunked_length(body) } else { body.len() };
        let first = dies_of_a_second_request(framed);
        let second = Backend::builder("second").h2c().start();
        let vhost = serve(first.address(), &second);
        // A connection is kept a moment after its answer has gone out, and now and then it is not.
        let mut answers = (0..50).map(|_| {
            assert_eq!(vhost.get(HOST, "/").text(), "first");
            send(&vhost, "PUT", body)
        });
        let mut over_fresh = 0;
        let (status, text) = loop {
            match answers.next().unwrap_or_else(|| panic!("{protocol}: none was kept")) {
                (200, _) => over_fresh += 1,
                answer => break answer,
            }
        };
        let text = String::from_utf8_lossy(&text);
        assert_eq!(status, 502, "{protocol}: {text}");
        let sent = first.received_text().matches("PUT /upload").count();
        assert_eq!(sent, over_fresh + 1, "{protocol}: over a kept connection alone");
        assert_eq!(second.requests(), 0, "{protocol}");
        assert_eq!(vhost.backend("second")["failures"], 0, "{protocol}: nobody has tried it");
        // Over another connection that was kept, or there.
        assert_eq!(vhost.get(HOST, "/").status, 200, "{protocol}");
    }
}

/// The length of a body that is sent as one chunk.
fn chunked_length(body: &[u8]) -> usize {
    let pieces = if body.is_empty() { String::new() } else { format!("{:x}\r\n\r\n", body.len()) };
    pieces.len() + body.len() + b"0\r\n\r\n".len()
}
