//! The revision of the state as an entity tag (RFC 9110 §8.8.3 and §13.1).

use http::header::{GetAll, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

/// The tag of a revision.
pub(super) fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}

/// The revisions that a change wants the state to have; `None` when any will do. What is no tag of
/// ours is none that the state has.
pub(super) fn wanted(headers: &HeaderMap) -> Option<Vec<u64>> {
    let values = headers.get_all(IF_MATCH);
    values.iter().next()?;
    let mut revisions = Vec::new();
    for tag in tags(&values) {
        if tag == "*" {
            return None;
        }
        let number = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        // As it is written here alone: `"07"` is another tag than `"7"`.
        let revision = number.and_then(|number| number.parse().ok());
        revisions.extend(revision.filter(|revision| etag(*revision) == tag));
    }
    Some(revisions)
}

/// Whether the client has this revision already.
pub(super) fn is_known(headers: &HeaderMap, revision: u64) -> bool {
    let own = etag(revision);
    let values = headers.get_all(IF_NONE_MATCH);
    tags(&values).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
}

/// The members of lists; a quoted tag of ours has no comma in it.
fn tags<'h>(values: &'h GetAll<'_, HeaderValue>) -> impl Iterator<Item = &'h str> {
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &http::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_change_wants_one_of_the_revisions_that_it_names() {
        for (values, revisions) in [
            (&[][..], None),
            (&["*"], None),
            (&["\"7\""], Some(vec![7])),
            (&["\"7\", \"8\"", "\"9\""], Some(vec![7, 8, 9])),
            (&["7", "W/\"7\"", "\"07\"", "\"x\"", "\"+7\"", ""], Some(vec![])),
        ] {
            assert_eq!(wanted(&headers(&IF_MATCH, values)), revisions, "{values:?}");
        }
    }

    #[test]
    fn a_client_that_has_the_revision_is_not_sent_it_again() {
        for (values, known) in [
            (&[][..], false),
            (&["\"7\""], true),
            (&["\"6\", W/\"7\""], true),
            (&["*"], true),
            (&["\"8\""], false),
            (&["7"], false),
        ] {
            assert_eq!(is_known(&headers(&IF_NONE_MATCH, values), 7), known, "{values:?}");
        }
    }
}
