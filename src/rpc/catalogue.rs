//! The methods that the server has. What is not here is not carried out, and what is here is in
//! `docs/admin-rpc.md`.

use super::methods::{
    app, backend, cert, compare, config, domain, event, log, name, notify, preview, rollout, route,
    server, split, state, stats, switch, token,
};
pub use super::run::Entry;

/// The methods by noun, in the order of their documentation.
static NOUNS: [&[Entry]; 19] = [
    state::METHODS,
    stats::METHODS,
    compare::METHODS,
    app::METHODS,
    domain::METHODS,
    backend::METHODS,
    switch::METHODS,
    split::METHODS,
    rollout::METHODS,
    preview::METHODS,
    config::METHODS,
    cert::METHODS,
    token::METHODS,
    event::METHODS,
    notify::METHODS,
    route::METHODS,
    log::METHODS,
    server::METHODS,
    name::METHODS,
];

/// Every method.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    NOUNS.into_iter().flatten()
}

/// The method of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.name == name)
}

/// The method whose name is most like this one, where one is like it.
pub fn nearest(name: &str) -> Option<&'static Entry> {
    const LIKE: f64 = 0.75;
    // What is longer than any name is like none, and not worth the comparison.
    let short = name.len() <= 64;
    let likeness = |entry: &Entry| strsim::normalized_damerau_levenshtein(entry.name, name);
    all()
        .filter(|_| short)
        .map(|entry| (likeness(entry), entry))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, entry)| entry)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use schemars::generate::SchemaSettings;
    use serde_json::{Map, Value};

    use super::*;
    use crate::model::record::Keys as _;
    use crate::model::{BackendOptions, OptionSet, TopOptions};

    #[test]
    fn every_method_has_a_name_of_its_own_and_says_what_it_does() {
        let mut names = BTreeSet::new();
        for Entry { name, doc, .. } in all() {
            assert!(names.insert(name), "`{name}` is there twice");
            let (noun, verb) = name.split_once('.').expect("noun.verb");
            for word in [noun, verb] {
                let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                assert!(plain && !word.is_empty(), "{name}");
            }
            assert!(doc.trim().ends_with('.'), "`{name}` has no sentence about itself");
        }
    }

    /// The names of all properties that a schema has, its options left out: those are as in the file.
    fn properties(schema: &Value, options: &BTreeSet<String>, into: &mut BTreeSet<String>) {
        match schema {
            Value::Object(members) => {
                for (name, member) in members {
                    let fields = member.as_object().filter(|_| name == "properties");
                    into.extend(fields.into_iter().flat_map(Map::keys).cloned());
                    if !options.contains(name) {
                        properties(member, options, into);
                    }
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    properties(element, options, into);
                }
            }
            _ => {}
        }
    }

    /// How names end that are of other units.
    const OTHERS: [&str; 17] = [
        "ns", "nanos", "us", "micros", "millis", "sec", "secs", "seconds", "min", "mins",
        "minutes", "hours", "days", "kb", "kib", "mb", "mib",
    ];

    #[test]
    fn durations_in_results_are_in_milliseconds_and_sizes_in_bytes() {
        let mut options = BTreeSet::new();
        let of_apps = crate::model::AppOptions::schema();
        for schema in [TopOptions::schema(), OptionSet::schema(), BackendOptions::schema(), of_apps]
        {
            properties(schema, &BTreeSet::new(), &mut options);
        }
        assert!(options.contains("hsts_max_age_secs") && options.contains("max_wait_secs"));
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        let mut schemas: Vec<_> = all()
            .flat_map(|entry| [entry.result, entry.progress])
            .map(|schema| schema(&mut generator).to_value())
            .collect();
        schemas.extend(generator.take_definitions(true).into_iter().map(|(_, schema)| schema));
        let mut names = BTreeSet::new();
        for schema in &schemas {
            properties(schema, &options, &mut names);
        }
        assert!(names.contains("switch_ms") && names.contains("sent_bytes"), "{names:?}");
        let other = |name: &&String| {
            let unit = name.rsplit('_').next().unwrap_or_default();
            OTHERS.contains(&unit) && !options.contains(*name)
        };
        let others: Vec<_> = names.iter().filter(other).collect();
        assert!(others.is_empty(), "in other units: {others:?}");
    }

    #[test]
    fn a_name_that_is_nearly_right_has_its_method_found() {
        for (typed, meant) in [
            ("domain.lst", Some("domain.list")),
            ("domains.list", Some("domain.list")),
            ("backend.dran", Some("backend.drain")),
            ("paint", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed).map(|entry| entry.name), meant, "{typed}");
        }
        assert!(nearest(&"x".repeat(1 << 20)).is_none());
    }
}
