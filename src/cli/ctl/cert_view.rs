//! Certificates as people read them.

use std::fmt::Write as _;

use super::domain_view::ascii;
use crate::cli::table::{Cell, Table, Tone, count, join};
use crate::cli::time::{age, date, elapsed, timestamp};
use crate::model::{
    AccountInfo, Attempt, CertificateFacts, CertificateReport, CertificateSource, CertificateState,
    DomainName,
};
use crate::rpc::methods::cert::{AccountList, CertificateDetail};

/// The state in one line.
pub(super) fn summary(report: &CertificateReport) -> String {
    let CertificateReport { name, state, served, step, last_error, .. } = report;
    let mut line = format!("{}: {state}", name.shown());
    if let Some(CertificateFacts { issuer, not_after_ms, .. }) = served {
        let _ = write!(line, ", until {}, by {issuer}", date(*not_after_ms));
    }
    match (state, step, last_error) {
        (_, Some(step), _) => {
            let _ = write!(line, ", {step}");
        }
        (CertificateState::Failed | CertificateState::Blocked, None, Some(error)) => {
            let _ = write!(line, ", {error}");
        }
        _ => {}
    }
    line
}

/// All certificates, within the width of a terminal; `wide` has more columns.
pub(super) fn table(reports: &[CertificateReport], wide: bool, now_ms: u64) -> Table {
    let row = |report: &CertificateReport| {
        let of_served = |fact: fn(&CertificateFacts) -> &str| {
            Cell::from(report.served.as_ref().map(fact).unwrap_or_default())
        };
        let expires = report.served.as_ref().map(|facts| expires(facts, now_ms));
        let error = report.last_error.as_deref();
        let mut row = vec![
            ("DOMAIN", report.name.shown().into()),
            ("STATUS", state(report.state)),
            ("SOURCE", source(report.source).into()),
            ("ISSUER", of_served(|facts| &facts.issuer)),
            ("EXPIRES", expires.unwrap_or_default().into()),
            // Errors have a column of their own where there is room.
            ("NEXT", Cell::sentence(next(report, error.filter(|_| !wide), now_ms))),
        ];
        if wide {
            row.extend([
                ("ASCII", ascii(&report.name).into()),
                ("OF", report.domain.shown().into()),
                ("TRUSTED", yes(report.trusted).into()),
                ("KEY", of_served(|facts| &facts.key_type)),
                ("SERIAL", of_served(|facts| &facts.serial)),
                ("FAILED", report.attempts.to_string().into()),
                ("ERROR", error.unwrap_or_default().into()),
            ]);
        }
        row
    };
    Table::of(reports, row).shortening(&[(2, 0), (3, 0), (5, 24), (0, 18)])
}

fn state(state: CertificateState) -> Cell {
    Cell::toned(state.as_str(), tone(state))
}

fn tone(state: CertificateState) -> Tone {
    match state {
        CertificateState::Valid => Tone::Good,
        CertificateState::Pending | CertificateState::Ordering | CertificateState::Renewing => {
            Tone::Unsure
        }
        CertificateState::Failed | CertificateState::Blocked | CertificateState::Expired => {
            Tone::Bad
        }
        CertificateState::None | CertificateState::Unknown => Tone::Plain,
    }
}

fn source(source: Option<CertificateSource>) -> &'static str {
    source.map(CertificateSource::as_str).unwrap_or_default()
}

/// The day, and the time until then.
fn expires(facts: &CertificateFacts, now_ms: u64) -> String {
    format!("{} ({})", date(facts.not_after_ms), left(facts.not_after_ms, now_ms))
}

fn left(until_ms: u64, now_ms: u64) -> String {
    const HOUR_MS: u64 = 3_600_000;
    match until_ms.saturating_sub(now_ms) {
        0 => "over".to_owned(),
        days if days >= 48 * HOUR_MS => format!("{} d", days / (24 * HOUR_MS)),
        hours if hours >= HOUR_MS => format!("{} h", hours / HOUR_MS),
        _ => "< 1 h".to_owned(),
    }
}

/// What happens to it next, or why nothing does.
fn next(report: &CertificateReport, error: Option<&str>, now_ms: u64) -> String {
    if let Some(step) = &report.step {
        return step.clone();
    }
    let at = report.next_ms.map(|at_ms| soon(at_ms, now_ms));
    let because = error.map(|error| format!(": {error}")).unwrap_or_default();
    match (report.state, at) {
        (CertificateState::Blocked, _) => format!("needs attention{because}"),
        (CertificateState::Failed, Some(at)) => format!("retry {at}{because}"),
        (CertificateState::Failed, None) => format!("failed{because}"),
        (CertificateState::Pending, Some(at)) => format!("order {at}{because}"),
        (CertificateState::Pending, None) => "order soon".to_owned(),
        (CertificateState::Valid | CertificateState::Expired, Some(at)) => format!("renew {at}"),
        (CertificateState::Valid | CertificateState::Expired, None)
            if report.source == Some(CertificateSource::Imported) =>
        {
            "not renewed".to_owned()
        }
        (_, Some(at)) => at,
        (_, None) => String::new(),
    }
}

