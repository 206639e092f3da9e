//! `vhost ctl cert …`: arguments and calls.

use std::fs;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::cert_files::{lines, unread, unwritten, write};
use super::cert_view::{accounts, attempts, facts, summary, table, trouble_note};
use super::confirm::confirm;
use super::connect::Session;
use super::pages::print_all;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::time::{date, parse_timeout};
use crate::model::{CertificateReport, CertificateState, DomainName, RevocationReason};
use crate::rpc::methods::NoParams;
use crate::rpc::methods::cert::{
    self, ExportParams, ImportParams, NameParams, RenewParams, RevokeParams, WaitParams,
};

#[derive(Debug, Subcommand)]
pub(super) enum CertVerb {
    /// List the certificates of all names, with their state and what happens next
    #[command(after_help = "Example:\n  vhost ctl cert list")]
    List,
    /// Show one certificate, the last attempts to get it, and what to do
    #[command(after_help = "Example:\n  vhost ctl cert show example.com")]
    Show {
        /// A domain or an alias
        name: DomainName,
    },
    Renew(RenewArgs),
    /// Wait until a valid certificate is served and none is being ordered
    ///
    /// The exit status is 1 if the order failed, and 6 if the certificate was not issued in time.
    #[command(after_help = "Example:\n  vhost ctl cert wait example.com --timeout 5m")]
    Wait {
        /// A domain or an alias
        name: DomainName,
        /// How long to wait, such as `30s` [default: 2m]
        #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
        timeout: Option<u64>,
    },
    Import(ImportArgs),
    Export(ExportArgs),
    /// Ask the CA to revoke the current certificate
    ///
    /// After `key-compromise` a certificate with a new key is ordered at once.
    #[command(after_help = "Example:\n  vhost ctl cert revoke example.com --reason key-compromise")]
    Revoke {
        /// A domain or an alias
        name: DomainName,
        /// Why
        #[arg(long, default_value = "unspecified")]
        reason: RevocationReason,
    },
    /// Print the root certificate of the server's own CA, for trust stores
    #[command(after_help = "Example:\n  vhost ctl cert ca > vhost-ca.pem")]
    Ca,
    /// Show the accounts at the CAs, and their DNS records
    ///
    /// The TXT record allows the account to get certificates for a name by `dns-persist-01`; the CAA
    /// record prevents other accounts from getting any.
    #[command(
        after_help = "Examples:\n  vhost ctl cert account\n  vhost ctl cert account example.com"
    )]
    Account {
        /// Show the records for this name
        name: Option<DomainName>,
    },
}

/// Order a new certificate now; the current one is served until the new one has been issued
///
/// With `--wait`, the exit status is 1 if the order failed, and 6 if the certificate was not issued
/// in time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl cert renew example.com --wait
  vhost ctl cert renew example.com --force --wait --timeout 5m")]
pub(super) struct RenewArgs {
    /// A domain or an alias
    name: DomainName,
    /// Order even if the current one is not due for renewal, or others were ordered recently; CAs
    /// limit the number of orders
    #[arg(long)]
    force: bool,
    /// Wait until the new one is served
    #[arg(long)]
    wait: bool,
    /// How long to wait, such as `30s` [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout, requires = "wait")]
    timeout: Option<u64>,
}

/// Import a certificate with its key, and serve it from now on
///
/// The server checks that they belong together, match the name and have not expired. An imported
/// certificate is never renewed: import the next one in time. To use files that are read again when
/// they change, run `vhost ctl domain set --tls-cert FILE --tls-key FILE`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  vhost ctl cert import example.com --cert example.com.pem --key example.com.key"
)]
pub(super) struct ImportArgs {
    /// The domain or alias that the certificate is for
    name: DomainName,
    /// The file of the certificate with its chain, PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    cert: PathBuf,
    /// The file of its private key, PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key: PathBuf,
}

/// Print the current certificate with its chain, as PEM
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl cert export example.com > example.com.pem
  vhost ctl cert export example.com --out-cert example.com.pem --out-key example.com.key")]
pub(super) struct ExportArgs {
    /// A domain or an alias
    name: DomainName,
    /// Also print the private key, after the certificate
    #[arg(long)]
    key: bool,
    /// Write the certificate to this file instead
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out_cert: Option<PathBuf>,
    /// Write the private key to this file, which only you can read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out_key: Option<PathBuf>,
}

impl ValueEnum for RevocationReason {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let about = match self {
            Self::Unspecified => "No reason is given",
            Self::KeyCompromise => "Somebody else may have the key",
            Self::Superseded => "Another certificate has replaced it",
            Self::CessationOfOperation => "The name is no longer served",
        };
        Some(PossibleValue::new(self.as_str()).help(about))
    }
}

impl CertVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::List => list(session).await,
            Self::Show { name } => show(session, name).await,
            Self::Renew(args) => args.run(session).await,
            Self::Wait { name, timeout } => conclude(session, &name, timeout).await,
            Self::Import(args) => args.run(session).await,
            Self::Export(args) => args.run(session).await,
            Self::Revoke { name, reason } => {
                let action = format!("revoke the certificate of `{}`", name.shown());
                let params = RevokeParams { name, reason };
                let report = session.call::<cert::Revoke>(&action, &params).await?;
                confirm(session, &report, &report.now.name.shown(), None, &summary(&report.now));
                Ok(ExitCode::Done)
            }
            Self::Ca => {
                let authority = session.call::<cert::Ca>("show the CA", &NoParams {}).await?;
                session.printer.text(&authority, &lines(&authority.cert));
                session.printer.note(&format!("its SHA-256 is {}", authority.sha256));
                Ok(ExitCode::Done)
            }
            Self::Account { name } => {
                let list = session.call::<cert::Account>("show the accounts", &NoParams {}).await?;
                // Records will be copied, so they are not wrapped, whatever the terminal's width.
                let text = accounts(&list, name.as_ref());
                if list.accounts.is_empty() {
                    session.printer.note("there is no CA; add `[lets_encrypt]` to the config file");
                }
                session.printer.text(&list, &text);
                Ok(ExitCode::Done)
            }
        }
    }
}

