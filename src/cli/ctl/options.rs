//! Options as arguments: `--option KEY=VALUE` for all that the config file has, and `--no-option KEY`.

use std::ffi::OsStr;
use std::marker::PhantomData;

use clap::builder::{PossibleValue, TypedValueParser, UnknownArgumentValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Number, Value};

use super::flags::{EDITS, inner_paths};
use crate::model::record::{self, Keys, Record};
use crate::model::{AppOptions, BackendOptions, OptionSet, TopOptions, nearest};

/// The record of the options that have flags: of what they are.
pub(in crate::cli) trait HasOptions: Record {
    /// The schemas of its records.
    fn schemas() -> Vec<Value> {
        vec![record::schema::<Self>()]
    }
    /// The keys that can be taken away.
    fn optional() -> Vec<&'static str> {
        record::optional_keys::<Self>()
    }
    /// The members of tables, by their paths, that can be taken away.
    fn optional_members() -> Vec<String> {
        inner_paths::<Self>()
    }
    /// The keys that have no flag.
    fn without_flags() -> Vec<&'static str> {
        Vec::new()
    }
    /// What `--option` takes, for example.
    const EXAMPLE: &'static str;
    /// What is no option, because flags or commands of its own set it.
    const SET_ELSEWHERE: &'static [SetElsewhere];
}

/// A part of a record that is no option.
pub(in crate::cli) struct SetElsewhere {
    /// What people may call it.
    keys: &'static [&'static str],
    /// The tip where the record is there.
    tip: &'static str,
    /// The key that is a flag of the command that adds the record, if one is.
    flag_of_add: Option<&'static str>,
    /// The tip of that command.
    tip_of_add: &'static str,
}

impl SetElsewhere {
    fn tip(&self, is_new: bool) -> &'static str {
        if is_new { self.tip_of_add } else { self.tip }
    }

    /// The keys that are no flags.
    fn refused_keys(&self, is_new: bool) -> impl Iterator<Item = &'static str> {
        let flag = self.flag_of_add.filter(|_| is_new);
        self.keys.iter().copied().filter(move |key| Some(*key) != flag)
    }
}

impl HasOptions for TopOptions {
    const EXAMPLE: &'static str = "`max_body_bytes=10MB` or `maintenance.message=\"Back soon\"`";
    const SET_ELSEWHERE: &'static [SetElsewhere] = &[SetElsewhere {
        keys: &["tag", "live", "enabled_backends_tag"],
        tip: "use `vhost ctl switch DOMAIN TAG` to change the live tag",
        flag_of_add: Some("tag"),
        tip_of_add: "use `--tag TAG` for the live tag",
    }];

    fn schemas() -> Vec<Value> {
        vec![record::schema::<Self>(), record::schema::<OptionSet>()]
    }

    fn optional() -> Vec<&'static str> {
        OptionSet::KEYS.to_vec()
    }

    fn without_flags() -> Vec<&'static str> {
        OptionSet::KEYS.to_vec()
    }
}

impl HasOptions for AppOptions {
    const EXAMPLE: &'static str = "`max_body_bytes=10MB` or `timeouts.response_secs=90`";
    const SET_ELSEWHERE: &'static [SetElsewhere] = &[];
}

impl HasOptions for BackendOptions {
    const EXAMPLE: &'static str = "`weight=3` or `tls_ca_file=/etc/vhost/ca.pem`";
    const SET_ELSEWHERE: &'static [SetElsewhere] = &[
        SetElsewhere {
            keys: &["tag", "tags"],
            tip: "use `vhost ctl backend tag ID TAG` or `vhost ctl backend untag ID TAG`",
            flag_of_add: Some("tag"),
            tip_of_add: "use `--tag TAG`, once for each tag",
        },
        SetElsewhere {
            keys: &["state"],
            tip: "use `vhost ctl backend ready ID`, `drain ID` or `disable ID`",
            flag_of_add: None,
            tip_of_add: "add the backend, then use `vhost ctl backend drain ID` or `disable ID`",
        },
    ];
}

