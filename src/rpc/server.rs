//! Accepts connections at the admin socket, checks who comes, and reads and writes lines.
//!
//! Requests of one connection are carried out in their order, one after the other; whoever wants
//! two things at once opens two connections.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest, Ready};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::dispatch::{Call, Dispatch};
use super::envelope::{Answer, Fault, RequestId, Response, Version, code};
use super::fault;
use super::progress::ProgressSink;
use super::socket::{AdminSocket, Gate};
use crate::model::Actor;

/// The longest request, in bytes: room for a batch of several thousand changes.
const MAX_REQUEST: usize = 4 * 1024 * 1024;

/// Connections at once.
const MAX_CONNECTIONS: usize = 2048;

/// How long a connection may be silent between requests.
const IDLE: Duration = Duration::from_mins(10);

/// How long a client may take to read an answer.
const SLOWEST_READER: Duration = Duration::from_secs(30);

/// How long a client waits for a place before it is told that there is none.
const PLACE_WAIT: Duration = Duration::from_secs(10);

/// How long a client that is turned away may take to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Between two looks whether a client that sends no more still listens.
const HANG_UP_LOOK: Duration = Duration::from_millis(500);

/// Lines that wait for a slow client before its requests wait too.
const LINES_AHEAD: usize = 64;

/// Serves the socket until the runtime that this is called in ends.
///
/// # Errors
/// When the socket can't be handed to the runtime.
pub fn serve(socket: &AdminSocket, dispatch: Dispatch) -> std::io::Result<()> {
    let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
    tokio::spawn(accept(listener, socket.gate, dispatch));
    Ok(())
}

