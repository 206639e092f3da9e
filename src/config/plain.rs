//! Settings as plain values: what `config show` prints and what stands in the schema.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::model::{
    AppName, BackendAddr, BackendId, DomainName, HeaderField, Tag, TrustedProxy, Word,
    seconds_as_json,
};
use crate::telemetry::AccessField;

/// What a file would have to say to mean this value; written as JSON it is TOML too.
pub(crate) trait Plain {
    /// The value as the file says it; null where there is none.
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

plain_by!(|value| Value::from(*value) => bool, usize, u8, u32, u64, f64, &str);
plain_by!(|value| Value::from(value.as_str()) => String);
plain_by!(|value| Value::from(value.to_string()) => SocketAddr, AppName, BackendId, BackendAddr, DomainName,
    Tag, TrustedProxy, HeaderField, AccessField);
plain_by!(|value| Value::from(value.to_string_lossy()) => PathBuf);

impl<T: Word> Plain for T {
    fn plain(&self) -> Value {
        self.word().into()
    }
}

impl Plain for Duration {
    fn plain(&self) -> Value {
        seconds_as_json(*self)
    }
}

impl<T: Plain> Plain for Option<T> {
    fn plain(&self) -> Value {
        self.as_ref().map_or(Value::Null, Plain::plain)
    }
}

impl<T: Plain> Plain for Vec<T> {
    fn plain(&self) -> Value {
        self.iter().map(Plain::plain).collect()
    }
}
