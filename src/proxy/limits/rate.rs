//! How many requests a domain takes: `rate_limit` and `client_rate_limit`, and the fields that report
//! them (draft-ietf-httpapi-ratelimit-headers-10).

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;

use crate::heads::ResponseHead;
use crate::heads::names::RETRY_AFTER;
use crate::state::{Allowance, Rates};

const RATE_LIMIT: &str = "ratelimit";
const RATE_LIMIT_POLICY: &str = "ratelimit-policy";

/// What the answer to a request says of its domain's limits.
#[derive(Debug)]
pub(crate) struct RateFields {
    policy: HeaderValue,
    left: HeaderValue,
    /// When the client may come again; only where it was refused.
    wait: Option<Duration>,
}

impl RateFields {
    /// Counts a request of `client`; `None` where the domain has no limit for it.
    pub(crate) fn take(rates: &Rates, client: IpAddr) -> Option<Self> {
        Self::of(rates.policy().clone(), &rates.take(client))
    }

    fn of(policy: HeaderValue, allowances: &[Option<Allowance>]) -> Option<Self> {
        let (mut left, mut wait) = (String::new(), None);
        for Allowance { policy: name, left: more, wait: own_wait } in allowances.iter().flatten() {
            let comma = if left.is_empty() { "" } else { ", " };
            let _ = write!(left, "{comma}\"{name}\";r={more}");
            if let Some(own_wait) = own_wait {
                let _ = write!(left, ";t={}", whole_seconds(*own_wait));
                wait = Some(*own_wait);
            }
        }
        let left = HeaderValue::try_from(left).ok().filter(|left| !left.is_empty())?;
        Some(Self { policy, left, wait })
    }

    /// Whether the request is one too many.
    pub(crate) fn is_refused(&self) -> bool {
        self.wait.is_some()
    }

    /// Writes them into an answer.
    pub(crate) fn write(&self, response: &mut ResponseHead) {
        response.headers.insert(RATE_LIMIT_POLICY, &self.policy);
        response.headers.insert(RATE_LIMIT, &self.left);
        if let Some(wait) = self.wait {
            let seconds = whole_seconds(wait);
            response.headers.insert(RETRY_AFTER, itoa::Buffer::new().format(seconds));
        }
    }
}

/// Rounded up: who comes back then is not too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn the_fields_are_those_of_the_draft() {
        let policy = HeaderValue::from_static("\"client\";q=10;w=2, \"domain\";q=10;w=2");
        let of = |allowances: &[_]| RateFields::of(policy.clone(), allowances);
        let allowance = |policy, left, wait| Some(Allowance { policy, left, wait });
        let fields = of(&[allowance("client", 7, None), allowance("domain", 3, None)]).unwrap();
        assert!(!fields.is_refused());
        assert_eq!(fields.left, "\"client\";r=7, \"domain\";r=3");
        let wait = Some(Duration::from_millis(1001));
        let fields = of(&[allowance("client", 0, wait), None]).unwrap();
        let mut response = ResponseHead::new(StatusCode::TOO_MANY_REQUESTS);
        fields.write(&mut response);
        assert!(fields.is_refused());
        assert_eq!(response.headers.text("ratelimit"), Some("\"client\";r=0;t=2"));
        assert_eq!(response.headers.text(RETRY_AFTER), Some("2"));
        assert_eq!(response.headers.get("ratelimit-policy"), Some(policy.as_bytes()));
        assert!(of(&[None, None]).is_none());
    }
}
