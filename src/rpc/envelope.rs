//! The JSON-RPC 2.0 envelope: requests, responses, notifications and errors, without their content.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::version::PeerVersion;
use crate::model::BackendAnswer;

/// The longest line that a client reads, in bytes. [`limit`] keeps the server's lines below it.
pub const MAX_LINE: usize = 64 * 1024 * 1024;

/// What the server bounds, so that no client makes it hold more than it can.
pub mod limit {
    /// The longest line that the server reads, in bytes: room for a batch of several thousand changes.
    pub const REQUEST: usize = 4 * 1024 * 1024;
    /// The most requests in a batch.
    pub const BATCH: usize = 10_000;
    /// The longest result, in bytes.
    pub const RESULT: usize = 40 * 1024 * 1024;
    /// When the answers of a batch have come to so many bytes, the rest of it is not carried out.
    pub const BATCH_ANSWER: usize = 16 * 1024 * 1024;
    /// The longest text that is an id, in bytes.
    pub const ID: usize = 1024;
    /// Connections at once.
    pub const CONNECTIONS: usize = 2048;
}

/// The method of the notifications that a long operation sends before its result.
pub const PROGRESS: &str = "progress";

/// The method of the notifications that only show that the server is there.
pub const HEARTBEAT: &str = "heartbeat";

/// The `jsonrpc` member: always `"2.0"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version;

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("2.0")
    }
}

/// The id of a request: a string, a number or null (JSON-RPC 2.0 §4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RequestId {
    /// A number.
    Number(i64),
    /// A string.
    Text(String),
    /// What the server answers with when it could not read the id.
    Null,
}

/// A request as the client writes it.
#[derive(Debug, Clone, Serialize)]
pub struct Request<'a, P> {
    /// `"2.0"`.
    pub jsonrpc: Version,
    /// What the response will carry.
    pub id: RequestId,
    /// Whose request it is.
    pub client: PeerVersion,
    /// The method's name.
    pub method: &'a str,
    /// Its parameters.
    pub params: P,
}

/// A response as the server writes it.
#[derive(Debug, Clone, Serialize)]
pub struct Response {
    /// `"2.0"`.
    pub jsonrpc: Version,
    /// The request's id.
    pub id: RequestId,
    /// Whose answer it is, for a client that said its own version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<PeerVersion>,
    /// The result or the error.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What a response carries: one of the two.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The method's result.
    Result(Value),
    /// Why there is none.
    Error(Fault),
}

/// A notification as the server writes it.
#[derive(Debug, Clone, Serialize)]
pub struct Notification<P> {
    /// `"2.0"`.
    pub jsonrpc: Version,
    /// [`PROGRESS`] or [`HEARTBEAT`].
    pub method: &'static str,
    /// Its parameters; those of [`PROGRESS`] are [`ProgressParams`].
    pub params: P,
}

/// The parameters of a progress notification.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProgressParams {
    /// The id of the request that is under way.
    pub id: RequestId,
    /// How far it is; the method says what this holds.
    pub progress: Value,
}

/// Any line that the server sends, as the client reads it.
#[derive(Debug, Clone, Deserialize)]
pub struct Incoming {
    /// The request it answers; absent in notifications.
    pub id: Option<RequestId>,
    /// Whose answer it is.
    #[serde(default, deserialize_with = "lenient")]
    pub server: Option<PeerVersion>,
    /// The method of a notification.
    pub method: Option<String>,
    /// The parameters of a notification.
    pub params: Option<Value>,
    /// The result of a request that succeeded.
    #[serde(default)]
    pub result: Option<Value>,
    /// The error of one that did not.
    pub error: Option<Fault>,
}

/// An error as it goes over the wire (JSON-RPC 2.0 §5.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// One of the standard codes, or [`code::PRODUCT`].
    pub code: i32,
    /// What failed, and why, in one line.
    pub message: String,
    /// Details for scripts and people.
    #[serde(default)]
    pub data: FaultData,
}

/// The product's part of an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultData {
    /// The stable name of the error's class.
    #[serde(default)]
    pub kind: FaultKind,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The id under which the server's log has details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// If a gate failed: the backends with their last answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub backends: Vec<BackendAnswer>,
    /// Everything that is wrong in a config file, each as `file:line: key: what is wrong`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The classes of errors. Their names are stable: scripts compare them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    // Never of a method: a script that takes `not_found` for a missing domain must not meet it because
    // the server is older than its client.
    /// There is no such domain, backend or tag.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The request itself is wrong, whatever the state: it is malformed, contradicts itself, or has a method
    /// or a parameter that this server doesn't know. The code says which.
    Invalid,
    /// The state does not allow it now: it has changed, or another operation is running.
    Conflict,
    /// The new tag did not pass: not healthy in time, less capacity, a failed smoke request, or a hook refused.
    Unhealthy,
    /// It did not end in time.
    Timeout,
    /// The caller is not allowed to do this.
    Denied,
    /// The server failed; its log says how.
    Internal,
    /// A class of a newer server that this client does not know. No server sends it.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Reads what a newer peer may write otherwise; what cannot be read is as if it were not there.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Error codes: those of JSON-RPC 2.0 §5.1, and the product's own.
pub mod code {
    /// The line is not JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// The JSON is not a request.
    pub const INVALID_REQUEST: i32 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The parameters are not the method's.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The server failed.
    pub const INTERNAL_ERROR: i32 = -32603;
    /// An error of the product; `data.kind` says which.
    pub const PRODUCT: i32 = -32000;
    /// Client and server are of versions too far apart.
    pub const VERSION: i32 = -32001;
    /// The state is not of the revision that the caller has seen; only of a request over HTTP, by its
    /// `If-Match`.
    pub const REVISION: i32 = -32002;
}
