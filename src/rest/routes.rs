//! All that the API has: one table, from which the router and the `OpenAPI` document are made.

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::health::Health;
use super::input::{self, Given};
use super::problem::Problem;
use super::shapes;
use crate::rpc::methods::{Method, backend, domain, event, stats, switch};

/// One operation at one path.
pub(super) struct Route {
    pub(super) verb: Verb,
    /// As the router and `OpenAPI` write it.
    pub(super) path: &'static str,
    /// Its name in the `OpenAPI` document.
    pub(super) name: &'static str,
    /// What it does, in a sentence.
    pub(super) summary: &'static str,
    pub(super) does: Does,
}

/// How an operation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
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
pub(super) struct Operation {
    /// The method's name.
    pub(super) method: &'static str,
    /// Where what it takes stands, beside the path.
    pub(super) takes: Takes,
    /// Makes the method's parameters.
    pub(super) params: fn(Given) -> Result<Value, Problem>,
    /// The schema of its result.
    pub(super) result: fn(&mut SchemaGenerator) -> Schema,
    /// How it is answered when it is done.
    pub(super) done: Done,
    /// How it may be followed while it is under way.
    pub(super) streams: Streams,
}

/// Where a request has what it gives.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    /// In the path alone.
    Path,
    /// In the query.
    Query(fn(&mut SchemaGenerator) -> Schema),
    /// In the body.
    Body(fn(&mut SchemaGenerator) -> Schema),
    /// In the body, which may be empty.
    OptionalBody(fn(&mut SchemaGenerator) -> Schema),
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

