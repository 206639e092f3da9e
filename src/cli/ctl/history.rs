//! `vhost ctl history`.

use clap::Args;
use clap::builder::RangedU64ValueParser;
use nix::unistd::{Uid, User};

use super::connect::Session;
use super::switch_progress::moves;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{Table, join};
use crate::cli::time::{date, timestamp};
use crate::model::{
    Actor, CertificateNews, DeployedApp, DomainName, Event, EventKind, Outcome, TrialNews, counted,
    with_unicode_names,
};
use crate::rpc::methods::event::{self, ListParams};

/// Show what was changed, when and by whom, the newest first
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vhost ctl history example.com --limit 5")]
pub(super) struct HistoryArgs {
    /// Only events of this domain
    domain: Option<DomainName>,
    /// Show at most this many entries [default: the server's, 20]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
}

impl HistoryArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { domain, limit } = self;
        let nothing = match &domain {
            Some(domain) => format!("nothing has happened to `{}` yet", domain.shown()),
            None => "nothing has happened yet".to_owned(),
        };
        let params = ListParams { domain, limit };
        let list = session.call::<event::List>("read the history", &params).await?;
        let table = table(&list.events, session.printer.is_wide());
        session.printer.list(&list, table, &nothing);
        Ok(ExitCode::Done)
    }
}

/// The events, one per line; `wide` shows all changes of each, and the process id.
fn table(events: &[Event], wide: bool) -> Table {
    let most = if wide { usize::MAX } else { MAX_CHANGES };
    Table::of(events, |event| {
        let who = who(&event.actor);
        let who = match event.actor {
            Actor::Socket { pid: Some(pid), .. } if wide => format!("{who}, pid {pid}"),
            Actor::Socket { .. }
            | Actor::Token { .. }
            | Actor::File
            | Actor::Certificates
            | Actor::Server
            | Actor::Unknown => who,
        };
        [
            ("TIME", timestamp(event.at_ms).into()),
            ("REVISION", event.revision.to_string().into()),
            ("WHO", who.into()),
            ("WHAT", what_at_most(&event.kind, most).into()),
        ]
    })
}

/// What was done, in a line.
pub(super) fn what(kind: &EventKind) -> String {
    what_at_most(kind, MAX_CHANGES)
}

/// The user's name, if this machine has one: the peer of a Unix socket is on this machine.
pub(super) fn who(actor: &Actor) -> String {
    match actor {
        Actor::Socket { uid, .. } => match User::from_uid(Uid::from_raw(*uid)) {
            Ok(Some(user)) => user.name,
            Ok(None) | Err(_) => format!("uid {uid}"),
        },
        Actor::Token { .. }
        | Actor::File
        | Actor::Certificates
        | Actor::Server
        | Actor::Unknown => actor.to_string(),
    }
}

fn what_at_most(kind: &EventKind, most: usize) -> String {
    with_unicode_names(&phrased(kind, most)).into_owned()
}

/// What happened in a trial.
fn trial_news(news: &TrialNews) -> String {
    match news {
        TrialNews::Started { steps, before } => format!("started: {steps}{}", asked(before)),
        TrialNews::Stepped { share } => format!("at {share}"),
        TrialNews::Paused => "paused".to_owned(),
        TrialNews::Resumed => "resumed".to_owned(),
        TrialNews::Alarm { cause } => format!("paused, alarm: {cause}"),
        TrialNews::Ended { end, cause } => {
            let end = end.as_str().replace('_', " ");
            cause.as_ref().map_or(end.clone(), |cause| format!("{end}: {cause}"))
        }
        TrialNews::Unknown => "an event of a newer `vhost`".to_owned(),
    }
}

