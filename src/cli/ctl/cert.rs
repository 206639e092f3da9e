//! `vhost ctl cert …`: arguments and calls.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::cert_files::{lines, read, unwritten, write};
use super::cert_view::{Troubled, accounts, attempts, facts, summary, table, wide_table};
use super::connect::Session;
use super::pages::print_all;
use crate::cli::exit_code::ExitCode;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::time::{date, parse_millis};
use crate::model::{CertificateReport, CertificateState, DomainName, RevocationReason};
use crate::rpc::methods::NoParams;
use crate::rpc::methods::cert::{
    self, ExportParams, ImportParams, NameParams, RenewParams, RevokeParams, WaitParams,
};

#[derive(Debug, Subcommand)]
pub(super) enum CertVerb {
    List(ListArgs),
    Show(ShowArgs),
    Renew(RenewArgs),
    Wait(WaitArgs),
    Import(ImportArgs),
    Export(ExportArgs),
    Revoke(RevokeArgs),
    Ca(CaArgs),
    Account(AccountArgs),
}

/// List the certificates of all names, with their state and what happens next
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl cert list")]
pub(super) struct ListArgs {}

/// Show one certificate, the last attempts to get it, and what to do
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl cert show example.com")]
pub(super) struct ShowArgs {
    /// A domain or an alias
    #[arg(value_name = "NAME")]
    name: DomainName,
}

/// Order a new certificate now; the current one is served until it is there
///
/// With `--wait`, the exit status is 1 if the order failed, and 6 if the certificate was not there
/// in time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl cert renew example.com --wait
  vhost ctl cert renew example.com --force --wait --timeout 5m")]
pub(super) struct RenewArgs {
    /// A domain or an alias
    #[arg(value_name = "NAME")]
    name: DomainName,
    /// Order even if the current one is not due for renewal, or others were ordered recently; CAs
    /// limit the number of orders
    #[arg(long)]
    force: bool,
    /// Wait until the new one is served
    #[arg(long)]
    wait: bool,
    /// How long to wait, such as `30s` [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = parse_millis, requires = "wait")]
    timeout: Option<u64>,
}

/// Wait until a valid certificate is served and none is being ordered
///
/// The exit status is 1 if the order failed, and 6 if the certificate was not there in time.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl cert wait example.com --timeout 5m")]
pub(super) struct WaitArgs {
    /// A domain or an alias
    #[arg(value_name = "NAME")]
    name: DomainName,
    /// How long to wait, such as `30s` [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = parse_millis)]
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
    #[arg(value_name = "NAME")]
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
    #[arg(value_name = "NAME")]
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

/// Ask the CA to revoke the current certificate
///
/// After `key-compromise` a certificate with a new key is ordered at once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl cert revoke example.com --reason key-compromise")]
pub(super) struct RevokeArgs {
    /// A domain or an alias
    #[arg(value_name = "NAME")]
    name: DomainName,
    /// Why
    #[arg(long, default_value = "unspecified")]
    reason: Reason,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Reason {
    /// No reason is given
    Unspecified,
    /// Somebody else may have the key
    KeyCompromise,
    /// Another certificate has replaced it
    Superseded,
    /// The name is no longer served
    CessationOfOperation,
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
        }
    }
}

/// Print the root certificate of the server's own CA, for trust stores
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl cert ca > vhost-ca.pem")]
pub(super) struct CaArgs {}

/// Show the accounts at the CAs, and their DNS records
///
/// The TXT record allows the account to get certificates for a name by `dns-persist-01`; the CAA
/// record prevents other accounts from getting any.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vhost ctl cert account\n  vhost ctl cert account example.com")]
pub(super) struct AccountArgs {
    /// Show the records for this name
    #[arg(value_name = "NAME")]
    name: Option<DomainName>,
}

impl CertVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::List(ListArgs {}) => list(session).await,
            Self::Show(ShowArgs { name }) => show(session, name).await,
            Self::Renew(args) => args.run(session).await,
            Self::Wait(WaitArgs { name, timeout }) => conclude(session, &name, timeout).await,
            Self::Import(args) => args.run(session).await,
            Self::Export(args) => args.run(session).await,
            Self::Revoke(RevokeArgs { name, reason }) => {
                let action = format!("revoke the certificate of `{name}`");
                let params = RevokeParams { name, reason: reason.into() };
                let report = session.call::<cert::Revoke>(&action, &params).await?;
                session.printer.changed(&report, &format!("revoked; {}", summary(&report)));
                Ok(ExitCode::Done)
            }
            Self::Ca(CaArgs {}) => {
                let authority = session.call::<cert::Ca>("show the CA", &NoParams {}).await?;
                session.printer.text(&authority, &lines(&authority.cert));
                session.printer.note(&format!("its SHA-256 is {}", authority.sha256));
                Ok(ExitCode::Done)
            }
            Self::Account(AccountArgs { name }) => {
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
    let mut troubled = Troubled::default();
    let rows = |page: &[CertificateReport], printer: &Printer<'_>| {
        let table = if printer.is_wide() { wide_table } else { table };
        table(page, printer.now_ms())
    };
    let look = |page: &[CertificateReport]| troubled.look(page);
    print_all::<cert::List, _>(session, "list the certificates", nothing, rows, look).await?;
    if let Some(note) = troubled.note() {
        session.printer.note(&note);
    }
    Ok(ExitCode::Done)
}

async fn show(session: &mut Session<'_>, name: DomainName) -> Result<ExitCode, Problem> {
    let action = format!("show the certificate of `{name}`");
    let detail = session.call::<cert::Show>(&action, &NameParams { name }).await?;
    let tables = [facts(&detail, session.printer.now_ms()), attempts(&detail)];
    session.printer.show_all(&detail, tables);
    Ok(ExitCode::Done)
}

impl RenewArgs {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { name, force, wait: waits, timeout } = self;
        let action = format!("renew the certificate of `{name}`");
        let params = RenewParams { name: name.clone(), force };
        let report = session.call::<cert::Renew>(&action, &params).await?;
        if !waits {
            let follow = format!("`vhost ctl cert wait {name}` waits for it");
            session.printer.changed(&report, &format!("{}; {follow}", summary(&report)));
            return Ok(ExitCode::Done);
        }
        conclude(session, &name, timeout).await
    }
}

impl ImportArgs {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { name, cert, key } = self;
        let action = format!("import the certificate of `{name}`");
        let params = ImportParams { name, cert: read(&cert)?, key: read(&key)? };
        let report = session.call::<cert::Import>(&action, &params).await?;
        session.printer.changed(&report, &summary(&report));
        if let Some(served) = &report.served {
            let by = date(served.not_after_ms);
            session.printer.note(&format!("it is never renewed: import the next one before {by}"));
        }
        Ok(ExitCode::Done)
    }
}

impl ExportArgs {
    async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { name, key, out_cert, out_key } = self;
        let action = format!("export the certificate of `{name}`");
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
    let action = format!("wait for the certificate of `{name}`");
    let params = WaitParams { name: name.clone(), timeout_ms };
    let waited = session.wait::<cert::Wait>(&action, &params, |printer, progress| {
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
            "it needs none: `tls` is off, or no CA signs this name".to_owned()
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
