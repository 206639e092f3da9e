//! Every method of the admin socket: one type each, with its name, parameters and result.
//!
//! Client and server share these types; nothing is declared twice. Parameters that the server does
//! not know are refused, results that a client does not know are ignored. Durations are in
//! milliseconds, points in time in milliseconds since the Unix epoch.

pub mod backend;
pub mod domain;
pub mod event;
pub mod route;
pub mod state;
pub mod switch;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A method of the admin socket.
pub trait Method {
    /// Its name on the wire: `noun.verb`.
    const NAME: &'static str;
    /// What it takes.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send;
    /// What it answers.
    type Result: Serialize + DeserializeOwned + JsonSchema + Send;
    /// What it reports while it is under way; `()` for methods that answer at once.
    type Progress: Serialize + DeserializeOwned + JsonSchema + Send;
}

/// Declares a method: its type, name, parameters, result and progress.
macro_rules! method {
    ($(#[$doc:meta])* $type:ident, $name:literal, $params:ty => $result:ty) => {
        method!($(#[$doc])* $type, $name, $params => $result, progress ());
    };
    ($(#[$doc:meta])* $type:ident, $name:literal, $params:ty => $result:ty, progress $progress:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $type {}

        impl $crate::rpc::methods::Method for $type {
            const NAME: &'static str = $name;
            type Params = $params;
            type Result = $result;
            type Progress = $progress;
        }
    };
}
pub(crate) use method;

/// The parameters of a method that takes none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// The answer of a change that leaves nothing to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
pub struct Changed {
    /// The revision after the change.
    pub revision: u64,
}
