//! Connections of HTTP/2 that ask for much on all their streams, and read nothing of it.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::proxy::HOST;

/// The clients that they come from: none has more than its share, and none is the one that reads.
const CLIENTS: usize = 4;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

/// Each request is one frame, and ends its stream.
const WHOLE: u8 = 5;

const INITIAL_WINDOW_SIZE: u8 = 4;

/// The largest window (RFC 9113 §6.9.1).
const MAX_WINDOW: u32 = 0x7fff_ffff;

/// Opens so many connections with windows as wide as can be, and asks for `path` on so many streams of each.
pub(crate) fn open(
    http: SocketAddr,
    connections: usize,
    streams: u32,
    path: &str,
) -> std::io::Result<Vec<TcpStream>> {
    let wide = [&[0, INITIAL_WINDOW_SIZE][..], &MAX_WINDOW.to_be_bytes()].concat();
    let more = (MAX_WINDOW - 65_535).to_be_bytes();
    let mut greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    greeting.extend(frame(SETTINGS, 0, 0, &wide));
    greeting.extend(frame(WINDOW_UPDATE, 0, 0, &more));
    let block = head(path);
    greeting.extend((0..streams).flat_map(|number| frame(HEADERS, WHOLE, 2 * number + 1, &block)));
    (0..connections)
        .map(|number| {
            let mut stream = connect(http, number % CLIENTS)?;
            stream.write_all(&greeting)?;
            Ok(stream)
        })
        .collect()
}

/// A connection that the kernel keeps little for, from an address of the loopback network.
fn connect(http: SocketAddr, client: usize) -> std::io::Result<TcpStream> {
    let last = u8::try_from(client + 1).expect("few clients");
    let source = SocketAddr::from((Ipv4Addr::new(127, 1, 0, last), 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(4096)?;
    socket.bind(&source.into())?;
    socket.connect(&http.into())?;
    socket.set_write_timeout(Some(Duration::from_secs(20)))?;
    Ok(socket.into())
}

/// A GET: two fields of the static table, and two of which it has the name (RFC 7541 §6.1, §6.2.2).
fn head(path: &str) -> Vec<u8> {
    let field = |name: u8, value: &str| {
        let length = u8::try_from(value.len()).expect("a short value");
        [&[name, length], value.as_bytes()].concat()
    };
    [vec![0x82, 0x86], field(4, path), field(1, HOST)].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
