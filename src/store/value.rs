//! How values stand in the columns of the database.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

pub(super) fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Row { what, source })
}

pub(super) fn write<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("values of the model have string keys and no custom errors")
}

/// SQLite's integers are signed; counts and times fit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
