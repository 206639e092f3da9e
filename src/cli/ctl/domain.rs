//! `vhost ctl domain …` and `vhost ctl wait`.

use clap::{Args, Subcommand, ValueEnum};

use super::connect::Session;
use super::pages::{Paged, print_all};
use crate::cli::exit_code::ExitCode;
use crate::cli::output::Printer;
use crate::cli::problem::Problem;
use crate::cli::table::{Cell, Table, Tone, count, join};
use crate::cli::time::parse_millis;
use crate::model::{Balance, DomainName, Tag};
use crate::rpc::methods::domain::{
    self, AddParams, DomainInfo, DomainList, DomainParams, ListParams, PoolInfo, SetParams,
    WaitFor, WaitParams,
};

#[derive(Debug, Subcommand)]
pub(super) enum DomainVerb {
    List(ListArgs),
    Show(ShowArgs),
    Add(AddArgs),
    Set(SetArgs),
    Remove(RemoveArgs),
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
  vhost ctl domain add '*.example.com' --tag a --balance least-connections")]
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
}

#[derive(Debug, Args)]
struct OptionArgs {
    /// Redirect plain HTTP once the domain is served over HTTPS
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    http_to_https: Option<bool>,
    /// How a backend is chosen: round-robin or least-connections
    #[arg(long, value_name = "METHOD")]
    balance: Option<Balance>,
}

/// Change a domain's options; its live tag moves with `vhost ctl switch`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl domain set example.com --alias www.example.com --alias shop.example.com
  vhost ctl domain set example.com --no-aliases --balance least-connections")]
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
    /// How a backend is chosen: round-robin or least-connections
    #[arg(long, value_name = "METHOD")]
    balance: Option<Balance>,
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
                print_all::<domain::List>(session, "list the domains", nothing, |_| {}).await?;
            }
            Self::Show(ShowArgs { domain }) => {
                let action = format!("show `{domain}`");
                let info = session.call::<domain::Show>(&action, &DomainParams { domain }).await?;
                session.printer.show(&info, facts(&info));
            }
            Self::Add(args) => {
                let action = format!("add `{}`", args.domain);
                let info = session.call::<domain::Add>(&action, &args.into()).await?;
                session.printer.changed(&info, &summary(&info));
            }
            Self::Set(args) => {
                let action = format!("change `{}`", args.domain);
                let info = session.call::<domain::Set>(&action, &args.into()).await?;
                session.printer.changed(&info, &summary(&info));
            }
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

impl Paged for domain::List {
    fn next(page: &DomainList) -> Option<ListParams> {
        page.next.clone().map(|next| ListParams { after: Some(next), limit: None })
    }

    fn append(list: &mut DomainList, page: DomainList) {
        list.revision = page.revision;
        list.domains.extend(page.domains);
        list.next = page.next;
    }

    fn table(page: &DomainList, printer: &Printer<'_>) -> Table {
        if printer.is_wide() { wide_table(&page.domains) } else { table(&page.domains) }
    }
}

impl From<AddArgs> for AddParams {
    fn from(args: AddArgs) -> Self {
        let AddArgs { domain, tag, aliases, options, force } = args;
        let OptionArgs { http_to_https, balance } = options;
        Self { domain, tag, aliases, http_to_https, balance, force }
    }
}

impl From<SetArgs> for SetParams {
    fn from(args: SetArgs) -> Self {
        let SetArgs { domain, edits } = args;
        let Edits { aliases, no_aliases, http_to_https, balance } = edits;
        let aliases = (no_aliases || !aliases.is_empty()).then_some(aliases);
        Self { domain, aliases, http_to_https, balance }
    }
}

impl WaitArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let (until, word, left) = match self.until {
            Until::Healthy => (WaitFor::Healthy, "healthy", "backend"),
            Until::Drained => (WaitFor::Drained, "drained", "request"),
        };
        let action = format!("wait until `{}` is {word}", self.domain);
        let params = WaitParams { domain: self.domain, until, timeout_ms: self.timeout };
        let mut last = None;
        let info = session
            .watch::<domain::Wait>(&action, &params, |printer, progress| {
                if last.replace(progress.remaining) != Some(progress.remaining) {
                    printer.note(&format!("waiting   for {}", count(progress.remaining, left)));
                }
            })
            .await?;
        session.printer.changed(&info, &summary(&info));
        Ok(ExitCode::Done)
    }
}

