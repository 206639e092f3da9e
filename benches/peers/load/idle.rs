//! Connections that have had an answer, and stand idle.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::proxy::HOST;

/// A connection that is open for as long as it is held.
pub(crate) type Idle = Box<dyn Read>;

/// Opens so many connections, each with one answered request.
pub(crate) fn open(
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    count: usize,
) -> std::io::Result<Vec<Idle>> {
    (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            if let Some(config) = tls {
                let name = ServerName::try_from(HOST).expect("a name");
                let connection = ClientConnection::new(Arc::clone(config), name);
                let connection = connection.map_err(std::io::Error::other)?;
                let mut stream = StreamOwned::new(connection, stream);
                ask(&mut stream)?;
                return Ok(Box::new(stream) as Idle);
            }
            ask(&mut stream)?;
            Ok(Box::new(stream) as Idle)
        })
        .collect()
}

fn ask(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    write!(stream, "GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n")?;
    stream.flush()?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    // The body is what the backend says, with nothing behind it.
    while !answer.ends_with(b"xxxxxxxxxxxxx") {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    if answer.starts_with(b"HTTP/1.1 200") {
        Ok(())
    } else {
        Err(std::io::ErrorKind::InvalidData.into())
    }
}
