//! What a small request allocates, so that nothing creeps in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::proxy;
use crate::proxy::Serve;

/// The most allocations of a small request on connections that are kept.
const MAX_ALLOCATIONS: u64 = 12;

const REQUEST: &[u8] = b"GET /products/42 HTTP/1.1\r\nHost: example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\nAccept: */*\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: test\r\n\
    Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello";

/// Answers each request, on a thread of its own, whose allocations do not count.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut read = [0; 4096];
            while stream.read(&mut read).is_ok_and(|read| read > 0) {
                if stream.write_all(ANSWER).is_err() {
                    break;
                }
            }
        }
    });
    address
}

/// Sends `count` requests, one after the other.
fn send(address: SocketAddr, count: usize) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let mut read = [0; 4096];
    for _ in 0..count {
        stream.write_all(REQUEST).expect("it is taken");
        let mut got = 0;
        while !read[..got].ends_with(b"hello") {
            match stream.read(&mut read[got..]).expect("an answer") {
                0 => panic!("closed: {}", read[..got].escape_ascii()),
                more => got += more,
            }
        }
    }
}

/// The allocations of a server that carries `count` requests.
fn allocations_of(count: usize) -> u64 {
    let address = backend();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let counted = allocation_counter::measure(|| {
        runtime.block_on(async {
            let proxy = proxy(&[&address.to_string()]);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (done, is_done) = oneshot::channel();
            std::thread::spawn(move || {
                send(address, count);
                let _ = done.send(());
            });
            let (_stopping, stopped) = watch::channel(false);
            let (stream, peer) = listener.accept().await.unwrap();
            tokio::spawn(Arc::clone(&proxy.front).serve(stream, peer, stopped));
            is_done.await.expect("all are answered");
        });
    });
    counted.count_total
}

#[test]
fn a_small_request_allocates_little() {
    // What a server and its connections begin with goes out of it.
    let (few, many) = (allocations_of(20), allocations_of(220));
    let of_200 = many - few;
    assert!(of_200 <= 200 * MAX_ALLOCATIONS, "{of_200} for 200 requests");
}
