//! What `[access_log]` says.

use super::field::AccessField;
use crate::model::{AccessFormat, LogOutput};

/// `[access_log]`: a line for each request.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLogSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// For whom.
    pub format: AccessFormat,
    /// What a line has, in this order; none where the format decides.
    pub fields: Option<Vec<AccessField>>,
    /// Where to.
    pub output: LogOutput,
    /// The share of requests without a failure that are logged, 0 to 1.
    pub sample: f64,
    /// Whether queries are logged too.
    pub query: bool,
}

impl Default for AccessLogSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            format: AccessFormat::default(),
            fields: None,
            output: LogOutput::default(),
            sample: 1.0,
            query: false,
        }
    }
}
