//! Methods on names: what a shell completes a word with.

use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::names;
use crate::rpc::run::{Answered, Run, methods};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

methods! {
    /// Names that begin with a text.
    Complete, "name.complete", CompleteParams => NameList;
}

/// What `name.complete` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteParams {
    /// What is named.
    pub noun: Noun,
    /// How the names begin; all when not given.
    #[serde(default)]
    pub prefix: String,
    /// At most so many; 200 when not given.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Noun {
    /// Virtual hosts and their aliases.
    Domain,
    /// Tags that a backend carries.
    Tag,
    /// Backends.
    Backend,
}

/// The answer of `name.complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameList {
    /// The revision of the state that was read.
    pub revision: u64,
    /// The names. Of more than the limit the first and the last are always among them, so that what
    /// all of these begin with is what all names begin with.
    pub names: Vec<Name>,
    /// Whether there are more.
    pub more: bool,
}

/// A name with what helps to choose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Name {
    /// The name.
    pub name: String,
    /// A few words on what it names.
    pub about: String,
}

impl Run for Complete {
    async fn run(server: &Dispatch, params: CompleteParams, _: &Call) -> Answered<Self> {
        Ok(names::complete(&server.control.snapshot(), &params))
    }
}
