//! `vhost ctl explain`.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::connect::Session;
use super::history::who;
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{Cell, Table, Tone, join};
use crate::cli::time::{elapsed, timestamp};
use crate::model::{
    BackendStanding, ChosenBy, ChosenTag, Explanation, HeaderLine, HealthStatus, LiveTag, Match,
    PathRoute, RequestTimeouts, RequestUrl, SplitKey, Unfit, time_in_words, unicode_host,
};
use crate::rpc::methods::route::{self, ExplainParams};

/// Show which domain, tag and backends would serve a URL, and why
///
/// The server decides as for a real request, but sends none. The exit status is 0 if a backend would
/// get the request, 4 if no domain matches, and 1 if no backend could serve it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl explain http://www.example.com/cart
  vhost ctl explain 127.0.0.1:8080/cart -H 'Host: example.com'")]
pub(super) struct ExplainArgs {
    /// The URL that a client would request: `http://host/path`, or `host/path`
    url: RequestUrl,
    /// A header of the request, as `Name: value`; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<HeaderLine>,
    /// The client's address, with which `allow`, `deny` and limits of clients are checked too
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
}

impl ExplainArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { url, headers, client } = self;
        let action = format!("explain `{url}`");
        let params = ExplainParams { url, headers, client };
        let explanation = session.call::<route::Explain>(&action, &params).await?;
        let now_ms = session.printer.now_ms();
        let tables = [facts(&explanation), backends(&explanation.backends, now_ms)];
        session.printer.show_all(&explanation, tables);
        Ok(match &explanation {
            Explanation { refused: None, .. } => ExitCode::Done,
            Explanation { host: Some(_), matched: None, .. } => ExitCode::NotFound,
            Explanation { refused: Some(_), .. } => ExitCode::Failed,
        })
    }
}

fn facts(explanation: &Explanation) -> Table {
    let mut table = Table::facts();
    let (answer, tone) = answer(explanation);
    table.fact("answer", Cell::toned(answer, tone));
    let host = explanation.host.as_deref().unwrap_or("not a valid host name");
    let unicode = unicode_host(host).map(|unicode| format!("{unicode} ({host})"));
    table.fact("host", unicode.as_deref().unwrap_or(host));
    table.fact("domain", domain(explanation));
    if let Some(PathRoute { prefix, tag, strip }) = &explanation.route {
        let stripped = if *strip { ", which is removed" } else { "" };
        table.fact("tag", format!("{tag}, by the path {prefix}{stripped}"));
    }
    if let Some(chosen) = &explanation.chosen {
        table.fact("tag", chosen_by(chosen));
    }
    if let Some(live) = &explanation.live {
        let is_other = explanation.route.is_some() || explanation.chosen.is_some();
        let fact = if is_other { "live tag" } else { "tag" };
        let app = live.app.as_ref().map(|app| format!(" of {app}")).unwrap_or_default();
        let release = live.release.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
        table.fact(fact, format!("{}{release}{app}", live.tag));
        table.fact("live since", since(live));
        if let Some(phase) = &live.switching {
            table.fact("switch", Cell::toned(switching(phase), Tone::Unsure));
        }
    }
    if let Some(balance) = &explanation.balance {
        table.fact("balance", balance.to_string());
        table.fact("tries", format!("at most {}", explanation.tries));
        let RequestTimeouts { connect_ms, read_ms, write_ms, idle_ms, .. } = explanation.timeouts;
        let [connect, read, write, idle] = [connect_ms, read_ms, write_ms, idle_ms].map(millis);
        let own = connect_times(&explanation.backends);
        let first_byte = explanation.timeouts.first_byte_ms.filter(|ms| *ms != read_ms);
        let first_byte =
            first_byte.map_or_else(String::new, |ms| format!("first byte {}, ", millis(ms)));
        let backend = format!(
            "connect {connect}{own}, {first_byte}read {read}, write {write}, kept idle {idle}"
        );
        table.fact("backend times", backend);
        let RequestTimeouts { client_read_ms, client_write_ms, .. } = explanation.timeouts;
        let [read, write] = [client_read_ms, client_write_ms].map(millis);
        table.fact("client times", format!("read {read}, write {write}"));
        let trusted = if explanation.trusted_proxies.is_empty() {
            "no client".to_owned()
        } else {
            join(&explanation.trusted_proxies)
        };
        let forwarded =
            format!("X-Forwarded-For, -Proto and -Host are set; trusted from {trusted}");
        table.fact("forwarded", forwarded);
    }
    for note in &explanation.notes {
        table.fact("note", note.as_str());
    }
    table
}

