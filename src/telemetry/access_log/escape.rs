//! Escapes input of clients, so that it can't end a string, a line or a document, or move a
//! terminal's cursor.

use crate::model::is_obeyed;

/// How many bytes are written of what clients and backends choose. Paths and queries have a bound of their own,
/// `proxy.max_uri_bytes`.
pub(super) const MAX_VALUE: usize = 1024;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Bytes within the quotes of JSON. What is no UTF-8 is U+FFFD.
pub(super) fn write_json(out: &mut Vec<u8>, bytes: &[u8]) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' if !matches!(byte, b'"' | b'\\'));
    if bytes.iter().all(is_plain) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        write_json_text(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn write_json_text(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            _ if is_obeyed(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(b"\\u");
                    unit.to_be_bytes().into_iter().for_each(|byte| write_hex(out, byte));
                }
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Bytes within the quotes of the Common Log Format: what is not printable ASCII is `\xHH`, and so are
/// quotes and backslashes, as nginx writes them.
pub(super) fn write_hex_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| !is_plain(*byte)) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"\\x");
        write_hex(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn write_hex(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}
