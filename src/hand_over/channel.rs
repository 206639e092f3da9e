//! Messages and file descriptors over a stream socket: one message a line, in JSON.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The descriptors of one call; the kernel takes no more than 253 (`SCM_MAX_FD`).
const MAX_AT_ONCE: usize = 64;

/// The descriptors of one message, and the bytes of its line. Only our own successor speaks here.
const MAX_DESCRIPTORS: usize = 4096;
const MAX_LINE: usize = 256 << 20;

/// How much is read at once.
const READ: usize = 64 << 10;

/// Why the other end can't be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// It has ended.
    #[error("the other process has ended")]
    Ended,
    /// It is too slow.
    #[error("the other process did not answer in time")]
    Late,
    /// It says what it should not.
    #[error("the other process speaks another language")]
    Foreign,
    /// The system refuses.
    #[error("cannot talk to the other process")]
    System(#[from] io::Error),
}

/// One end of the channel.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    /// What was read of the next lines.
    text: Vec<u8>,
    /// What came with them.
    descriptors: VecDeque<OwnedFd>,
    deadline: Instant,
}

impl Channel {
    /// Speaks over a stream until `deadline`.
    pub(crate) fn new(stream: UnixStream, deadline: Instant) -> Self {
        Self { stream, text: Vec::new(), descriptors: VecDeque::new(), deadline }
    }

    /// Speaks for so long at most from now on.
    pub(crate) fn hurry(&mut self, longest: Duration) {
        self.deadline = self.deadline.min(Instant::now() + longest);
    }

