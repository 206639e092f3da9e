//! Values of headers, with variables of requests in them.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

use super::foreign_variables::foreign_variable;
use crate::model::{ParseError, RequestVariable, TextSyntax, serde_as_text};

/// The value of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderText {
    /// As it is written.
    text: Box<str>,
    content: HeaderContent,
}

/// What a value of a header is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderContent {
    /// The same for all requests.
    Literal(HeaderValue),
    /// One for each request.
    Template(Box<[HeaderPart]>),
}

/// A part of a value that differs from request to request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderPart {
    /// A text that is always there.
    Literal(Box<str>),
    /// What a variable stands for.
    Variable(RequestVariable),
}

impl HeaderText {
    /// What it is made of.
    pub fn content(&self) -> &HeaderContent {
        &self.content
    }

    /// Whether it has this variable in it.
    pub(super) fn uses(&self, variable: RequestVariable) -> bool {
        match &self.content {
            HeaderContent::Literal(_) => false,
            HeaderContent::Template(parts) => parts.contains(&HeaderPart::Variable(variable)),
        }
    }

    /// Why it is probably not what was meant: another program's variable stands in it, which would be sent as
    /// it is written.
    pub(super) fn doubt(&self) -> Option<String> {
        match &self.content {
            HeaderContent::Literal(value) => foreign_variable(value.to_str().ok()?),
            HeaderContent::Template(parts) => parts.iter().find_map(|part| match part {
                HeaderPart::Literal(text) => foreign_variable(text),
                HeaderPart::Variable(_) => None,
            }),
        }
    }
}

impl FromStr for HeaderText {
    type Err = ParseError;

    /// What stands in braces and is no variable of requests is taken as it is written: whoever gives a text
    /// has been told.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let value = HeaderValue::from_str(text).ok().filter(|value| value.to_str().is_ok());
        if value.is_none() {
            let reason = "use ASCII characters that print, on one line";
            return Err(ParseError::new("header value", text, reason));
        }
        let text = TextSyntax::OfRequests.escape(text);
        let parts = parts_of(&text);
        let literal = match &parts[..] {
            [] => Some(HeaderValue::from_static("")),
            [HeaderPart::Literal(literal)] => HeaderValue::from_str(literal).ok(),
            _ => None,
        };
        let content =
            literal.map_or_else(|| HeaderContent::Template(parts.into()), HeaderContent::Literal);
        Ok(Self { text: text.into(), content })
    }
}

/// The parts of a text in which every `${` is escaped or begins a variable.
fn parts_of(text: &str) -> Vec<HeaderPart> {
    let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        rest = after;
        let variable = after
            .split_once('}')
            .and_then(|(name, behind)| Some((RequestVariable::named(name)?, behind)));
        match (before.strip_suffix('$'), variable) {
            (None, Some((variable, behind))) => {
                literal.push_str(before);
                if !literal.is_empty() {
                    parts.push(HeaderPart::Literal(std::mem::take(&mut literal).into()));
                }
                parts.push(HeaderPart::Variable(variable));
                rest = behind;
            }
            (escaped, _) => {
                literal.push_str(escaped.unwrap_or(before));
                literal.push_str("${");
            }
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(HeaderPart::Literal(literal.into()));
    }
    parts
}

impl fmt::Display for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

serde_as_text!(
    HeaderText,
    "The value of a header: ASCII characters that print. `${NAME}` stands for a variable of the request, such as \
     `${client_ip}`; `$${` for `${` itself."
);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> HeaderText {
        text.parse().unwrap()
    }

    fn literal(text: &str) -> HeaderContent {
        HeaderContent::Literal(HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn a_text_is_read_into_what_is_always_there_and_variables() {
        let (part, variable) =
            (|text: &str| HeaderPart::Literal(text.into()), HeaderPart::Variable);
        let template = |parts: Vec<HeaderPart>| HeaderContent::Template(parts.into());
        for (text, content) in [
            ("plain $5 {x}", literal("plain $5 {x}")),
            ("", literal("")),
            ("$${client_ip}", literal("${client_ip}")),
            ("$${A}", literal("${A}")),
            ("${client_ip}", template(vec![variable(RequestVariable::ClientIp)])),
            (
                "a ${host}-${tag}$${tag}",
                template(vec![
                    part("a "),
                    variable(RequestVariable::Host),
                    part("-"),
                    variable(RequestVariable::Tag),
                    part("${tag}"),
                ]),
            ),
            ("${${host}}", template(vec![part("${"), variable(RequestVariable::Host), part("}")])),
        ] {
            assert_eq!(read(text).content, content, "{text}");
            assert_eq!(read(&read(text).to_string()), read(text), "{text}");
        }
        // As an earlier version has stored it.
        assert_eq!(
            (read("${A}").content, read("${A}").to_string()),
            (literal("${A}"), "$${A}".into())
        );
        for wrong in ["a\nb", "é", "\u{7f}"] {
            assert!(wrong.parse::<HeaderText>().is_err(), "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_read_back_from_what_it_is_shown_as(text in "([ab${} ]|host|\\$\\{host\\}){0,12}") {
            let once = read(&text);
            proptest::prop_assert_eq!(read(&once.to_string()), once);
        }
    }
}
