//! `vhost ctl compare`.

use clap::Args;

use super::connect::Session;
use super::figures::{bytes, count, millis, number, share};
use crate::cli::exit_code::ExitCode;
use crate::cli::problem::Problem;
use crate::cli::table::{Cell, Table, Tone, join};
use crate::cli::time::{parse_timeout, span};
use crate::model::{DomainName, StatusClass, Tag, counted};
use crate::rpc::methods::compare::{
    self, CompareParams, CompareReport, Difference, Quantile, StatusRow, TagSide,
};

/// The mark of a difference that chance does not explain.
const REAL: &str = "real";

/// Compare the traffic of two tags, and mark which differences are real
///
/// Errors are answers with status 500 or above, and answers that broke off; faults are those that backends caused,
/// by which guards judge. Times are those of whole answers. Ranges and differences hold with 95 % certainty, however
/// often you look; what is not marked as real may be chance.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vhost ctl compare example.com
  vhost ctl compare example.com a b --last 10m
  vhost ctl compare shop --last 2m --output json")]
pub(super) struct CompareArgs {
    /// The domain, or the app, all of whose domains are taken together
    #[arg(value_name = "DOMAIN|APP")]
    domain: DomainName,
    /// The one tag [default: the live one, or the old one while another is on trial]
    old: Option<Tag>,
    /// The other tag [default: the one on trial, that has a share, or that was live before]
    new: Option<Tag>,
    /// The time that the figures cover, up to `10m`
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_timeout)]
    last: u64,
}

impl CompareArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<ExitCode, Problem> {
        let Self { domain, old, new, last } = self;
        let action = format!("compare tags of `{}`", domain.shown());
        let params = CompareParams { domain, old, new, last_ms: Some(last) };
        let report = session.call::<compare::Compare>(&action, &params).await?;
        session.printer.show(&report, table(&report));
        session.printer.note(&summary(&report));
        Ok(ExitCode::Done)
    }
}

fn table(report: &CompareReport) -> Table {
    let CompareReport { old, new, .. } = report;
    let mut rows = Rows(Vec::new());
    rows.plain("share", [old, new].map(|side| side.share.to_string()));
    rows.plain("requests", [old, new].map(|side| count(side.requests)));
    rows.plain("rate", [old, new].map(|side| format!("{}/s", number(side.rate))));
    let errors = [old, new].map(|side| part(side.errors, side.requests));
    rows.apart("errors", errors, &report.error_difference);
    let faults = [old, new].map(|side| part(side.faults, side.requests));
    rows.apart("faults", faults, &report.fault_difference);
    for (name, of, differs) in [
        ("p50", (|side| side.p50) as fn(&TagSide) -> Option<Quantile>, report.p50_differs),
        ("p95", |side| side.p95, report.p95_differs),
        ("p99", |side| side.p99, report.p99_differs),
    ] {
        rows.marked(name, [old, new].map(|side| range(of(side))), if differs { REAL } else { "-" });
    }
    rows.plain("received", [old, new].map(|side| bytes(side.received_bytes)));
    rows.plain("sent", [old, new].map(|side| bytes(side.sent_bytes)));
    for StatusRow { class, old: of_old, new: of_new, difference } in &report.statuses {
        let name = match class {
            StatusClass::None => "no answer",
            other => other.as_str(),
        };
        let parts = [part(*of_old, old.requests), part(*of_new, new.requests)];
        rows.apart(name, parts, difference);
    }
    rows.table([&old.tag, &new.tag])
}

/// The rows of the table: a name, a value of each tag, and how they differ.
struct Rows(Vec<[Cell; 4]>);

impl Rows {
    fn plain(&mut self, name: &str, values: [String; 2]) {
        self.marked(name, values, "-");
    }

    fn marked(&mut self, name: &str, [old, new]: [String; 2], mark: &str) {
        let tone = if mark.starts_with(REAL) { Tone::Unsure } else { Tone::Plain };
        self.0.push([name.into(), old.into(), new.into(), Cell::toned(mark, tone)]);
    }

    fn apart(&mut self, name: &str, values: [String; 2], difference: &Difference) {
        let Difference { low, high, is_real, .. } = difference;
        let mark = if *is_real { format!("{REAL}, ") } else { String::new() };
        self.marked(name, values, &format!("{mark}{low:+.1} to {high:+.1} pt"));
    }

    fn table(self, [old, new]: [&Tag; 2]) -> Table {
        let mut table = Table::beside([old, new].map(ToString::to_string));
        self.0.into_iter().for_each(|row| table.row(row));
        table.shortening(&[(1, 8), (2, 8)])
    }
}

/// A number of all, with its share.
fn part(number: u64, all: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let of_all = number as f64 / all.max(1) as f64;
    if number == 0 { "0".to_owned() } else { format!("{} ({})", count(number), share(of_all)) }
}

/// A duration with the range in which it lies.
fn range(quantile: Option<Quantile>) -> String {
    let Some(Quantile { ms, low_ms, high_ms }) = quantile else { return "-".to_owned() };
    let time = |ms| millis(Some(ms));
    let within = match high_ms {
        Some(high_ms) => format!("{} to {}", time(low_ms), time(high_ms)),
        None => format!("{} or more", time(low_ms)),
    };
    format!("{} ({within})", time(ms))
}

fn summary(report: &CompareReport) -> String {
    let covered = span(report.covered_ms.get());
    let CompareReport { domains, old, new, .. } = report;
    let names = match &domains[..] {
        [first, .., _] if domains.len() > 3 => {
            format!("{} and {} more domains", first.shown(), domains.len() - 1)
        }
        _ => join(domains),
    };
    let found = match differences(report) {
        _ if old.requests == 0 || new.requests == 0 => {
            let idle = if old.requests == 0 { &old.tag } else { &new.tag };
            format!("`{idle}` has had no requests")
        }
        0 => "no difference is real".to_owned(),
        differences => format!("{} real", counted(differences, "difference")),
    };
    format!("{names} in the last {covered}: {found}")
}

fn differences(report: &CompareReport) -> usize {
    let shares = [&report.error_difference, &report.fault_difference];
    let statuses = report.statuses.iter().map(|row| &row.difference);
    let times = [report.p50_differs, report.p95_differs, report.p99_differs];
    shares.into_iter().chain(statuses).filter(|one| one.is_real).count()
        + times.into_iter().filter(|differs| *differs).count()
}
