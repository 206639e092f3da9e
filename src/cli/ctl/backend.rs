//! `vhost ctl backend …`: arguments and calls.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};

use super::backend_view::{facts, summary, table, unhealthy_note};
use super::confirm::{conclude, confirm};
use super::connect::Session;
use super::domain::unfit;
use super::flags::{EDITS, Flags};
use super::options::OptionArgs;
use super::pages::print_all;
use super::switch_progress::draining;
use crate::cli::exit_code::ExitCode;
use crate::cli::output::{Printer, last_answer};
use crate::cli::problem::Problem;
use crate::cli::table::join;
use crate::cli::time::parse_timeout;
use crate::model::{BackendAddr, BackendId, BackendOptions, Tag};
use crate::rpc::envelope::FaultKind;
use crate::rpc::methods::backend::{
    self, AddParams, BackendInfo, BackendParams, DrainParams, DrainProgress, ReadyParams,
    SetParams, TagParams,
};
use crate::rpc::methods::{Confirmed, Method};

#[derive(Debug, Subcommand)]
pub(super) enum BackendVerb {
    /// List all backends with their health
    #[command(after_help = "Example:\n  vhost ctl backend list")]
    List,
    /// Show one backend, and why it is unhealthy
    #[command(after_help = "Example:\n  vhost ctl backend show web-v1")]
    Show {
        /// The backend
        id: BackendId,
    },
    Add(AddArgs),
    Set(SetArgs),
    /// Drain a backend and remove it
    #[command(after_help = "Example:\n  vhost ctl backend remove web-v1 --timeout 2m")]
    Remove {
        /// The backend
        id: BackendId,
        /// How long its requests may take to end, such as `30s`
        /// [default: `drain_timeout_secs` of `[switch]`, 30s]
        #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
        timeout: Option<u64>,
        /// Remove it even if a live tag loses its last healthy backend, or requests have not ended in
        /// time
        #[arg(long)]
        force: bool,
    },
    /// Add tags to a backend, or remove some
    #[command(after_help = "Examples:
  vhost ctl backend tag web-v1 b
  vhost ctl backend tag web-v1 --remove a")]
    Tag {
        /// The backend
        id: BackendId,
        /// The tags to add
        #[arg(value_name = "TAG", value_delimiter = ',')]
        #[arg(required_unless_present = "remove", conflicts_with = "remove")]
        tags: Vec<Tag>,
        /// A tag to remove instead; may be repeated, or several with commas
        #[arg(long, value_name = "TAG", value_delimiter = ',')]
        remove: Vec<Tag>,
        /// Do it even if a live tag loses its last healthy backend
        #[arg(long, requires = "remove")]
        force: bool,
    },
    /// Remove tags from a backend
    #[command(after_help = "Example:\n  vhost ctl backend untag web-v1 a")]
    Untag {
        /// The backend
        id: BackendId,
        /// The tags to remove
        #[arg(value_name = "TAG", value_delimiter = ',', required = true)]
        tags: Vec<Tag>,
        /// Do it even if a live tag loses its last healthy backend
        #[arg(long)]
        force: bool,
    },
    /// Send no new requests to a backend; its running requests finish
    #[command(after_help = "Example:\n  vhost ctl backend drain web-v1 --wait --timeout 2m")]
    Drain(OutArgs),
    /// Send requests to a backend again
    #[command(after_help = "Example:\n  vhost ctl backend ready web-v1 --wait")]
    Ready {
        /// The backend
        id: BackendId,
        /// Wait until it is healthy
        #[arg(long)]
        wait: bool,
        /// How long to wait, such as `30s` [default: `gate_timeout_secs` of `[switch]`, 30s]
        #[arg(long, value_name = "TIME", value_parser = parse_timeout, requires = "wait")]
        timeout: Option<u64>,
    },
    /// Probe a backend now, and show what it answered
    ///
    /// The outcome counts as that of any other probe: several in a row make a backend healthy or
    /// unhealthy. The exit status is 6 when this one failed.
    #[command(after_help = "Example:\n  vhost ctl backend probe web-v1")]
    Probe {
        /// The backend
        id: BackendId,
    },
    /// Send neither requests nor probes to a backend
    #[command(after_help = "Example:\n  vhost ctl backend disable web-v1")]
    Disable(OutArgs),
}

