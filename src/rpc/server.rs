//! Accepts connections at the admin socket, checks who comes, and reads and writes lines.
//!
//! Requests of one connection are carried out in their order, one after the other; whoever wants
//! two things at once opens two connections.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Join};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use self::conversation::{Conversation, response};
use self::limits::Limits;
use super::dispatch::Dispatch;
use super::envelope::RequestId;
use super::fault;
use super::peer_check::PeerCheck;
use super::progress::{MAX_WAITING, Outgoing, WaitingBudget};
use super::socket::AdminSocket;
use crate::accept::{Accepting, Closing, until_closed};
use crate::model::{Actor, with_causes};

mod conversation;
mod limits;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use request::read_json;

/// How long a client that is turned away may take to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the reader of a connection holds: most requests fit, and an idle connection costs little.
const READ_AHEAD: usize = 1024;

/// A connection of which the beginning may have been read.
pub(crate) type HttpStream = Join<BufReader<OwnedReadHalf>, OwnedWriteHalf>;

/// Serves a connection that speaks HTTP, to its end. Given by the server, so that this room need not
/// know how.
pub(crate) type ServeHttp =
    Arc<dyn Fn(HttpStream, Actor) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Serves the socket: accepts until `closing` says so, in the runtime that this is called in.
pub(crate) fn serve(
    listener: UnixListener,
    socket: &AdminSocket,
    dispatch: Dispatch,
    http: ServeHttp,
    closing: Closing,
) {
    let speakers = Speakers { dispatch, http };
    let accepting = accept(listener, socket.peer_check, speakers, Limits::default());
    tokio::spawn(until_closed(closing, accepting));
}

/// Who answers, for each of the two protocols.
#[derive(Clone)]
struct Speakers {
    dispatch: Dispatch,
    http: ServeHttp,
}

async fn accept(listener: UnixListener, peer_check: PeerCheck, speakers: Speakers, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut patience = limits.place_wait;
    let mut accepting = Accepting::new("admin socket");
    loop {
        let (stream, _) = accepting.next(|| listener.accept()).await;
        if let Ok(place) = timeout(patience, Arc::clone(&places).acquire_owned()).await {
            patience = limits.place_wait;
            let speakers = speakers.clone();
            let open = speakers.dispatch.enter();
            tokio::spawn(async move {
                connection(stream, peer_check, speakers, limits).await;
                drop((place, open));
            });
        } else {
            // Those behind it have waited as long.
            patience = Duration::ZERO;
            turn_away(stream, limits.connections).await;
        }
    }
}

/// Refuses a client for which there is no place. A new connection has room for the line, so this
/// doesn't wait for the client.
async fn turn_away(mut stream: UnixStream, connections: usize) {
    tracing::warn!(connections, "refused at the admin socket: too many connections");
    if let Ok(mut line) = serde_json::to_vec(&response(RequestId::Null, None, Err(fault::full()))) {
        line.push(b'\n');
        let _ = timeout(LAST_WORDS, stream.write_all(&line)).await;
    }
}

async fn connection(stream: UnixStream, peer_check: PeerCheck, speakers: Speakers, limits: Limits) {
    let Ok(peer) = stream.peer_cred() else { return };
    if peer_check.refuses_itself(peer.pid()) {
        tracing::warn!("refused at the admin socket: a backend of this server leads to it");
        return;
    }
    let admitted = peer_check.check(&stream, peer.uid(), peer.gid());
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(READ_AHEAD, reader);
    let actor = Actor::Socket { uid: peer.uid(), pid: peer.pid() };
    if admitted.is_ok() {
        match timeout(limits.idle, speaks_http(&mut reader)).await {
            Ok(true) => return (speakers.http)(tokio::io::join(reader, writer), actor).await,
            Ok(false) => {}
            Err(_) => return,
        }
    }
    let (lines, outgoing) = mpsc::channel(MAX_WAITING);
    let writing = tokio::spawn(write(writer, outgoing, limits.slowest_reader));
    let budget = WaitingBudget::default();
    let conversation = Conversation {
        dispatch: speakers.dispatch,
        actor,
        lines,
        budget,
        limits,
        has_asked: false,
    };
    match admitted {
        Ok(()) => conversation.hold(reader).await,
        Err(why) => {
            let reason = with_causes(&why);
            tracing::warn!(peer_uid = peer.uid(), reason, "refused at the admin socket");
            conversation.refuse(fault::denied(peer.uid())).await;
            drop(conversation);
        }
    }
    let _ = writing.await;
}

/// Writes lines until no more come, or the client takes them too slowly.
async fn write(
    mut writer: OwnedWriteHalf,
    mut lines: mpsc::Receiver<Outgoing>,
    slowest_reader: Duration,
) {
    while let Some(Outgoing { mut text, written, waiting }) = lines.recv().await {
        text.push('\n');
        match timeout(slowest_reader, writer.write_all(text.as_bytes())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::info!("dropped a client of the admin socket that does not read");
                return;
            }
        }
        drop(waiting);
        if let Some(written) = written {
            // The conversation may have ended meanwhile.
            let _ = written.send(());
        }
    }
}

/// Whether the first bytes are HTTP: a request line begins with a method in capitals (RFC 9110 §9.1),
/// and no JSON does.
async fn speaks_http(reader: &mut BufReader<OwnedReadHalf>) -> bool {
    reader.fill_buf().await.is_ok_and(|bytes| bytes.first().is_some_and(u8::is_ascii_uppercase))
}
