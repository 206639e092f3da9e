//! `vhost ctl domain …` and `vhost ctl wait`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum, ValueHint, value_parser};

use super::connect::Session;
use super::domain_options::{self, Given};
use super::domain_service::{MaintenanceArgs, PauseArgs, ResumeArgs};
use super::domain_view::{facts, summary, table, wide_table};
use super::pages::print_all;
use super::{cert, cert_view};
use crate::cli::exit_code::ExitCode;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::table::count;
use crate::cli::time::parse_millis;
use crate::model::{Balance, DomainName, LONGEST_HSTS_SECS, OptionSet, Tag, TlsMode};
use crate::plain_file::absolute;
use crate::rpc::methods::domain::{
    self, AddParams, DomainInfo, DomainParams, SetParams, WaitFor, WaitParams,
};

/// The longest time that a domain's HSTS has, as the parser of arguments wants it.
const HSTS: i64 = LONGEST_HSTS_SECS as i64;

#[derive(Debug, Subcommand)]
pub(super) enum DomainVerb {
    List(ListArgs),
    Show(ShowArgs),
    Add(AddArgs),
    Set(SetArgs),
    Remove(RemoveArgs),
    Maintenance(MaintenanceArgs),
    Pause(PauseArgs),
    Resume(ResumeArgs),
}

/// List all domains with what serves them
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl domain list")]
pub(super) struct ListArgs {}

/// Show one domain
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl domain show example.com")]
pub(super) struct ShowArgs {
    /// The domain, or an alias of it
    #[arg(value_name = "DOMAIN")]
    domain: DomainName,
}

/// Add a domain
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl domain add example.com --tag a --alias www.example.com
  vhost ctl domain add '*.example.com' --tag a --balance least-connections
  vhost ctl domain add shop.example.com --tag a --wait-cert --timeout 5m
  vhost ctl domain add old.example.com --tag a --tls-cert old.pem --tls-key old.key")]
pub(super) struct AddArgs {
    /// `example.com`, `*.example.com` for one label more, or `*` for every other host
    #[arg(value_name = "DOMAIN")]
    domain: DomainName,
    /// The tag that is live at once
    #[arg(long)]
    tag: Tag,
    /// Another name that is served and switched with it; may be repeated
    #[arg(long = "alias", value_name = "DOMAIN")]
    aliases: Vec<DomainName>,
    #[command(flatten)]
    options: OptionArgs,
    /// Add it although no backend carries the tag yet
    #[arg(long)]
    force: bool,
    /// Return once a good certificate is served for it
    #[arg(long)]
    wait_cert: bool,
    /// How long to wait for the certificate, such as `30s` [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = parse_millis, requires = "wait_cert")]
    timeout: Option<u64>,
}

#[derive(Debug, Args)]
struct OptionArgs {
    /// Redirect plain HTTP once the domain is served over HTTPS
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    http_to_https: Option<bool>,
    /// How a backend is chosen: round-robin, least-connections, least-latency, hash-client,
    /// hash-header:NAME or hash-cookie:NAME
    #[arg(long, value_name = "METHOD")]
    balance: Option<Balance>,
    /// Where its certificate comes from: auto, internal (the server's own CA) or off
    #[arg(long, value_name = "MODE", conflicts_with_all = ["tls_cert", "tls_key"])]
    tls: Option<TlsMode>,
    /// The file of its certificate with the chain, PEM, which is read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = ValueHint::FilePath)]
    tls_cert: Option<PathBuf>,
    /// The file of the certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    tls_key: Option<PathBuf>,
    /// For how long browsers are told to ask over HTTPS only, in seconds; 0 is not at all
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u32).range(0..=HSTS))]
    hsts_max_age: Option<u32>,
    /// Another option as the config file has it (vhost-config(5)), such as
    /// `max_body_bytes=1000000` or `maintenance.message="Back soon"`; may be repeated
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = domain_options::parse)]
    given: Vec<Given>,
}

/// Change a domain's options; its live tag moves with `vhost ctl switch`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl domain set example.com --alias www.example.com --alias shop.example.com
  vhost ctl domain set example.com --no-aliases --balance least-connections
  vhost ctl domain set example.com --tls off --hsts-max-age 0
  vhost ctl domain set example.com --option max_body_bytes=1000000 --no-option deny")]
pub(super) struct SetArgs {
    /// The domain
    #[arg(value_name = "DOMAIN")]
    domain: DomainName,
    #[command(flatten)]
    edits: Edits,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Edits {
    /// An alias of the new list, which replaces the old one; may be repeated
    #[arg(long = "alias", value_name = "DOMAIN")]
    aliases: Vec<DomainName>,
    /// Take all aliases away
    #[arg(long, conflicts_with = "aliases")]
    no_aliases: bool,
    /// Redirect plain HTTP once the domain is served over HTTPS
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    http_to_https: Option<bool>,
    /// How a backend is chosen: round-robin, least-connections, least-latency, hash-client,
    /// hash-header:NAME or hash-cookie:NAME
    #[arg(long, value_name = "METHOD")]
    balance: Option<Balance>,
    /// Where its certificate comes from: auto, internal (the server's own CA) or off
    #[arg(long, value_name = "MODE", conflicts_with_all = ["tls_cert", "tls_key"])]
    tls: Option<TlsMode>,
    /// The file of its certificate with the chain, PEM, which is read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = ValueHint::FilePath)]
    tls_cert: Option<PathBuf>,
    /// The file of the certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    tls_key: Option<PathBuf>,
    /// For how long browsers are told to ask over HTTPS only, in seconds; 0 is not at all
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u32).range(0..=HSTS))]
    hsts_max_age: Option<u32>,
    /// Another option as the config file has it (vhost-config(5)), such as
    /// `max_body_bytes=1000000` or `maintenance.message="Back soon"`; may be repeated
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = domain_options::parse)]
    given: Vec<Given>,
    /// Take an option away; may be repeated
    #[arg(long = "no-option", value_name = "KEY", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(OptionSet::KEYS))]
    taken: Vec<String>,
}