impl Verb {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

impl Route {
    /// The names in the path's braces.
    pub(super) fn in_path(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

const fn call<M: Method>(
    takes: Takes,
    params: fn(Given) -> Result<Value, Problem>,
    done: Done,
) -> Does {
    called::<M>(takes, params, done, Streams::No)
}

const fn called<M: Method>(
    takes: Takes,
    params: fn(Given) -> Result<Value, Problem>,
    done: Done,
    streams: Streams,
) -> Does {
    let result = SchemaGenerator::subschema_for::<M::Result>;
    Does::Call(Operation { method: M::NAME, takes, params, result, done, streams })
}

const fn shape<T: JsonSchema>() -> fn(&mut SchemaGenerator) -> Schema {
    T::json_schema
}

/// Where the API begins.
pub(super) const ROOT: &str = "/api/v1";

/// Where the server says how it is, to everybody.
pub(super) const HEALTH: &str = "/api/v1/health";

/// The schema of what [`Does::Health`] answers.
pub(super) const HEALTH_SCHEMA: fn(&mut SchemaGenerator) -> Schema =
    SchemaGenerator::subschema_for::<Health>;

/// Every operation.
pub(super) static ROUTES: &[Route] = &[
    Route {
        verb: Verb::Get,
        path: "/api/v1/domains",
        name: "list_domains",
        summary: "The domains by name, page by page.",
        does: call::<domain::List>(
            Takes::Query(shape::<domain::ListParams>()),
            input::query::<domain::ListParams>,
            Done::State,
        ),
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/domains",
        name: "add_domain",
        summary: "Adds a domain.",
        does: call::<domain::Add>(
            Takes::Body(shape::<domain::AddParams>()),
            input::new_domain::<domain::AddParams>,
            Done::Created,
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/api/v1/domains/{domain}",
        name: "show_domain",
        summary: "One domain, by its name or an alias.",
        does: call::<domain::Show>(Takes::Path, input::path::<domain::DomainParams>, Done::State),
    },
    Route {
        verb: Verb::Put,
        path: "/api/v1/domains/{domain}",
        name: "set_domain",
        summary: "Changes the options of a domain that are given; the others stay.",
        does: call::<domain::Set>(
            Takes::Body(shape::<domain::SetParams>()),
            input::set_domain::<domain::SetParams>,
            Done::Shown,
        ),
    },
    Route {
        verb: Verb::Delete,
        path: "/api/v1/domains/{domain}",
        name: "remove_domain",
        summary: "Removes a domain with its aliases.",
        does: call::<domain::Remove>(Takes::Path, input::path::<domain::DomainParams>, Done::Gone),
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/domains/{domain}/switch",
        name: "switch_domain",
        summary: "Moves a domain to a tag, or to the other one: checks it, switches in one step, drains \
                  the old one.",
        does: called::<switch::Start>(
            Takes::OptionalBody(shape::<shapes::Switch>()),
            input::switch::<switch::StartParams>,
            Done::Shown,
            Streams::Progress,
        ),
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/domains/{domain}/undo",
        name: "undo_switch",
        summary: "Moves a domain back to the tag before, through the same gate.",
        does: called::<switch::Undo>(
            Takes::OptionalBody(shape::<shapes::Undo>()),
            input::undo::<switch::UndoParams>,
            Done::Shown,
            Streams::Progress,
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/api/v1/backends",
        name: "list_backends",
        summary: "The backends by id, page by page.",
        does: call::<backend::List>(
            Takes::Query(shape::<backend::ListParams>()),
            input::query::<backend::ListParams>,
            Done::State,
        ),
    },
    Route {
        verb: Verb::Post,
        path: "/api/v1/backends",
        name: "add_backend",
        summary: "Adds a backend; it is probed at once.",
        does: call::<backend::Add>(
            Takes::Body(shape::<backend::AddParams>()),
            input::body::<backend::AddParams>,
            Done::Created,
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/api/v1/backends/{id}",
        name: "show_backend",
        summary: "One backend.",
        does: call::<backend::Show>(
            Takes::Path,
            input::path::<backend::BackendParams>,
            Done::State,
        ),
    },
    Route {
        verb: Verb::Put,
        path: "/api/v1/backends/{id}",
        name: "set_backend",
        summary: "Changes what is given of a backend, all at once; the rest stays. Requests it has go on.",
        does: call::<backend::Set>(
            Takes::Body(shape::<backend::SetParams>()),
            input::set_backend::<backend::SetParams>,
            Done::Shown,
        ),
    },
    Route {
        verb: Verb::Delete,
        path: "/api/v1/backends/{id}",
        name: "remove_backend",
        summary: "Drains a backend and removes it.",
        does: call::<backend::Remove>(
            Takes::Query(shape::<shapes::Remove>()),
            input::remove_backend::<backend::DrainParams>,
            Done::Gone,
        ),
    },
    Route {
        verb: Verb::Get,
        path: HEALTH,
        name: "health",
        summary: "Whether the proxy serves. Wants no token.",
        does: Does::Health,
    },
    Route {
        verb: Verb::Get,
        path: "/api/v1/stats",
        name: "stats",
        summary: "How traffic is: figures of all domains, of each with its tags, and of each backend.",
        does: call::<stats::Get>(Takes::Query(shape::<shapes::Stats>()), input::stats, Done::Shown),
    },
    Route {
        verb: Verb::Get,
        path: "/api/v1/metrics",
        name: "metrics",
        summary: "The metrics, as Prometheus reads them.",
        does: Does::Metrics,
    },
    Route {
        verb: Verb::Get,
        path: "/api/v1/history",
        name: "history",
        summary: "What happened, the newest first.",
        does: call::<event::List>(
            Takes::Query(shape::<event::ListParams>()),
            input::query::<event::ListParams>,
            Done::Shown,
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/api/v1/events",
        name: "events",
        summary: "Follows the history: the last events, then each as it happens, until the client goes or \
                  the server stops. `Last-Event-ID` is as `after`.",
        does: called::<event::Watch>(
            Takes::Query(shape::<event::WatchParams>()),
            input::query::<event::WatchParams>,
            Done::Shown,
            Streams::Reports,
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/api/v1/openapi.json",
        name: "openapi",
        summary: "This document.",
        does: Does::Document,
    },
];
