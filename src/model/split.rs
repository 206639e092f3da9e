//! Which of the tags that share a domain gets which client.
//!
//! A client is a point from 0 to 1, which a keyed hash makes of what it is known by. Each tag beside the live one
//! has spans of that line; what is in none of them is the live tag's. A share that grows takes of what is the live
//! tag's, and one that shrinks gives back the end of what it had. So nobody is ever moved but by the share that
//! changes, and only in its direction.

use serde::{Deserialize, Serialize};

use super::{Share, Tag};

/// How many tags may have a share beside the live one.
pub const MAX_SPLIT_TAGS: usize = 8;

/// The shares of the tags beside the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The key of the hash, chosen at random for each split: another one deals the clients anew.
    pub salt: u64,
    /// In order, each begins where the one before ends, or after it.
    spans: Vec<Span>,
}

/// A part of the line that one tag has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    tag: Tag,
    /// From this millionth on.
    from: u32,
    /// Up to before this one.
    to: u32,
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point(u32);

impl Point {
    /// That of a client, by a hash of what it is known by.
    pub fn of(hash: u64) -> Self {
        let parts = (u128::from(hash) * u128::from(Share::ALL.parts())) >> 64;
        // What is below 2^64 times a million, divided by 2^64, is below a million.
        Self(u32::try_from(parts).unwrap_or_default())
    }
}

impl Split {
    /// One in which no tag has a share yet.
    pub fn new(salt: u64) -> Self {
        Self { salt, spans: Vec::new() }
    }

    /// Whether all of it is the live tag's.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The tag that has this point; nothing where that is the live one.
    pub fn tag_at(&self, point: Point) -> Option<&Tag> {
        self.place_at(point).map(|at| &self.spans[at].tag)
    }

    /// The span that has this point, by its number.
    fn place_at(&self, point: Point) -> Option<usize> {
        let after = self.spans.partition_point(|span| span.from <= point.0);
        after.checked_sub(1).filter(|at| point.0 < self.spans[*at].to)
    }

    /// The tags that have a share, each once, in the order of their first span.
    pub fn tags(&self) -> Vec<&Tag> {
        let mut tags = Vec::new();
        for span in &self.spans {
            if !tags.contains(&&span.tag) {
                tags.push(&span.tag);
            }
        }
        tags
    }

    /// What share a tag has.
    pub fn share_of(&self, tag: &Tag) -> Share {
        let own = self.spans.iter().filter(|span| span.tag == *tag);
        Share::of_parts(own.map(|span| span.to - span.from).sum())
    }

    /// What share the live tag has.
    pub fn rest(&self) -> Share {
        Share::of_parts(self.spans.iter().map(|span| span.to - span.from).sum()).rest()
    }

    /// The split in which `tag` has this share, and every other tag the one that it had. Nothing where there is
    /// not so much left.
    #[must_use]
    pub fn with(&self, tag: &Tag, share: Share) -> Option<Self> {
        let had = self.share_of(tag);
        let mut next = self.clone();
        if share > had {
            let more = share.parts() - had.parts();
            if more > self.rest().parts() {
                return None;
            }
            next.grow(tag, more);
        } else {
            next.shrink(tag, had.parts() - share.parts());
        }
        Some(next)
    }

    /// Takes of the gaps, from the first on.
    fn grow(&mut self, tag: &Tag, mut more: u32) {
        let mut grown = Vec::with_capacity(self.spans.len() + 1);
        let mut at = 0;
        let end = Span { tag: tag.clone(), from: Share::ALL.parts(), to: Share::ALL.parts() };
        for span in self.spans.drain(..).chain([end]) {
            let taken = more.min(span.from - at);
            if taken > 0 {
                join(&mut grown, Span { tag: tag.clone(), from: at, to: at + taken });
                more -= taken;
            }
            at = span.to;
            join(&mut grown, span);
        }
        self.spans = grown;
    }

    /// Gives back the last of what it has.
    fn shrink(&mut self, tag: &Tag, mut less: u32) {
        for span in self.spans.iter_mut().rev().filter(|span| span.tag == *tag) {
            let given = less.min(span.to - span.from);
            span.to -= given;
            less -= given;
        }
        self.spans.retain(|span| span.from < span.to);
    }
}

/// Adds a span, to the one before where that is the same tag's and ends there.
fn join(spans: &mut Vec<Span>, span: Span) {
    match spans.last_mut() {
        _ if span.from == span.to => {}
        Some(last) if last.tag == span.tag && last.to == span.from => last.to = span.to,
        _ => spans.push(span),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(name: &str) -> Tag {
        name.parse().unwrap()
    }

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    #[test]
    fn shares_are_what_was_asked_for() {
        let split = Split::new(1).with(&tag("b"), share("10")).unwrap();
        let split = split.with(&tag("c"), share("5")).unwrap();
        let split = split.with(&tag("b"), share("20")).unwrap();
        assert_eq!(split.share_of(&tag("b")), share("20"));
        assert_eq!((split.share_of(&tag("c")), split.rest()), (share("5"), share("75")));
        assert_eq!(split.tags(), [&tag("b"), &tag("c")]);
        assert_eq!(split.with(&tag("c"), share("80.0001")), None, "there is not so much");
        let split = split.with(&tag("b"), Share::NONE).unwrap().with(&tag("c"), Share::NONE);
        assert!(split.unwrap().is_empty());
    }

    proptest! {
        /// A growing share moves nobody back, and one that shrinks moves only those that it gives up: over
        /// random steps of three tags, no client changes its tag but from or to the one whose share changed.
        #[test]
        fn nobody_is_moved_but_by_the_share_that_changes(
            seed: u64,
            steps in prop::collection::vec((0_usize..3, 0_u32..=1_000_000), 1..12),
        ) {
            const KEYS: u32 = 100_000;
            let tags = ["b", "c", "d"].map(tag);
            let mut split = Split::new(seed);
            let hash = |key: u32| (seed ^ u64::from(key)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let points: Vec<_> = (0..KEYS).map(|key| Point::of(hash(key))).collect();
            for (which, parts) in steps {
                let (tag, share) = (&tags[which], Share::of_parts(parts));
                let before = split.share_of(tag);
                let Some(next) = split.with(tag, share) else {
                    prop_assert!(share.parts() - before.parts() > split.rest().parts());
                    continue;
                };
                prop_assert_eq!(next.share_of(tag), share);
                for point in &points {
                    let (was, is) = (split.tag_at(*point), next.tag_at(*point));
                    if share >= before {
                        prop_assert!(was == is || (was.is_none() && is == Some(tag)));
                    } else {
                        prop_assert!(was == is || (was == Some(tag) && is.is_none()));
                    }
                }
                split = next;
            }
        }
    }
}
