//! The options of a record as flags: `--tls-ca-file FILE` for the key `tls_ca_file`.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};
use serde_json::{Map, Value};

use crate::model::record::{self, Record};

/// The group of everything that a change may change, of which something must be given.
pub(super) const EDITS: &str = "edits";

/// What the flags of a record give. Each key has one, but those that hold lists.
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

    fn arg(key: &'static str, schema: &Value, default: Option<&Value>) -> Arg {
        let about = schema["description"].as_str().unwrap_or_default();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        let first = about.split_once(". ").map_or(about.as_str(), |(first, _)| first);
        let flag = key.strip_suffix("_secs").unwrap_or(key).replace('_', "-");
        let arg = Arg::new(key).long(flag).help(first.trim_end_matches('.').to_owned());
        let arg = if about.contains(". ") { arg.long_help(about.clone()) } else { arg };
        let name = match key.rsplit('_').next() {
            Some("secs") => "TIME".to_owned(),
            last => last.unwrap_or(key).to_uppercase(),
        };
        let read = move |text: &str| read::<R>(key, text);
        match default {
            Some(Value::Bool(false)) if IS_NEW => arg.action(ArgAction::SetTrue),
            Some(Value::Bool(_)) => arg.value_name("true|false").value_parser(read),
            _ if R::FILES.contains(&key) => {
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

/// Reads what a flag gives as the record does.
fn read<R: Record>(key: &str, text: &str) -> Result<FlagValue<R>, String> {
    let values = [serde_json::from_str(text).ok(), Some(Value::from(text))];
    let mut wrong = None;
    for value in values.into_iter().flatten() {
        let alone = Map::from_iter([(key.to_owned(), value.clone())]);
        match record::typed::<R>(alone) {
            Ok(_) => return Ok(FlagValue { value, record: PhantomData }),
            Err(error) => _ = wrong.get_or_insert(error.reason),
        }
    }
    Err(wrong.unwrap_or_default())
}

impl<R: Record, const IS_NEW: bool> Args for Flags<R, IS_NEW> {
    fn augment_args(mut command: Command) -> Command {
        let (schema, defaults) = (record::schema::<R>(), record::defaults::<R>());
        for key in R::KEYS {
            let default = defaults.get(*key);
            if default.is_some_and(Value::is_array) {
                continue;
            }
            let arg = Self::arg(key, &schema["properties"][*key], default);
            command = command.arg(if IS_NEW { arg } else { arg.group(EDITS) });
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<R: Record, const IS_NEW: bool> FromArgMatches for Flags<R, IS_NEW> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |key: &&'static str| {
            let given = matches.try_get_one::<FlagValue<R>>(key);
            let is_on = || matches.try_get_one::<bool>(key).ok().flatten().filter(|is_on| **is_on);
            match given {
                Ok(given) => given.map(|given| given.value.clone()),
                Err(_) => is_on().map(|is_on| Value::from(*is_on)),
            }
        };
        let given = R::KEYS.iter().filter_map(|key| Some(((*key).to_owned(), value(key)?)));
        Ok(Self { values: given.collect(), record: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
