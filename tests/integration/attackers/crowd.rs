//! Many connections in one hand, none of which ever blocks.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::attacker::Attacker;

/// So many connections to one address, each of which begins with the same bytes.
pub(super) struct Crowd<'a> {
    attacker: &'a Attacker<'a>,
    address: SocketAddr,
    greeting: Vec<u8>,
    receive_buffer: Option<usize>,
    members: Vec<TcpStream>,
}

impl<'a> Crowd<'a> {
    pub(super) fn open(
        attacker: &'a Attacker<'a>,
        address: SocketAddr,
        count: usize,
        greeting: &[u8],
    ) -> Self {
        Self::open_with(attacker, address, count, greeting, None)
    }

    /// The same, each with a receive buffer of so many bytes.
    pub(super) fn open_with(
        attacker: &'a Attacker<'a>,
        address: SocketAddr,
        count: usize,
        greeting: &[u8],
        receive_buffer: Option<usize>,
    ) -> Self {
        let greeting = greeting.to_vec();
        let mut crowd = Self { attacker, address, greeting, receive_buffer, members: Vec::new() };
        for number in 0..count {
            let member = crowd.member();
            crowd.members.extend(member);
            // The kernel has one line of connections to be accepted, which nobody can share out.
            if number % 64 == 63 {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        crowd
    }

    fn member(&self) -> Option<TcpStream> {
        let mut stream = self.attacker.connect_with(self.address, self.receive_buffer).ok()?;
        stream.set_nonblocking(true).ok()?;
        let _ = stream.write(&self.greeting);
        Some(stream)
    }

    /// Each sends what it can of these bytes; how many did.
    pub(super) fn send(&mut self, bytes: &[u8]) -> usize {
        self.members.iter_mut().filter_map(|stream| stream.write(bytes).ok()).count()
    }

    /// Reads what has come, and opens another connection for each that the server has closed. How many
    /// have got something, and how many were closed.
    pub(super) fn read_and_replace(&mut self) -> (usize, usize) {
        let (mut got, mut closed) = (0, 0);
        for index in 0..self.members.len() {
            let (has_read, is_open) = read_all(&mut self.members[index]);
            got += usize::from(has_read);
            if !is_open {
                closed += 1;
                if let Some(another) = self.member() {
                    self.members[index] = another;
                }
            }
        }
        (got, closed)
    }

    /// Each that got something sends these bytes.
    pub(super) fn answer_with(&mut self, bytes: &[u8]) {
        for index in 0..self.members.len() {
            let (has_read, is_open) = read_all(&mut self.members[index]);
            if !is_open {
                if let Some(another) = self.member() {
                    self.members[index] = another;
                }
            } else if has_read {
                let _ = self.members[index].write(bytes);
            }
        }
    }

    /// Each reads one byte, if there is one.
    pub(super) fn read_one_byte(&mut self) {
        for stream in &mut self.members {
            let _ = stream.read(&mut [0]);
        }
    }

    /// Those that the server keeps open, with unread bytes or without.
    pub(super) fn open_members(&self) -> usize {
        let is_open = |stream: &&TcpStream| match stream.peek(&mut [0]) {
            Ok(read) => read > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        self.members.iter().filter(is_open).count()
    }
}

/// Reads what has come: whether that was something, and whether the connection is open.
fn read_all(stream: &mut TcpStream) -> (bool, bool) {
    let mut buffer = [0; 16 * 1024];
    let mut has_read = false;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (has_read, false),
            Ok(_) => has_read = true,
            Err(error) => return (has_read, error.kind() == ErrorKind::WouldBlock),
        }
    }
}