async fn list(session: &mut Session<'_>) -> Result<ExitCode, Problem> {
    let nothing = "there are no certificates; `vhost ctl domain add` adds a domain";
    let action = "list the certificates";
    let list = print_all::<cert::List, _>(session, action, nothing, table).await?;
    if let Some(note) = trouble_note(&list) {
        session.printer.note(&note);
    }
    Ok(ExitCode::Done)
}

async fn show(session: &mut Session<'_>, name: DomainName) -> Result<ExitCode, Problem> {
    let action = format!("show the certificate of `{}`", name.shown());
    let detail = session.call::<cert::Show>(&action, &NameParams { name }).await?;
    let tables = [facts(&detail, session.printer.now_ms()), attempts(&detail)];
    session.printer.show_all(&detail, tables);
    Ok(ExitCode::Done)
}

impl RenewArgs {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { name, force, wait: waits, timeout } = self;
        let action = format!("renew the certificate of `{}`", name.shown());
        let params = RenewParams { name: name.clone(), force };
        let report = session.call::<cert::Renew>(&action, &params).await?;
        if !waits {
            confirm(session, &report, &name.shown(), None, &summary(&report.now));
            session
                .printer
                .note(&format!("`vhost ctl cert wait {}` waits for its end", name.shown()));
            return Ok(ExitCode::Done);
        }
        conclude(session, &name, timeout).await
    }
}

impl ImportArgs {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { name, cert, key } = self;
        let action = format!("import the certificate of `{}`", name.shown());
        let (cert, key) = (
            fs::read_to_string(&cert).map_err(|error| unread(&cert, &error))?,
            fs::read_to_string(&key).map_err(|error| unread(&key, &error))?,
        );
        let params = ImportParams { name, cert, key };
        let report = session.call::<cert::Import>(&action, &params).await?;
        confirm(session, &report, &report.now.name.shown(), None, &summary(&report.now));
        if let Some(served) = &report.now.served {
            let by = date(served.not_after_ms);
            session.printer.note(&format!("it is never renewed: import the next one before {by}"));
        }
        Ok(ExitCode::Done)
    }
}

impl ExportArgs {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { name, key, out_cert, out_key } = self;
        let action = format!("export the certificate of `{}`", name.shown());
        let params = ExportParams { name, key: key || out_key.is_some() };
        let mut exported = session.call::<cert::Export>(&action, &params).await?;
        if params.key && exported.key.is_none() {
            return Err(Problem::failed(action, "the server returned no key".to_owned(), None));
        }
        if let Some(path) = out_key
            && let Some(key) = exported.key.take()
        {
            write(&path, &key, 0o600).map_err(|error| unwritten(&path, &error))?;
            session.printer.note(&format!("the key is in `{}`", path.display()));
        }
        let mut text = String::new();
        if let Some(path) = out_cert {
            write(&path, &exported.cert, 0o644).map_err(|error| unwritten(&path, &error))?;
            session.printer.note(&format!("the certificate is in `{}`", path.display()));
        } else {
            text.push_str(&lines(&exported.cert));
        }
        text.extend(exported.key.as_deref().map(lines));
        session.printer.text(&exported, &text);
        Ok(ExitCode::Done)
    }
}

/// Waits until a valid certificate is served for a name, and shows the steps.
pub(super) async fn wait(
    session: &mut Session<'_>,
    name: &DomainName,
    timeout_ms: Option<u64>,
) -> Result<CertificateReport, Problem> {
    let action = format!("wait for the certificate of `{}`", name.shown());
    let params = WaitParams { name: name.clone(), timeout_ms };
    let waited =
        session.attend::<cert::Wait>(&action, &params, Problem::given_up, |printer, progress| {
            printer.passing("ordering", &progress.step);
        });
    waited.await.map_err(|problem| Problem { exit: problem.exit.of_good_in_time(), ..problem })
}

/// The problem to print if the wait did not end with a valid certificate.
pub(super) fn shortfall(report: &CertificateReport) -> Option<Problem> {
    let CertificateReport { name, state, last_error, hint, .. } = report;
    let cause = match state {
        CertificateState::Valid => return None,
        CertificateState::None => {
            "no CA that is configured signs this name, or `tls` is off".to_owned()
        }
        CertificateState::Pending
        | CertificateState::Ordering
        | CertificateState::Renewing
        | CertificateState::Failed
        | CertificateState::Blocked
        | CertificateState::Expired
        | CertificateState::Unknown => {
            last_error.clone().unwrap_or_else(|| format!("its state is {state}"))
        }
    };
    let name = name.shown();
    let hint = hint.clone().unwrap_or_else(|| format!("see `vhost ctl cert show {name}`"));
    Some(Problem::failed(format!("get a certificate for `{name}`"), cause, Some(hint)))
}

/// Waits, and prints the result.
async fn conclude(
    session: &mut Session<'_>,
    name: &DomainName,
    timeout_ms: Option<u64>,
) -> Result<ExitCode, Problem> {
    let report = wait(session, name, timeout_ms).await?;
    if let Some(problem) = shortfall(&report) {
        session.printer.for_scripts(&report);
        return Err(problem);
    }
    session.printer.concluded(&report, &summary(&report));
    Ok(ExitCode::Done)
}
