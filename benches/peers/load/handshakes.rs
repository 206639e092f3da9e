//! Connections over TLS, each with its handshake and one small answer.
//!
//! An answer belongs to it: Envoy's TLS sends its tickets with the first bytes of one.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use super::{Latency, Load};
use crate::proxy::HOST;

/// Clients at once.
const CLIENTS: usize = 8;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

pub(crate) fn run(
    https: SocketAddr,
    config: &Arc<ClientConfig>,
    resumed: bool,
    seconds: u64,
) -> Result<Load, String> {
    // The session that is resumed at first, and a look at what this server does.
    let first = connect(https, config).map_err(|error| error.to_string())?;
    let second = connect(https, config).map_err(|error| error.to_string())?;
    if first.1 || second.1 != resumed {
        return Err(format!("handshakes are to be resumed: {resumed}"));
    }
    let started = Instant::now();
    let ends = started + Duration::from_secs(seconds);
    let took = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(move || {
                    let mut all = Vec::new();
                    while Instant::now() < ends {
                        let (took, was_resumed) = connect(https, config)?;
                        // The clients take tickets from one store: at first there are too few.
                        if was_resumed == resumed {
                            all.push(took);
                        }
                    }
                    Ok(all)
                })
            })
            .collect();
        let ended = clients.into_iter().map(|client| client.join().expect("it ends"));
        ended.collect::<std::io::Result<Vec<_>>>()
    });
    let took = took.map_err(|error| error.to_string())?.concat();
    Ok(Load { count: took.len(), took: started.elapsed(), latency: Latency::of(took) })
}

/// From the connection to the end of the answer; and whether a session was resumed.
fn connect(https: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<(Duration, bool)> {
    let started = Instant::now();
    let stream = TcpStream::connect(https)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let name = ServerName::try_from(HOST).expect("a name");
    let connection = ClientConnection::new(Arc::clone(config), name);
    let mut stream = StreamOwned::new(connection.map_err(std::io::Error::other)?, stream);
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // Not everybody says that TLS ends before the connection does.
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(error),
        Ok(_) | Err(_) => {}
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(ErrorKind::InvalidData.into());
    }
    let resumed = stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
    Ok((started.elapsed(), resumed))
}
