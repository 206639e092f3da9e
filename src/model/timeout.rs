//! How long a command may wait, on the wire.

use std::num::NonZeroU64;

use serde::{Deserialize, Deserializer};

/// Reads a time-out in milliseconds, which may be left out and is never 0: what waits for no time can
/// only fail, and there is another way to say that nobody waits.
///
/// # Errors
/// When it is 0, or no whole number.
pub fn nonzero_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let given = Option::<NonZeroU64>::deserialize(deserializer)?;
    Ok(given.map(NonZeroU64::get))
}
