//! The table of the file's settings: one row for each key of a section, from which all else follows.

use std::borrow::Cow;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

/// What to do about most settings that can't change while the server runs.
pub(super) const RESTART: &str = "`vhost ctl reload --upgrade` puts it into effect";

/// A section of the file, or the entries of a list in one.
pub(super) trait Settings {
    /// Its rows.
    fn table() -> Table;
}

/// A section with its keys.
pub(super) struct Table {
    /// Its path in the file, such as `proxy`.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) rows: Vec<Row>,
    /// What the schema says of its keys together.
    pub(super) rules: Json,
}

/// A key.
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) about: Cow<'static, str>,
    pub(super) required: bool,
    /// The schema of its values.
    pub(super) schema: Json,
    /// What holds without it, where that is the same on every machine; else null.
    pub(super) default: Json,
    /// A value for those who look for one; null where the default shows enough.
    pub(super) example: Json,
    /// What to do after a change, where that can't take effect while the server runs.
    pub(super) remedy: Option<&'static str>,
}

impl Table {
    /// Whether it is of the entries of a list, which is a key of the file itself.
    pub(super) fn is_list(&self) -> bool {
        ["notify", "hooks"].contains(&self.name)
    }

    /// The schema of the section, or of the list.
    pub(super) fn schema(&self) -> Json {
        let one = self.schema_of_one();
        let list = || json!({ "type": "array", "description": self.about, "items": one });
        if self.is_list() { list() } else { one }
    }

    fn schema_of_one(&self) -> Json {
        let properties = self.rows.iter().map(|row| (row.key.to_owned(), row.schema()));
        let required = self.rows.iter().filter(|row| row.required).map(|row| row.key);
        let mut schema = json!({
            "type": "object",
            "description": self.about,
            "properties": properties.collect::<Map<_, _>>(),
            "required": required.collect::<Vec<_>>(),
            "additionalProperties": false,
        });
        if let (Json::Object(schema), Json::Object(rules)) = (&mut schema, &self.rules) {
            schema.extend(rules.clone());
        }
        schema
    }
}

impl Row {
    fn schema(&self) -> Json {
        let mut schema = self.schema.clone();
        schema["description"] = self.about.as_ref().into();
        if !self.default.is_null() {
            schema["default"] = self.default.clone();
        }
        if !self.example.is_null() {
            schema["examples"] = json!([self.example]);
        }
        schema
    }
}

/// The schema of a type of the model.
pub(super) fn json_of_schema<T: JsonSchema>() -> Json {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    T::json_schema(&mut generator).to_value()
}

/// Declares a section: a type with a field for each key, which has the key's name.
///
/// A row is what the key does, its name and its kind; `required: true` where it must be there; its default
/// where it has one, or `varies` with a default that depends on the machine; an `example`, for the schema and
/// the example file; and `restart` with what to do after a change, where that takes effect at a restart.
/// `restart` behind the section's name is meant for all of its rows. A part, behind `..`, is a table whose
/// rows are this section's too; one of them may have another example here. One part may come before the rows.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        $section:literal => $vis:vis $name:ident $(, restart: $all:expr)? $(, rules: $rules:expr)?;
        $(.. $head:ident: $head_rows:ty;)?
        $(
            $(#[doc = $doc:literal])+
            $key:ident: $kind:ty
            $(= $default:expr)?
            $(, varies: $varies:expr)?
            $(, required: $required:expr)?
            $(, example: $example:expr)?
            $(, restart: $remedy:expr)?;
        )+
        $(
            .. $part:ident: $rows:ty
            $(, $of:ident: $part_example:literal)?
            $(, restart: $part_remedy:expr)?;
        )*
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $(
                /// Keys that other tables have as well.
                pub $head: $head_rows,
            )?
            $(
                $(#[doc = $doc])+
                pub $key: <$kind as $crate::config::kind::Kind>::Value,
            )+
            $(
                /// Keys that other sections have as well.
                pub $part: $rows,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($head: <$head_rows>::default(),)?
                    $($key: settings!(@or_default $($default)? $($varies)?),)+
                    $($part: <$rows>::default(),)*
                }
            }
        }

        impl $name {
            /// Reads the keys. What is missing or wrong has its default in the answer.
            pub(in $crate::config) fn read(
                section: &mut $crate::config::reader::Section<'_, '_>,
                default: Self,
            ) -> Self {
                $($(
                    if $required {
                        use $crate::config::kind::Kind as _;
                        section.require(stringify!($key), &<$kind>::example().to_string());
                    }
                )?)+
                Self {
                    $($head: <$head_rows>::read(section, default.$head),)?
                    $($key: <$kind as $crate::config::kind::Kind>::setting(
                        section,
                        stringify!($key),
                        default.$key,
                    ),)+
                    $($part: <$rows>::read(section, default.$part),)*
                }
            }
        }

        impl $crate::config::plain::Plain for $name {
            fn plain(&self) -> serde_json::Value {
                let keys = [$((stringify!($key).to_owned(), self.$key.plain())),+];
                serde_json::Value::Object(keys.into_iter().collect())
            }
        }

        impl $crate::config::table::Settings for $name {
            fn table() -> $crate::config::table::Table {
                use $crate::config::kind::Kind;
                let default = Self::default();
                let all: &[&'static str] = &[$($all)?];
                let mut rows: Vec<$crate::config::table::Row> = Vec::new();
                $(rows.extend(<$head_rows as $crate::config::table::Settings>::table().rows);)?
                rows.extend([$({
                    let remedy: &[&'static str] = &[$($remedy)?];
                    let required: &[bool] = &[$($required)?];
                    let example: &[serde_json::Value] = &[$(serde_json::json!($example))?];
                    let varies = !stringify!($($varies)?).is_empty();
                    let default = $crate::config::plain::Plain::plain(&default.$key);
                    $crate::config::table::Row {
                        key: stringify!($key),
                        about: concat!($($doc),+).trim().into(),
                        required: required == [true],
                        schema: <$kind>::schema(),
                        default: if varies { serde_json::Value::Null } else { default },
                        example: example.first().cloned().unwrap_or_default(),
                        remedy: remedy.iter().chain(all).next().copied(),
                    }
                }),+]);
                $(
                    let remedy: &[&'static str] = &[$($part_remedy)?];
                    rows.extend(<$rows>::table().rows.into_iter().map(|mut row| {
                        row.remedy = remedy.first().copied();
                        $(if row.key == stringify!($of) {
                            row.example = $part_example.into();
                        })?
                        row
                    }));
                )*
                let rules: &[serde_json::Value] = &[$($rules)?];
                $crate::config::table::Table {
                    name: $section,
                    about: concat!($($about),+).trim(),
                    rows,
                    rules: rules.first().cloned().unwrap_or_default(),
                }
            }
        }
    };
    (@or_default) => { Default::default() };
    (@or_default $default:expr) => { $default };
}
pub(super) use settings;