/// The state of a domain in one line.
fn summary(info: &DomainInfo) -> String {
    let PoolInfo { ready, healthy, .. } = info.backends;
    let backends = match ready {
        0 => "no ready backends".to_owned(),
        _ => format!("{healthy} of {} healthy", count(ready, "backend")),
    };
    let draining = left_behind(info);
    let draining = if draining.is_empty() { draining } else { format!(", {draining} in flight") };
    format!("{}: live {}, {backends}{draining}, revision {}", info.domain, info.live, info.revision)
}

fn table(domains: &[DomainInfo]) -> Table {
    let mut table = Table::list(&["DOMAIN", "LIVE", "BEFORE", "BACKENDS", "IN-FLIGHT", "ALIASES"])
        .shortening(&[(5, 0), (0, 24)]);
    for info in domains {
        let aliases = match info.aliases.as_slice() {
            [first, _, ..] => format!("{first} +{}", info.aliases.len() - 1),
            few => join(few),
        };
        table.row(columns(info).into_iter().chain([aliases.into()]));
    }
    table
}

fn columns(info: &DomainInfo) -> [Cell; 5] {
    [
        info.domain.to_string().into(),
        info.live.as_str().into(),
        join(&info.previous).into(),
        pool(info.backends),
        in_flight(info).into(),
    ]
}

/// All domains with all their options, on lines as long as it takes.
fn wide_table(domains: &[DomainInfo]) -> Table {
    let mut table = Table::list(&[
        "DOMAIN",
        "LIVE",
        "BEFORE",
        "BACKENDS",
        "IN-FLIGHT",
        "BALANCE",
        "HTTP-TO-HTTPS",
        "ALIASES",
    ]);
    for info in domains {
        let more = [
            info.balance.to_string().into(),
            if info.http_to_https { "yes" } else { "no" }.into(),
            join(&info.aliases).into(),
        ];
        table.row(columns(info).into_iter().chain(more));
    }
    table
}

fn facts(info: &DomainInfo) -> Table {
    let mut table = Table::facts();
    table.fact("domain", info.domain.to_string());
    table.fact("aliases", join(&info.aliases));
    table.fact("live", info.live.as_str());
    table.fact("before", join(&info.previous));
    table.fact("backends", pool(info.backends));
    table.fact("in flight", in_flight(info));
    table.fact("balance", info.balance.to_string());
    table.fact("http to https", if info.http_to_https { "yes" } else { "no" });
    table.fact("revision", info.revision.to_string());
    table
}

/// How much of a pool can serve: healthy of those that should.
fn pool(pool: PoolInfo) -> Cell {
    let PoolInfo { total, ready, healthy } = pool;
    let tone = if healthy == 0 {
        Tone::Bad
    } else if healthy < ready {
        Tone::Unsure
    } else {
        Tone::Good
    };
    let text = match (ready, total - ready.min(total)) {
        (0, 0) => "none".to_owned(),
        (0, out) => format!("none ready, {out} out"),
        (_, 0) => format!("{healthy}/{ready} healthy"),
        (_, out) => format!("{healthy}/{ready} healthy, {out} out"),
    };
    Cell::toned(text, tone)
}

/// Requests on the live tag, and those that still run on tags it left.
fn in_flight(info: &DomainInfo) -> String {
    let live: usize = on_live(info).map(|of| of.requests).sum();
    let left = left_behind(info);
    if left.is_empty() { live.to_string() } else { format!("{live}, {left}") }
}

fn on_live(info: &DomainInfo) -> impl Iterator<Item = &domain::TagInFlight> {
    info.in_flight.iter().filter(|of| of.tag == info.live)
}

fn left_behind(info: &DomainInfo) -> String {
    let left = info.in_flight.iter().filter(|of| of.tag != info.live && of.requests > 0);
    join(left.map(|of| format!("{} on {}", of.requests, of.tag)))
}
