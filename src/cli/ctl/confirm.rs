//! What a change changed, for people: a line for each thing.

use std::fmt::Display;

use serde::Serialize;

use super::connect::Session;
use crate::cli::table::count;
use crate::model::with_unicode_names;
use crate::rpc::methods::Confirmed;

/// The most lines; one more says how many were left out.
const MAX_LINES: usize = 20;

/// Prints the result of a change of `name`. `otherwise` is printed where a server of an earlier version does
/// not say what changed.
pub(super) fn confirm<T: Serialize>(
    session: &mut Session<'_>,
    result: &Confirmed<T>,
    name: &dyn Display,
    revision: Option<u64>,
    otherwise: &str,
) {
    session.printer.for_scripts(result);
    if result.changed.is_none() {
        session.printer.note(otherwise);
    }
    note(session, result, name, revision);
}

/// The same beside a result that is printed already.
pub(super) fn note<T>(
    session: &mut Session<'_>,
    result: &Confirmed<T>,
    name: &dyn Display,
    revision: Option<u64>,
) {
    for line in result.changed.iter().flat_map(|changed| lines(changed, name, revision)) {
        session.printer.note(&line);
    }
}

/// As [`confirm`], for an operation that has taken its time: as its last phase.
pub(super) fn conclude<T: Serialize>(
    session: &mut Session<'_>,
    result: &Confirmed<T>,
    name: &dyn Display,
    revision: Option<u64>,
    otherwise: &str,
) {
    session.printer.for_scripts(result);
    let said = result.changed.as_deref().map(|changed| lines(changed, name, revision));
    for line in said.unwrap_or_else(|| vec![otherwise.to_owned()]) {
        session.printer.reached("done", &line);
    }
}

/// The lines about a change; the last one has the revision.
fn lines(changed: &[String], name: &dyn Display, revision: Option<u64>) -> Vec<String> {
    let changed: Vec<_> = changed.iter().map(|phrase| with_unicode_names(phrase)).collect();
    let at = revision.map(|revision| format!(" (revision {revision})")).unwrap_or_default();
    if changed.is_empty() {
        return vec![format!("nothing to change: {name} is as requested{at}")];
    }
    // `weight: 1 → 2` reads on after the name and its colon.
    let shown = changed.iter().take(MAX_LINES);
    let mut lines: Vec<_> =
        shown.map(|phrase| format!("{name}: {}", phrase.replacen(": ", " ", 1))).collect();
    let more = changed.len().saturating_sub(MAX_LINES);
    if more > 0 {
        lines.push(format!("{name}: and {}, see `vhost ctl history`", count(more, "more change")));
    }
    if let Some(last) = lines.last_mut() {
        last.push_str(&at);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_in_a_line_for_each_thing_within_a_bound() {
        let said = |changed: &[&str], revision| {
            let changed: Vec<_> = changed.iter().map(|&phrase| phrase.to_owned()).collect();
            lines(&changed, &"example.com", revision)
        };
        assert_eq!(
            said(&["max_body_bytes: 10MB → 20MB"], Some(12)),
            ["example.com: max_body_bytes 10MB → 20MB (revision 12)"]
        );
        assert_eq!(
            said(&["balance: a → b", "paths: none → (prefix: /x)"], Some(2)),
            ["example.com: balance a → b", "example.com: paths none → (prefix: /x) (revision 2)"]
        );
        assert_eq!(
            said(&[], Some(7)),
            ["nothing to change: example.com is as requested (revision 7)"]
        );
        assert_eq!(said(&["removed"], None), ["example.com: removed"]);
        let many = ["weight: 1 → 2"; MAX_LINES + 3];
        let many = said(&many, Some(3));
        assert_eq!(many.len(), MAX_LINES + 1);
        assert_eq!(
            many[MAX_LINES],
            "example.com: and 3 more changes, see `vhost ctl history` (revision 3)"
        );
    }
}
