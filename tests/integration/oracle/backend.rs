//! The backend of the oracle: the path of a request says which answer it gets.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::answers::{Answer, End, Expect, When};
use super::observed::{ends_chunked, value_of};
use crate::harness::free_ip;

/// One connection, until it has ended.
struct Accepted {
    /// The script alone holds it, so that it closes when that wants it to.
    stream: Weak<TcpStream>,
    peer: SocketAddr,
    serving: JoinHandle<Vec<u8>>,
}

/// A backend whose connections last for one case.
pub(super) struct ScriptedBackend {
    address: SocketAddr,
    accepted: Receiver<Accepted>,
    bytewise: Arc<AtomicBool>,
}

impl ScriptedBackend {
    pub(super) fn start(answers: &'static [Answer]) -> Self {
        let listener = TcpListener::bind((free_ip(), 0)).expect("a free address");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (sender, accepted) = channel();
        let bytewise = Arc::new(AtomicBool::new(false));
        let is_bytewise = Arc::clone(&bytewise);
        std::thread::spawn(move || accept(&listener, answers, &is_bytewise, &sender));
        Self { address, accepted, bytewise }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether answers leave byte by byte from now on.
    pub(super) fn set_bytewise(&self, bytewise: bool) {
        self.bytewise.store(bytewise, Ordering::SeqCst);
    }

    /// Ends all connections: what each of them sent, in the order in which they were accepted.
    pub(super) fn end_case(&mut self) -> Vec<Vec<u8>> {
        // Connections are accepted in their order: behind this one no other waits.
        let last = TcpStream::connect(self.address).expect("the backend accepts");
        let own = last.local_addr().expect("it is connected");
        let mut received = Vec::new();
        loop {
            let accepted = self.accepted.recv_timeout(Duration::from_secs(20)).expect("accepted");
            let is_last = accepted.peer == own;
            // What has arrived is still read.
            if let Some(stream) = accepted.stream.upgrade() {
                let _ = stream.shutdown(Shutdown::Read);
            }
            received.push(accepted.serving.join().expect("a script does not panic"));
            if is_last {
                received.retain(|bytes| !bytes.is_empty());
                return received;
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    answers: &'static [Answer],
    bytewise: &Arc<AtomicBool>,
    sender: &Sender<Accepted>,
) {
    while let Ok((stream, peer)) = listener.accept() {
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let (weak, bytewise) = (Arc::downgrade(&stream), Arc::clone(bytewise));
        let serving = std::thread::spawn(move || {
            let mut connection = Connection { stream, received: Vec::new(), unread: Vec::new() };
            connection.serve(answers, &bytewise);
            connection.received
        });
        if sender.send(Accepted { stream: weak, peer, serving }).is_err() {
            return;
        }
    }
}

struct Connection {
    stream: Arc<TcpStream>,
    received: Vec<u8>,
    unread: Vec<u8>,
}

impl Connection {
    fn serve(&mut self, answers: &[Answer], bytewise: &AtomicBool) {
        while let Some(head) = self.read_head() {
            let Some(answer) = answer_for(&head, answers) else { return };
            let is_head = head.starts_with(b"HEAD ");
            let expects = value_of(&head, "expect").is_some();
            if expects && answer.expect == Expect::Honoured {
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n", false);
            }
            let refuses = expects && answer.expect == Expect::Refused;
            if answer.when == When::AfterRequest && !refuses && !self.read_body(&head) {
                return;
            }
            let body = if is_head && !answer.insists { b"" } else { answer.body.as_slice() };
            let all = [answer.head.as_slice(), body].concat();
            // Where more comes than was said, it has to come before the connection is used again.
            let bytewise = !answer.insists && bytewise.load(Ordering::SeqCst);
            self.write(&all, bytewise);
            // Without its body an answer to HEAD is whole, and its connection goes on: one that closed
            // here would be closed just when it is used again.
            let end = if is_head && !answer.insists && !answer.body.is_empty() {
                End::Keep
            } else {
                answer.end
            };
            match end {
                End::Keep if refuses => return self.close(),
                End::Keep if answer.when == When::BeforeBody && !self.read_body(&head) => return,
                End::Keep => {}
                End::Close => return self.close(),
                End::Reset => return self.reset(),
            }
        }
    }

    fn write(&mut self, bytes: &[u8], bytewise: bool) {
        super::write_pieces(&self.stream, bytes, bytewise);
    }

    /// Reads on, so that nothing that is unread turns the close into a reset.
    fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        while self.read() {}
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Lets the close at the end of the script be a reset.
    fn reset(&self) {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        let option = nix::sys::socket::sockopt::Linger;
        nix::sys::socket::setsockopt(&*self.stream, option, &linger).expect("it can be set");
    }

    fn read_head(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                return Some(self.unread.drain(..end + 4).collect());
            }
            if !self.read() {
                return None;
            }
        }
    }

    /// Reads the body behind a head; whether it is whole.
    fn read_body(&mut self, head: &[u8]) -> bool {
        if value_of(head, "transfer-encoding").is_some() {
            loop {
                if let Some(end) = ends_chunked(&self.unread) {
                    self.unread.drain(..end);
                    return true;
                }
                if !self.read() {
                    return false;
                }
            }
        }
        let length = value_of(head, "content-length").and_then(|length| length.parse().ok());
        let length: usize = length.unwrap_or(0);
        while self.unread.len() < length {
            if !self.read() {
                return false;
            }
        }
        self.unread.drain(..length);
        true
    }

    fn read(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        match (&*self.stream).read(&mut buffer) {
            Ok(count @ 1..) => {
                self.unread.extend_from_slice(&buffer[..count]);
                self.received.extend_from_slice(&buffer[..count]);
                true
            }
            _ => false,
        }
    }
}

/// The answer whose number stands in the request's path.
fn answer_for<'a>(head: &[u8], answers: &'a [Answer]) -> Option<&'a Answer> {
    let start = head.windows(2).position(|window| window == b"/a")? + 2;
    let number = std::str::from_utf8(head.get(start..start + 3)?).ok()?;
    answers.get(number.parse::<usize>().ok()?)
}
