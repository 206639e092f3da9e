//! The options of a record as flags: `--tls-ca-file FILE` for the key `tls_ca_file`.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};
use serde_json::{Map, Value};

use crate::model::OptionError;
use crate::model::record::{self, Record};

/// The group of everything that a change may change, of which something must be given.
pub(super) const EDITS: &str = "edits";

/// What the flags of a record give. Each key has one, but those that hold lists; of a table each member has
/// one, but those that are maps.
#[derive(Debug)]
pub(super) struct Flags<R, const IS_NEW: bool> {
    values: Map<String, Value>,
    record: PhantomData<R>,
}

/// What a flag of a record gives.
#[derive(Debug, Clone)]
pub(in crate::cli) struct FlagValue<R> {
    value: Value,
    record: PhantomData<R>,
}

impl<R: Record, const IS_NEW: bool> Flags<R, IS_NEW> {
    /// The keys that are given, each with what it is to be. Paths are whole: the server was started
    /// elsewhere.
    pub(super) fn into_values(mut self) -> Map<String, Value> {
        if let Ok(here) = std::env::current_dir() {
            record::absolute::<R>(&mut self.values, &here);
        }
        self.values
    }

    fn arg(path: &str, schema: &Value, default: Option<&Value>) -> Arg {
        let about = schema["description"].as_str().unwrap_or_default();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        let first = about.split_once(". ").map_or(about.as_str(), |(first, _)| first);
        let key = path.rsplit('.').next().unwrap_or(path);
        let flag = path.strip_suffix("_secs").unwrap_or(path).replace(['_', '.'], "-");
        let arg = Arg::new(path.to_owned()).long(flag);
        let arg = arg.help(first.trim_end_matches('.').to_owned());
        let arg = if about.contains(". ") { arg.long_help(about.clone()) } else { arg };
        let name = match key.rsplit('_').next() {
            Some("secs") => "TIME".to_owned(),
            last => last.unwrap_or(key).to_uppercase(),
        };
        let of_path = path.to_owned();
        let read = move |text: &str| read::<R>(&of_path, text);
        match default {
            Some(Value::Bool(false)) if IS_NEW => arg.action(ArgAction::SetTrue),
            Some(Value::Bool(_)) => arg.value_name("true|false").value_parser(read),
            _ if R::FILES.contains(&path) => {
                arg.value_name(name).value_hint(ValueHint::FilePath).value_parser(read)
            }
            Some(default) if IS_NEW => {
                let default = record::text(key, Some(default));
                let help = format!("{} [default: {default}]", first.trim_end_matches('.'));
                arg.help(help).value_name(name).value_parser(read)
            }
            _ => arg.value_name(name).value_parser(read),
        }
    }
}

/// The keys that have flags, and of tables the members, by their paths.
fn paths<R: Record>() -> Vec<String> {
    let defaults = record::defaults::<R>();
    let is_map = |path: &String| {
        let of = path.split('.').try_fold(R::schema(), record::member);
        of.and_then(|of| of.get("additionalProperties")).is_some_and(Value::is_object)
    };
    let of = |key: &&'static str| {
        if R::members_of(key).is_some() {
            return members::<R>(key).filter(|path| !is_map(path)).collect();
        }
        let is_list = defaults.get(*key).is_some_and(Value::is_array);
        if is_list { Vec::new() } else { vec![(*key).to_owned()] }
    };
    R::KEYS.iter().flat_map(of).collect()
}

/// The members of a table, by their paths.
fn members<R: Record>(table: &str) -> impl Iterator<Item = String> {
    let members = R::members_of(table).unwrap_or_default();
    members.iter().map(move |member| format!("{table}.{member}"))
}

/// The members of all tables of a record.
pub(super) fn inner_paths<R: Record>() -> Vec<String> {
    R::TABLES.iter().flat_map(|(table, _)| members::<R>(table)).collect()
}

/// A value where its path leads to.
fn nested(path: &str, value: Value) -> (String, Value) {
    match path.split_once('.') {
        None => (path.to_owned(), value),
        Some((table, rest)) => {
            let inner = Map::from_iter([nested(rest, value)]);
            (table.to_owned(), Value::Object(inner))
        }
    }
}

