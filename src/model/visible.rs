//! What a terminal shows of a text, and what it would do instead: strangers choose hosts, paths and
//! reasons, and people read them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What is shown in the place of a secret.
pub const HIDDEN: &str = "(hidden)";

/// Whether a terminal would not show the character but obey it: controls (C0, DEL, C1), separators of
/// lines, and what changes the direction of the text around it (Unicode's UAX #9) or hides in it.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Marks, embeddings, overrides and isolates of the bidirectional algorithm.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Separators of lines and of paragraphs.
            | '\u{2028}' | '\u{2029}'
            // Deprecated format characters, annotations, tags.
            | '\u{206a}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line, with a mark in the place of each character that a terminal would obey.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for a text of several lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let is_bad = |c| c != '\n' && is_obeyed(c);
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if is_bad(c) { '\u{fffd}' } else { c }).collect()
}

/// A JSON document that means the same, with each character that a terminal would obey written as
/// `\uXXXX`. Outside of strings only line ends occur, and they stay.
pub fn printable_json(document: &str) -> Cow<'_, str> {
    let is_raw = |c: char| c > '\u{1f}' && is_obeyed(c);
    if !document.contains(is_raw) {
        return Cow::Borrowed(document);
    }
    let mut escaped = String::with_capacity(document.len() + 32);
    for c in document.chars() {
        if is_raw(c) {
            push_json_escape(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// A character as JSON escapes it, by its UTF-16 code units (RFC 8259 §7).
fn push_json_escape(into: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a text never fails.
        let _ = write!(into, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBEYED: [char; 22] = [
        '\0',
        '\u{7}',
        '\u{1b}',
        '\u{7f}',
        '\u{80}',
        '\u{9b}',
        '\u{9d}',
        '\u{9f}',
        '\u{61c}',
        '\u{200e}',
        '\u{200f}',
        '\u{202a}',
        '\u{202e}',
        '\u{2028}',
        '\u{2029}',
        '\u{2066}',
        '\u{2069}',
        '\u{206a}',
        '\u{fff9}',
        '\u{fffb}',
        '\u{e0001}',
        '\u{e007f}',
    ];

    #[test]
    fn what_a_terminal_would_obey_is_marked_and_the_rest_stays() {
        for c in OBEYED {
            assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        let plain = "bücher שלום 日本 🙂 a\u{200d}b";
        assert!(matches!(printable(plain), Cow::Borrowed(text) if text == plain));
        assert_eq!(printable("a\nb"), "a\u{fffd}b");
        assert_eq!(printable_lines("a\n\u{9b}b"), "a\n\u{fffd}b");
    }

    #[test]
    fn json_without_raw_controls_means_the_same() {
        let text: String = OBEYED.iter().collect();
        let value = serde_json::json!({ text.clone(): [text, "🙂"] });
        let raw = serde_json::to_string_pretty(&value).unwrap();
        let escaped = printable_json(&raw);
        assert!(!escaped.contains(|c| c != '\n' && is_obeyed(c)), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        assert!(escaped.contains("\\u202e") && escaped.contains("\\udb40\\udc01"), "{escaped}");
    }
}
