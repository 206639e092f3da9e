//! Header fields that lines have by name.

use std::sync::Arc;

use http::HeaderName;

use super::escape::MAX_VALUE;
use crate::heads::names::Named;
use crate::heads::{Fields, Known};

/// A header that is logged, found by its number where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoggedHeader {
    name: HeaderName,
    known: Option<Known>,
}

impl LoggedHeader {
    pub(super) fn new(name: HeaderName) -> Self {
        let known = Known::of(name.as_str().as_bytes());
        Self { name, known }
    }

    pub(crate) fn name(&self) -> &HeaderName {
        &self.name
    }
}

impl Named for &LoggedHeader {
    fn known(self) -> Option<Known> {
        self.known
    }

    fn as_text(&self) -> &str {
        self.name.as_str()
    }
}

/// The values of some headers, copied while their head is there.
#[derive(Debug)]
pub(crate) struct KeptHeaders(Vec<(LoggedHeader, Vec<u8>)>);

impl KeptHeaders {
    /// Of a head, where `visit` goes through the values of one name.
    pub(crate) fn of(
        wanted: &[LoggedHeader],
        visit: impl Fn(&LoggedHeader, &mut dyn FnMut(&[u8])),
    ) -> Self {
        let kept = wanted.iter().filter_map(|header| {
            let mut joined = None;
            visit(header, &mut |value: &[u8]| join(&mut joined, value));
            Some((header.clone(), joined?))
        });
        Self(kept.collect())
    }

    pub(crate) fn of_head(wanted: &[LoggedHeader], head: &Fields) -> Self {
        Self::of(wanted, |header, visit| head.all(header).for_each(visit))
    }
}

/// Where a line finds the headers that it has by name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a>(Source<'a>);

#[derive(Debug, Clone, Copy, Default)]
enum Source<'a> {
    #[default]
    None,
    Head(&'a Fields),
    Kept(&'a KeptHeaders),
}

impl<'a> Headers<'a> {
    /// In a head that is still there.
    pub(crate) fn in_head(head: &'a Fields) -> Self {
        Self(Source::Head(head))
    }

    /// In what was kept of it.
    pub(crate) fn kept(kept: Option<&'a KeptHeaders>) -> Self {
        Self(kept.map_or(Source::None, Source::Kept))
    }

    /// Gives the value to `write`, where there is one. Several lines of a name are joined, as they might have
    /// been sent.
    pub(super) fn with(self, header: &LoggedHeader, write: impl FnOnce(&[u8])) {
        match self.0 {
            Source::None => {}
            Source::Head(head) => {
                let mut values = head.all(header);
                let (Some(first), second) = (values.next(), values.next()) else { return };
                if second.is_none() {
                    return write(first);
                }
                let mut joined = None;
                head.all(header).for_each(|value| join(&mut joined, value));
                write(&joined.unwrap_or_default());
            }
            Source::Kept(KeptHeaders(kept)) => {
                if let Some((_, value)) = kept.iter().find(|(name, _)| name == header) {
                    write(value);
                }
            }
        }
    }
}

/// Adds a value to those of its name, up to little more than is written of them.
fn join(joined: &mut Option<Vec<u8>>, value: &[u8]) {
    if joined.as_ref().is_some_and(|joined| joined.len() > MAX_VALUE) {
        return;
    }
    let value = &value[..value.len().min(MAX_VALUE + 1)];
    match joined {
        Some(joined) => {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value);
        }
        None => *joined = Some(value.to_vec()),
    }
}

/// What is kept of an answer's head for the log.
#[derive(Debug, Default)]
pub(crate) struct AnswerKeeper {
    wanted: Option<Arc<[LoggedHeader]>>,
    kept: Option<Arc<KeptHeaders>>,
}

impl AnswerKeeper {
    /// From now on these are kept.
    pub(crate) fn keep(&mut self, wanted: &Arc<[LoggedHeader]>) {
        self.wanted = Some(Arc::clone(wanted));
    }

    /// Looks at the head of an answer that goes to its client.
    pub(crate) fn note(&mut self, head: &Fields) {
        if let Some(wanted) = &self.wanted {
            self.kept = Some(Arc::new(KeptHeaders::of_head(wanted, head)));
        }
    }

    pub(crate) fn kept(&self) -> Option<Arc<KeptHeaders>> {
        self.kept.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_name_are_joined_and_cut_where_that_gets_long() {
        let mut head = Fields::default();
        let long = "x".repeat(MAX_VALUE);
        for (name, value) in
            [("X-A", "1"), ("Accept", "*/*"), ("x-a", "2"), ("x-long", &long), ("x-long", "y")]
        {
            head.append(name, value);
        }
        let header = |name: &'static str| LoggedHeader::new(HeaderName::from_static(name));
        let wanted = ["x-a", "accept", "x-long", "x-none"].map(header);
        let kept = KeptHeaders::of_head(&wanted, &head);
        for headers in [Headers::in_head(&head), Headers::kept(Some(&kept))] {
            let value = |name| {
                let mut value = None;
                headers.with(&header(name), |bytes| value = Some(bytes.to_vec()));
                value.map(|value| String::from_utf8(value).unwrap())
            };
            assert_eq!(value("x-a").as_deref(), Some("1, 2"));
            assert_eq!(value("accept").as_deref(), Some("*/*"));
            assert!(value("x-long").is_some_and(|value| value.len() > MAX_VALUE));
            assert_eq!(value("x-none"), None);
        }
    }
}
