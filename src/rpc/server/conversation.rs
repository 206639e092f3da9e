//! One client's side of the socket: requests become calls, results become answers.

use serde_json::Value;
use tokio::io::BufReader;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::limits::Limits;
use super::request::{self, Parsed, Refused};
use crate::model::{Actor, shorten};
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::envelope::{Answer, Fault, RequestId, Response, Version, code};
use crate::rpc::fault;
use crate::rpc::lines::{self, Line};
use crate::rpc::progress::{Outgoing, ProgressSink, WaitingBudget};
use crate::rpc::version::PeerVersion;

/// One client's side of the socket.
pub(super) struct Conversation {
    pub(super) dispatch: Dispatch,
    pub(super) actor: Actor,
    pub(super) lines: mpsc::Sender<Outgoing>,
    pub(super) budget: WaitingBudget,
    pub(super) limits: Limits,
    /// Whether it has asked for anything since this was last looked at: blank lines and what is no
    /// request don't keep a connection.
    pub(super) has_asked: bool,
}

impl Conversation {
    pub(super) async fn hold(mut self, mut reader: BufReader<OwnedReadHalf>) {
        let mut deadline = Instant::now() + self.limits.idle;
        // A client that reads no more answers gets no more requests carried out.
        while !self.lines.is_closed() {
            let max = self.limits.request;
            match timeout_at(deadline, lines::read(&mut reader, max)).await {
                // What a call needs is kept apart, so that an idle connection costs little.
                Ok(Ok(Line::Whole(line))) => {
                    Box::pin(self.carry_out(&line)).await;
                    if std::mem::take(&mut self.has_asked) {
                        deadline = Instant::now() + self.limits.idle;
                    }
                }
                Ok(Ok(Line::TooLong)) => {
                    let message = format!("a request has at most {max} bytes");
                    let hint = Some("send it in parts");
                    let fault = fault::of_message(code::INVALID_REQUEST, message, hint);
                    return self.refuse(fault).await;
                }
                Ok(Ok(Line::End) | Err(_)) | Err(_) => return,
            }
        }
    }

    /// Answers what is not a request, with a null id.
    pub(super) async fn refuse(&self, fault: Fault) {
        self.log(None, &fault);
        if let Some(text) = self.text_of(response(RequestId::Null, None, Err(fault))) {
            self.send(text).await;
        }
    }

    /// One line: a request, or a batch of them.
    async fn carry_out(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match request::json(line) {
            Err(fault) => self.refuse(*fault).await,
            Ok(Value::Array(batch)) => self.batch(batch).await,
            Ok(request) => {
                if let Some(text) = self.request(request).await {
                    self.send(text).await;
                }
            }
        }
    }

    /// Carries out the requests of a batch in their order; their answers are one line.
    async fn batch(&mut self, batch: Vec<Value>) {
        let Limits { batch: most, batch_answer, .. } = self.limits;
        let wrong = match batch.len() {
            0 => Some(("the batch is empty".to_owned(), None)),
            size if size > most => {
                let message = format!("a batch has at most {most} requests, this one {size}");
                Some((message, Some("send it in parts")))
            }
            _ => None,
        };
        if let Some((message, hint)) = wrong {
            let fault = fault::of_message(code::INVALID_REQUEST, message, hint);
            return self.refuse(fault).await;
        }
        let mut answers = String::new();
        for request in batch {
            let answer = if answers.len() > batch_answer {
                self.cut_off(request)
            } else {
                self.request(request).await
            };
            if let Some(answer) = answer {
                answers.push(if answers.is_empty() { '[' } else { ',' });
                answers.push_str(&answer);
            }
        }
        // A batch of notifications alone has no answer (JSON-RPC 2.0 §6).
        if !answers.is_empty() {
            answers.push(']');
            self.send(answers).await;
        }
    }

    /// Carries out one request and gives its answer. A notification, a request without an id, has
    /// none.
    async fn request(&mut self, request: Value) -> Option<String> {
        let Parsed { id, client, method, params } = match request::parse(request) {
            Ok(parsed) => parsed,
            Err(refused) => return self.refused(*refused),
        };
        self.has_asked = true;
        let progress = match &id {
            Some(id) => ProgressSink::Lines {
                id: id.clone(),
                lines: self.lines.clone(),
                budget: self.budget.clone(),
            },
            None => ProgressSink::Nobody,
        };
        let call = Call::new(self.actor.clone(), progress);
        let shown = shorten(&method, fault::MAX_ECHOED);
        tracing::debug!(rpc_method = shown, request_id = call.request_id, actor = %call.actor, "rpc");
        let result = self.dispatch.call(&method, params, &call).await;
        let result = result.map_err(|fault| fault::seen_by(fault, client));
        if let Err(fault) = &result
            && fault.code != code::PRODUCT
        {
            self.log(Some(&method), fault);
        }
        self.text_of(response(id?, client, result))
    }

    fn refused(&self, refused: Refused) -> Option<String> {
        let Refused { id, client, fault } = refused;
        self.log(None, &fault);
        self.text_of(response(id?, client, Err(fault)))
    }

    fn cut_off(&self, request: Value) -> Option<String> {
        let (id, client) = match request::parse(request) {
            Ok(Parsed { id, client, .. }) => (id, client),
            Err(refused) => return self.refused(*refused),
        };
        let fault = fault::batch_cut_off(self.limits.batch_answer);
        self.log(None, &fault);
        self.text_of(response(id?, client, Err(fault)))
    }

    /// Says in the log what is not answered with an event or a result.
    fn log(&self, method: Option<&str>, fault: &Fault) {
        let Fault { code, message, .. } = fault;
        let method = method.map(|method| shorten(method, fault::MAX_ECHOED));
        tracing::info!(rpc_method = method, actor = %self.actor, code, error = message, "rpc refused");
    }

    /// A response as text, or in its place that it is too long.
    fn text_of(&self, response: Response) -> Option<String> {
        let text = serde_json::to_string(&response).ok()?;
        let most = self.limits.result;
        if text.len() <= most {
            return Some(text);
        }
        let fault = fault::result_too_long(text.len(), most);
        self.log(None, &fault);
        let Response { id, server, .. } = response;
        let short = Response { jsonrpc: Version, id, server, answer: Answer::Error(fault) };
        serde_json::to_string(&short).ok()
    }

    /// Sends a line and waits until the client's side has taken it: what is done for a client that
    /// doesn't read ends here, and so does the memory that its answers take.
    async fn send(&self, text: String) {
        let (written, taken) = oneshot::channel();
        if self.lines.send(Outgoing { text, written: Some(written), waiting: None }).await.is_ok() {
            // An error is that of the writer, which has ended; the loop sees it.
            let _ = taken.await;
        }
    }
}

pub(super) fn response(
    id: RequestId,
    client: Option<PeerVersion>,
    result: Result<Value, Fault>,
) -> Response {
    let answer = match result {
        Ok(result) => Answer::Result(result),
        Err(fault) => Answer::Error(fault),
    };
    Response { jsonrpc: Version, id, server: client.map(|_| PeerVersion::OWN), answer }
}
