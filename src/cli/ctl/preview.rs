//! `vhost ctl preview`.

use clap::Args;

use super::connect::Session;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{Table, join};
use crate::cli::time::{parse_timeout, timestamp};
use crate::model::{DomainName, Tag};
use crate::rpc::methods::preview::{self, ListParams, MakeParams, RevokeParams};

/// Make a link that pins a browser to a tag of a domain, whatever tag is live
///
/// The link sets a cookie and leads on without itself. The tag need not be live, and what the browser does there
/// counts for no guard. Nobody can make such a link but this server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl preview example.com b --ttl 1h
  vhost ctl preview example.com --list
  vhost ctl preview example.com --revoke all")]
pub(super) struct PreviewArgs {
    /// The domain
    domain: DomainName,
    /// The tag
    #[arg(required_unless_present_any = ["list", "revoke"])]
    tag: Option<Tag>,
    /// How long it lasts, up to 30 days [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    ttl: Option<u64>,
    /// List the previews of the domain
    #[arg(long, conflicts_with_all = ["tag", "ttl", "revoke"])]
    list: bool,
    /// End the preview of this number, or all
    #[arg(long, value_name = "ID|all", conflicts_with_all = ["tag", "ttl"], value_parser = which)]
    revoke: Option<Which>,
}

/// Which previews are meant.
#[derive(Debug, Clone, Copy)]
enum Which {
    All,
    One(u64),
}

fn which(text: &str) -> Result<Which, String> {
    match text {
        "all" => Ok(Which::All),
        id => id.parse().map(Which::One).map_err(|_| "write its number, or `all`".to_owned()),
    }
}

impl PreviewArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { domain, tag, ttl, list: _, revoke } = self;
        let shown = domain.shown();
        if let Some(which) = revoke {
            let id = match which {
                Which::All => None,
                Which::One(id) => Some(id),
            };
            let action = format!("revoke previews of `{shown}`");
            let revoked =
                session.call::<preview::Revoke>(&action, &RevokeParams { domain, id }).await?;
            let ended = match &revoked.ended[..] {
                [] => "there were none".to_owned(),
                ids => format!("ended: {}", join(ids)),
            };
            session.printer.changed(&revoked, &ended);
            return Ok(ExitCode::Done);
        }
        let Some(tag) = tag else {
            let action = format!("list the previews of `{shown}`");
            let list = session.call::<preview::List>(&action, &ListParams { domain }).await?;
            let row = |one: &preview::PreviewInfo| {
                vec![
                    ("ID", one.id.to_string().into()),
                    ("TAG", one.tag.as_str().into()),
                    ("UNTIL", timestamp(one.until_ms).into()),
                    ("LINK", one.url.clone().into()),
                ]
            };
            let table = Table::of(&list.previews, row).shortening(&[(3, 16)]);
            session.printer.list(&list, table, "there are no previews");
            return Ok(ExitCode::Done);
        };
        let action = format!("make a preview of `{tag}` at `{shown}`");
        let params = MakeParams { domain, tag, time_ms: ttl };
        let made = session.call::<preview::Make>(&action, &params).await?;
        session.printer.text(&made, &made.url);
        session.printer.note(&format!(
            "it lasts until {}; end it with `vhost ctl preview {shown} --revoke {}`",
            timestamp(made.until_ms),
            made.id
        ));
        Ok(ExitCode::Done)
    }
}
