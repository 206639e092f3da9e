//! What takes the place of error answers: files, or texts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use http::HeaderValue;
use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{ParseError, serde_as_text};

/// The longest texts of one domain, together: they are part of the state.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// The largest file: all pages are held in memory.
pub const MAX_PAGE_BYTES: u64 = 1024 * 1024;

/// What a text is where nobody says.
const HTML: &str = "text/html; charset=utf-8";

/// The page for each status, such as `{ "404" = "/srv/404.html", "5xx" = { text = "Sorry." } }`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ErrorPages(BTreeMap<PageFor, Page>);

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// A file.
    File(PathBuf),
    /// A text that is given instead of a file.
    Text(PageText),
}

/// A page that needs no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageText {
    text: Bytes,
    content_type: HeaderValue,
}

impl ErrorPages {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The page for a status: its own, else that of its class.
    pub fn page_for(&self, status: u16) -> Option<&Page> {
        let class = PageFor::Class(u8::try_from(status / 100).ok()?);
        self.0.get(&PageFor::Status(status)).or_else(|| self.0.get(&class))
    }

    /// Those that are files, each with what it is for.
    pub fn files(&self) -> impl Iterator<Item = (PageFor, &Path)> {
        self.0.iter().filter_map(|(status, page)| match page {
            Page::File(path) => Some((*status, path.as_path())),
            Page::Text(_) => None,
        })
    }

    /// Whether the very same file stands for the same status.
    pub fn names(&self, status: PageFor, path: &Path) -> bool {
        matches!(self.0.get(&status), Some(Page::File(own)) if own == path)
    }

    /// Texts are no longer than the state should hold.
    pub(super) fn check(&self) -> Result<(), String> {
        let texts = self.0.values().map(|page| match page {
            Page::Text(text) => text.text.len(),
            Page::File(_) => 0,
        });
        if texts.sum::<usize>() > MAX_TEXT_BYTES {
            return Err(format!(
                "the texts of a domain have at most {MAX_TEXT_BYTES} bytes; put longer pages into files"
            ));
        }
        Ok(())
    }
}

impl PageText {
    /// The body of the answer.
    pub fn bytes(&self) -> &Bytes {
        &self.text
    }

    /// What it is.
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }
}

impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(path) => path.serialize(serializer),
            Self::Text(PageText { text, content_type }) => {
                let mut map = serializer.serialize_map(None)?;
                // Both were made from texts.
                map.serialize_entry("text", &String::from_utf8_lossy(text))?;
                if content_type != HTML {
                    map.serialize_entry("type", &String::from_utf8_lossy(content_type.as_bytes()))?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PageVisitor)
    }
}

struct PageVisitor;

impl<'de> Visitor<'de> for PageVisitor {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path of a file, or `{ text = \"…\", type = \"text/html\" }`")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<Page, E> {
        if path.is_empty() || path.contains('\0') {
            return Err(E::custom("this is no path; write the path of a file"));
        }
        Ok(Page::File(path.into()))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Page, M::Error> {
        let (mut text, mut content_type) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "text" => text = Some(map.next_value::<String>()?),
                "type" => content_type = Some(map.next_value::<String>()?),
                _ => return Err(de::Error::unknown_field(&key, &["text", "type"])),
            }
        }
        let text = text.ok_or_else(|| de::Error::missing_field("text"))?;
        let content_type = content_type.map_or(Ok(HeaderValue::from_static(HTML)), |given| {
            let is_type = given.split_once('/').is_some_and(|(kind, rest)| {
                !kind.is_empty() && !rest.is_empty() && given.is_ascii() && !given.contains(',')
            });
            let value = HeaderValue::try_from(&given).ok().filter(|_| is_type);
            value.ok_or_else(|| de::Error::custom("`type` is a media type such as `text/html`"))
        })?;
        Ok(Page::Text(PageText { text: text.into(), content_type }))
    }
}

impl JsonSchema for Page {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Page".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The path of a file, or a text. Commands may only name files below \
                            `proxy.pages_dir`, the config file any.",
            "anyOf": [
                { "type": "string", "minLength": 1, "description": "The path of a file." },
                {
                    "type": "object",
                    "description": "A text that is given instead of a file.",
                    "properties": {
                        "text": { "type": "string", "description": "The body of the answer." },
                        "type": {
                            "type": "string",
                            "description": "Its media type. The default is `text/html; charset=utf-8`.",
                        },
                    },
                    "required": ["text"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// What an error page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageFor {
    /// One status.
    Status(u16),
    /// A whole class, by its first digit.
    Class(u8),
}

impl FromStr for PageFor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "4xx" => return Ok(Self::Class(4)),
            "5xx" => return Ok(Self::Class(5)),
            _ => {}
        }
        let status = text.parse().ok().filter(|status| (400..600).contains(status));
        status.map(Self::Status).ok_or_else(|| {
            ParseError::new("status of an error", text, "use 400 to 599, `4xx` or `5xx`")
        })
    }
}

impl fmt::Display for PageFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

serde_as_text!(PageFor, "A status from 400 to 599, `4xx` or `5xx`.");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<ErrorPages, String> {
        let pages: ErrorPages = serde_json::from_value(value).map_err(|error| error.to_string())?;
        pages.check().map(|()| pages)
    }

    #[test]
    fn a_page_is_a_file_or_a_text() {
        let value = json!({
            "404": "/srv/404.html",
            "4xx": {"text": "<h1>no</h1>"},
            "5xx": {"text": "{}", "type": "application/json"},
        });
        let pages = read(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&pages).unwrap(), value);
        assert!(matches!(pages.page_for(404), Some(Page::File(_))));
        assert_eq!(pages.files().count(), 1);
        let Some(Page::Text(text)) = pages.page_for(403) else { panic!("{pages:?}") };
        assert_eq!(
            (text.bytes().as_ref(), text.content_type().as_bytes()),
            (&b"<h1>no</h1>"[..], HTML.as_bytes())
        );
        let Some(Page::Text(text)) = pages.page_for(502) else { panic!("{pages:?}") };
        assert_eq!(text.content_type(), "application/json");
        assert_eq!(pages.page_for(200), None);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for (page, said) in [
            (json!(""), "no path"),
            (json!("/a\0b"), "no path"),
            (json!(7), "the path of a file, or"),
            (json!({}), "missing field `text`"),
            (json!({"text": "a", "file": "/x"}), "unknown field `file`"),
            (json!({"text": "a", "type": "html"}), "media type"),
            (json!({"text": "a", "type": "text/html\r\nSet-Cookie: a=b"}), "media type"),
            (json!({"text": "a".repeat(MAX_TEXT_BYTES + 1)}), "at most 65536 bytes"),
        ] {
            let error = read(json!({ "404": page })).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let half = json!({"text": "a".repeat(MAX_TEXT_BYTES / 2 + 1)});
        assert!(read(json!({ "404": half, "403": half })).is_err(), "together they are too much");
    }
}
