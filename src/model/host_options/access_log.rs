//! Which requests of a domain the access log has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::SampleRate;

/// Which requests the access log has: what is not given here is as the domain's app says, else as
/// `[access_log]` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLogRule {
    /// Whether the access log has requests of it. If not, refused and failed requests are in the log of
    /// `[logging]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The share of requests that it has. Requests that failed or were answered with a 5xx are always logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleRate>,
}

impl AccessLogRule {
    /// What this says, and of the rest what `outer` says.
    #[must_use]
    pub fn or(self, outer: Self) -> Self {
        Self { enabled: self.enabled.or(outer.enabled), sample: self.sample.or(outer.sample) }
    }

    /// Whether no request is logged.
    pub fn is_off(self) -> bool {
        self.enabled == Some(false)
    }

    /// What is off has no share.
    pub(in crate::model) fn check(self) -> Result<(), String> {
        if self.is_off() && self.sample.is_some() {
            return Err(
                "`sample` has no effect with `enabled = false`; leave one of them out".into()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_further_in_holds() {
        let share = |share: f64| SampleRate::try_from(share).ok();
        let (none, off) =
            (AccessLogRule::default(), AccessLogRule { enabled: Some(false), sample: None });
        let half = AccessLogRule { enabled: None, sample: share(0.5) };
        assert_eq!(
            none.or(half).or(AccessLogRule { enabled: Some(true), sample: share(0.1) }).sample,
            share(0.5)
        );
        assert!(half.or(off).is_off() && !none.is_off());
        assert!(!AccessLogRule { enabled: Some(true), sample: None }.or(off).is_off());
        assert!(half.or(off).check().is_err() && off.check().is_ok());
    }
}
