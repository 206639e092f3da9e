//! The two other ends, as processes of their own: the backend that every proxy has behind it, and the
//! bare relay, which is the floor.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// The paths that the backend knows, and how many bytes of body they have.
const BODIES: [(&str, usize); 4] =
    [("/", 13), ("/64k", 64 << 10), ("/10m", 10 << 20), (HELD, 10 << 20)];

/// An answer that is not read, of which the kernel keeps little: four thousand times what it keeps of others is
/// more than it has for all connections (`net.ipv4.tcp_mem`), and then it drops what comes on any.
pub(crate) const HELD: &str = "/held";
const HELD_SEND_BUFFER: usize = 64 << 10;

/// Connections that wait to be accepted: all streams of a case may come at once.
const BACKLOG: u32 = 4096;

/// Runs one of them when the arguments say so; otherwise comes back.
pub(crate) fn run_if_asked(arguments: &[String]) {
    let address = |index: usize| -> SocketAddr {
        arguments.get(index).and_then(|text| text.parse().ok()).expect("an address")
    };
    match arguments.first().map(String::as_str) {
        Some("--as-backend") => {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::join!(backend(address(1), 'a'), backend(address(2), 'b'));
            });
        }
        Some("--as-relay") => {
            // The shape that vhost has with one thread.
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.expect("a runtime");
            let relaying = runtime.spawn(relay(address(1), address(2)));
            runtime.block_on(relaying).expect("it goes on");
        }
        _ => {}
    }
}

async fn relay(listen: SocketAddr, backend: SocketAddr) {
    let listener = TcpListener::bind(listen).await.expect("a free address");
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            let Ok(mut server) = TcpStream::connect(backend).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

/// Answers made once: this end should cost as little as it can.
struct Answers {
    by_path: Vec<(&'static str, Answer)>,
    /// Which of the two backends this is.
    who: Answer,
}

struct Answer {
    kept: Vec<u8>,
    /// For a connection that ends with it.
    last: Vec<u8>,
}

impl Answers {
    fn new(who: char) -> Self {
        let body = |(path, length)| (path, Answer::new(&vec![b'x'; length]));
        Self {
            by_path: BODIES.into_iter().map(body).collect(),
            who: Answer::new(who.to_string().as_bytes()),
        }
    }

    fn to(&self, path: &str) -> &Answer {
        let known = self.by_path.iter().find(|(known, _)| *known == path);
        known.map_or(&self.who, |(_, answer)| answer)
    }
}

impl Answer {
    fn new(body: &[u8]) -> Self {
        let with = |more: &str| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nserver: app\r\ncontent-type: text/plain\r\n\
                 cache-control: no-cache\r\ncontent-length: {}\r\n{more}\r\n",
                body.len()
            );
            [head.as_bytes(), body].concat()
        };
        Self { kept: with(""), last: with("connection: close\r\n") }
    }
}

async fn backend(listen: SocketAddr, who: char) {
    // Dropping it at the end of the process is as good as freeing it.
    let answers: &'static Answers = Box::leak(Box::new(Answers::new(who)));
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("it takes the option");
    socket.bind(listen).expect("a free address");
    let listener = socket.listen(BACKLOG).expect("it listens");
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, answers));
    }
}

async fn serve(mut stream: TcpStream, answers: &'static Answers) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut buffer = vec![0; 64 << 10];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.ok().filter(|read| *read > 0)?;
        filled += read;
        let mut used = 0;
        while let Some(end) = find(&buffer[used..filled], b"\r\n\r\n") {
            let head = std::str::from_utf8(&buffer[used..used + end]).ok()?;
            used += end + 4;
            let path = head.split(' ').nth(1)?;
            if let Some(key) = header(head, "sec-websocket-key") {
                return echo(stream, key).await;
            }
            if path == HELD {
                SockRef::from(&stream).set_send_buffer_size(HELD_SEND_BUFFER).ok()?;
            }
            let answer = answers.to(path);
            let is_last = header(head, "connection") == Some("close");
            let mut body: usize = match header(head, "content-length") {
                Some(length) => length.parse().ok()?,
                None => 0,
            };
            let here = body.min(filled - used);
            used += here;
            body -= here;
            if body > 0 {
                // Everything that was read is used up.
                (used, filled) = (0, 0);
            }
            while body > 0 {
                let most = body.min(buffer.len());
                body -= stream.read(&mut buffer[..most]).await.ok().filter(|read| *read > 0)?;
            }
            stream.write_all(if is_last { &answer.last } else { &answer.kept }).await.ok()?;
            (!is_last).then_some(())?;
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
        // A head that doesn't fit is nothing that anybody here sends.
        (filled < buffer.len()).then_some(())?;
    }
}

async fn echo(mut stream: TcpStream, key: &str) -> Option<()> {
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() {
            break;
        }
        socket.send(message).await.ok()?;
    }
    Some(())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
