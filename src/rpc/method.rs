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

/// The answer of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Changed {
    /// The revision after the change.
    pub revision: u64,
}