/// What `--option` and `--no-option` give.
#[derive(Debug)]
pub(super) struct OptionArgs<T, const IS_NEW: bool> {
    given: Vec<Given<T>>,
    taken: Vec<String>,
}

/// A key with what it is to be.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Given<T> {
    key: String,
    value: Value,
    of: PhantomData<T>,
}

impl<T: HasOptions, const IS_NEW: bool> Args for OptionArgs<T, IS_NEW> {
    fn augment_args(command: Command) -> Command {
        let help = format!(
            "Another option of the config file (vhost-config(5)), such as {}; may be repeated",
            T::EXAMPLE
        );
        let option = Arg::new("option").long("option").value_name("KEY=VALUE").help(help);
        let option = option.action(ArgAction::Append).value_parser(parse::<T, IS_NEW>);
        let command = command.args(
            T::without_flags()
                .into_iter()
                .map(|key| refused_flag(key, &format!("use `--option {key}=…`"))),
        );
        let elsewhere = T::SET_ELSEWHERE.iter().flat_map(|part| {
            part.refused_keys(IS_NEW).map(|key| refused_flag(key, part.tip(IS_NEW)))
        });
        let command = command.args(elsewhere);
        if IS_NEW {
            return command.arg(option);
        }
        let taken = Arg::new("no_option").long("no-option").value_name("KEY");
        let taken = taken.help("Remove an option; may be repeated").hide_possible_values(true);
        let members = T::optional_members();
        let can_be_taken: Vec<_> =
            T::optional().into_iter().map(str::to_owned).chain(members).collect();
        let taken = taken.action(ArgAction::Append).value_parser(TakenKey(can_be_taken));
        let flags: Vec<_> = command.get_arguments().filter_map(Arg::get_long).collect();
        let refused = T::optional().into_iter().filter_map(|key| {
            let flag = format!("no-{key}");
            let is_flag = flags.contains(&flag.replace('_', "-").as_str());
            let tip = format!("use `--no-option {key}`");
            (!is_flag).then(|| refused_flag(&flag, &tip))
        });
        let refused: Vec<_> = refused.collect();
        let command = command.args(refused);
        command.arg(option.group(EDITS)).arg(taken.group(EDITS))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: HasOptions, const IS_NEW: bool> FromArgMatches for OptionArgs<T, IS_NEW> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = matches.get_many("option").into_iter().flatten().cloned().collect();
        let taken = matches.try_get_many("no_option").ok().flatten();
        Ok(Self { given, taken: taken.into_iter().flatten().cloned().collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T, const IS_NEW: bool> OptionArgs<T, IS_NEW> {
    /// What is given here and by `flags`, and null for what is taken away: a JSON merge patch (RFC 7396).
    ///
    /// # Errors
    /// When one is given twice, or given and taken away.
    pub(super) fn patch(self, flags: Map<String, Value>) -> Result<Map<String, Value>, String> {
        let mut patch = flags;
        for Given { key, value, .. } in self.given {
            join(&mut patch, key.clone(), value, &key)?;
        }
        for key in self.taken {
            let before = match key.split_once('.') {
                None => patch.insert(key.clone(), Value::Null),
                Some((table, member)) => {
                    let members = patch.entry(table).or_insert_with(|| Value::Object(Map::new()));
                    let Some(members) = members.as_object_mut() else {
                        return Err(format!(
                            "`--no-option {table}` takes `{key}` away as well; keep one of them"
                        ));
                    };
                    members.insert(member.to_owned(), Value::Null)
                }
            };
            match before {
                None => {}
                Some(Value::Null) => {
                    return Err(format!("`--no-option {key}` is there twice; keep one"));
                }
                Some(_) => {
                    return Err(format!(
                        "`{key}` is given, and `--no-option {key}` takes it away; keep one"
                    ));
                }
            }
        }
        Ok(patch)
    }
}

/// One of these keys. There are too many to list them all where it is another.
#[derive(Clone)]
struct TakenKey(Vec<String>);

impl TypedValueParser for TakenKey {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let given = value.to_string_lossy();
        if self.0.iter().any(|key| *key == given) {
            return Ok(given.into_owned());
        }
        let text = |text: String| ContextValue::String(text);
        let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
        let flag = arg.map_or_else(String::new, ToString::to_string);
        error.insert(ContextKind::InvalidArg, text(flag));
        error.insert(ContextKind::InvalidValue, text(given.clone().into_owned()));
        if let Some(near) = nearest(&given, &self.0) {
            error.insert(ContextKind::SuggestedValue, text(near.clone()));
        } else {
            let all = "the keys are in vhost-config(5)".to_owned();
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![all.into()]));
        }
        Err(error)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// A flag that does not exist, for which there is a better tip than Clap's.
fn refused_flag(flag: &str, tip: &str) -> Arg {
    // The key may be the id of a flag that exists.
    Arg::new(format!("refused-{flag}"))
        .long(flag.replace('_', "-"))
        .hide(true)
        // With a value or without, the answer is the tip.
        .num_args(0..=1)
        .default_missing_value("")
        .value_parser(UnknownArgumentValueParser::suggest(tip.to_owned()))
}

/// `a.b.c=1` and `a.b.d=2` are both meant, `a.b=1` and `a.b=2` can't be.
fn join(
    into: &mut Map<String, Value>,
    key: String,
    value: Value,
    path: &str,
) -> Result<(), String> {
    match (into.get_mut(&key), value) {
        (Some(Value::Object(there)), Value::Object(more)) => {
            for (key, value) in more {
                let path = format!("{path}.{key}");
                join(there, key, value, &path)?;
            }
        }
        (None, value) => _ = into.insert(key, value),
        (Some(_), _) => return Err(format!("the option `{path}` is given twice; give it once")),
    }
    Ok(())
}

/// Reads `KEY=VALUE` as a line of TOML; a value that is none is a text. A key with dots is a way into
/// tables.
fn parse<T: HasOptions, const IS_NEW: bool>(text: &str) -> Result<Given<T>, String> {
    let (path, value) =
        text.split_once('=').ok_or_else(|| format!("write KEY=VALUE, such as {}", T::EXAMPLE))?;
    let (path, value) = (path.trim(), value.trim());
    let mut keys = path.split('.');
    let first = keys.next().unwrap_or_default();
    let schemas = T::schemas();
    let known = schemas.iter().filter_map(|schema| schema["properties"].as_object());
    let known: Vec<_> = known.flat_map(Map::keys).map(String::as_str).collect();
    if !known.contains(&first) {
        let elsewhere = T::SET_ELSEWHERE.iter().find(|part| part.keys.contains(&first));
        if let Some(tip) = elsewhere.map(|part| part.tip(IS_NEW)) {
            return Err(format!("`{first}` is not an option; {tip}"));
        }
        let near = nearest(first, &known);
        let tip = near.map_or_else(
            || format!("the options are {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(format!("`{first}` is not an option; {tip}"));
    }
    let read = value.parse::<toml::Value>().ok().and_then(|value| json_of(&value));
    let value = read.unwrap_or_else(|| value.into());
    let inner = keys
        .rev()
        .fold(value, |value, key| Value::Object(Map::from_iter([(key.to_owned(), value)])));
    Ok(Given { key: first.to_owned(), value: inner, of: PhantomData })
}

/// The same in JSON, but for what that doesn't have: dates, and numbers that are not finite.
fn json_of(value: &toml::Value) -> Option<Value> {
    match value {
        toml::Value::Datetime(_) => None,
        toml::Value::Float(number) => Number::from_f64(*number).map(Value::Number),
        toml::Value::Array(elements) => elements.iter().map(json_of).collect(),
        toml::Value::Table(members) => {
            let members = members.iter().map(|(key, value)| Some((key.clone(), json_of(value)?)));
            members.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        value => serde_json::to_value(value).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<(String, Value), String> {
        parse::<TopOptions, false>(text).map(|Given { key, value, .. }| (key, value))
    }

    fn patch(given: &[&str], taken: &[&str]) -> Result<Value, String> {
        let args = OptionArgs::<TopOptions, false> {
            given: given.iter().map(|text| parse::<_, false>(text).unwrap()).collect(),
            taken: taken.iter().map(|key| (*key).to_owned()).collect(),
        };
        args.patch(Map::new()).map(Value::Object)
    }

    #[test]
    fn values_are_read_as_the_file_has_them() {
        for (text, key, value) in [
            ("max_body_bytes=5", "max_body_bytes", json!(5)),
            ("max_body_bytes=10MB", "max_body_bytes", json!("10MB")),
            // What JSON has not stays a text, which is refused where it does not fit.
            ("max_body_bytes=inf", "max_body_bytes", json!("inf")),
            ("max_body_bytes=5\nx=6", "max_body_bytes", json!("5\nx=6")),
            ("maintenance={ message = nan }", "maintenance", json!("{ message = nan }")),
            ("canonical_host=example.com", "canonical_host", json!("example.com")),
            ("compression = [\"gzip\"]", "compression", json!(["gzip"])),
            (
                "maintenance.message=back at 5=17h",
                "maintenance",
                json!({"message": "back at 5=17h"}),
            ),
            ("paths=[{prefix=\"/a\",tag=\"b\"}]", "paths", json!([{"prefix": "/a", "tag": "b"}])),
        ] {
            assert_eq!(read(text), Ok((key.to_owned(), value)), "{text}");
        }
        assert!(read("live=b").unwrap_err().contains("`vhost ctl switch DOMAIN TAG`"));
        assert!(read("colour=1").unwrap_err().contains("max_body_bytes"));
        assert!(read("maintenance").unwrap_err().contains("KEY=VALUE"));
    }

    #[test]
    fn keys_of_one_table_join() {
        let joined = patch(&["rate_limit.requests=5", "rate_limit.burst=9"], &["allow"]);
        let expected = json!({"allow": null, "rate_limit": {"requests": 5, "burst": 9}});
        assert_eq!(joined, Ok(expected));
    }

    #[test]
    fn headers_of_one_map_join_and_one_that_is_given_twice_is_refused() {
        let [one, other] = ["request_headers.set.X-A=1", "request_headers.set.X-B=\"2\""];
        let joined = patch(&[one, other, "request_headers.add={X-C=\"3\"}"], &[]);
        let expected = json!({"request_headers": {
            "set": {"X-A": 1, "X-B": "2"}, "add": {"X-C": "3"}
        }});
        assert_eq!(joined, Ok(expected));
        let error = patch(&[one, other, one], &[]).unwrap_err();
        assert!(error.contains("`request_headers.set.X-A` is given twice"), "{error}");
        assert!(patch(&["max_body_bytes=1", "max_body_bytes=2"], &[]).is_err());
    }

    #[test]
    fn what_is_taken_away_is_not_given_and_is_named_once() {
        for text in ["maintenance.message=soon", "maintenance={}"] {
            let error = patch(&[text], &["maintenance"]).unwrap_err();
            assert!(error.contains("`--no-option maintenance` takes it away"), "{error}");
        }
        let error = patch(&[], &["deny", "deny"]).unwrap_err();
        assert!(error.contains("twice"), "{error}");
        let args = |given: &[&str], taken: &[&str]| {
            let given = given.iter().map(|text| parse::<_, false>(text).unwrap()).collect();
            let taken = taken.iter().map(|key| (*key).to_owned()).collect();
            OptionArgs::<BackendOptions, false> { given, taken }
                .patch(Map::new())
                .map(Value::Object)
        };
        let joined = args(&["health_check.port=9"], &["health_check.path"]);
        assert_eq!(joined, Ok(json!({"health_check": {"port": 9, "path": null}})));
        for taken in
            [&["health_check.port"][..], &["health_check"], &["health_check", "health_check.x"]]
        {
            let error = args(&["health_check.port=9"], taken).unwrap_err();
            assert!(error.contains("keep one"), "{error}");
        }
        assert!(
            args(&[], &["health_check.path", "health_check.path"]).unwrap_err().contains("twice")
        );
        let both = patch(&["max_body_bytes=1"], &["deny"]);
        assert_eq!(both, Ok(json!({"max_body_bytes": 1, "deny": null})));
    }
}