/// Add a backend; it is probed at once
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl backend add web-v2 localhost:3002 --tag b
  vhost ctl backend add app unix:/run/app.sock --tag a,b --weight 3
  vhost ctl backend add api api.internal:443 --tag a --scheme h2 --tls-ca-file /etc/vhost/ca.pem
  vhost ctl backend add web-v3 localhost:3003 --tag b --health-check-path /up --health-check-port 9003")]
pub(super) struct AddArgs {
    /// The id of the new backend
    id: BackendId,
    /// Its address: `host:port` or `unix:/path`
    address: BackendAddr,
    /// A tag of the backend; may be repeated, or several with commas
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    tags: Vec<Tag>,
    #[command(flatten)]
    flags: Flags<BackendOptions, true>,
    #[command(flatten)]
    options: OptionArgs<BackendOptions, true>,
}

/// Change a backend; options that are not given stay unchanged
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl backend set web-v2 --address localhost:3003
  vhost ctl backend set web-v2 --health-check-host shop.example.com --no-option health_check.port")]
pub(super) struct SetArgs {
    /// The backend
    id: BackendId,
    #[command(flatten)]
    edits: Edits,
}

#[derive(Debug, Args)]
// The derive counts in nothing where a struct is flattened into this one.
#[group(id = EDITS, required = true, multiple = true, args = ["address"])]
struct Edits {
    /// Its address: `host:port` or `unix:/path`
    #[arg(long)]
    address: Option<BackendAddr>,
    #[command(flatten)]
    flags: Flags<BackendOptions, false>,
    #[command(flatten)]
    options: OptionArgs<BackendOptions, false>,
}

#[derive(Debug, Args)]
pub(super) struct OutArgs {
    /// The backend
    id: BackendId,
    /// Wait until its requests have ended
    #[arg(long)]
    wait: bool,
    /// How long to wait, such as `30s` [default: `drain_timeout_secs` of `[switch]`, 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout, requires = "wait")]
    timeout: Option<u64>,
    /// Do it even if a live tag loses its last healthy backend
    #[arg(long)]
    force: bool,
}

impl BackendVerb {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        match self {
            Self::List => {
                let nothing = "there are no backends; add one with `vhost ctl backend add`";
                let action = "list the backends";
                let list = print_all::<backend::List, _>(session, action, nothing, table).await?;
                if let Some(note) = unhealthy_note(&list) {
                    session.printer.note(&note);
                }
            }
            Self::Show { id } => {
                let action = format!("show `{id}`");
                let info = session.call::<backend::Show>(&action, &BackendParams { id }).await?;
                let facts = facts(&info, session.printer.now_ms());
                session.printer.show(&info, facts);
            }
            Self::Add(args) => {
                let params = args.params().map_err(unfit)?;
                let action = format!("add `{}`", params.id);
                let info = session.call::<backend::Add>(&action, &params).await?;
                session.printer.changed(&info, &format!("added {}", summary(&info.now)));
            }
            Self::Set(args) => {
                let params = args.params().map_err(unfit)?;
                let action = format!("change `{}`", params.id);
                change::<backend::Set>(session, &action, &params).await?;
            }
            Self::Remove { id, timeout, force } => {
                let action = format!("remove `{id}`");
                let params = DrainParams { id, wait: true, timeout_ms: timeout, force };
                let progress = |printer: &mut Printer<'_>, progress: DrainProgress| {
                    draining(printer, progress.remaining);
                };
                let changed = session
                    .attend::<backend::Remove>(&action, &params, Problem::interrupted, progress)
                    .await?;
                let (id, revision) = (&params.id, Some(changed.now.revision));
                conclude(session, &changed, id, revision, &format!("{id}: removed"));
            }
            Self::Tag { id, tags, remove, .. } if remove.is_empty() => {
                let action = format!("add {} to `{id}`", tags_in_words(&tags));
                let tags = each_once(tags).map_err(unfit)?;
                let params = TagParams { id, tags, force: false };
                change::<backend::AddTags>(session, &action, &params).await?;
            }
            Self::Tag { id, remove: tags, force, .. } | Self::Untag { id, tags, force } => {
                let action = format!("remove {} from `{id}`", tags_in_words(&tags));
                let params = TagParams { id, tags: each_once(tags).map_err(unfit)?, force };
                change::<backend::RemoveTags>(session, &action, &params).await?;
            }
            Self::Drain(out) => out.run::<backend::Drain>("drain", session).await?,
            Self::Disable(out) => out.run::<backend::Disable>("disable", session).await?,
            Self::Ready { id, wait, timeout } => {
                let action = format!("make `{id}` ready");
                let params = ReadyParams { id, wait, timeout_ms: timeout };
                change::<backend::Ready>(session, &action, &params).await?;
            }
            Self::Probe { id } => probe(id, session).await?,
        }
        Ok(ExitCode::Done)
    }
}

