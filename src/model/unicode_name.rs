//! Names as people write them: IDNA's Unicode form (RFC 5890), where it is safe to show.

use std::borrow::Cow;

use super::{DomainName, Pattern, is_obeyed};

/// How a label in IDNA's ASCII form begins (RFC 5890 §2.3.2.1).
const ACE: &str = "xn--";

impl DomainName {
    /// The name as people write it, such as `bücher.example`; `None` where that is the name itself, or is not
    /// safe to show.
    pub fn unicode(&self) -> Option<String> {
        match self.pattern() {
            Pattern::Default => None,
            Pattern::Exact(name) => unicode_host(name),
            Pattern::Wildcard(base) => unicode_host(base).map(|base| format!("*.{base}")),
        }
    }

    /// The name for people. It is read as the same name; logs, metrics, the store and scripts have its
    /// ASCII form, which [`Display`](std::fmt::Display) writes.
    pub fn shown(&self) -> String {
        self.unicode().unwrap_or_else(|| self.to_string())
    }
}

/// A host name in ASCII as people write it, where that is another form and safe to show.
pub fn unicode_host(ascii: &str) -> Option<String> {
    if !ascii.split('.').any(|label| label.starts_with(ACE)) {
        return None;
    }
    let (text, valid) = idna::domain_to_unicode(ascii);
    let is_safe = valid.is_ok() && text != ascii && !text.contains(is_unsafe);
    // Whoever copies it must get the same name.
    let back = is_safe.then(|| idna::domain_to_ascii(&text).ok())??;
    (back == ascii).then_some(text)
}

/// A text for people, with the names in it as people write them. A name that is part of a path or of a URL
/// stays as it is.
pub fn with_unicode_names(text: &str) -> Cow<'_, str> {
    if !text.contains(ACE) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while !rest.is_empty() {
        let start = rest.find(is_of_name).unwrap_or(rest.len());
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_of_name(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        // The dot at the end of a sentence is none of its name.
        let name = word.trim_end_matches('.');
        let is_part =
            before.ends_with(['/', '\\', '~', '@', '%', ':']) || after.starts_with(['/', '@', '%']);
        let name_shown = if is_part { None } else { unicode_host(name) };
        shown.push_str(before);
        match name_shown {
            Some(unicode) => {
                shown.push_str(&unicode);
                shown.push_str(&word[name.len()..]);
            }
            None => shown.push_str(word),
        }
        rest = after;
    }
    Cow::Owned(shown)
}

/// Whether a character may stand in a host name.
fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Whether a character is not seen, is obeyed, or turns the direction of the line that it stands on.
fn is_unsafe(c: char) -> bool {
    is_obeyed(c)
        || c.is_whitespace()
        || matches!(c,
            // Joiners, and what is drawn as nothing.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{e0100}'..='\u{e01ef}'
            // The blocks of scripts that are written from right to left (Unicode's DerivedBidiClass).
            | '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
            | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<DomainName>().unwrap_or_else(|error| panic!("{error}")).shown()
    }

    #[test]
    fn a_name_is_shown_as_people_write_it() {
        for (given, expected) in [
            ("xn--bcher-kva.example", "bücher.example"),
            ("*.XN--BCHER-KVA.example", "*.bücher.example"),
            ("xn--wgv71a.example", "日本.example"),
            ("shop.xn--mnchen-3ya.xn--p1ai", "shop.münchen.рф"),
            ("example.com", "example.com"),
            ("*", "*"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(shown(given), expected);
            assert_eq!(shown(given).parse::<DomainName>(), given.parse::<DomainName>());
        }
    }

    #[test]
    fn what_is_not_safe_to_show_stays_in_ascii() {
        // Hebrew and Arabic; a joiner that nobody sees, in its place and not; what is not Punycode, and what
        // it may not stand for.
        for ascii in [
            "xn--4dbcagdahymbxekheh6e0a7fei0b.test",
            "xn--mgba3gch31f060k.test",
            "a.xn--9dbne9b.test",
            "xn--11b2ezcw70k.test",
            "xn--1ug6928ac48e.test",
            "xn--99999999.test",
            "xn--a.test",
        ] {
            assert_eq!(unicode_host(ascii), None, "{ascii}");
        }
    }

    #[test]
    fn names_in_a_text_are_shown_but_not_those_in_paths() {
        let text = |text| with_unicode_names(text).into_owned();
        for (given, expected) in [
            ("unknown domain `xn--bcher-kva.example`", "unknown domain `bücher.example`"),
            ("see *.xn--bcher-kva.example.", "see *.bücher.example."),
            ("xn--bcher-kva.example: a → b", "bücher.example: a → b"),
            ("(xn--bcher-kva.example, a.test)", "(bücher.example, a.test)"),
            ("`/etc/xn--bcher-kva.example`", "`/etc/xn--bcher-kva.example`"),
            ("xn--bcher-kva.example/cert.pem", "xn--bcher-kva.example/cert.pem"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
            ("xn--a is none", "xn--a is none"),
            ("no name → here", "no name → here"),
        ] {
            assert_eq!(text(given), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same_name(text in ".{0,40}", ace in "xn--[a-z0-9-]{1,24}") {
            for name in [text.as_str(), ace.as_str()] {
                if let Ok(name) = name.parse::<DomainName>() {
                    let shown = name.shown();
                    proptest::prop_assert!(!shown.contains(is_unsafe), "{shown:?}");
                    proptest::prop_assert_eq!(shown.parse::<DomainName>(), Ok(name));
                }
            }
            let _ = with_unicode_names(&text);
        }
    }
}