fn phrased(kind: &EventKind, most: usize) -> String {
    match kind {
        EventKind::Switch { steps, outcome, undo, forced, reason, before } => {
            let verb = if *undo { "undo " } else { "" };
            let gate = if *forced { ", forced" } else { "" };
            let reason = reason.as_ref().map_or_else(String::new, |text| format!(" ({text})"));
            let asked = asked(before);
            format!("{verb}{}{gate}{asked}, {}{reason}", moves(steps), came_to(outcome))
        }
        EventKind::Unknown => "an event of a newer `vhost`".to_owned(),
        EventKind::Split { moves, reason } => {
            let reason = reason.as_ref().map_or_else(String::new, |text| format!(" ({text})"));
            let moves = moves
                .iter()
                .map(|one| format!("{} {} {} → {}", one.domain, one.tag, one.before, one.after));
            format!("split {}{reason}", join(moves))
        }
        EventKind::Trial { trial, domains, from, to, news, .. } => {
            format!("{trial} {} {from} → {to}, {}", join(domains), trial_news(news))
        }
        EventKind::PreviewMade { domain, tag, .. } => format!("{domain} {tag} preview made"),
        EventKind::PreviewsEnded { domain, tags } => {
            format!("{domain} previews of {} ended", join(tags))
        }
        EventKind::DomainAdded { domain, live } => format!("{domain} added, live {live}"),
        EventKind::DomainSet { domain, changed } => format!("{domain} {}", join(changed)),
        EventKind::DomainRemoved { domain } => format!("{domain} removed"),
        EventKind::BackendAdded { backend } => format!("{backend} added"),
        EventKind::BackendSet { backend, changed } => format!("{backend} {}", join(changed)),
        EventKind::BackendRemoved { backend } => format!("{backend} removed"),
        EventKind::Deploy { apps, outcome, forced, reason, before, .. } => {
            let gate = if *forced { ", forced" } else { "" };
            let reason = reason.as_ref().map_or_else(String::new, |text| format!(" ({text})"));
            let apps = apps.iter().map(deployed);
            let asked = asked(before);
            format!("deploy {}{gate}{asked}, {}{reason}", join(apps), came_to(outcome))
        }
        EventKind::StandbyRemoved { app, tag, backends } => {
            format!("{app} {tag} removed, {}", counted(backends.len(), "backend"))
        }
        EventKind::AppAdded { app, domains } if domains.is_empty() => format!("{app} added"),
        EventKind::AppAdded { app, domains } => format!("{app} added with {}", join(domains)),
        EventKind::AppSet { app, changed } => format!("{app} {}", join(changed)),
        EventKind::AppRemoved { app, domains, backends } => {
            let with = match (domains.len(), backends.len()) {
                (0, 0) => String::new(),
                (domains, backends) => format!(
                    " with {} and {}",
                    counted(domains, "domain"),
                    counted(backends, "backend")
                ),
            };
            format!("{app} removed{with}")
        }
        EventKind::FileApplied { path, changed, .. } => {
            // A first start adds everything; `--output wide` and `json` have it all.
            let rest = changed.len().saturating_sub(most);
            let more = (rest > 0).then(|| format!("and {rest} more"));
            let shown = changed.iter().take(most).cloned().chain(more);
            format!("{path} applied: {}", join(shown))
        }
        EventKind::Certificate { domain, news } => certificate(domain, news),
    }
}

/// The hooks of a change.
fn asked(before: &[String]) -> String {
    if before.is_empty() { String::new() } else { format!(", after {}", join(before)) }
}

fn came_to(outcome: &Outcome) -> String {
    match outcome {
        Outcome::GateFailed { cause } => format!("gate failed: {cause}"),
        other => other.to_string(),
    }
}

/// An app with the tags before and after, and what the operator calls the version.
pub(super) fn deployed(of: &DeployedApp) -> String {
    let DeployedApp { app, from, to, release, .. } = of;
    let release = release.as_ref().map(|label| format!(" {label}")).unwrap_or_default();
    match from.as_ref().filter(|from| *from != to) {
        Some(from) => format!("{app}{release}: {from}→{to}"),
        None => format!("{app}{release}: {to}"),
    }
}

fn certificate(domain: &DomainName, news: &CertificateNews) -> String {
    let what = match news {
        // The most important part comes first, because a terminal cuts the line.
        CertificateNews::Served { source, issuer, not_after_ms, renewed, .. } => {
            let renewed = if *renewed { "renewed, " } else { "" };
            format!("{renewed}until {}, by {issuer} ({source})", date(*not_after_ms))
        }
        CertificateNews::Failed { error, attempt, next_ms } => {
            let next = match next_ms {
                Some(at) => format!("next {}", timestamp(*at)),
                None => "needs a person".to_owned(),
            };
            format!("failed: {error} (attempt {attempt}, {next})")
        }
        CertificateNews::Rejected { error } => format!("rejected: {error}"),
        CertificateNews::Revoked { reason, .. } => format!("revoked ({reason})"),
        CertificateNews::Unknown => "a change of a newer `vhost`".to_owned(),
    };
    format!("{domain} cert {what}")
}

/// The most changes of a config file in one line.
const MAX_CHANGES: usize = 3;
