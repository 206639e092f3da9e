//! The admin socket, spoken by hand. The benchmarks use it too.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// How long an answer on the admin socket may take.
const ANSWER: Duration = Duration::from_secs(50);

/// The `error` of a response.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) code: i64,
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) whole: Value,
}

/// A connection to the admin socket that speaks JSON-RPC by hand.
pub(crate) struct RpcConnection {
    stream: BufReader<UnixStream>,
    next_id: u64,
}

impl RpcConnection {
    pub(crate) fn connect(socket: &Path) -> Self {
        Self::try_connect(socket).expect("the admin socket accepts")
    }

    pub(crate) fn try_connect(socket: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        Ok(Self { stream: BufReader::new(stream), next_id: 1 })
    }

    /// How long to wait for a line.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.stream.get_ref().set_read_timeout(Some(patience)).expect("a timeout can be set");
    }

    pub(crate) fn send_line(&mut self, line: &str) -> std::io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(line.as_bytes())?;
        stream.write_all(b"\n")
    }

    /// The next line that the server sends; nothing at the connection's end.
    pub(crate) fn read_line(&mut self) -> std::io::Result<Option<Value>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).map_err(std::io::Error::other)
    }

    /// Sends a request and gives its id.
    pub(crate) fn send(&mut self, method: &str, params: &Value) -> std::io::Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        self.send_line(&request(id, method, params).to_string())?;
        Ok(id)
    }

    /// Calls a method; its progress goes to `progress`. An I/O error means that no answer came.
    pub(crate) fn try_call(
        &mut self,
        method: &str,
        params: &Value,
        mut progress: impl FnMut(&Value),
    ) -> std::io::Result<Result<Value, Fault>> {
        let id = self.send(method, params)?;
        loop {
            let line = self.read_line()?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            if line["id"] == id {
                return Ok(outcome(line));
            }
            assert_eq!(line["method"], "progress", "unexpected line: {line}");
            assert_eq!(line["params"]["id"], id, "progress of another request: {line}");
            progress(&line["params"]["progress"]);
        }
    }

    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value, Fault> {
        self.try_call(method, params, |_| {}).expect("the server answers")
    }
}

/// A request as it is sent.
pub(crate) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn outcome(mut response: Value) -> Result<Value, Fault> {
    assert_eq!(response["jsonrpc"], "2.0", "{response}");
    let error = response["error"].take();
    if error.is_null() {
        return Ok(response["result"].take());
    }
    Err(Fault {
        code: error["code"].as_i64().expect("a code"),
        kind: error["data"]["kind"].as_str().unwrap_or_default().to_owned(),
        message: error["message"].as_str().expect("a message").to_owned(),
        whole: error,
    })
}
