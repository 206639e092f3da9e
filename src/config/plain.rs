//! Settings as plain values: what `config show` prints and what stands in the schema.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::model::{AccessFormat, LogFormat};
use crate::model::{
    BackendAddr, BackendId, BackendState, ChallengeKind, DomainName, HeaderField, HealthHost,
    HealthPath, KeyType, LogLevel, StatusRanges, Tag, TrustedProxy, UnderscoresInHeaders,
};

/// What a file would have to say to mean this value; written as JSON it is TOML too.
pub(super) trait Plain {
    /// The value as the file says it.
    fn plain(&self) -> Value;
}

macro_rules! plain_by {
    ($how:expr => $($type:ty),+) => {
        $(impl Plain for $type {
            fn plain(&self) -> Value {
                let how: fn(&Self) -> Value = $how;
                how(self)
            }
        })+
    };
}

plain_by!(|value| Value::from(*value) => bool, usize, u8, u32, f64, &str);
plain_by!(|value| Value::from(value.as_str()) => String);
plain_by!(|value| Value::from(value.to_string()) => SocketAddr, HealthHost, HealthPath, StatusRanges,
    BackendId, BackendAddr, DomainName, Tag, TrustedProxy, HeaderField);
plain_by!(|value| Value::from(value.as_str()) => LogLevel, LogFormat, AccessFormat, BackendState,
    KeyType, ChallengeKind, UnderscoresInHeaders);
plain_by!(|value| Value::from(value.to_string_lossy()) => PathBuf);

impl Plain for Duration {
    fn plain(&self) -> Value {
        match self.subsec_nanos() {
            0 => self.as_secs().into(),
            _ => self.as_secs_f64().into(),
        }
    }
}

impl<T: Plain> Plain for Vec<T> {
    fn plain(&self) -> Value {
        self.iter().map(Plain::plain).collect()
    }
}
