//! `vhost ctl domain …`: arguments and calls.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use serde_json::{Map, Value, json};

use super::confirm::confirm;
use super::connect::Session;
use super::domain_view::{facts, summary, table};
use super::flags::{EDITS, Flags};
use super::options::OptionArgs;
use super::pages::print_all;
use super::{cert, cert_view};
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::time::parse_timeout;
use crate::model::absolute;
use crate::model::record::{Edited, Keys};
use crate::model::{DomainName, Tag, TlsMode, TopOptions, WholeSeconds};
use crate::rpc::methods::Confirmed;
use crate::rpc::methods::domain::{self, AddParams, DomainInfo, DomainParams, SetParams};

#[derive(Debug, Subcommand)]
pub(super) enum DomainVerb {
    /// List all domains with their live tags
    #[command(after_help = "Example:\n  vhost ctl domain list")]
    List,
    /// Show one domain
    #[command(after_help = "Example:\n  vhost ctl domain show example.com")]
    Show {
        /// The domain, or one of its aliases
        domain: DomainName,
    },
    Add(AddArgs),
    Set(SetArgs),
    /// Remove a domain with its aliases
    #[command(after_help = "Example:\n  vhost ctl domain remove example.com")]
    Remove {
        /// The domain
        domain: DomainName,
    },
    /// Answer all requests of a domain with 503, or serve it again
    #[command(after_help = "Examples:
  vhost ctl domain maintenance example.com on --message 'Back at noon' --retry-after 10m
  vhost ctl domain maintenance example.com off")]
    Maintenance {
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
    },
    /// Make new requests of a domain wait
    ///
    /// After `resume` they continue in order, to the tag that is live then.
    #[command(after_help = "Example:
  vhost ctl domain pause example.com --max-wait 10s --max-waiting 500")]
    Pause {
        /// The domain
        domain: DomainName,
        /// How long a request may wait; then it gets 503
        #[arg(long, value_name = "TIME", value_parser = parse_timeout, default_value = "30s")]
        max_wait: u64,
        /// How many requests may wait; one more gets 503 at once
        #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
        max_waiting: u32,
    },
    /// Let the waiting requests of a paused domain continue
    #[command(after_help = "Example:\n  vhost ctl domain resume example.com")]
    Resume {
        /// The domain
        domain: DomainName,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum State {
    On,
    Off,
}

/// Add a domain
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl domain add example.com --tag a --alias www.example.com
  vhost ctl domain add '*.example.com' --tag a --balance least-connections
  vhost ctl domain add shop.example.com --tag a --wait-cert --timeout 5m
  vhost ctl domain add old.example.com --tag a --tls-cert old.pem --tls-key old.key")]
pub(super) struct AddArgs {
    /// `example.com`, `*.example.com` for any one label, or `*` for every other host
    domain: DomainName,
    /// The live tag
    #[arg(long)]
    tag: Tag,
    /// Another name that is served and switched with it; may be repeated
    #[arg(long = "alias", value_name = "DOMAIN")]
    aliases: Vec<DomainName>,
    #[command(flatten)]
    flags: Flags<TopOptions, true>,
    #[command(flatten)]
    certificate: CertificateArgs,
    #[command(flatten)]
    options: OptionArgs<TopOptions, true>,
    /// Add it even if no backend carries the tag yet
    #[arg(long)]
    force: bool,
    /// Wait until a valid certificate is served for it
    #[arg(long)]
    wait_cert: bool,
    /// How long to wait for the certificate, such as `30s` [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout, requires = "wait_cert")]
    timeout: Option<u64>,
}

/// The files of a certificate, as two flags.
#[derive(Debug, Args)]
#[group(skip)]
struct CertificateArgs {
    /// A PEM file of its certificate with the chain, which is read again when it changes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(requires = "tls_key", conflicts_with = "tls")]
    tls_cert: Option<PathBuf>,
    /// A PEM file of the certificate's private key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(requires = "tls_cert", conflicts_with = "tls")]
    tls_key: Option<PathBuf>,
}

/// Change a domain's options; to change its live tag, use `vhost ctl switch`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl domain set example.com --alias www.example.com --alias shop.example.com
  vhost ctl domain set example.com --no-aliases --balance least-connections
  vhost ctl domain set example.com --tls off --hsts-max-age 0
  vhost ctl domain set example.com --option max_body_bytes=10MB --no-option deny")]
pub(super) struct SetArgs {
    /// The domain
    domain: DomainName,
    #[command(flatten)]
    edits: Edits,
}

#[derive(Debug, Args)]
// The derive counts in nothing where a struct is flattened into this one.
#[group(id = EDITS, required = true, multiple = true, args = [
    "aliases", "no_aliases", "tls_cert", "tls_key",
])]
struct Edits {
    /// An alias of the new list, which replaces the old list; may be repeated
    #[arg(long = "alias", value_name = "DOMAIN")]
    aliases: Vec<DomainName>,
    /// Remove all aliases
    #[arg(long, conflicts_with = "aliases")]
    no_aliases: bool,
    #[command(flatten)]
    flags: Flags<TopOptions, false>,
    #[command(flatten)]
    certificate: CertificateArgs,
    #[command(flatten)]
    options: OptionArgs<TopOptions, false>,
}

