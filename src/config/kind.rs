//! The kinds of values that settings have: how one is read, and its JSON Schema. Types without values.

use std::fmt::Display;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::effective::Origin;
use super::plain::Plain;
use super::reader::Section;
use super::table::{Settings, json_of_schema};
use super::value::{
    boolean, choice, email, host_name, integer, listen_address, number, parsed, path, share,
    socket_path, string, url, whole,
};
use crate::model::absolute;
use crate::model::{DomainName, NETWORK_LISTS, Seconds, Size, TrustedProxy, Word};
use crate::telemetry::AccessField;

/// A kind of value.
pub(crate) trait Kind {
    /// What a value means.
    type Value: Plain;

    /// A value that a message can show; null where the words say enough.
    fn example() -> Json {
        Json::Null
    }

    /// Reads a value; relative paths start at `base`. The error says what would be right.
    fn read(value: &DeValue<'_>, base: &Path) -> Result<Self::Value, String>;

    /// The schema of a value.
    fn schema() -> Json;

    /// Reads the value of a key, where the section has it and it is right.
    fn take(section: &mut Section<'_, '_>, key: &'static str) -> Option<Self::Value> {
        let base = section.report().directory();
        section.take(key, &|value: &DeValue<'_>| Self::read(value, base))
    }

    /// Reads the value of a key that has a default.
    fn setting(
        section: &mut Section<'_, '_>,
        key: &'static str,
        default: Self::Value,
    ) -> Self::Value {
        section.knows(key);
        Self::take(section, key).unwrap_or_else(|| {
            section.list_default(key, Some(default.plain()), Origin::Default);
            default
        })
    }
}

impl Kind for bool {
    type Value = Self;

    fn read(value: &DeValue<'_>, _: &Path) -> Result<Self, String> {
        boolean(value)
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

/// A whole number.
pub(crate) struct Whole<T, const MIN: u64, const MAX: u64>(PhantomData<T>);

impl<T, const MIN: u64, const MAX: u64> Kind for Whole<T, MIN, MAX>
where
    T: Plain + TryFrom<i128> + TryFrom<u64> + PartialOrd + Display,
{
    type Value = T;

    fn read(value: &DeValue<'_>, _: &Path) -> Result<T, String> {
        let bound = |bound: u64| T::try_from(bound).map_err(|_| "out of range".to_owned());
        integer(bound(MIN)?..=bound(MAX)?)(value)
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A number of bytes; one without a unit counts in units of `UNIT` bytes.
pub(crate) struct Bytes<T, const MIN: u64, const MAX: u64, const UNIT: u64 = 1>(PhantomData<T>);

impl<T, const MIN: u64, const MAX: u64, const UNIT: u64> Kind for Bytes<T, MIN, MAX, UNIT>
where
    T: Plain + TryFrom<u64>,
{
    type Value = T;

    fn read(value: &DeValue<'_>, _: &Path) -> Result<T, String> {
        let units = match value {
            DeValue::String(text) => match text.parse::<u64>() {
                Ok(units) => units,
                Err(_) => match parsed::<Size>(value)?.get() {
                    bytes if bytes % UNIT == 0 => bytes / UNIT,
                    _ => return Err(format!("use a multiple of {UNIT} bytes")),
                },
            },
            // What is no u64 is out of range all the same.
            number => u64::try_from(whole(number).ok_or(Size::FORM)?).unwrap_or(u64::MAX),
        };
        let units = Some(units).filter(|units| (MIN..=MAX).contains(units));
        units.and_then(|units| T::try_from(units).ok()).ok_or_else(|| format!("use {MIN} to {MAX}"))
    }

    fn schema() -> Json {
        let mut schema = json_of_schema::<Size>();
        schema["anyOf"][0]["minimum"] = MIN.into();
        schema["anyOf"][0]["maximum"] = MAX.into();
        if MAX.saturating_mul(UNIT) < 10 << 20 {
            schema["anyOf"][1]["examples"] = json!(["16KB"]);
        }
        schema
    }
}

/// How long something may take; with `OR_NONE` it may be 0.
pub(crate) enum Time<const OR_NONE: bool = false> {}

impl<const OR_NONE: bool> Kind for Time<OR_NONE> {
    type Value = Duration;

    fn read(value: &DeValue<'_>, _: &Path) -> Result<Duration, String> {
        let read = match value {
            DeValue::String(_) => return parsed::<Seconds<OR_NONE>>(value).map(Seconds::get),
            DeValue::Integer(_) | DeValue::Float(_) => number(value),
            _ => None,
        };
        let seconds = Seconds::<OR_NONE>::try_from(read.ok_or(Seconds::<OR_NONE>::FORM)?)?;
        Ok(seconds.get())
    }

    fn schema() -> Json {
        json_of_schema::<Seconds<OR_NONE>>()
    }
}

/// A share of a whole.
pub(super) enum Share {}

impl Kind for Share {
    type Value = f64;

    fn read(value: &DeValue<'_>, _: &Path) -> Result<f64, String> {
        share(value)
    }

    fn schema() -> Json {
        json!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

/// One of a few words.
pub(crate) struct Choice<T>(PhantomData<T>);

impl<T: Word> Kind for Choice<T> {
    type Value = T;

    fn example() -> Json {
        T::all().first().map(|first| first.word()).into()
    }

    fn read(value: &DeValue<'_>, _: &Path) -> Result<T, String> {
        choice(value)
    }

    fn schema() -> Json {
        let words = T::all().iter().map(|choice| choice.word()).collect::<Vec<_>>();
        text_or_reference(&json!({ "enum": words }))
    }
}

/// Declares kinds of texts, each with what it means, what it looks like, an example, and its reader.
macro_rules! texts {
    ($($vis:vis $kind:ident: $value:ty, like $pattern:expr, such as $example:literal, by $read:expr;)+) => {$(
        $vis enum $kind {}

        impl crate::config::kind::Kind for $kind {
            type Value = $value;

            fn example() -> serde_json::Value {
                $example.into()
            }

            fn read(value: &toml::de::DeValue<'_>, base: &std::path::Path) -> Result<$value, String> {
                let read: fn(&toml::de::DeValue<'_>, &std::path::Path) -> _ = $read;
                read(value, base)
            }

            fn schema() -> serde_json::Value {
                crate::config::kind::like(&$pattern)
            }
        }
    )+};
}
pub(super) use texts;

texts! {
    pub(crate) Text: String, like ".+", such as "text", by |value, _| string(value);
    pub(crate) File: PathBuf, like ".+", such as "/etc/vhost/file", by |value, base| path(base)(value);
    // It is stored, and must mean the same to a server that is started elsewhere.
    pub(crate) AbsoluteFile: PathBuf, like ".+", such as "/etc/vhost/file",
        by |value, base| path(base)(value).map(absolute);
    pub(crate) Socket: PathBuf, like ".+", such as "/run/vhost/admin.sock",
        by |value, base| socket_path(base)(value);
    pub(crate) Listen: SocketAddr, like r"(\[[0-9A-Fa-f:.]+(%[^\s%/\]]{1,15})?\]|[0-9.]+):[0-9]{1,5}",
        such as "0.0.0.0:80", by |value, _| listen_address(value);
    pub(crate) Host: DomainName, like r"[^\s*/:]+|\[[0-9A-Fa-f:.]+\]", such as "vhost.example.net",
        by |value, _| host_name(value);
    pub(crate) TrustedProxies: TrustedProxy, like format!(
            "[0-9A-Fa-f:.]+(/[0-9]{{1,3}})?|{}",
            NETWORK_LISTS.each_ref().map(|list| list.name).join("|"),
        ), such as "10.0.0.0/8", by |value, _| parsed(value);
    pub(super) LogField: AccessField, like AccessField::pattern(), such as "client_ip",
        by |value, _| parsed(value);
    pub(super) Email: String, like r"[^\s@]+@[^\s@]*\.[^\s@]*", such as "admin@example.com",
        by |value, _| email(value);
    pub(super) HttpsUrl: String, like r"https://[^\s/?#:][^\s]*", such as "https://acme.example.com/directory",
        by |value, _| url(&["https://"], "https://acme.example.com/directory")(value);
    pub(super) HttpUrl: String, like r"https?://[^\s/?#:][^\s]*", such as "http://127.0.0.1:3000/allowed",
        by |value, _| url(&["https://", "http://"], "http://127.0.0.1:3000/allowed")(value);
}

/// A key that has no default.
impl<K: Kind> Kind for Option<K> {
    type Value = Option<K::Value>;

    fn example() -> Json {
        K::example()
    }

    fn read(value: &DeValue<'_>, base: &Path) -> Result<Self::Value, String> {
        K::read(value, base).map(Some)
    }

    fn schema() -> Json {
        K::schema()
    }

    fn take(section: &mut Section<'_, '_>, key: &'static str) -> Option<Self::Value> {
        K::take(section, key).map(Some)
    }
}

/// A list. Each element that is wrong is reported at its place. A `SET` has at least one, and each once.
pub(crate) struct List<K, const SET: bool = false>(PhantomData<K>);

impl<K: Kind<Value: PartialEq>, const SET: bool> Kind for List<K, SET> {
    type Value = Vec<K::Value>;

    fn example() -> Json {
        json!([K::example()])
    }

    fn read(_: &DeValue<'_>, _: &Path) -> Result<Self::Value, String> {
        Err(format!("write a list: `{}`", Self::example()))
    }

    fn schema() -> Json {
        let list = json!({ "type": "array", "items": K::schema() });
        let set =
            json!({ "type": "array", "items": K::schema(), "minItems": 1, "uniqueItems": true });
        if SET { set } else { list }
    }

    fn take(section: &mut Section<'_, '_>, key: &'static str) -> Option<Self::Value> {
        let (base, example) = (section.report().directory(), Self::example().to_string());
        let elements = section.elements(key, &example, |value| K::read(value, base))?;
        let list: Vec<_> = elements.into_iter().map(|(element, _)| element).collect();
        if SET && list.is_empty() {
            let message =
                format!("it is empty; name at least one, `{example}`, or leave the key out");
            section.problem(key, message);
        }
        for index in (0..list.len()).filter(|index| SET && list[..*index].contains(&list[*index])) {
            section.element_problem(key, index, "it is listed twice; name each once");
        }
        Some(list)
    }
}

/// A list of tables, which the rules of their section read: they know what else it says.
pub(super) struct Entries<T>(PhantomData<T>);

impl<T: Settings + Plain> Kind for Entries<T> {
    type Value = Vec<T>;

    fn read(_: &DeValue<'_>, _: &Path) -> Result<Self::Value, String> {
        Ok(Vec::new())
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::table().schema() })
    }

    fn take(_: &mut Section<'_, '_>, _: &'static str) -> Option<Self::Value> {
        Some(Vec::new())
    }
}

/// The schema of a text that looks like this.
pub(super) fn like(pattern: &(impl Display + ?Sized)) -> Json {
    text_or_reference(&json!({ "type": "string", "pattern": format!("^({pattern})$") }))
}

/// What a text looks like that refers to the environment.
pub(super) const REFERENCE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}";

/// A schema for a text of the file: it fits, or it refers to the environment.
pub(super) fn text_or_reference(schema: &Json) -> Json {
    json!({ "anyOf": [schema, { "type": "string", "pattern": REFERENCE }] })
}
