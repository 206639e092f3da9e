//! `vhost ctl wait`.

use clap::{Args, ValueEnum};

use super::connect::Session;
use super::domain_view::summary;
use super::guard;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::count;
use crate::cli::time::parse_timeout;
use crate::model::DomainName;
use crate::rpc::methods::domain::{self, WaitFor};
use crate::rpc::methods::rollout::WaitParams;

/// Wait until a domain is healthy, its old tags have drained, or its new tag is promoted
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl wait example.com --until healthy
  vhost ctl wait example.com --until drained --timeout 2m
  vhost ctl wait example.com --until promoted --timeout 40m")]
pub(super) struct WaitArgs {
    /// The domain, not an app: name one of its domains
    domain: DomainName,
    /// What to wait for
    #[arg(long, value_name = "STATE")]
    until: Until,
    /// How long to wait, such as `30s`, or `1ms` to check once [default: `gate_timeout_secs` of `[switch]`
    /// until it is healthy, `drain_timeout_secs` until it has drained, 30s each; as long as it takes until it
    /// is promoted]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    timeout: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Until {
    /// Every ready backend of the live tag is healthy
    Healthy,
    /// No requests are left on tags that are not live
    Drained,
    /// The rollout or guard that runs has ended well
    Promoted,
}

impl WaitArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let (until, word, left) = match self.until {
            Until::Healthy => (WaitFor::Healthy, "healthy", "backend"),
            Until::Drained => (WaitFor::Drained, "drained", "request"),
            Until::Promoted => {
                let action = format!("wait for the rollout of `{}`", self.domain.shown());
                let params = WaitParams {
                    domain: Some(self.domain),
                    id: None,
                    through_pauses: true,
                    timeout_ms: self.timeout,
                };
                return guard::attend(session, &action, &params).await;
            }
        };
        let action = format!("wait until `{}` is {word}", self.domain.shown());
        let params = domain::WaitParams { domain: self.domain, until, timeout_ms: self.timeout };
        let info = session
            .attend::<domain::Wait>(&action, &params, Problem::given_up, |printer, progress| {
                printer.counting("waiting", &format!("for {}", count(progress.remaining, left)));
            })
            .await?;
        session.printer.concluded(&info, &summary(&info));
        Ok(ExitCode::Done)
    }
}
