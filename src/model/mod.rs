//! Pure values of the product: names, addresses, virtual hosts, backends, health, events.
//!
//! Text becomes one of these types at the edge and is not checked again. Nothing here does I/O,
//! waits, or knows Pingora.

mod absolute_path;
mod access;
mod acme;
mod app;
mod app_name;
mod backend;
mod backend_addr;
mod backend_options;
mod balance;
mod beside;
mod carried;
mod certificate;
mod change;
mod deploy;
mod domain_mode;
mod domain_name;
mod event;
mod explanation;
mod forwarded_headers;
mod guard;
mod health_check;
mod host_options;
mod kept_plan;
mod likeness;
mod logging;
mod millis;
mod notify_kind;
mod outcome;
mod own_host;
mod proxy_header;
mod public_name;
mod ratio;
mod reason;
pub mod record;
mod reference;
mod reload;
mod request_limit;
mod request_variable;
mod sample_rate;
mod scheme;
mod seconds;
mod share;
mod size;
mod smoke;
mod split;
mod split_report;
mod stats;
mod status_class;
mod switch;
mod tag;
mod timeout;
mod tls_name;
mod top_options;
mod trial;
mod trial_report;
mod trusted_proxy;
mod underscores_in_headers;
mod unicode_name;
mod upgrade;
mod value_error;
mod virtual_host;
mod visible;
mod weight;
mod worded;
mod words;

pub use absolute_path::absolute;
pub use access::{Access, TokenName};
pub use acme::{AccountInfo, AcmeDetail, Attempt, RevocationReason};
pub use app::{App, AppOptions, Release, ReleaseLabel};
pub use app_name::{AppName, PoolName};
pub use backend::{Backend, BackendId, BackendState};
pub use backend_addr::BackendAddr;
pub use backend_options::{BackendOptions, from_stored as stored_backend_options};
pub use balance::Balance;
pub use beside::Beside;
pub use carried::{
    BackendTraffic, Carried, ObservedBackend, RecentTraffic, StepTraffic, TagTraffic, TicketSecret,
    TicketSecrets, UsedRate, UsedRates,
};
pub use certificate::{
    CertificateFacts, CertificateNews, CertificateReport, CertificateSource, CertificateState,
    ChallengeKind, KeyType, TlsMode,
};
pub use change::Change;
pub use deploy::{
    DeployOptions, DeployPlan, DeployProgress, DeployReport, DeployRollout, DeployedApp,
};
pub use domain_mode::DomainMode;
pub use domain_name::{DomainName, HostBuffer, HostError, Pattern, normalise_host};
pub use event::{Actor, CUT, Event, EventKind, Made};
pub use explanation::{
    BackendStanding, ChosenBy, ChosenTag, Explanation, HeaderLine, LiveTag, Match, MatchedBy,
    Refusal, RequestTimeouts, RequestUrl, Since, Unfit,
};
pub use forwarded_headers::ForwardedHeaders;
pub use guard::{GuardOptions, GuardRules, Inconclusive};
pub use health_check::{
    ExpectedBody, GrpcCheck, GrpcService, HealthCheck, HealthCheckKind, HealthCheckOptions,
    HealthHost, HealthPath, HealthReport, HealthStatus, HttpCheck, MAX_BODY_LOOKED_AT, ProbeCount,
    ProbeHeader, ProbeKind, ProbeMethod, StatusRanges, expected_regex, health_check_defaults,
};
pub use host_options::{
    AccessLogRule, BasicAuth, CloseAfter, Drain, Encoding, ErrorPages, HeaderContent, HeaderEdits,
    HeaderField, HeaderPart, HeaderText, HostOptions, LeftWebSockets, MAX_PAGE_BYTES, Maintenance,
    Network, OptionSet, Page, PageFor, PageText, PasswordHash, PathPrefix, PathRoute, Pause,
    RateLimit, SplitKey, SplitOptions, Sticky, Timeouts, UserName,
};
pub use kept_plan::{KeptPlan, PlannedDeploy, PlannedSwitch};
pub use likeness::nearest;
pub use logging::{
    AccessFormat, LogFileSettings, LogFormat, LogLevel, LogOutput, LoggingSettings, Rotation,
};
pub use millis::Millis;
pub use notify_kind::NotifyKind;
pub use outcome::Outcome;
pub use own_host::{ForeignHost, check_own_host};
pub use proxy_header::{BadProxyHeader, ProxyHeader, SendProxyProtocol};
pub use ratio::Ratio;
pub use reason::{Blame, Reason, ReasonRow, UpstreamFailure};
pub use record::OptionError;
pub use reference::{
    Followed, TextSyntax, Variables, escape as escape_references, follow as follow_references,
};
pub use reload::{
    Difference, EntryAction, EntryChange, EntryKind, NeedsRestart, ReloadEnd, ReloadProgress,
    ReloadReport,
};
pub use request_limit::RequestLimit;
pub use request_variable::RequestVariable;
pub use sample_rate::SampleRate;
pub use scheme::Scheme;
pub use seconds::{Seconds, WholeSeconds, seconds_as_json};
pub use share::Share;
pub use size::Size;
pub use smoke::{
    MAX_SMOKE_BODY, MAX_SMOKE_REQUESTS, SmokeAnswer, SmokeExpectation, SmokeFailure, SmokeRequest,
    SmokeRequests,
};
pub use split::{MAX_SPLIT_TAGS, Point, Split};
pub use split_report::{SplitMove, SplitReport, TagShare};
pub use stats::{StatsSort, StatsWindow};
pub use status_class::StatusClass;
pub use switch::{
    BackendAnswer, Capacity, PlannedBackend, PlannedEnd, PlannedStep, SwitchEnd, SwitchOptions,
    SwitchPlan, SwitchProgress, SwitchReport, SwitchStep,
};
pub use tag::Tag;
pub use timeout::nonzero_millis;
pub use tls_name::TlsName;
pub use top_options::TopOptions;
pub use trial::{
    Baseline, Course, MAX_ROLLOUT_STEPS, Preview, Rollout, RolloutStep, RolloutSteps, Trial,
    TrialEnd,
};
pub use trial_report::{
    Between, Finding, RolloutOptions, RolloutStanding, SideFigures, TrialEvidence, TrialKind,
    TrialNews, TrialReport,
};
pub use trusted_proxy::{NETWORK_LISTS, NetworkList, TrustedProxy};
pub use underscores_in_headers::UnderscoresInHeaders;
pub use unicode_name::{unicode_host, with_unicode_names};
pub use upgrade::{UpgradeProgress, UpgradeReport};
pub use value_error::{ValueError, read_value};
pub use virtual_host::VirtualHost;
pub use visible::{HIDDEN, is_obeyed, printable, printable_json, printable_lines};
pub use weight::Weight;
pub use worded::Word;
pub(crate) use worded::worded;
pub use words::{
    choose, counted, listed, on_one_line, shorten, shown_in_words, time_in_words, with_causes,
};

