//! How long a command may wait, on the wire.

use std::num::NonZeroU64;

use serde::{Deserialize, Deserializer};

/// Reads a time-out in milliseconds, which may be left out and is never 0: that could mean not to wait, or
/// to wait without end. The former has ways of its own (`no_drain`), and 1 checks once.
///
/// # Errors
/// When it is 0, or no whole number.
pub fn nonzero_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let given = Option::<NonZeroU64>::deserialize(deserializer)?;
    Ok(given.map(NonZeroU64::get))
}
