//! All that the API has: one table, from which the router and the `OpenAPI` document are made.

use http::Method as Verb;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::input;
use super::operation::{Done, Operation, Streams, Takes};
use super::shapes::{Domain, NewDomain, Remove, Stats, Switch, Undo};
use super::trials;
use crate::rpc::methods::{
    Confirmed, Method, Page, app, backend, compare, domain, event, notify, preview, rollout, split,
    stats, switch,
};

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
    GET "/apps" list_apps: Does::Call(call::<app::List>(Takes::Query, Done::State));
    POST "/apps" add_app: Does::Call(call::<app::Add>(Takes::Body, Done::Created));
    GET "/apps/{app}" show_app: Does::Call(call::<app::Show>(Takes::Path, Done::State));
    PUT "/apps/{app}" set_app: Does::Call(call::<app::Set>(Takes::Body, Done::Shown));
    DELETE "/apps/{app}" remove_app: Does::Call(call::<app::Remove>(Takes::Query, Done::Gone));
    POST "/apps/{app}/deploy" deploy_app: Does::Call(
        call::<app::Deploy>(Takes::Body, Done::Shown).streaming(Streams::Progress));
    GET "/domains" list_domains: Does::Call(
        call::<domain::List>(Takes::Query, Done::State).answered::<Page<Domain>>());
    POST "/domains" add_domain: Does::Call(
        shaped::<domain::Add, NewDomain>(Takes::Body, Done::Created).answered::<Confirmed<Domain>>());
    GET "/domains/{domain}" show_domain: Does::Call(
        call::<domain::Show>(Takes::Path, Done::State).answered::<Domain>());
    PUT "/domains/{domain}" set_domain: Does::Call(
        call::<domain::Set>(Takes::Body, Done::Shown).answered::<Confirmed<Domain>>());
    DELETE "/domains/{domain}" remove_domain: Does::Call(
        call::<domain::Remove>(Takes::Path, Done::Gone));
    POST "/domains/{domain}/switch" switch_domain: Does::Call(
        shaped::<switch::Start, Switch>(Takes::OptionalBody, Done::Shown).streaming(Streams::Progress));
    POST "/domains/{domain}/undo" undo_switch: Does::Call(
        shaped::<switch::Undo, Undo>(Takes::OptionalBody, Done::Shown).streaming(Streams::Progress));
    GET "/domains/{domain}/compare" compare_tags: Does::Call(
        shaped::<compare::Compare, trials::Compare>(Takes::Query, Done::Shown));
    PUT "/domains/{domain}/split" split_domain: Does::Call(
        shaped::<split::Set, trials::Split>(Takes::Body, Done::Shown).streaming(Streams::Progress));
    POST "/domains/{domain}/promote" promote_tag: Does::Call(
        shaped::<split::Promote, trials::Promote>(Takes::OptionalBody, Done::Shown)
            .streaming(Streams::Progress));
    GET "/rollouts" list_rollouts: Does::Call(call::<rollout::List>(Takes::Query, Done::Shown));
    GET "/domains/{domain}/rollout" show_rollout: Does::Call(
        call::<rollout::List>(Takes::Path, Done::Shown));
    POST "/domains/{domain}/rollout" start_rollout: Does::Call(
        shaped::<rollout::Start, trials::Rollout>(Takes::Body, Done::Shown).streaming(Streams::Progress));
    POST "/domains/{domain}/rollout/pause" pause_rollout: Does::Call(
        call::<rollout::Pause>(Takes::OptionalBody, Done::Shown));
    POST "/domains/{domain}/rollout/resume" resume_rollout: Does::Call(
        call::<rollout::Resume>(Takes::OptionalBody, Done::Shown));
    POST "/domains/{domain}/rollout/abort" abort_rollout: Does::Call(
        shaped::<rollout::Abort, trials::Abort>(Takes::OptionalBody, Done::Shown));
    GET "/domains/{domain}/previews" list_previews: Does::Call(
        call::<preview::List>(Takes::Path, Done::Shown));
    POST "/domains/{domain}/previews" make_preview: Does::Call(
        shaped::<preview::Make, trials::NewPreview>(Takes::Body, Done::Created));
    DELETE "/domains/{domain}/previews" revoke_previews: Does::Call(
        call::<preview::Revoke>(Takes::Path, Done::Gone));
    DELETE "/domains/{domain}/previews/{id}" revoke_preview: Does::Call(
        call::<preview::Revoke>(Takes::Path, Done::Gone));
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
    GET "/notify" list_notify: Does::Call(call::<notify::List>(Takes::Path, Done::Shown));
    POST "/notify/{name}/test" test_notify: Does::Call(call::<notify::Test>(Takes::Path, Done::Shown));
    GET "/openapi.json" openapi: Does::Document;
}
