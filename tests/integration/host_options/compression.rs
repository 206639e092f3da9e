use std::io::Read;

use super::*;

const ALL: &str = "compression = [\"zstd\", \"br\", \"gzip\"]";

fn decoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match encoding {
        "gzip" => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut text).expect("gzip")),
        "br" => drop(brotli::Decompressor::new(body, 4096).read_to_end(&mut text).expect("br")),
        "zstd" => text = zstd::decode_all(body).expect("zstd"),
        _ => text = body.to_vec(),
    }
    text
}

/// A server whose backend answers everything with this head and body.
fn raw(head: &'static str, body: Vec<u8>) -> (RawBackend, Vhost) {
    let backend = RawBackend::start(move |connection| {
        while connection.read_request().is_some() {
            connection.send(head.as_bytes());
            connection.send(&body);
        }
    });
    let vhost = Setup::new()
        .tcp_probes()
        .domain_with("example.com", "a", ALL)
        .backend("w1", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

#[test]
fn compressible_responses_are_encoded_as_the_client_wants() {
    let (_backend, vhost) = with_options(ALL);
    let mut client = vhost.connect();
    let padding = format!("X-Padding: {}\r\n", "x".repeat(1000));
    for (accept, encoding) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("br", "br"),
        ("identity", ""),
        ("gzip;q=0", ""),
    ] {
        let headers = format!("Accept-Encoding: {accept}\r\n{padding}");
        let response = client.get_with("example.com", "/", &headers);
        assert_eq!(response.header("content-encoding").unwrap_or_default(), encoding, "{accept}");
        assert_eq!(response.header("vary"), Some("Accept-Encoding"));
        let text = decoded(encoding, &response.body);
        let echo: serde_json::Value = serde_json::from_slice(&text).expect("whole");
        assert_eq!(echo["id"], "w1");
        if !encoding.is_empty() {
            assert_eq!(response.header("content-length"), None);
            assert!(response.body.len() < text.len() / 2);
        }
    }
    // HTTP/1.0 knows no chunks.
    let mut old = vhost.connect();
    old.send(format!(
        "GET / HTTP/1.0\r\nHost: example.com\r\nAccept-Encoding: gzip\r\n{padding}\r\n"
    ));
    let response = old.read_response();
    assert_eq!(response.framing, Framing::Close);
    assert!(decoded("gzip", &response.body).starts_with(b"{"));
    // HEAD says what may differ, and no more.
    client.send(format!(
        "HEAD / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip\r\n{padding}\r\n"
    ));
    let head = client.read_head().expect("a head");
    assert_eq!(
        (head.header("content-encoding"), head.header("vary")),
        (None, Some("Accept-Encoding"))
    );
    assert_eq!(client.get("example.com", "/status/204").status, 204);
    vhost.ctl_ok(&["domain", "set", "example.com", "--no-option", "compression"]);
    let headers = format!("Accept-Encoding: gzip\r\n{padding}");
    let response = client.get_with("example.com", "/", &headers);
    assert_eq!((response.header("content-encoding"), response.header("vary")), (None, None));
}

#[test]
fn a_large_body_arrives_whole_and_its_tag_is_weak() {
    let body: Vec<u8> = (0..300_000_u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let head: &'static str = Box::leak(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_boxed_str(),
    );
    let (_backend, vhost) = raw(head, body.clone());
    let mut client = vhost.connect();
    for encoding in ["gzip", "br", "zstd"] {
        let headers = format!("Accept-Encoding: {encoding}\r\n");
        let response = client.get_with("example.com", "/", &headers);
        assert_eq!(response.header("content-encoding"), Some(encoding));
        assert_eq!(response.header("etag"), Some("W/\"v1\""));
        assert_eq!(response.header("accept-ranges"), None);
        assert!(decoded(encoding, &response.body) == body, "{encoding}");
    }
}

#[test]
fn what_may_not_be_encoded_is_left_alone() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: br\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: public, no-transform\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-999/5000\r\nContent-Length: 1000\r\n\r\n",
    ] {
        let (_backend, vhost) = raw(head, vec![b'a'; 1000]);
        let response = vhost.connect().get_with("example.com", "/", "Accept-Encoding: gzip\r\n");
        assert_ne!(response.header("content-encoding"), Some("gzip"), "{head}");
        assert_eq!(response.body, [b'a'; 1000], "{head}");
    }
}

#[test]
fn each_event_of_a_stream_arrives_when_it_is_sent() {
    for encoding in ["gzip", "br", "zstd"] {
        let backend = RawBackend::start(|connection| {
            while connection.read_request().is_some() {
                connection.send(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                      Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n",
                );
                connection.stall();
            }
        });
        let vhost = Setup::new()
            .tcp_probes()
            .domain_with("example.com", "a", ALL)
            .backend("w1", backend.address(), &["a"])
            .start();
        vhost.wait_until_healthy(1);
        let mut client = vhost.connect();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: {encoding}\r\n\r\n"
        ));
        let head = client.read_head().expect("a head");
        assert_eq!(head.header("content-encoding"), Some(encoding));
        let mut body = Vec::new();
        let seen = |body: &[u8]| {
            let mut text = [0; 64];
            let read = match encoding {
                "gzip" => flate2::read::GzDecoder::new(body).read(&mut text),
                "br" => brotli::Decompressor::new(body, 4096).read(&mut text),
                _ => zstd::Decoder::new(body).and_then(|mut decoder| decoder.read(&mut text)),
            };
            read.is_ok_and(|count| text[..count] == *b"data: 1\n\n")
        };
        eventually("the event is there", SOON, || {
            body.extend(client.read_chunk().expect("a chunk"));
            seen(&body)
        });
    }
}
