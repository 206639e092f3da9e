//! Every method of the admin socket: one type each, with its name, parameters and result.
//!
//! Client and server share these types; nothing is declared twice. Parameters that the server does
//! not know are refused, results that a client does not know are ignored. Durations are in
//! milliseconds, points in time in milliseconds since the Unix epoch.

pub mod backend;
mod catalogue;
pub mod cert;
pub mod config;
pub mod domain;
pub mod event;
pub mod log;
pub mod name;
mod open;
pub mod route;
pub mod state;
pub mod stats;
pub mod switch;
pub mod token;

pub use catalogue::{CATALOGUE, Entry, find, nearest};
pub use open::Open;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::envelope::FaultKind;

/// A method of the admin socket.
pub trait Method {
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

/// Declares a method: its type, name, parameters, result, progress, and the kinds of its errors. It is
/// carried out once it is in the [`CATALOGUE`].
macro_rules! method {
    ($(#[doc = $doc:literal])* $type:ident, $name:literal, $params:ty => $result:ty
        $(, faults [$($fault:ident),*])?) => {
        method!($(#[doc = $doc])* $type, $name, $params => $result, progress ()
            $(, faults [$($fault),*])?);
    };
    ($(#[doc = $doc:literal])* $type:ident, $name:literal, $params:ty => $result:ty,
        progress $progress:ty $(, faults [$($fault:ident),*])?) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub enum $type {}

        impl $crate::rpc::methods::Method for $type {
            const NAME: &'static str = $name;
            const DOC: &'static str = concat!($($doc, "\n"),*);
            const FAULTS: &'static [$crate::rpc::envelope::FaultKind] =
                &[$($($crate::rpc::envelope::FaultKind::$fault),*)?];
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

/// Entries that a list answers with when it is not told how many, and at most. An answer stays small
/// enough to be read, and written, in one go, however much there is.
pub const PAGE: usize = 1000;

/// The answer of a change that leaves nothing to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
pub struct Changed {
    /// The revision after the change.
    pub revision: u64,
}