impl DomainVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::List => {
                let nothing = "there are no domains; add one with `vhost ctl domain add`";
                let rows = |page: &[DomainInfo], is_wide, _| table(page, is_wide);
                print_all::<domain::List, _>(session, "list the domains", nothing, rows).await?;
            }
            Self::Show { domain } => {
                let action = format!("show `{}`", domain.shown());
                let info = session.call::<domain::Show>(&action, &DomainParams { domain }).await?;
                session.printer.show(&info, facts(&info));
            }
            Self::Add(args) => {
                let action = format!("add `{}`", args.domain.shown());
                let (wait, timeout) = (args.wait_cert, args.timeout);
                let info =
                    session.call::<domain::Add>(&action, &args.params().map_err(unfit)?).await?;
                if !wait {
                    session.printer.changed(&info, &format!("added {}", summary(&info.now)));
                    return Ok(ExitCode::Done);
                }
                // The result for scripts, even if there is no certificate in the end.
                session.printer.for_scripts(&info);
                session.printer.reached("added", &summary(&info.now));
                let report = cert::wait(session, &info.now.domain, timeout).await?;
                if let Some(problem) = cert::shortfall(&report) {
                    return Err(problem);
                }
                session.printer.reached("done", &cert_view::summary(&report));
            }
            Self::Set(args) => {
                set(session, &args.params().map_err(unfit)?).await?;
            }
            Self::Maintenance { domain, state, message, retry_after } => {
                let value = match state {
                    State::On => {
                        let given = json!({ "message": message, "retry_after_secs": retry_after });
                        return start_maintenance(session, domain, given).await;
                    }
                    State::Off if message.is_some() || retry_after.is_some() => {
                        let cause =
                            "leave out `--message` and `--retry-after`: they have no effect";
                        return Err(Problem::usage(
                            "cannot turn maintenance off",
                            cause.to_owned(),
                        ));
                    }
                    State::Off => Value::Null,
                };
                set_option(session, domain, "maintenance", value).await?;
            }
            Self::Pause { domain, max_wait, max_waiting } => {
                let value =
                    json!({ "max_wait_secs": max_wait.div_ceil(1000), "max_waiting": max_waiting });
                set_option(session, domain, "pause", value).await?;
            }
            Self::Resume { domain } => set_option(session, domain, "pause", Value::Null).await?,
            Self::Remove { domain } => {
                let action = format!("remove `{}`", domain.shown());
                let params = DomainParams { domain };
                let changed = session.call::<domain::Remove>(&action, &params).await?;
                let (name, revision) = (params.domain.shown(), Some(changed.now.revision));
                confirm(session, &changed, &name, revision, &format!("{name}: removed"));
            }
        }
        Ok(ExitCode::Done)
    }
}