/// Reads what a flag gives as the record does.
fn read<R: Record>(path: &str, text: &str) -> Result<FlagValue<R>, String> {
    // A table is written as in the file, or as JSON has it.
    let table = || {
        let line: toml::Table =
            text.starts_with('{').then(|| format!("x={text}").parse().ok())??;
        serde_json::to_value(&line["x"]).ok()
    };
    let values = [serde_json::from_str(text).ok().or_else(table), Some(Value::from(text))];
    let mut wrong = None;
    for value in values.into_iter().flatten() {
        let alone = Map::from_iter([nested(path, value.clone())]);
        match record::typed::<R>(alone) {
            Ok(_) => return Ok(FlagValue { value, record: PhantomData }),
            // The braces are those of a table, and not of a text with some.
            Err(error) if value.is_object() && !error.reason.contains(" field `") => {
                return Err(error.reason);
            }
            Err(error) => {
                // Nobody quotes on a command line: what is wrong is said of the text.
                let wants_text = |error: &OptionError| {
                    error.remedy.as_deref().is_some_and(|remedy| remedy.starts_with("write a text"))
                };
                match &wrong {
                    Some(first) if !wants_text(first) => {}
                    _ => wrong = Some(error),
                }
            }
        }
    }
    Err(wrong.map(|error| error.reason).unwrap_or_default())
}

impl<R: Record, const IS_NEW: bool> Args for Flags<R, IS_NEW> {
    fn augment_args(mut command: Command) -> Command {
        let defaults = record::defaults::<R>();
        for path in paths::<R>() {
            let schema = path.split('.').try_fold(R::schema(), record::member);
            let arg = Self::arg(&path, schema.unwrap_or(&Value::Null), defaults.get(&path));
            let arg = match path.split_once('.') {
                Some((table, _)) => arg.help_heading(heading(table)),
                None => arg,
            };
            command = command.arg(if IS_NEW { arg } else { arg.group(EDITS) });
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// `Health check` of `health_check`.
fn heading(table: &str) -> String {
    let words = table.replace('_', " ");
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

impl<R: Record, const IS_NEW: bool> FromArgMatches for Flags<R, IS_NEW> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |path: &str| {
            let given = matches.try_get_one::<FlagValue<R>>(path);
            let is_on = || matches.try_get_one::<bool>(path).ok().flatten().filter(|is_on| **is_on);
            match given {
                Ok(given) => given.map(|given| given.value.clone()),
                Err(_) => is_on().map(|is_on| Value::from(*is_on)),
            }
        };
        let mut values = Map::new();
        for path in paths::<R>() {
            let Some(value) = value(&path) else { continue };
            let (key, value) = nested(&path, value);
            match (values.get_mut(&key), value) {
                (Some(Value::Object(table)), Value::Object(more)) => table.extend(more),
                (_, value) => _ = values.insert(key, value),
            }
        }
        Ok(Self { values, record: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::BackendOptions;

    #[test]
    fn a_flag_of_a_member_is_read_as_the_record_reads_it() {
        let given = |path: &str, text: &str| {
            read::<BackendOptions>(&format!("health_check.{path}"), text).map(|given| given.value)
        };
        for (path, text, value) in [
            ("path", "/up", json!("/up")),
            ("port", "9000", json!(9000)),
            ("interval_secs", "90s", json!("90s")),
            ("expected_status", "200", json!("200")),
            ("expect_body", "ok", json!("ok")),
            ("expect_body", "5", json!("5")),
            ("expect_body", r#"{"status":"up"}"#, json!(r#"{"status":"up"}"#)),
            ("expect_body", r#"{"regex":"^ok"}"#, json!({"regex": "^ok"})),
            ("expect_body", "{ regex = '^o k' }", json!({"regex": "^o k"})),
            ("expect_body", "{ok", json!("{ok")),
        ] {
            assert_eq!(given(path, text), Ok(value), "{path} {text}");
        }
        for (path, text, said) in [
            ("path", "up", "it starts with `/`"),
            ("expected_status", "999", "write statuses from 100 to 599"),
            ("port", "http", "write a whole number from 1 to 65535"),
            ("expect_body", "{ regex = '(' }", "unclosed group"),
            ("expect_body", "", "it is empty"),
        ] {
            let error = given(path, text).expect_err(text);
            assert!(error.contains(said), "{path} {text}: {error}");
        }
    }

    #[test]
    fn members_have_flags_but_for_maps() {
        let paths = paths::<BackendOptions>();
        for (path, is_there) in [
            ("health_check.kind", true),
            ("health_check.expect_body", true),
            ("health_check.headers", false),
            ("health_check", false),
            ("weight", true),
        ] {
            assert_eq!(paths.iter().any(|one| one == path), is_there, "{path}");
        }
        assert!(inner_paths::<BackendOptions>().contains(&"health_check.headers".to_owned()));
    }
}
