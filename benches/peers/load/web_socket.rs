//! WebSockets that send a message as soon as the last has come back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Latency, Load};
use crate::proxy::HOST;

const CONNECTIONS: usize = 32;

/// What a chat or a notification has.
const BYTES: usize = 125;

pub(crate) fn run(http: SocketAddr, seconds: u64) -> Result<Load, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let started = Instant::now();
    let ends = started + Duration::from_secs(seconds);
    let all = runtime.block_on(async {
        let clients: Vec<_> =
            (0..CONNECTIONS).map(|_| tokio::spawn(keep_sending(http, ends))).collect();
        let mut all = Vec::new();
        for client in clients {
            let took = client.await.map_err(|error| error.to_string())?;
            all.extend(took.map_err(|error| format!("a WebSocket failed: {error}"))?);
        }
        Ok::<_, String>(all)
    })?;
    Ok(Load { count: all.len(), took: started.elapsed(), latency: Latency::of(all) })
}

async fn keep_sending(http: SocketAddr, ends: Instant) -> Result<Vec<Duration>, Error> {
    let stream = TcpStream::connect(http).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = client_async(format!("ws://{HOST}/socket"), stream).await?;
    let message = Message::text("x".repeat(BYTES));
    let mut took = Vec::new();
    while Instant::now() < ends {
        let sent = Instant::now();
        socket.send(message.clone()).await?;
        match socket.next().await {
            Some(Ok(echo)) if echo == message => took.push(sent.elapsed()),
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) | None => return Err(Error::ConnectionClosed),
        }
    }
    Ok(took)
}
