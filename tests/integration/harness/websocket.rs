//! A WebSocket client.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio_tungstenite::tungstenite::{Error, Message, client};

use super::client::Channel;

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open WebSocket to a backend's `/ws`.
pub(crate) struct WebSocket<S = TcpStream> {
    socket: tokio_tungstenite::tungstenite::WebSocket<S>,
    /// The backend that it leads to.
    pub(crate) backend: String,
}

impl WebSocket {
    pub(crate) fn open(address: SocketAddr, host: &str) -> Self {
        Self::try_open(address, host).expect("a WebSocket opens")
    }

    pub(crate) fn try_open(address: SocketAddr, host: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|e| format!("connect: {e}"))?;
        Self::try_open_over(stream, host)
    }
}

impl<S: Channel> WebSocket<S> {
    pub(super) fn try_open_over(stream: S, host: &str) -> Result<Self, String> {
        stream.socket().set_nodelay(true).expect("TCP_NODELAY can be set");
        stream.socket().set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let (socket, _) = client(format!("ws://{host}/ws"), stream).map_err(|e| e.to_string())?;
        let mut web_socket = Self { socket, backend: String::new() };
        web_socket.backend = web_socket.read()?;
        Ok(web_socket)
    }

    /// Sends a text and waits for its echo.
    pub(crate) fn echo(&mut self, text: &str) -> Result<(), String> {
        self.socket.send(Message::text(text)).map_err(|error| error.to_string())?;
        let answer = self.read()?;
        if answer == text { Ok(()) } else { Err(format!("`{answer}` instead of `{text}`")) }
    }

    /// Whether nothing comes for so long, not even the end.
    pub(crate) fn stays_open_for(&mut self, time: Duration) -> bool {
        self.set_patience(time);
        let read = self.socket.read();
        self.set_patience(PATIENCE);
        matches!(read, Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock)
    }

    fn set_patience(&self, time: Duration) {
        self.socket.get_ref().socket().set_read_timeout(Some(time)).expect("a timeout can be set");
    }

    /// Closes it with the closing handshake.
    pub(crate) fn close(mut self) -> Result<(), String> {
        self.socket.close(None).map_err(|error| error.to_string())?;
        let mut answered = false;
        loop {
            match self.socket.read() {
                Ok(Message::Close(_)) => answered = true,
                // Behind the closing handshake, TLS need not say once more that this is the end.
                Err(Error::Io(error)) if answered && error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(());
                }
                Ok(other) => return Err(format!("{other:?} after the close")),
                Err(Error::ConnectionClosed) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn read(&mut self) -> Result<String, String> {
        match self.socket.read() {
            Ok(Message::Text(text)) => Ok(text.as_str().to_owned()),
            Ok(other) => Err(format!("{other:?} instead of a text")),
            Err(error) => Err(error.to_string()),
        }
    }
}
