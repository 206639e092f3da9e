//! How many requests may run at once.

use std::fmt;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ParseError;

/// The most that there may be: as in `max_requests_per_backend`.
const MAX: u64 = 1_000_000;

/// How many requests may run at once: 1 to 1000000, or 0 for any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64", into = "u64")]
#[schemars(extend("minimum" = 0, "maximum" = 1_000_000))]
pub struct RequestLimit(Option<NonZeroUsize>);

impl RequestLimit {
    /// The limit; `None` where there may be any number.
    pub fn get(self) -> Option<NonZeroUsize> {
        self.0
    }
}

impl TryFrom<u64> for RequestLimit {
    type Error = ParseError;

    fn try_from(number: u64) -> Result<Self, ParseError> {
        let limit = usize::try_from(number).ok().filter(|_| number <= MAX);
        let limit = limit.map(|limit| Self(NonZeroUsize::new(limit)));
        limit.ok_or_else(|| {
            let remedy = "use 1 to 1000000, or 0 for no limit";
            ParseError::new("number of requests", &number.to_string(), remedy)
        })
    }
}

impl From<RequestLimit> for u64 {
    fn from(limit: RequestLimit) -> Self {
        limit.0.map_or(0, |limit| limit.get() as u64)
    }
}

impl fmt::Display for RequestLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&u64::from(*self), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_limit() {
        let of =
            |number: u64| RequestLimit::try_from(number).map(|limit| limit.get().map(usize::from));
        assert_eq!((of(0), of(1), of(MAX)), (Ok(None), Ok(Some(1)), Ok(Some(1_000_000))));
        assert!(of(MAX + 1).is_err());
    }
}