    /// Says something, with descriptors that the other end gets copies of.
    ///
    /// # Errors
    /// When it has ended, or takes nothing.
    pub(crate) fn send(
        &mut self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        let mut line = serde_json::to_vec(message).map_err(io::Error::from)?;
        line.push(b'\n');
        self.stream.set_write_timeout(Some(self.time_left()?))?;
        let mut rest = line.as_slice();
        // A byte for each call at least: descriptors travel with bytes.
        for some in descriptors.chunks(MAX_AT_ONCE) {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_AT_ONCE))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(some)) {
                return Err(ChannelError::Foreign);
            }
            let (byte, behind) = rest.split_at(1);
            let sent = again_if_interrupted(|| {
                sendmsg(&self.stream, &[IoSlice::new(byte)], &mut ancillary, SendFlags::NOSIGNAL)
            });
            sent.map_err(|errno| failed(errno.into()))?;
            rest = behind;
        }
        self.stream.write_all(rest).map_err(failed)
    }

    /// What the other end says next.
    ///
    /// # Errors
    /// When it has ended, is too slow, or sends what is no message.
    pub(crate) fn receive<M: DeserializeOwned>(&mut self) -> Result<M, ChannelError> {
        let mut searched = 0;
        loop {
            let found = self.text[searched..].iter().position(|byte| *byte == b'\n');
            if let Some(found) = found {
                let line: Vec<u8> = self.text.drain(..=searched + found).collect();
                return serde_json::from_slice(&line).map_err(|_| ChannelError::Foreign);
            }
            searched = self.text.len();
            if searched > MAX_LINE {
                return Err(ChannelError::Foreign);
            }
            self.read()?;
        }
    }

    /// As [`Self::receive`], but nothing where the other end says nothing for `patience`, whatever the deadline, or what
    /// can't be understood.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn receive_within<M: DeserializeOwned>(
        &mut self,
        patience: Duration,
    ) -> Result<Option<M>, ChannelError> {
        self.deadline = Instant::now() + patience;
        match self.receive() {
            Ok(message) => Ok(Some(message)),
            Err(ChannelError::Late | ChannelError::Foreign) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::send`], in `patience` at most, whatever the deadline.
    ///
    /// # Errors
    /// When the other end has ended or takes nothing.
    pub(crate) fn send_within(
        &mut self,
        message: &impl Serialize,
        patience: Duration,
    ) -> Result<(), ChannelError> {
        self.deadline = Instant::now() + patience;
        self.send(message, &[])
    }

    /// The same channel once more: to speak while another listens.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self::new(self.stream.try_clone()?, self.deadline))
    }

    /// Whether nothing was read of a line that has not come to its end.
    pub(crate) fn is_between_lines(&self) -> bool {
        self.text.is_empty()
    }

    /// This end, for a process that goes on speaking.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.stream.as_fd().try_clone_to_owned()
    }

    /// The descriptors that have come so far.
    pub(crate) fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        self.descriptors.drain(..).collect()
    }

    fn read(&mut self) -> Result<(), ChannelError> {
        self.stream.set_read_timeout(Some(self.time_left()?))?;
        let mut bytes = vec![0; READ];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_AT_ONCE))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let received = again_if_interrupted(|| {
            recvmsg(self.stream.as_fd(), &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        });
        let received = received.map_err(|errno| failed(errno.into()))?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if self.descriptors.len() > MAX_DESCRIPTORS {
            return Err(ChannelError::Foreign);
        }
        match received.bytes {
            0 => Err(ChannelError::Ended),
            read => {
                self.text.extend_from_slice(&bytes[..read]);
                Ok(())
            }
        }
    }

    fn time_left(&self) -> Result<Duration, ChannelError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ChannelError::Late) } else { Ok(left) }
    }
}

/// A call with a time-out is interrupted when the process was stopped and goes on, without any handler (`signal(7)`).
fn again_if_interrupted<T>(
    mut call: impl FnMut() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            called => return called,
        }
    }
}

fn failed(error: io::Error) -> ChannelError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ChannelError::Late,
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ChannelError::Ended,
        _ => ChannelError::System(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    fn pair() -> [Channel; 2] {
        let (one, other) = UnixStream::pair().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        [one, other].map(|stream| Channel::new(stream, deadline))
    }

    #[test]
    fn a_socket_that_is_handed_over_listens_as_before() {
        let [mut one, mut other] = pair();
        let listeners: Vec<_> =
            (0..MAX_AT_ONCE + 3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let last = listeners.last().unwrap().local_addr().unwrap();
        let descriptors: Vec<_> = listeners.iter().map(|listener| listener.as_fd()).collect();
        one.send(&"sockets", &descriptors).unwrap();
        drop(listeners);
        assert_eq!(other.receive::<String>().unwrap(), "sockets");
        let mut taken = other.take_descriptors();
        assert_eq!(taken.len(), MAX_AT_ONCE + 3);
        let listener = TcpListener::from(taken.pop().unwrap());
        let mut client = TcpStream::connect(last).unwrap();
        listener.accept().unwrap().0.write_all(b"hello").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn messages_come_one_by_one_whatever_their_length() {
        let [mut one, mut other] = pair();
        let long = "x".repeat(3 * READ);
        let writer = std::thread::spawn({
            let long = long.clone();
            move || {
                one.send(&"a", &[]).unwrap();
                one.send(&long, &[]).unwrap();
                one.send(&"b", &[]).unwrap();
            }
        });
        for expected in ["a", &long, "b"] {
            assert_eq!(other.receive::<String>().unwrap(), expected);
        }
        writer.join().unwrap();
        assert!(matches!(other.receive::<String>(), Err(ChannelError::Ended)));
    }

    #[test]
    fn silence_and_nonsense_are_other_errors_than_the_end() {
        let [one, mut other] = pair();
        other.deadline = Instant::now() + Duration::from_millis(20);
        assert!(matches!(other.receive::<String>(), Err(ChannelError::Late)));
        other.deadline = Instant::now() + Duration::from_secs(20);
        (&one.stream).write_all(b"{\n").unwrap();
        assert!(matches!(other.receive::<String>(), Err(ChannelError::Foreign)));
        drop(one);
        assert!(matches!(other.receive::<String>(), Err(ChannelError::Ended)));
        assert!(matches!(other.send(&"x", &[]), Err(ChannelError::Ended)));
    }
}