/// The tag that serves a request, and why.
fn chosen_by(chosen: &ChosenTag) -> String {
    let ChosenTag { tag, release, by, key, shares } = chosen;
    let release = release.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
    let shares = join(shares.iter().map(|of| format!("{} {}", of.tag, of.share)));
    let known_by = match key {
        None | Some(SplitKey::Cookie) => "the cookie `vhost_split`".to_owned(),
        Some(SplitKey::Client) => "its address".to_owned(),
        Some(SplitKey::Header(name)) => format!("the header `{name}`"),
        Some(SplitKey::CookieOf(name)) => format!("the cookie `{name}`"),
    };
    let why = match by {
        ChosenBy::Live => "the live one".to_owned(),
        ChosenBy::Share => format!("by {known_by}; shares: {shares}"),
        ChosenBy::Chance => {
            format!("or another: without {known_by} it is dealt out at random; shares: {shares}")
        }
        ChosenBy::Header => "asked for by `X-Vhost-Tag`".to_owned(),
        ChosenBy::Preview => "by a preview".to_owned(),
    };
    format!("{tag}{release}, {why}")
}

fn millis(ms: u64) -> String {
    time_in_words(Duration::from_millis(ms))
}

/// The connect time-outs of backends that have one of their own.
fn connect_times(backends: &[BackendStanding]) -> String {
    let own = backends.iter().filter_map(|backend| {
        backend.connect_ms.map(|ms| format!("{}: {}", backend.id, millis(ms)))
    });
    let own = own.collect::<Vec<_>>().join(", ");
    if own.is_empty() { own } else { format!(" ({own})") }
}

fn answer(explanation: &Explanation) -> (String, Tone) {
    let (answer, tone) = after_pause(explanation);
    match explanation.waits_ms {
        Some(ms) => {
            let wait = millis(ms);
            (format!("waits for up to {wait}: the domain is paused. Then: {answer}"), Tone::Unsure)
        }
        None => (answer, tone),
    }
}

fn after_pause(explanation: &Explanation) -> (String, Tone) {
    if let Some(location) = &explanation.redirected {
        return (format!("308 redirect to {location}"), Tone::Good);
    }
    if explanation.answers_challenge {
        return ("200 the answer to an ACME challenge".to_owned(), Tone::Good);
    }
    if let Some(refusal) = &explanation.refused {
        let text = match refusal.status {
            0 => format!("none: {}", refusal.reason),
            status => format!("{status} {}", refusal.reason),
        };
        return (text, Tone::Bad);
    }
    let fit = explanation.backends.iter().filter(|backend| backend.unfit.is_none()).count();
    let all = explanation.backends.len();
    (format!("from a backend; {fit} of {all} could serve"), Tone::Good)
}

fn domain(explanation: &Explanation) -> String {
    match (&explanation.matched, &explanation.near) {
        (Some(Match { domain, name, by, alias: true, .. }), _) => {
            format!("{}, {} by its alias {}", domain.shown(), by.as_str(), name.shown())
        }
        (Some(Match { domain, by, .. }), _) => format!("{}, {}", domain.shown(), by.as_str()),
        (None, Some(near)) => format!("none; did you mean `{}`?", near.shown()),
        (None, None) => "none".to_owned(),
    }
}

fn since(live: &LiveTag) -> String {
    match &live.since {
        Some(since) => {
            let (at, who) = (timestamp(since.at_ms), who(&since.actor));
            format!("{at}, revision {}, by {who}", since.revision)
        }
        None => "before the start of the history".to_owned(),
    }
}

fn switching(phase: &str) -> String {
    match phase {
        "checking" => "checking another tag; this one serves until then".to_owned(),
        _ => format!("{phase} the previous tag"),
    }
}

fn backends(backends: &[BackendStanding], now_ms: u64) -> Table {
    let mut table = Table::list(&["BACKEND", "ADDRESS", "SCHEME", "WEIGHT", "SERVES", "WHY"])
        .shortening(&[(1, 16), (0, 16), (5, 12)]);
    for backend in backends {
        let serves = match backend.unfit {
            None => Cell::toned("yes", Tone::Good),
            Some(_) => Cell::toned("no", Tone::Bad),
        };
        table.row([
            backend.id.as_str().into(),
            backend.address.to_string().into(),
            backend.scheme.as_str().into(),
            backend.weight.to_string().into(),
            serves,
            why(backend, now_ms).into(),
        ]);
    }
    table
}

fn why(backend: &BackendStanding, now_ms: u64) -> String {
    let health = &backend.health;
    let age = health.since_ms.map(|since| format!(" for {}", elapsed(now_ms, since)));
    let age = age.unwrap_or_default();
    match (backend.unfit, &health.last_error) {
        (Some(Unfit::Draining), _) => "draining".to_owned(),
        (Some(Unfit::Disabled), _) => "disabled".to_owned(),
        (Some(Unfit::Unhealthy), Some(error)) => format!("unhealthy{age}: {error}"),
        (Some(Unfit::Unhealthy), None) => format!("unhealthy{age}"),
        (Some(Unfit::Unknown), _) => "health unknown, and others are healthy".to_owned(),
        (Some(Unfit::Unresolved), _) => "its name is not resolved".to_owned(),
        (Some(Unfit::Backup), _) => "a backup, and others can serve".to_owned(),
        (None, _) => {
            let health = match health.status {
                HealthStatus::Unknown => "health unknown, but none is healthy".to_owned(),
                status => format!("{status}{age}"),
            };
            match backend.max_requests {
                Some(most) if backend.in_flight >= most => {
                    format!("{health}; busy: it has {most} requests, and may have no more")
                }
                Some(_) | None => health,
            }
        }
    }
}
