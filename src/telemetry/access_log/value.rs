//! What a field of a line holds, and how each format writes it.

use std::net::IpAddr;
use std::time::Duration;

use super::escape::{MAX_VALUE, write_hex_escaped, write_json};
use super::line::{write_domain, write_ip, write_ms, write_number, write_rfc3339};
use crate::model::DomainName;

/// What a field of a line holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    None,
    /// In milliseconds since the Unix epoch.
    Time(u64),
    Ip(IpAddr),
    /// One without spaces: a name or an id.
    Word(&'a str),
    /// A part of the request's target.
    Target(&'a str),
    /// Whatever somebody else has sent.
    Text(&'a [u8]),
    Number(u64),
    Millis(Duration),
    Domain(&'a DomainName),
}

impl<'a> Value<'a> {
    /// A text of a client, where it has sent one.
    pub(super) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::None, |text| Self::Text(text.as_bytes()))
    }

    /// Writes it behind `key`, as JSON. Whether there is one.
    pub(super) fn write_json(self, out: &mut Vec<u8>, key: &[u8]) -> bool {
        if matches!(self, Self::None) {
            return false;
        }
        out.extend_from_slice(key);
        let is_quoted = !matches!(self, Self::Number(_) | Self::Millis(_));
        if is_quoted {
            out.push(b'"');
        }
        match self {
            Self::Word(text) | Self::Target(text) => write_json(out, text.as_bytes()),
            Self::Text(bytes) => {
                let (bytes, is_cut) = cut(bytes);
                write_json(out, bytes);
                if is_cut {
                    out.extend_from_slice("…".as_bytes());
                }
            }
            plain => plain.write_plain(out),
        }
        if is_quoted {
            out.push(b'"');
        }
        true
    }

    /// The same for people: what others have chosen is in quotes.
    pub(super) fn write_text(self, out: &mut Vec<u8>, key: &[u8]) -> bool {
        if matches!(self, Self::None) {
            return false;
        }
        out.extend_from_slice(key);
        match self {
            Self::Word(text) => write_hex_escaped(out, text.as_bytes()),
            Self::Target(text) => {
                out.push(b'"');
                write_hex_escaped(out, text.as_bytes());
                out.push(b'"');
            }
            Self::Text(bytes) => {
                out.push(b'"');
                write_cut(out, bytes);
                out.push(b'"');
            }
            plain => plain.write_plain(out),
        }
        true
    }

    /// What needs no escaping.
    fn write_plain(self, out: &mut Vec<u8>) {
        match self {
            Self::Time(ms) => write_rfc3339(out, ms),
            Self::Ip(ip) => write_ip(out, ip),
            Self::Number(number) => write_number(out, number),
            Self::Millis(duration) => write_ms(out, duration),
            Self::Domain(domain) => write_domain(out, domain),
            Self::None | Self::Word(_) | Self::Target(_) | Self::Text(_) => {}
        }
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(word: Option<&'a str>) -> Self {
        word.map_or(Self::None, Self::Word)
    }
}

impl From<Option<IpAddr>> for Value<'_> {
    fn from(ip: Option<IpAddr>) -> Self {
        ip.map_or(Self::None, Self::Ip)
    }
}

/// Within the quotes of a format that is not JSON: cut where it is too long, and escaped.
pub(super) fn write_cut(out: &mut Vec<u8>, bytes: &[u8]) {
    let (bytes, is_cut) = cut(bytes);
    write_hex_escaped(out, bytes);
    if is_cut {
        out.extend_from_slice(b"...");
    }
}

/// The bytes, or their beginning where they are too many; no character of UTF-8 is cut in two.
fn cut(bytes: &[u8]) -> (&[u8], bool) {
    if bytes.len() <= MAX_VALUE {
        return (bytes, false);
    }
    let is_begin = |at: &usize| bytes[*at] & 0xc0 != 0x80;
    let end = (MAX_VALUE - 3..=MAX_VALUE).rev().find(is_begin).unwrap_or(MAX_VALUE);
    (&bytes[..end], true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let long = "é".repeat(MAX_VALUE);
        for shift in 0..3 {
            let text = format!("{}{long}", &"xyz"[..shift]);
            let (start, is_cut) = cut(text.as_bytes());
            assert!(is_cut && start.len() > MAX_VALUE - 4 && start.len() <= MAX_VALUE);
            assert!(std::str::from_utf8(start).is_ok());
        }
        assert_eq!(cut(&[0x80; MAX_VALUE + 1]).0.len(), MAX_VALUE);
        assert_eq!(cut(b"short"), (&b"short"[..], false));
    }
}