/// Turns maintenance on, with what is given and nothing of what was there.
async fn start_maintenance(
    session: &mut Session<'_>,
    domain: DomainName,
    given: Value,
) -> Result<ExitCode, Problem> {
    const OPTION: &str = "maintenance";
    let members = given.as_object().into_iter().flatten();
    let is_given = members.clone().any(|(_, value)| !value.is_null());
    let patch = if is_given { given.clone() } else { json!({}) };
    let mut info = change(session, &with_option(domain.clone(), OPTION, patch)).await?;
    let there = info.now.options.get(OPTION).and_then(Value::as_object);
    // Null takes a member out, but a patch of nulls alone turns nothing on.
    if !is_given
        && there.is_some_and(|there| members.clone().any(|(key, _)| there.contains_key(key)))
    {
        info = change(session, &with_option(domain, OPTION, given.clone())).await?;
    }
    print(session, &info);
    Ok(ExitCode::Done)
}

/// Turns an option on or off.
async fn set_option(
    session: &mut Session<'_>,
    domain: DomainName,
    option: &str,
    value: Value,
) -> Result<(), Problem> {
    set(session, &with_option(domain, option, value)).await
}

fn with_option(domain: DomainName, option: &str, value: Value) -> SetParams {
    let options = Map::from_iter([(option.to_owned(), value)]);
    SetParams { domain, top: Edited::default(), options }
}

async fn set(session: &mut Session<'_>, params: &SetParams) -> Result<(), Problem> {
    let info = change(session, params).await?;
    print(session, &info);
    Ok(())
}

async fn change(
    session: &mut Session<'_>,
    params: &SetParams,
) -> Result<Confirmed<DomainInfo>, Problem> {
    let action = format!("change `{}`", params.domain.shown());
    session.call::<domain::Set>(&action, params).await
}

fn print(session: &mut Session<'_>, info: &Confirmed<DomainInfo>) {
    let DomainInfo { domain, revision, .. } = &info.now;
    confirm(session, info, &domain.shown(), Some(*revision), &summary(&info.now));
}

impl AddArgs {
    fn params(self) -> Result<AddParams, String> {
        let Self { domain, tag, aliases, flags, certificate, options, force, .. } = self;
        let mut given = certificate.join(flags.into_values());
        if !aliases.is_empty() {
            given.insert("aliases".to_owned(), json!(aliases));
        }
        let (top, options) = split(options.patch(given)?);
        Ok(AddParams { domain, tag, top: top.into(), options, force })
    }
}

impl SetArgs {
    fn params(self) -> Result<SetParams, String> {
        let Self { domain, edits } = self;
        let Edits { aliases, no_aliases, flags, certificate, options } = edits;
        let mut given = certificate.join(flags.into_values());
        if no_aliases || !aliases.is_empty() {
            given.insert("aliases".to_owned(), json!(aliases));
        }
        let (top, options) = split(options.patch(given)?);
        Ok(SetParams { domain, top: top.into(), options })
    }
}

impl CertificateArgs {
    /// Puts the files where the server finds them, wherever it was started.
    fn join(self, mut given: Map<String, Value>) -> Map<String, Value> {
        if let (Some(cert), Some(key)) = (self.tls_cert, self.tls_key) {
            let files = TlsMode::Files { cert: absolute(cert), key: absolute(key) };
            given.insert("tls".to_owned(), json!(files));
        }
        given
    }
}

/// The options at the top of a domain, and its others.
fn split(given: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    given.into_iter().partition(|(key, _)| TopOptions::KEYS.contains(&key.as_str()))
}

pub(super) fn unfit(cause: String) -> Problem {
    Problem::usage("the options do not fit together", cause)
}
