//! What is behind a route: a method, as HTTP asks for it and answers.

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::Problem;

/// A method as HTTP asks for it and answers.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    /// The method's name.
    pub(super) method: &'static str,
    /// What it does, in the words of the method.
    pub(super) summary: &'static str,
    /// Where what it takes stands, beside the path.
    pub(super) takes: Takes,
    /// The schema of all that a request gives, what stands in the path too.
    pub(super) given: fn(&mut SchemaGenerator) -> Schema,
    /// Makes the method's parameters of what a request gives.
    pub(super) params: fn(Map<String, Value>) -> Result<Value, Problem>,
    /// Makes the answer of the method's result.
    pub(super) answer: fn(Value) -> serde_json::Result<Value>,
    /// The schema of the answer.
    pub(super) result: fn(&mut SchemaGenerator) -> Schema,
    /// How it is answered when it is done.
    pub(super) done: Done,
    /// How it may be followed while it is under way.
    pub(super) streams: Streams,
}

/// Where a request has what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// In the path alone.
    Path,
    /// In the query.
    Query,
    /// In the body.
    Body,
    /// In the body, which may be empty.
    OptionalBody,
}

/// How a method that succeeded is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// 200, or 304 when the client has it already.
    State,
    /// 200 with what grows beside the state.
    Shown,
    /// 201, with where it is.
    Created,
    /// 204.
    Gone,
}

/// Whether an answer may come as server-sent events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streams {
    /// Never.
    No,
    /// When it is asked for: progress, then the result.
    Progress,
    /// Always: what is reported is what there is.
    Reports,
}

impl Done {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::State | Self::Shown => StatusCode::OK,
            Self::Created => StatusCode::CREATED,
            Self::Gone => StatusCode::NO_CONTENT,
        }
    }
}

impl Operation {
    /// Its answer is what `A` reads of the method's result.
    pub(super) const fn answered<A: DeserializeOwned + Serialize + JsonSchema>(self) -> Self {
        let answer = |result| serde_json::to_value(serde_json::from_value::<A>(result)?);
        Self { answer, result: SchemaGenerator::subschema_for::<A>, ..self }
    }

    pub(super) const fn streaming(self, streams: Streams) -> Self {
        Self { streams, ..self }
    }
}
