//! The heart of the drain in every order of steps that the memory model allows: the sources of `state` themselves, with loom's
//! primitives in place of the standard library's.

#![expect(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the sources are whole, and what the models need of them is not"
)]

#[path = "../../src/counters/mod.rs"]
mod counters;
mod drain;
#[path = "../../src/state/mod.rs"]
mod state;
mod sync;

use std::process::ExitCode;

use vhost::{clock, link, model, places, stable_hash, tls};

/// Every model by its name. A model panics when what it claims does not hold.
const MODELS: &[(&str, fn())] = drain::MODELS;

/// Runs the models that an argument is a part of the name of, as `cargo test` runs tests: loom needs no harness, and the unit tests of
/// the sources can't run on its primitives.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_list = arguments.iter().any(|argument| argument == "--list");
    let is_exact = arguments.iter().any(|argument| argument == "--exact");
    let filters: Vec<&String> = filters(&arguments).collect();
    let is_wanted = |name: &str| {
        filters.is_empty()
            || filters
                .iter()
                .any(|part| if is_exact { name == *part } else { name.contains(*part) })
    };
    let mut failed = 0;
    for (name, model) in MODELS.iter().filter(|(name, _)| is_wanted(name)) {
        if is_list {
            println!("{name}: test");
            continue;
        }
        let outcome = std::panic::catch_unwind(model);
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        failed += usize::from(outcome.is_err());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The arguments that are neither options nor values of options.
fn filters(arguments: &[String]) -> impl Iterator<Item = &String> {
    const WITH_VALUE: [&str; 5] = ["--test-threads", "--skip", "--format", "--color", "-Z"];
    let is_value = |place: usize| {
        place.checked_sub(1).is_some_and(|before| WITH_VALUE.contains(&arguments[before].as_str()))
    };
    let parts = arguments.iter().enumerate();
    parts
        .filter(move |(place, text)| !text.starts_with('-') && !is_value(*place))
        .map(|(_, text)| text)
}
