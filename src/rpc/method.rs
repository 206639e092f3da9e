//! What a method is on the wire, for both ends.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::envelope::FaultKind;

/// A method of the admin socket.
pub(crate) trait Method {
    /// Its name on the wire: `noun.verb`.
    const NAME: &'static str;
    /// What it does, for its documentation.
    const DOC: &'static str;
    /// The kinds of errors that it may answer with beside [`FaultKind::Invalid`], which wrong
    /// parameters are, and [`FaultKind::Internal`].
    const FAULTS: &'static [FaultKind];
    /// What it takes.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send;
    /// What it answers.
    type Result: Serialize + DeserializeOwned + JsonSchema + Send;
    /// What it reports while it is under way; `()` for methods that answer at once.
    type Progress: Serialize + DeserializeOwned + JsonSchema + Send;
}

/// The parameters of a method that takes none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParams {}

/// The answer of a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Removal")]
pub(crate) struct Changed {
    /// The revision after the change.
    pub revision: u64,
}

/// A result of a change, with what it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Change")]
pub(crate) struct Confirmed<T> {
    #[serde(flatten)]
    pub now: T,
    /// What changed, in a phrase each, such as `weight: 1 → 2`. Empty if there was nothing to change.
    // Earlier servers do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub changed: Option<Vec<String>>,
}

impl<T> Confirmed<T> {
    pub(super) fn new(now: T, changed: Vec<String>) -> Self {
        Self { now, changed: Some(changed) }
    }
}