/// Remove a domain with its aliases
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl domain remove example.com")]
pub(super) struct RemoveArgs {
    /// The domain
    #[arg(value_name = "DOMAIN")]
    domain: DomainName,
}

/// Wait until a domain is healthy, or until the tags it left have drained
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl wait example.com --until healthy
  vhost ctl wait example.com --until drained --timeout 2m")]
pub(super) struct WaitArgs {
    /// The domain
    #[arg(value_name = "DOMAIN")]
    domain: DomainName,
    /// What to wait for
    #[arg(long, value_name = "STATE")]
    until: Until,
    /// How long to wait, such as `30s` [default: the server's]
    #[arg(long, value_name = "TIME", value_parser = parse_millis)]
    timeout: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Until {
    /// Every ready backend of the live tag is healthy
    Healthy,
    /// No request runs on a tag that is not live
    Drained,
}

impl DomainVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::List(ListArgs {}) => {
                let nothing = "there are no domains; add one with `vhost ctl domain add`";
                let rows = |page: &[DomainInfo], printer: &Printer<'_>| {
                    if printer.is_wide() { wide_table(page) } else { table(page) }
                };
                let action = "list the domains";
                print_all::<domain::List, _>(session, action, nothing, rows, |_| {}).await?;
            }
            Self::Show(ShowArgs { domain }) => {
                let action = format!("show `{domain}`");
                let info = session.call::<domain::Show>(&action, &DomainParams { domain }).await?;
                session.printer.show(&info, facts(&info));
            }
            Self::Add(args) => {
                let action = format!("add `{}`", args.domain);
                let (wait, timeout) = (args.wait_cert, args.timeout);
                let info =
                    session.call::<domain::Add>(&action, &args.params().map_err(unfit)?).await?;
                if !wait {
                    session.printer.changed(&info, &summary(&info));
                    return Ok(ExitCode::Done);
                }
                // For scripts it is the result also when there is no certificate in the end.
                session.printer.for_scripts(&info);
                session.printer.reached("added", &summary(&info));
                let report = cert::wait(session, &info.domain, timeout).await?;
                if let Some(problem) = cert::shortfall(&report) {
                    return Err(problem);
                }
                session.printer.reached("done", &cert_view::summary(&report));
            }
            Self::Set(args) => {
                let action = format!("change `{}`", args.domain);
                let info =
                    session.call::<domain::Set>(&action, &args.params().map_err(unfit)?).await?;
                session.printer.changed(&info, &summary(&info));
            }
            Self::Maintenance(args) => args.run(session).await?,
            Self::Pause(args) => args.run(session).await?,
            Self::Resume(args) => args.run(session).await?,
            Self::Remove(RemoveArgs { domain }) => {
                let action = format!("remove `{domain}`");
                let params = DomainParams { domain };
                let changed = session.call::<domain::Remove>(&action, &params).await?;
                let line = format!("{}: removed, revision {}", params.domain, changed.revision);
                session.printer.changed(&changed, &line);
            }
        }
        Ok(ExitCode::Done)
    }
}

impl AddArgs {
    fn params(self) -> Result<AddParams, String> {
        let Self { domain, tag, aliases, options, force, wait_cert: _, timeout: _ } = self;
        let OptionArgs { http_to_https, balance, tls, tls_cert, tls_key, hsts_max_age, given } =
            options;
        Ok(AddParams {
            domain,
            tag,
            aliases,
            http_to_https,
            balance,
            tls: files(tls_cert, tls_key).or(tls),
            hsts_max_age_secs: hsts_max_age,
            options: domain_options::patch(given, Vec::new())?,
            force,
        })
    }
}

impl SetArgs {
    fn params(self) -> Result<SetParams, String> {
        let Self { domain, edits } = self;
        let Edits {
            aliases,
            no_aliases,
            http_to_https,
            balance,
            tls,
            tls_cert,
            tls_key,
            hsts_max_age,
            given,
            taken,
        } = edits;
        Ok(SetParams {
            domain,
            aliases: (no_aliases || !aliases.is_empty()).then_some(aliases),
            http_to_https,
            balance,
            tls: files(tls_cert, tls_key).or(tls),
            hsts_max_age_secs: hsts_max_age,
            options: domain_options::patch(given, taken)?,
        })
    }
}

pub(super) fn unfit(cause: String) -> Problem {
    Problem::usage("the options do not fit together", cause)
}

/// The files as the server finds them, wherever it was started.
fn files(cert: Option<PathBuf>, key: Option<PathBuf>) -> Option<TlsMode> {
    Some(TlsMode::Files { cert: absolute(cert?), key: absolute(key?) })
}

impl WaitArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let (until, word, left) = match self.until {
            Until::Healthy => (WaitFor::Healthy, "healthy", "backend"),
            Until::Drained => (WaitFor::Drained, "drained", "request"),
        };
        let action = format!("wait until `{}` is {word}", self.domain);
        let params = WaitParams { domain: self.domain, until, timeout_ms: self.timeout };
        let info = session
            .wait::<domain::Wait>(&action, &params, |printer, progress| {
                printer.counting("waiting", &format!("for {}", count(progress.remaining, left)));
            })
            .await?;
        session.printer.concluded(&info, &summary(&info));
        Ok(ExitCode::Done)
    }
}