/// The time of the day if it is within a day, otherwise the day; in UTC.
fn soon(at_ms: u64, now_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    if at_ms <= now_ms {
        return "now".to_owned();
    }
    if at_ms - now_ms >= DAY_MS {
        return date(at_ms);
    }
    let time = timestamp(at_ms);
    let minutes = time.split_once('T').and_then(|(_, time)| time.get(..5)).unwrap_or_default();
    format!("{minutes}Z")
}

/// A note on where to read more of certificates that need attention.
pub(super) fn trouble_note(reports: &[CertificateReport]) -> Option<String> {
    let mut troubled = reports.iter().filter(|report| tone(report.state) == Tone::Bad);
    let name = troubled.next()?.name.shown();
    let who = match troubled.count() {
        0 => format!("`{name}` needs"),
        more => format!("{} names need", more + 1),
    };
    Some(format!("{who} attention; `vhost ctl cert show {name}` says why"))
}

/// One certificate, with all that is known of it.
pub(super) fn facts(detail: &CertificateDetail, now_ms: u64) -> Table {
    let CertificateDetail { report, acme } = detail;
    let mut table = Table::facts();
    table.fact("name", report.name.shown());
    table.known("ascii", report.name.unicode().map(|_| report.name.to_string()));
    if report.domain != report.name {
        table.fact("alias of", report.domain.shown());
    }
    table.fact("status", state(report.state));
    table.fact("source", source(report.source));
    if let Some(served) = &report.served {
        served_facts(&mut table, served, now_ms);
        table.fact("trusted", if report.trusted { "yes" } else { "no, browsers do not trust it" });
    }
    table.known("under way", report.step.as_deref());
    let what = match report.state {
        CertificateState::Failed | CertificateState::Pending => "next attempt",
        _ => "renewal",
    };
    table.known(what, report.next_ms.map(timestamp));
    if let Some(acme) = acme {
        table.fact("CA", acme.directory_url.as_str());
        table.fact("account", acme.account.clone().unwrap_or_default());
        table.fact("challenge", acme.challenge.clone().unwrap_or_default());
        let window = |(from, to)| format!("{} to {}", timestamp(from), timestamp(to));
        table.known("CA's window", acme.window_ms.map(window));
        table.known("explained at", acme.explanation_url.as_deref());
    }
    if report.attempts > 0 {
        let times = usize::try_from(report.attempts).unwrap_or(usize::MAX);
        table.fact("failed", format!("{} in a row", count(times, "time")));
    }
    table.known("last error", report.last_error.as_deref());
    let what = if report.state == CertificateState::None { "why" } else { "to do" };
    table.known(what, report.hint.as_deref());
    table
}

fn served_facts(table: &mut Table, served: &CertificateFacts, now_ms: u64) {
    let CertificateFacts {
        names,
        issuer,
        serial,
        sha256,
        key_type,
        not_before_ms,
        not_after_ms,
        chain,
    } = served;
    table.fact("issuer", issuer.as_str());
    table.fact("names", join(names));
    table.fact("key type", key_type.as_str());
    table.fact("serial", serial.as_str());
    table.fact("SHA-256", sha256.as_str());
    table.fact("chain", join(chain));
    table.fact("valid from", timestamp(*not_before_ms));
    let ends = if now_ms < *not_after_ms {
        format!("{} left", elapsed(*not_after_ms, now_ms))
    } else {
        age(now_ms, *not_after_ms)
    };
    table.fact("valid until", format!("{}, {ends}", timestamp(*not_after_ms)));
}

/// The last attempts, where a CA was asked.
pub(super) fn attempts(detail: &CertificateDetail) -> Table {
    let row = |Attempt { at_ms, directory_url, error }: &Attempt| {
        let ended = match error {
            None => Cell::toned("well", Tone::Good),
            Some(error) => Cell::sentence(error.as_str()),
        };
        let (at, ca) = (timestamp(*at_ms).into(), directory_url.as_str().into());
        [("ATTEMPT", at), ("CA", ca), ("ENDED", ended)]
    };
    let attempts = detail.acme.iter().flat_map(|acme| &acme.log);
    Table::of(attempts, row).shortening(&[(1, 16), (2, 24)])
}

/// The accounts with their DNS records, as lines that can be copied.
pub(super) fn accounts(list: &AccountList, name: Option<&DomainName>) -> String {
    // The records of a wildcard are at the name above it.
    let name = name.map(ToString::to_string);
    let name = name.as_deref().map_or("NAME", |name| name.trim_start_matches("*."));
    let texts = list.accounts.iter().map(|account| {
        let AccountInfo { directory_url, email, uri, thumbprint, dns_persist, caa } = account;
        let mut table = Table::facts();
        table.fact("CA", directory_url.as_str());
        table.fact("e-mail", email.as_str());
        table.fact("account", uri.as_deref().unwrap_or("none yet"));
        table.fact("thumbprint", thumbprint.as_deref().unwrap_or_default());
        let txt = |value| format!("_validation-persist.{name} TXT \"{value}\"");
        table.known("TXT record", dns_persist.as_ref().map(txt));
        table.known("CAA record", caa.as_ref().map(|content| format!("{name} CAA {content}")));
        table.render(false, false, None)
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
