//! All that the API has: one table, from which the router and the `OpenAPI` document are made.

use http::{Method as Verb, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::input;
use super::problem::Problem;
use super::shapes::{Domain, NewDomain, Remove, Stats, Switch, Undo};
use crate::rpc::methods::{Method, Page, backend, domain, event, stats, switch};

/// One operation at one path.
pub(super) struct Route {
    pub(super) verb: Verb,
    /// As the router and `OpenAPI` write it.
    pub(super) path: &'static str,
    /// Its name in the `OpenAPI` document.
    pub(super) name: &'static str,
    pub(super) does: Does,
}

/// What is behind a route.
pub(super) enum Does {
    /// A method that the admin socket has too.
    Call(Operation),
    /// Whether the proxy serves.
    Health,
    /// The metrics, as Prometheus reads them.
    Metrics,
    /// The `OpenAPI` document.
    Document,
}

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

impl Route {
    /// What it does, in a sentence.
    pub(super) fn summary(&self) -> &'static str {
        match &self.does {
            Does::Call(operation) => operation.summary,
            Does::Health => "The health of the server. Needs no token.",
            Does::Metrics => "The metrics, as Prometheus reads them.",
            Does::Document => "This document.",
        }
    }

    /// The names in the path's braces.
    pub(super) fn in_path(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// `M`, of which a request gives the parameters.
const fn call<M: Method>(takes: Takes, done: Done) -> Operation {
    shaped::<M, M::Params>(takes, done)
}

/// `M`, of which a request gives the parameters as `G` reads them.
const fn shaped<M, G>(takes: Takes, done: Done) -> Operation
where
    M: Method,
    G: DeserializeOwned + Serialize + JsonSchema,
{
    Operation {
        method: M::NAME,
        summary: M::DOC,
        takes,
        given: G::json_schema,
        params: input::params::<M, G>,
        answer: Ok,
        result: SchemaGenerator::subschema_for::<M::Result>,
        done,
        streams: Streams::No,
    }
}

impl Operation {
    /// Its answer is what `A` reads of the method's result.
    const fn answered<A: DeserializeOwned + Serialize + JsonSchema>(self) -> Self {
        let answer = |result| serde_json::to_value(serde_json::from_value::<A>(result)?);
        Self { answer, result: SchemaGenerator::subschema_for::<A>, ..self }
    }

    const fn streaming(self, streams: Streams) -> Self {
        Self { streams, ..self }
    }
}

/// Where the API begins.
pub(super) const ROOT: &str = "/api/v1";

/// Where the server says how it is, to everybody.
pub(super) const HEALTH: &str = "/api/v1/health";

/// Makes the table of rows: `VERB PATH NAME: what is behind it;`. Paths begin at [`ROOT`].
macro_rules! routes {
    ($($verb:ident $path:literal $name:ident: $does:expr;)+) => {
        /// Every operation.
        pub(super) static ROUTES: &[Route] = &[$(Route {
            verb: Verb::$verb,
            path: concat!("/api/v1", $path),
            name: stringify!($name),
            does: $does,
        }),+];
    };
}

routes! {
    GET "/domains" list_domains: Does::Call(
        call::<domain::List>(Takes::Query, Done::State).answered::<Page<Domain>>());
    POST "/domains" add_domain: Does::Call(
        shaped::<domain::Add, NewDomain>(Takes::Body, Done::Created).answered::<Domain>());
    GET "/domains/{domain}" show_domain: Does::Call(
        call::<domain::Show>(Takes::Path, Done::State).answered::<Domain>());
    PUT "/domains/{domain}" set_domain: Does::Call(
        call::<domain::Set>(Takes::Body, Done::Shown).answered::<Domain>());
    DELETE "/domains/{domain}" remove_domain: Does::Call(
        call::<domain::Remove>(Takes::Path, Done::Gone));
    POST "/domains/{domain}/switch" switch_domain: Does::Call(
        shaped::<switch::Start, Switch>(Takes::OptionalBody, Done::Shown).streaming(Streams::Progress));
    POST "/domains/{domain}/undo" undo_switch: Does::Call(
        shaped::<switch::Undo, Undo>(Takes::OptionalBody, Done::Shown).streaming(Streams::Progress));
    GET "/backends" list_backends: Does::Call(call::<backend::List>(Takes::Query, Done::State));
    POST "/backends" add_backend: Does::Call(call::<backend::Add>(Takes::Body, Done::Created));
    GET "/backends/{id}" show_backend: Does::Call(call::<backend::Show>(Takes::Path, Done::State));
    PUT "/backends/{id}" set_backend: Does::Call(call::<backend::Set>(Takes::Body, Done::Shown));
    DELETE "/backends/{id}" remove_backend: Does::Call(
        shaped::<backend::Remove, Remove>(Takes::Query, Done::Gone));
    GET "/health" health: Does::Health;
    GET "/stats" stats: Does::Call(shaped::<stats::Get, Stats>(Takes::Query, Done::Shown));
    GET "/metrics" metrics: Does::Metrics;
    GET "/history" history: Does::Call(call::<event::List>(Takes::Query, Done::Shown));
    GET "/events" events: Does::Call(
        call::<event::Watch>(Takes::Query, Done::Shown).streaming(Streams::Reports));
    GET "/openapi.json" openapi: Does::Document;
}
