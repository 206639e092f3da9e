//! Answers and uploads of many megabytes, none of which is ever held.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::socket::{setsockopt, sockopt};

use super::Attack;
use crate::harness::*;

/// What an answer weighs unless the query says otherwise.
pub(super) const LARGE: usize = 8 * 1024 * 1024;

/// A backend that sends as many bytes as it is asked for, and swallows whatever is posted.
pub(super) struct LargeBackend {
    address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl LargeBackend {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind((free_ip(), 0)).expect("a free address");
        let address = listener.local_addr().expect("it is bound");
        let received = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // What the kernel keeps is nobody's to count; but there may be thousands of these.
                let _ = setsockopt(&stream, sockopt::SndBuf, &(64 * 1024));
                let counter = Arc::clone(&counter);
                // There may be as many as streams; each needs little.
                let thread = std::thread::Builder::new().stack_size(256 * 1024);
                let _ = thread.spawn(move || serve(stream, &counter));
            }
        });
        Self { address, received }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that it got, heads and bodies.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }
}

/// Answers requests until the connection ends.
fn serve(mut stream: TcpStream, received: &AtomicU64) -> Option<()> {
    static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    let mut unread = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut fill = |stream: &mut TcpStream, unread: &mut Vec<u8>| {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        received.fetch_add(read as u64, Ordering::SeqCst);
        unread.extend_from_slice(&buffer[..read]);
        Some(read)
    };
    loop {
        let end = loop {
            match unread.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => fill(&mut stream, &mut unread)?,
            };
        };
        let head = String::from_utf8_lossy(&unread[..end]).to_ascii_lowercase();
        unread.drain(..end);
        let mut body: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        while body > unread.len() {
            body -= unread.len();
            unread.clear();
            fill(&mut stream, &mut unread)?;
        }
        unread.drain(..body);
        let target = head.split(' ').nth(1)?;
        let length = match target.split_once("?bytes=") {
            Some((_, bytes)) => bytes.parse().ok()?,
            None if matches!(target, "/large" | "/text") => LARGE,
            None => 0,
        };
        let kind = if target.starts_with("/text") { "text/html" } else { "application/x-large" };
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(answer.as_bytes()).ok()?;
        let mut left = length;
        while left > 0 {
            let piece = left.min(PIECE.len());
            stream.write_all(&PIECE[..piece]).ok()?;
            left -= piece;
        }
    }
}

/// What goes each way.
const MUCH: usize = 256 * 1024 * 1024;

#[test]
fn a_quarter_of_a_gigabyte_each_way() {
    Attack::new("a quarter of a gigabyte each way").with_connections(0, 2).run(|attacker| {
        attacker.side_by_side(2, |number| {
            let mut stream = attacker.connect(attacker.vhost.http()).expect("the proxy accepts");
            if number == 0 {
                let head = format!("GET /large?bytes={MUCH} HTTP/1.1\r\nHost: large.test\r\n\r\n");
                stream.write_all(head.as_bytes()).expect("it reads");
                let (mut buffer, mut total) = (vec![0; 256 * 1024], 0);
                while total < MUCH {
                    total += match stream.read(&mut buffer) {
                        Ok(count @ 1..) => count,
                        other => panic!("after {total}: {other:?}"),
                    };
                }
            } else {
                let head = format!(
                    "POST / HTTP/1.1\r\nHost: large.test\r\nContent-Length: {MUCH}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).expect("it reads");
                let piece = vec![0; 256 * 1024];
                for _ in 0..MUCH / piece.len() {
                    stream.write_all(&piece).expect("it reads on");
                }
                let mut answer = [0; 12];
                stream.read_exact(&mut answer).expect("it answers");
                assert_eq!(&answer, b"HTTP/1.1 200");
            }
        });
        attacker.hold();
    });
}
