//! Slow and huge requests, of people who have no token and of people who have one.

use super::*;

#[test]
fn what_is_too_much_is_refused() {
    let api = Api::start();
    let token = format!("Bearer {}", api.token);
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    // By what it says of itself, before a byte of it has come.
    let mut client = Client::connect(api.address);
    let head = api.request("PUT", EXAMPLE, &headers, None);
    let head = head.trim_end_matches("\r\n");
    client.send(format!("{head}\r\nContent-Length: 99999999\r\n\r\n"));
    let refused = client.read_response();
    assert_eq!((refused.status, problem(&refused).0.as_str()), (413, "invalid"));
    // By what comes.
    let mut client = Client::connect(api.address);
    client.send(format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n"));
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..8 {
        // It may have been refused already.
        let _ = client.try_send(&chunk);
    }
    assert_eq!(client.read_response().status, 413);
    // A head.
    let mut client = Client::connect(api.address);
    let long = "x".repeat(64 * 1024);
    let _ = client.try_send(api.request("GET", DOMAINS, &[("X-Long", &long)], None));
    assert_eq!(client.read_response().status, 431);
    assert_eq!(api.ask("GET", DOMAINS, None).status, 200, "others are not disturbed");
}

#[test]
fn who_is_too_slow_is_let_go() {
    let api = Api::start();
    let token = format!("Bearer {}", api.token);
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    let mut head = Client::connect(api.address);
    head.send("GET /api/v1/health HTTP/1.1\r\nHost: ");
    let mut silent = Client::connect(api.address);
    let mut body = Client::connect(api.address);
    let request = api.request("PUT", EXAMPLE, &headers, None);
    body.send(format!("{}\r\nContent-Length: 50\r\n\r\n{{", request.trim_end_matches("\r\n")));
    let answer = body.read_response();
    assert_eq!((answer.status, problem(&answer).0.as_str()), (408, "timeout"));
    assert!(head.closed_within(SOON).is_some(), "a head that does not end");
    assert!(silent.closed_within(SOON).is_some(), "a connection without a request");
}
