//! How responses may be encoded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::worded;

worded! {
    /// An encoding of a response (RFC 9110 §8.4.1).
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum Encoding {
        /// Zstandard (RFC 8878).
        Zstd "zstd",
        /// Brotli (RFC 7932).
        Br "br",
        /// gzip (RFC 1952).
        Gzip "gzip",
    }
}

/// None is listed twice.
pub(super) fn check(encodings: &[Encoding]) -> Result<(), String> {
    let twice = encodings.iter().enumerate().find(|(n, one)| encodings[..*n].contains(one));
    match twice {
        Some((_, one)) => Err(format!("`{one}` is listed twice")),
        None => Ok(()),
    }
}
