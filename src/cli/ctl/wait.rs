//! `vhost ctl wait`.

use clap::{Args, ValueEnum};

use super::connect::Session;
use super::domain_view::summary;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::count;
use crate::cli::time::parse_timeout;
use crate::model::DomainName;
use crate::rpc::methods::domain::{self, WaitFor, WaitParams};

/// Wait until a domain is healthy, or until its old tags have drained
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl wait example.com --until healthy
  vhost ctl wait example.com --until drained --timeout 2m")]
pub(super) struct WaitArgs {
    /// The domain, not an app: name one of its domains
    domain: DomainName,
    /// What to wait for
    #[arg(long, value_name = "STATE")]
    until: Until,
    /// How long to wait, such as `30s`, or `1ms` to check once [default: `gate_timeout_secs` of `[switch]`
    /// until it is healthy, `drain_timeout_secs` until it has drained, 30s each]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    timeout: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Until {
    /// Every ready backend of the live tag is healthy
    Healthy,
    /// No requests are left on tags that are not live
    Drained,
}

impl WaitArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let (until, word, left) = match self.until {
            Until::Healthy => (WaitFor::Healthy, "healthy", "backend"),
            Until::Drained => (WaitFor::Drained, "drained", "request"),
        };
        let action = format!("wait until `{}` is {word}", self.domain.shown());
        let params = WaitParams { domain: self.domain, until, timeout_ms: self.timeout };
        let info = session
            .attend::<domain::Wait>(&action, &params, Problem::given_up, |printer, progress| {
                printer.counting("waiting", &format!("for {}", count(progress.remaining, left)));
            })
            .await?;
        session.printer.concluded(&info, &summary(&info));
        Ok(ExitCode::Done)
    }
}
