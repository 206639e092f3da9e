//! How responses may be encoded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An encoding of a response (RFC 9110 §8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Zstandard (RFC 8878).
    Zstd,
    /// Brotli (RFC 7932).
    Br,
    /// gzip (RFC 1952).
    Gzip,
}

impl Encoding {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// None is listed twice.
pub(super) fn check(encodings: &[Encoding]) -> Result<(), String> {
    let twice = encodings.iter().enumerate().find(|(n, one)| encodings[..*n].contains(one));
    match twice {
        Some((_, one)) => Err(format!("`{}` is listed twice", one.as_str())),
        None => Ok(()),
    }
}
