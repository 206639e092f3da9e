//! `vhost ctl domain maintenance`, `pause` and `resume`: options that are turned on for a while.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::connect::Session;
use super::domain_view::summary;
use crate::cli::problem::Problem;
use crate::cli::time::parse_millis;
use crate::model::record::Edited;
use crate::model::{DomainName, WholeSeconds};
use crate::rpc::methods::domain::{self, SetParams};

/// Answer all requests of a domain with 503, or serve it again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl domain maintenance example.com on --message 'Back at noon' --retry-after 10m
  vhost ctl domain maintenance example.com off")]
pub(super) struct MaintenanceArgs {
    /// The domain
    domain: DomainName,
    /// Whether maintenance is on
    #[arg(value_name = "on|off", hide_possible_values = true)]
    state: State,
    /// The text that clients get [default: a line of the server's own]
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// When clients may try again (`Retry-After`), such as `10m`
    #[arg(long, value_name = "TIME")]
    retry_after: Option<WholeSeconds>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    On,
    Off,
}

/// Make new requests of a domain wait
///
/// After `resume` they continue in order, to the tag that is live then.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  vhost ctl domain pause example.com --max-wait 10s --max-waiting 500")]
pub(super) struct PauseArgs {
    /// The domain
    domain: DomainName,
    /// How long a request may wait; then it gets 503
    #[arg(long, value_name = "TIME", value_parser = parse_millis, default_value = "30s")]
    max_wait: u64,
    /// How many requests may wait; one more gets 503 at once
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    max_waiting: u32,
}

impl MaintenanceArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), Problem> {
        let Self { domain, state, message, retry_after } = self;
        let value = match state {
            // Null removes: an earlier message does not come back.
            State::On => json!({ "message": message, "retry_after_secs": retry_after }),
            State::Off if message.is_some() || retry_after.is_some() => {
                let cause = "leave out `--message` and `--retry-after`: they have no effect";
                return Err(Problem::usage("cannot turn maintenance off", cause.to_owned()));
            }
            State::Off => Value::Null,
        };
        set(session, domain, "maintenance", value).await
    }
}

impl PauseArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), Problem> {
        let value = json!({
            "max_wait_secs": self.max_wait.div_ceil(1000),
            "max_waiting": self.max_waiting,
        });
        set(session, self.domain, "pause", value).await
    }
}

pub(super) async fn resume(domain: DomainName, session: &mut Session<'_>) -> Result<(), Problem> {
    set(session, domain, "pause", Value::Null).await
}

async fn set(
    session: &mut Session<'_>,
    domain: DomainName,
    option: &'static str,
    value: Value,
) -> Result<(), Problem> {
    let action = format!("change `{domain}`");
    let params = SetParams {
        domain,
        top: Edited::default(),
        options: Map::from_iter([(option.to_owned(), value)]),
    };
    let info = session.call::<domain::Set>(&action, &params).await?;
    session.printer.changed(&info, &summary(&info));
    Ok(())
}