/// A value that could not be parsed: what it was, and what would have been right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {what}: {reason}")]
pub struct ParseError {
    /// The kind of value that was expected, such as `domain name`.
    pub what: &'static str,
    /// The text as it was given.
    pub value: String,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}

impl ParseError {
    pub(crate) fn new(what: &'static str, value: &str, reason: impl Into<String>) -> Self {
        Self { what, value: shorten(value, 80), reason: reason.into() }
    }
}

/// Gives a type that parses from text and displays as the same text its serde, through that text, and
/// the schema of a text that `description` describes, and that looks like `pattern`.
macro_rules! serde_as_text {
    ($type:ident, $description:literal $(, like $pattern:literal)?) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "description": $description $(, "pattern": $pattern)?
                })
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// Declares a type of texts, with its schema's description. It is read as it says for itself, or, with `by`, as
/// any text that passes a check.
macro_rules! text {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident($inner:ty) $description:literal
            $(, like $pattern:literal)? $(, by $check:expr)?;
    ) => {
        $(#[$attribute])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name($inner);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }

        $(
            impl std::str::FromStr for $name {
                type Err = $crate::model::ParseError;

                fn from_str(text: &str) -> Result<Self, Self::Err> {
                    let check: fn(&str) -> Result<(), Self::Err> = $check;
                    check(text)?;
                    Ok(Self(text.into()))
                }
            }
        )?

        $crate::model::serde_as_text!($name, $description $(, like $pattern)?);
    };
}
pub(crate) use text;