async fn accept(listener: UnixListener, gate: Gate, dispatch: Dispatch) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut patience = PLACE_WAIT;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(place) = timeout(patience, Arc::clone(&places).acquire_owned()).await {
                    patience = PLACE_WAIT;
                    let dispatch = dispatch.clone();
                    tokio::spawn(async move {
                        connection(stream, gate, dispatch).await;
                        drop(place);
                    });
                } else {
                    // Those behind it have waited as long.
                    patience = Duration::ZERO;
                    turn_away(stream).await;
                }
            }
            Err(error) => {
                // Out of file descriptors, most likely; they come back as connections end.
                tracing::warn!(%error, "cannot accept at the admin socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Tells a client that there is no place for it. A new connection has room for the line, so this
/// doesn't wait for the client.
async fn turn_away(mut stream: UnixStream) {
    tracing::warn!(
        connections = MAX_CONNECTIONS,
        "refused at the admin socket: too many connections"
    );
    if let Ok(mut line) = serde_json::to_vec(&response(RequestId::Null, Err(fault::full()))) {
        line.push(b'\n');
        let _ = timeout(LAST_WORDS, stream.write_all(&line)).await;
    }
}

async fn connection(stream: UnixStream, gate: Gate, dispatch: Dispatch) {
    let Ok(peer) = stream.peer_cred() else { return };
    let (reader, writer) = stream.into_split();
    let (lines, outgoing) = mpsc::channel(LINES_AHEAD);
    let writing = tokio::spawn(write_lines(writer, outgoing));
    let conversation =
        Conversation { dispatch, actor: Actor::Socket { uid: peer.uid(), pid: peer.pid() }, lines };
    if gate.admits(peer.uid(), peer.gid()) {
        conversation.hold(BufReader::new(reader)).await;
    } else {
        tracing::warn!(peer_uid = peer.uid(), "refused at the admin socket");
        conversation.answer(RequestId::Null, Err(fault::denied(peer.uid()))).await;
        drop(conversation);
    }
    let _ = writing.await;
}

/// One client's side of the socket.
struct Conversation {
    dispatch: Dispatch,
    actor: Actor,
    lines: mpsc::Sender<String>,
}

impl Conversation {
    async fn hold(self, mut reader: BufReader<OwnedReadHalf>) {
        // Nobody hears the answer of a client that no longer takes any, so nothing more is done for it.
        while !self.lines.is_closed() {
            match timeout(IDLE, read_line(&mut reader)).await {
                Ok(Line::Request(line)) => self.carry_out(&line).await,
                Ok(Line::TooLong) => {
                    let message = format!("a request has at most {MAX_REQUEST} bytes");
                    let hint = Some("send it in parts");
                    let fault = fault::of_message(code::INVALID_REQUEST, message, hint);
                    return self.answer(RequestId::Null, Err(fault)).await;
                }
                Ok(Line::End) | Err(_) => return,
            }
        }
    }

    /// One line: a request, or a batch of them.
    async fn carry_out(&self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match serde_json::from_slice(line) {
            Err(error) => {
                let message = format!("not JSON: {error}");
                let hint = Some("send one JSON-RPC 2.0 message a line");
                let fault = fault::of_message(code::PARSE_ERROR, message, hint);
                self.answer(RequestId::Null, Err(fault)).await;
            }
            Ok(Value::Array(batch)) if batch.is_empty() => {
                let fault = fault::of_message(code::INVALID_REQUEST, "the batch is empty", None);
                self.answer(RequestId::Null, Err(fault)).await;
            }
            Ok(Value::Array(batch)) => {
                let mut responses = Vec::new();
                for request in batch {
                    responses.extend(self.request(request).await);
                }
                // A batch of notifications alone has no answer (JSON-RPC 2.0 §6).
                if !responses.is_empty() {
                    self.send(&responses).await;
                }
            }
            Ok(request) => {
                if let Some(response) = self.request(request).await {
                    self.send(&response).await;
                }
            }
        }
    }

    /// Carries out one request. A notification, a request without an id, has no response.
    async fn request(&self, request: Value) -> Option<Response> {
        let parsed = match parse(request) {
            Ok(parsed) => parsed,
            Err(refused) => {
                let Refused { id, fault } = *refused;
                return id.map(|id| response(id, Err(fault)));
            }
        };
        let call = Call {
            actor: self.actor.clone(),
            request_id: format!("{:08x}", fastrand::u32(..)),
            progress: ProgressSink::new(parsed.id.clone(), self.lines.clone()),
        };
        tracing::debug!(
            rpc_method = parsed.method,
            request_id = call.request_id,
            actor = %call.actor,
            "rpc"
        );
        let result = self.dispatch.call(&parsed.method, parsed.params, &call).await;
        parsed.id.map(|id| response(id, result))
    }

    async fn answer(&self, id: RequestId, result: Result<Value, Fault>) {
        self.send(&response(id, result)).await;
    }

    async fn send<T: serde::Serialize>(&self, message: &T) {
        if let Ok(line) = serde_json::to_string(message) {
            let _ = self.lines.send(line).await;
        }
    }
}

struct Parsed {
    id: Option<RequestId>,
    method: String,
    params: Value,
}

/// What is not carried out, and whom to tell; nobody, of a notification.
struct Refused {
    id: Option<RequestId>,
    fault: Fault,
}

/// Reads a request object (JSON-RPC 2.0 §4).
fn parse(request: Value) -> Result<Parsed, Box<Refused>> {
    let invalid = |id, message: &str| {
        let fault = fault::of_message(code::INVALID_REQUEST, message, Some("see JSON-RPC 2.0 §4"));
        Box::new(Refused { id: Some(id), fault })
    };
    let Value::Object(mut members) = request else {
        return Err(invalid(RequestId::Null, "a request is an object"));
    };
    let id =
        match members.remove("id") {
            None => None,
            Some(id) => Some(serde_json::from_value::<RequestId>(id).map_err(|_| {
                invalid(RequestId::Null, "`id` is a whole number, a string or null")
            })?),
        };
    let whose = id.clone().unwrap_or(RequestId::Null);
    if members.remove("jsonrpc") != Some(Value::from("2.0")) {
        return Err(invalid(whose, "`jsonrpc` is not `2.0`"));
    }
    let Some(Value::String(method)) = members.remove("method") else {
        return Err(invalid(whose, "`method` is missing or not a string"));
    };
    let params = members.remove("params").unwrap_or(Value::Null);
    if params.is_object() || params.is_null() {
        Ok(Parsed { id, method, params })
    } else {
        let hint = Some("name each");
        let fault = fault::of_message(code::INVALID_PARAMS, "`params` is not an object", hint);
        Err(Box::new(Refused { id, fault }))
    }
}

fn response(id: RequestId, result: Result<Value, Fault>) -> Response {
    let answer = match result {
        Ok(result) => Answer::Result(result),
        Err(fault) => Answer::Error(fault),
    };
    Response { jsonrpc: Version, id, answer }
}

enum Line {
    Request(Vec<u8>),
    TooLong,
    End,
}

async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> Line {
    let mut line = Vec::new();
    loop {
        let Ok(available) = reader.fill_buf().await else { return Line::End };
        if available.is_empty() {
            // Half a message at the end is none.
            return Line::End;
        }
        let newline = available.iter().position(|byte| *byte == b'\n');
        let taken = newline.unwrap_or(available.len());
        if line.len() + taken > MAX_REQUEST {
            return Line::TooLong;
        }
        line.extend_from_slice(&available[..taken]);
        reader.consume(newline.map_or(taken, |newline| newline + 1));
        if newline.is_some() {
            return Line::Request(line);
        }
    }
}

/// Writes until there is nothing more to write, or the client doesn't take it.
async fn write_lines(mut writer: OwnedWriteHalf, mut lines: mpsc::Receiver<String>) {
    loop {
        let next = tokio::select! {
            biased;
            line = lines.recv() => line,
            () = hung_up(&writer) => None,
        };
        let Some(mut line) = next else { return };
        line.push('\n');
        match timeout(SLOWEST_READER, writer.write_all(line.as_bytes())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Waits until the client has closed both ways. Whoever only waits for what may come, and has nothing
/// to write, would not notice otherwise. One that has closed its own way still listens.
async fn hung_up(writer: &OwnedWriteHalf) {
    while let Ok(ready) = writer.ready(Interest::READABLE).await {
        if ready.is_read_closed()
            && writer.ready(Interest::WRITABLE).await.is_ok_and(Ready::is_write_closed)
        {
            return;
        }
        // There are requests to be read, or there will be no more.
        tokio::time::sleep(HANG_UP_LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_notification_has_no_answer_even_when_its_parameters_are_wrong() {
        let refused = |request| parse(request).err().expect("params are named");
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": "domain.show", "params": ["x"]});
        let with_id = refused(request.clone());
        assert_eq!(with_id.id, Some(RequestId::Number(7)));
        assert_eq!(with_id.fault.code, code::INVALID_PARAMS);
        let mut notification = request;
        notification.as_object_mut().unwrap().remove("id");
        assert_eq!(refused(notification).id, None);
        // What is no request at all is answered, to nobody in particular.
        assert_eq!(refused(json!({"method": "domain.show"})).id, Some(RequestId::Null));
    }

    #[tokio::test]
    async fn a_client_without_a_place_is_told_so() {
        let (theirs, ours) = UnixStream::pair().unwrap();
        turn_away(ours).await;
        let mut line = String::new();
        BufReader::new(theirs).read_line(&mut line).await.unwrap();
        assert!(line.contains("too many connections") && line.ends_with('\n'), "{line}");
    }
}
