//! One field, as it is read: what its name is, and what is wrong with it.

use crate::proxy::wire::huffman::STEPS;
use crate::proxy::wire::strict::is_token_byte;

/// The longest text that is compared with others: `transfer-encoding`.
const LONGEST_TEXT: usize = 17;

/// What a field's name is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    /// A pseudo-header field of responses, or one that nobody knows.
    Foreign,
    /// A field of the connection (RFC 9113 §8.2.2).
    Hop,
    Te,
    #[default]
    Regular,
}

/// What a value means beyond its text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Connect,
    ForeignScheme,
    #[default]
    None,
}

/// The field that is being read.
#[derive(Debug, Default)]
pub(super) struct Field {
    pub(super) name: Name,
    pub(super) name_len: usize,
    pub(super) is_kept: bool,
    pub(super) name_fault: Option<&'static str>,
    pub(super) fault: Option<&'static str>,
    /// The text that is being read, as far as it is compared, and its length.
    text: [u8; LONGEST_TEXT],
    pub(super) length: usize,
    /// Where in the tree of the Huffman code it stands.
    node: u8,
    /// A character beyond ASCII that is being read, and how many bytes of it are there.
    character: [u8; 4],
    have: usize,
}

impl Field {
    pub(super) fn new(is_kept: bool) -> Self {
        Self { is_kept, ..Self::default() }
    }

    pub(super) fn begin_text(&mut self) {
        (self.length, self.node, self.have) = (0, 0, 0);
    }

    /// Takes a piece of its name or value.
    pub(super) fn take(&mut self, bytes: &[u8], of_name: bool, is_coded: bool) {
        for byte in bytes {
            if !is_coded {
                self.take_text(*byte, of_name);
                continue;
            }
            for half in [4, 0] {
                let step = STEPS[usize::from(self.node)][usize::from(*byte >> half & 15)];
                self.node = step.next;
                if step.ends > 0 {
                    self.take_text(step.byte, of_name);
                }
            }
        }
    }

    fn take_text(&mut self, byte: u8, of_name: bool) {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
        }
        if of_name {
            let may_begin = self.length == 0 && byte == b':';
            if !may_begin && (!is_token_byte(byte) || byte.is_ascii_uppercase()) {
                self.name_fault = Some("the name of a field is not a lower-case token");
            }
        } else {
            self.take_value(byte);
        }
        self.length += 1;
    }

    fn take_value(&mut self, byte: u8) {
        match self.name {
            Name::Regular | Name::Te | Name::Hop => {
                if byte < b' ' && byte != b'\t' || byte == 0x7f {
                    self.fault = Some("the value of a field has a control character");
                }
            }
            Name::Method if !is_token_byte(byte) => {
                self.fault = Some("the method is not a token");
            }
            Name::Path if byte == b'#' => {
                self.fault = Some("there is a fragment in the target");
            }
            _ if byte <= b' ' || byte == 0x7f => {
                self.fault = Some("a pseudo-header field has a space or a control character");
            }
            _ => self.take_character(byte),
        }
    }

    /// The h2 crate takes pseudo-header fields for UTF-8.
    fn take_character(&mut self, byte: u8) {
        if byte < 0x80 && self.have == 0 {
            return;
        }
        let Some(place) = self.character.get_mut(self.have) else { return };
        *place = byte;
        self.have += 1;
        let is_whole = std::str::from_utf8(&self.character[..self.have]).is_ok();
        if is_whole {
            self.have = 0;
        } else if self.have == self.character.len() {
            self.fault = Some("a pseudo-header field is not UTF-8");
        }
    }

    pub(super) fn end_name(&mut self) {
        self.name_len = self.length;
        let text = &self.text[..self.length.min(LONGEST_TEXT)];
        self.name = match text {
            [b':', ..] if self.length > LONGEST_TEXT => Name::Foreign,
            _ if self.length > LONGEST_TEXT => Name::Regular,
            _ => Name::of(text),
        };
        let empty = (self.length == 0).then_some("a field has no name");
        self.name_fault = self.name_fault.or(self.name.fault()).or(empty);
    }

    pub(super) fn end_value(&mut self) -> Meaning {
        let text = &self.text[..self.length.min(LONGEST_TEXT)];
        let is = |scheme: &str| text.eq_ignore_ascii_case(scheme.as_bytes());
        let fault = match self.name {
            Name::Te if text != b"trailers" => Some("TE is not `trailers`"),
            Name::Method | Name::Path if self.length == 0 => {
                Some("the method or the path is empty")
            }
            _ if self.have > 0 => Some("a pseudo-header field is not UTF-8"),
            _ => None,
        };
        self.fault = self.fault.or(fault);
        match self.name {
            Name::Method if text == b"CONNECT" => Meaning::Connect,
            Name::Scheme if !is("http") && !is("https") => Meaning::ForeignScheme,
            _ => Meaning::None,
        }
    }
}

impl Name {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            [b':', ..] => Self::Foreign,
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
            | b"upgrade" => Self::Hop,
            b"te" => Self::Te,
            _ => Self::Regular,
        }
    }

    /// Why no request may have it.
    pub(super) fn fault(self) -> Option<&'static str> {
        match self {
            Self::Foreign => Some("there is a pseudo-header field that requests don't have"),
            Self::Hop => Some("there is a field of the connection"),
            _ => None,
        }
    }

    pub(super) fn is_pseudo(self) -> bool {
        !matches!(self, Self::Hop | Self::Te | Self::Regular)
    }
}
