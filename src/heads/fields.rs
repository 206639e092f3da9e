//! The fields of a head.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::names::{Known, Named, OTHER, Set};

/// Room for what is added to a head on its way.
const ADDED_FIELDS: usize = 8;
const ADDED_BYTES: usize = 384;

/// The fields of a head, over its text.
#[derive(Clone, Default)]
pub(crate) struct Fields {
    text: BytesMut,
    lines: Vec<Line>,
    /// The names that are there.
    set: Set,
    /// Whether a name is there that has a byte other than letters, digits and `-`.
    is_odd: bool,
}

/// Where a field stands in the text of its head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    number: u8,
    /// Empty where the name is a known one that was added.
    name: Span,
    value: Span,
}

/// A part of a text. Heads are smaller than 4 GiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[expect(clippy::cast_possible_truncation, reason = "heads have a limit far below")]
    pub(super) fn of(range: &Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl Line {
    /// The field whose name and value stand there in `text`.
    pub(crate) fn at(text: &[u8], name: &Range<usize>, value: &Range<usize>) -> Self {
        let number = Known::of(&text[name.clone()]).map_or(OTHER, Known::number);
        Self { number, name: Span::of(name), value: Span::of(value) }
    }

    /// Its name, where that has a number.
    pub(crate) fn known(self) -> Option<Known> {
        Known::numbered(self.number)
    }
}

impl Fields {
    /// The fields that stand at `lines` of `text`.
    pub(crate) fn over(text: BytesMut, lines: Vec<Line>) -> Self {
        let mut fields = Self { text, lines, ..Self::default() };
        for line in &fields.lines {
            fields.set.add_number(line.number);
            fields.is_odd |= line.number == OTHER
                && !fields.text[line.name.range()].iter().all(|byte| is_plain(*byte));
        }
        fields
    }

    /// An empty list, with room for `count` fields whose text has `bytes` bytes, and for what is added.
    pub(crate) fn with_room(count: usize, bytes: usize) -> Self {
        Self {
            text: BytesMut::with_capacity(bytes + ADDED_BYTES),
            lines: Vec::with_capacity(count + ADDED_FIELDS),
            ..Self::default()
        }
    }

    /// The same once more, with room for what is added.
    pub(super) fn copy(&self) -> Self {
        let mut copy = Self::with_room(self.lines.len(), self.text.len());
        copy.text.extend_from_slice(&self.text);
        copy.lines.extend_from_slice(&self.lines);
        Self { set: self.set, is_odd: self.is_odd, ..copy }
    }

    /// A part of the text.
    pub(super) fn part(&self, span: Span) -> &[u8] {
        &self.text[span.range()]
    }

    /// Adds to the text.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        Span::of(&(start..self.text.len()))
    }

    /// The text, of which nothing stands here any more.
    pub(super) fn into_text(self) -> BytesMut {
        self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether a name is there that has a byte other than letters, digits and `-`.
    pub(crate) fn is_odd(&self) -> bool {
        self.is_odd
    }

    /// Whether one has this name.
    pub(crate) fn has(&self, name: impl Named) -> bool {
        self.find(name).is_some()
    }

    /// Whether one has a name of these.
    pub(crate) fn has_any(&self, names: Set) -> bool {
        self.set.meets(names)
    }

    /// The value of the first of this name.
    pub(crate) fn get(&self, name: impl Named) -> Option<&[u8]> {
        self.find(name).map(|at| self.part(self.lines[at].value))
    }

    /// The same where it is nothing but visible ASCII, spaces and tabs.
    pub(crate) fn text(&self, name: impl Named) -> Option<&str> {
        text_of(self.get(name)?)
    }

    /// The values of all of this name, in their order.
    pub(crate) fn all(&self, name: impl Named) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        let known = name.known();
        let lines = if self.may_have(known) { &self.lines[..] } else { &[] };
        lines
            .iter()
            .filter(move |line| self.is_named(line, known, name.as_text()))
            .map(|line| self.part(line.value))
    }

    /// All, in their order: the name as it is written, and the value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.lines.iter().map(|line| (self.name_text(line), self.part(line.value)))
    }

    /// Adds one behind the others. A known name is written as usual, whatever its case.
    pub(crate) fn append(&mut self, name: impl Named, value: impl AsRef<[u8]>) {
        let value = self.push(value.as_ref());
        self.append_span(name, value);
    }

    /// The same with the value that `write` writes; nothing where it says that there is none.
    pub(crate) fn append_written(
        &mut self,
        name: impl Named,
        write: impl FnOnce(&mut BytesMut) -> bool,
    ) {
        if let Some(value) = self.written(write) {
            self.append_span(name, value);
        }
    }

    /// Adds one behind the others that keeps the case of its name.
    pub(crate) fn append_as(&mut self, name: &[u8], value: &[u8]) {
        let known = Known::of(name);
        self.is_odd |= known.is_none() && !name.iter().all(|byte| is_plain(*byte));
        let (name, value) = (self.push(name), self.push(value));
        self.put(known, name, value);
    }

    /// Puts one in the place of all of its name.
    pub(crate) fn insert(&mut self, name: impl Named, value: impl AsRef<[u8]>) {
        let value = self.push(value.as_ref());
        self.insert_span(name, value);
    }

    /// The same with the value that `write` writes; false, and nothing changes, where it says that there is none.
    pub(crate) fn insert_written(
        &mut self,
        name: impl Named,
        write: impl FnOnce(&mut BytesMut) -> bool,
    ) -> bool {
        let value = self.written(write);
        if let Some(value) = value {
            self.insert_span(name, value);
        }
        value.is_some()
    }

    /// What is written at the end of the text, where it is a value.
    fn written(&mut self, write: impl FnOnce(&mut BytesMut) -> bool) -> Option<Span> {
        let start = self.text.len();
        if !write(&mut self.text) {
            self.text.truncate(start);
            return None;
        }
        Some(Span::of(&(start..self.text.len())))
    }

    fn append_span(&mut self, name: impl Named, value: Span) {
        let known = name.known();
        let name = if known.is_some() {
            Span::default()
        } else {
            self.is_odd |= !name.as_text().bytes().all(is_plain);
            self.push(name.as_text().as_bytes())
        };
        self.put(known, name, value);
    }

    fn insert_span(&mut self, name: impl Named, value: Span) {
        let Some(first) = self.find(name) else { return self.append_span(name, value) };
        self.lines[first].value = value;
        let known = name.known();
        self.retain_lines(|at, fields, line| {
            at <= first || !fields.is_named(line, known, name.as_text())
        });
    }

    /// Takes out all of this name; whether there were any.
    pub(crate) fn remove(&mut self, name: impl Named) -> bool {
        if !self.has(name) {
            return false;
        }
        let known = name.known();
        self.retain_lines(|_, fields, line| !fields.is_named(line, known, name.as_text()));
        if let Some(known) = known {
            self.set.remove(Set::of(&[known]));
        }
        true
    }

    /// Takes out all that have a name of these.
    pub(crate) fn remove_any(&mut self, names: Set) {
        if self.has_any(names) {
            self.lines.retain(|line| line.number == OTHER || !names.has_number(line.number));
            self.set.remove(names);
        }
    }

    /// Keeps those whose name, as it is written, is wanted; how many were taken out.
    pub(crate) fn retain(&mut self, mut is_wanted: impl FnMut(&str) -> bool) -> usize {
        let before = self.lines.len();
        self.retain_lines(|_, fields, line| is_wanted(fields.name_text(line)));
        let mut left = Set::default();
        self.lines.iter().for_each(|line| left.add_number(line.number));
        self.set = left;
        before - self.lines.len()
    }

    /// Writes them as lines of HTTP/1.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        out.reserve(self.text.len() + 4 * self.lines.len());
        for line in &self.lines {
            out.extend_from_slice(self.name(line));
            out.extend_from_slice(b": ");
            out.extend_from_slice(self.part(line.value));
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Takes all of them out, as HTTP/2 has them.
    pub(crate) fn take_map(&mut self) -> HeaderMap {
        let lines = std::mem::take(&mut self.lines);
        let text = self.text.split().freeze();
        let mut map = HeaderMap::with_capacity(lines.len());
        for line in &lines {
            let name = match line.known() {
                Some(known) => HeaderName::from_bytes(known.as_text().as_bytes()),
                None => HeaderName::from_bytes(&text[line.name.range()]),
            };
            let value = HeaderValue::from_maybe_shared(Bytes::slice(&text, line.value.range()));
            // What was read, or is added, can be held.
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        self.set = Set::default();
        map
    }

    fn put(&mut self, known: Option<Known>, name: Span, value: Span) {
        let number = known.map_or(OTHER, Known::number);
        self.lines.push(Line { number, name, value });
        self.set.add_number(number);
    }

    fn may_have(&self, known: Option<Known>) -> bool {
        self.set.has_number(known.map_or(OTHER, Known::number))
    }

    fn find(&self, name: impl Named) -> Option<usize> {
        let known = name.known();
        if !self.may_have(known) {
            return None;
        }
        self.lines.iter().position(|line| self.is_named(line, known, name.as_text()))
    }

    /// Whether a line has a name: the known one, or, where it is none, this text.
    fn is_named(&self, line: &Line, known: Option<Known>, name: &str) -> bool {
        match known {
            Some(known) => line.number == known.number(),
            None => {
                line.number == OTHER && self.part(line.name).eq_ignore_ascii_case(name.as_bytes())
            }
        }
    }

    fn name(&self, line: &Line) -> &[u8] {
        match line.known() {
            Some(known) if line.name.is_empty() => known.as_static().as_bytes(),
            _ => self.part(line.name),
        }
    }

    fn name_text(&self, line: &Line) -> &str {
        // A token is ASCII.
        std::str::from_utf8(self.name(line)).unwrap_or_default()
    }

    fn retain_lines(&mut self, mut is_wanted: impl FnMut(usize, &Self, &Line) -> bool) {
        let mut lines = std::mem::take(&mut self.lines);
        let mut at = 0;
        lines.retain(|line| {
            at += 1;
            is_wanted(at - 1, self, line)
        });
        self.lines = lines;
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string())))
            .finish()
    }
}

/// A value that is nothing but visible ASCII, spaces and tabs.
#[expect(clippy::needless_bitwise_bool, reason = "without branches many bytes are done at once")]
pub(crate) fn text_of(value: &[u8]) -> Option<&str> {
    let is_text = |byte: &u8| (*byte >= b' ') & (*byte <= b'~') | (*byte == b'\t');
    let is_all = value.iter().fold(true, |all, byte| all & is_text(byte));
    if is_all { std::str::from_utf8(value).ok() } else { None }
}

/// What CGI leaves as it is, and `-`, for which it has `_`.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}