impl AddArgs {
    fn params(self) -> Result<AddParams, String> {
        let Self { id, address, tags, flags, options } = self;
        let options = options.patch(flags.into_values())?.into();
        Ok(AddParams { id, address, tags: each_once(tags)?, options })
    }
}

impl SetArgs {
    fn params(self) -> Result<SetParams, String> {
        let Self { id, edits: Edits { address, flags, options } } = self;
        let options = options.patch(flags.into_values())?.into();
        Ok(SetParams { id, address, options, tags: None, state: None, force: false })
    }
}

impl OutArgs {
    async fn run<M>(self, verb: &str, session: &mut Session<'_>) -> Result<(), Problem>
    where
        M: Method<Params = DrainParams, Result = Confirmed<BackendInfo>, Progress = DrainProgress>,
    {
        let Self { id, wait, timeout, force } = self;
        let action = format!("{verb} `{id}`");
        let params = DrainParams { id, wait, timeout_ms: timeout, force };
        let info = session
            .attend::<M>(&action, &params, Problem::interrupted, |printer, progress| {
                draining(printer, progress.remaining);
            })
            .await?;
        let BackendInfo { id, revision, .. } = &info.now;
        if wait {
            conclude(session, &info, id, Some(*revision), &summary(&info.now));
        } else {
            confirm(session, &info, id, Some(*revision), &summary(&info.now));
        }
        Ok(())
    }
}

async fn probe(id: BackendId, session: &mut Session<'_>) -> Result<(), Problem> {
    let params = BackendParams { id: id.clone() };
    let action = format!("probe `{id}`");
    let report =
        session.attend::<backend::Probe>(&action, &params, Problem::given_up, |_, ()| {}).await?;
    let status = report.health.status;
    if report.succeeded {
        let answer = last_answer(&report.health, session.printer.now_ms());
        session.printer.text(&report, &format!("{id}: {status}, {answer}\n"));
        return Ok(());
    }
    session.printer.for_scripts(&report);
    let message = report.health.last_error.unwrap_or_default();
    let hint = format!("it counts as {status} now; see `vhost ctl backend show {id}`");
    let what = format!("the probe of `{id}` failed");
    Err(Problem::found(what, message, FaultKind::Unhealthy, hint))
}

async fn change<M: Method<Result = Confirmed<BackendInfo>>>(
    session: &mut Session<'_>,
    action: &str,
    params: &M::Params,
) -> Result<(), Problem> {
    let info = session.call::<M>(action, params).await?;
    let BackendInfo { id, revision, .. } = &info.now;
    confirm(session, &info, id, Some(*revision), &summary(&info.now));
    Ok(())
}

fn each_once(tags: Vec<Tag>) -> Result<BTreeSet<Tag>, String> {
    let mut once = BTreeSet::new();
    for tag in tags {
        if let Some(tag) = once.replace(tag) {
            return Err(format!("the tag `{tag}` is named twice; name it once"));
        }
    }
    Ok(once)
}

fn tags_in_words(tags: &[Tag]) -> String {
    let word = if tags.len() == 1 { "the tag" } else { "the tags" };
    format!("{word} {}", join(tags.iter().map(|tag| format!("`{tag}`"))))
}
