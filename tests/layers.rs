//! Who may import whom: the walls between the rooms of `src/`, which one crate can't build itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that every room may use.
const SHARED: [&str; 13] = [
    "model",
    "atomic_file",
    "clock",
    "counters",
    "crash_point",
    "places",
    "plain_file",
    "reserved_paths",
    "accept",
    "slow_reader",
    "stable_hash",
    "sync",
    "telemetry",
];

/// The parts of `src/`, by the path of their modules, and the parts that they may use besides
/// [`SHARED`] and themselves. The longest path that fits is the one that counts. A new arrow changes
/// this table first.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("atomic_file", &[]),
    ("clock", &[]),
    ("crash_point", &[]),
    ("sync", &[]),
    ("places", &[]),
    ("counters", &[]),
    ("plain_file", &[]),
    ("reserved_paths", &[]),
    ("accept", &["places"]),
    ("slow_reader", &[]),
    ("stable_hash", &[]),
    ("telemetry", &[]),
    ("config", &["tls"]),
    // Where the socket is unless it is told: both ends must agree, and no file is read for it.
    ("config::default_admin_socket", &[]),
    ("state", &["tls"]),
    ("stats", &["state"]),
    ("tls", &[]),
    ("acme", &["config"]),
    // What the request path answers CAs with.
    ("acme::challenge", &[]),
    ("certs", &["acme", "config", "state", "tls"]),
    ("store", &[]),
    ("tokens", &[]),
    ("upstream", &["state"]),
    ("control", &["config", "state", "store", "tls"]),
    ("exposition", &["certs", "state"]),
    ("health", &["state", "upstream"]),
    // Its benchmarks and tests; the rooms below are its own.
    (
        "proxy",
        &[
            "proxy::balance",
            "proxy::carry",
            "proxy::client",
            "proxy::explain",
            "proxy::limits",
            "proxy::wire",
            "state",
        ],
    ),
    ("proxy::options", &["acme::challenge", "tls"]),
    ("proxy::wrapped", &[]),
    ("proxy::memory", &["proxy::options", "proxy::wrapped", "state"]),
    ("proxy::wire", &["proxy::memory", "proxy::wrapped"]),
    ("proxy::client", &["proxy::memory", "proxy::wire", "tls"]),
    ("proxy::balance", &["state"]),
    (
        "proxy::limits",
        &[
            "proxy::balance",
            "proxy::client",
            "proxy::memory",
            "proxy::options",
            "proxy::wire",
            "state",
        ],
    ),
    ("proxy::host", &["proxy::memory", "proxy::options", "proxy::wire", "state"]),
    (
        "proxy::decision",
        &[
            "proxy::client",
            "proxy::host",
            "proxy::limits",
            "proxy::options",
            "proxy::wire",
            "state",
            "tls",
        ],
    ),
    // The name of `proxy::decision::explain` to the control side: what would become of a request.
    ("proxy::explain", &[]),
    (
        "proxy::carry",
        &[
            "proxy::balance",
            "proxy::client",
            "proxy::decision",
            "proxy::host",
            "proxy::limits",
            "proxy::memory",
            "proxy::options",
            "proxy::wire",
            "state",
            "upstream",
        ],
    ),
    (
        "proxy::front",
        &[
            "proxy::carry",
            "proxy::client",
            "proxy::host",
            "proxy::limits",
            "proxy::memory",
            "proxy::options",
            "proxy::wire",
            "state",
            "tls",
        ],
    ),
    ("rpc", &[]),
    ("rpc::version", &[]),
    ("rpc::envelope", &["rpc::version"]),
    ("rpc::method", &["rpc::envelope"]),
    ("rpc::page", &[]),
    // Its types are the wire's, and name nothing of the server; below them is how each method runs.
    (
        "rpc::methods",
        &[
            "control",
            "proxy::explain",
            "rpc::dispatch",
            "rpc::method",
            "rpc::run",
            "state",
            "stats",
            "tokens",
        ],
    ),
    ("rpc::catalogue", &["rpc::methods", "rpc::run"]),
    // What both ends want to know before they trust the socket's place.
    ("rpc::folder", &[]),
    ("rpc::lines", &[]),
    ("rpc::client", &["rpc::envelope", "rpc::folder", "rpc::lines", "rpc::method", "rpc::version"]),
    // What the composition root needs of the server's end.
    ("rpc::socket", &["rpc::folder"]),
    (
        "rpc::server",
        &[
            "control",
            "rpc::dispatch",
            "rpc::envelope",
            "rpc::fault",
            "rpc::lines",
            "rpc::progress",
            "rpc::socket",
            "rpc::version",
        ],
    ),
    (
        "rpc::dispatch",
        &[
            "certs",
            "control",
            "proxy::explain",
            "rpc::method",
            "rpc::progress",
            "state",
            "stats",
            "tokens",
        ],
    ),
    ("rpc::run", &["rpc::dispatch", "rpc::envelope", "rpc::method"]),
    (
        "rpc::call",
        &[
            "rpc::catalogue",
            "rpc::dispatch",
            "rpc::envelope",
            "rpc::fault",
            "rpc::methods",
            "rpc::progress",
            "rpc::run",
        ],
    ),
    ("rpc::progress", &["rpc::envelope"]),
    (
        "rpc::fault",
        &[
            "certs",
            "control",
            "rpc::catalogue",
            "rpc::dispatch",
            "rpc::envelope",
            "rpc::run",
            "rpc::version",
            "tokens",
        ],
    ),
    (
        "rest",
        &[
            "exposition",
            "rpc",
            "rpc::catalogue",
            "rpc::envelope",
            "rpc::methods",
            "state",
            "tokens",
        ],
    ),
    ("cli", &["config", "demo", "rpc::client", "rpc::envelope", "server"]),
    (
        "cli::ctl",
        &["cli", "config::default_admin_socket", "rpc::client", "rpc::envelope", "rpc::methods"],
    ),
    ("cli::completions", &["cli", "cli::ctl", "rpc::catalogue", "rpc::client", "rpc::methods"]),
    ("demo", &["config", "rpc::client", "rpc::methods", "server", "upstream"]),
    (
        "server",
        &[
            "acme",
            "certs",
            "config",
            "control",
            "exposition",
            "health",
            "proxy",
            "proxy::explain",
            "rest",
            "rpc",
            "state",
            "stats",
            "store",
            "tls",
            "tokens",
        ],
    ),
];

#[test]
fn no_room_imports_what_the_table_does_not_allow() {
    let mut broken = Vec::new();
    let mut seen = BTreeSet::new();
    for file in sources() {
        let Some(part) = part_of(&module_of(&file)) else {
            broken.push(format!("{}: its room is not in the table", file.display()));
            continue;
        };
        seen.insert(part.0);
        let text = fs::read_to_string(&file).expect("a source file is text");
        for path in imports(&text) {
            let Some((used, _)) = part_of(&path) else {
                broken.push(format!("{}: `crate::{path}` is not in the table", file.display()));
                continue;
            };
            // The fuzz targets compile `model` alone.
            let may_share = part.0 != "model" && SHARED.contains(&used);
            let allowed = used == part.0 || may_share || part.1.contains(&used);
            if !allowed {
                broken.push(format!("{}: `{}` may not use `{used}`", file.display(), part.0));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(seen.len() > 5, "the sources were not found: {seen:?}");
}

/// What is read of files comes with a change, so that no lock is held while a disk is waited for.
#[test]
fn the_state_does_no_io() {
    const IO: [&str; 6] =
        ["std::fs", "tokio::fs", "std::io", "plain_file", "atomic_file", "files.read("];
    let mut broken = Vec::new();
    for file in sources().into_iter().filter(|file| module_of(file).starts_with("state")) {
        let text = fs::read_to_string(&file).expect("a source file is text");
        let found = IO.iter().filter(|io| text.contains(*io));
        broken.extend(found.map(|io| format!("{}: `{io}`", file.display())));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_arrows_make_a_circle() {
    fn visit(part: &'static str, way: &mut Vec<&'static str>, seen: &mut BTreeSet<&'static str>) {
        assert!(!way.contains(&part), "a circle: {way:?}, and {part} again");
        if !seen.insert(part) {
            return;
        }
        way.push(part);
        let entry = MAY_USE.iter().find(|(name, _)| *name == part);
        let (_, used) = entry.unwrap_or_else(|| panic!("`{part}` is not in the table"));
        used.iter().for_each(|used| visit(used, way, seen));
        way.pop();
    }
    let mut seen = BTreeSet::new();
    for (part, _) in MAY_USE {
        visit(part, &mut Vec::new(), &mut seen);
    }
}

/// The client's end sees the types of methods and not how they run, although one file has both.
#[test]
fn the_types_of_methods_name_nothing_of_the_server() {
    const OF_BOTH_ENDS: [&str; 5] =
        ["rpc::envelope", "rpc::method", "rpc::methods", "rpc::page", "rpc::run"];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut broken = Vec::new();
    let methods = sources().into_iter().filter(|file| module_of(file).starts_with("rpc::methods"));
    for file in methods {
        let text = fs::read_to_string(&file).expect("a source file is text");
        let (types, runs) = text.split_once("\nimpl Run for ").unwrap_or((&text, ""));
        let declared = types.split_once("\nmethods! {").map_or("", |(_, declared)| declared);
        let code: String =
            declared.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let words: BTreeSet<&str> = code.split(|c| !is_word(c)).collect();
        for path in imports(types) {
            let name = path.trim_end_matches("::self").rsplit("::").next().unwrap_or_default();
            let of_server = part_of(&path)
                .is_some_and(|(part, _)| !SHARED.contains(&part) && !OF_BOTH_ENDS.contains(&part));
            // A module is named by what is behind it.
            let is_module = name.starts_with(|c: char| c.is_ascii_lowercase());
            let is_named =
                if is_module { code.contains(&format!("{name}::")) } else { words.contains(name) };
            if of_server && is_named {
                broken.push(format!("{}: `{name}` above the first `impl Run`", file.display()));
            }
        }
        if runs.lines().any(|line| line.starts_with("pub struct") || line.starts_with("pub enum")) {
            broken.push(format!("{}: a type below the first `impl Run`", file.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Every source file but the roots, which see everything, and files that hold only tests.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory").flatten() {
            let path = entry.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !["lib", "main", "tests", "testing", "fake_server"].contains(&name)
            {
                files.push(path.strip_prefix(&root).expect("below the root").to_owned());
            }
        }
    }
    files.sort();
    files.into_iter().map(|file| root.join(file)).collect()
}

/// `src/rpc/methods/mod.rs` is `rpc::methods`.
fn module_of(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let path = file.strip_prefix(root).expect("below the root").with_extension("");
    let mut names: Vec<_> = path.iter().filter_map(|name| name.to_str()).collect();
    if names.last() == Some(&"mod") {
        names.pop();
    }
    names.join("::")
}

/// The part of the table that a path belongs to.
fn part_of(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    let fits = |part: &str| {
        path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    MAY_USE.iter().copied().filter(|(part, _)| fits(part)).max_by_key(|(part, _)| part.len())
}

/// The paths after `crate::` in the code that is not tests, groups in braces taken apart.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '$')) {
            read_tree("", &code[at + "crate::".len()..], &mut paths);
        }
    }
    paths
}

/// Reads one path, or a group of them, and gives what follows.
fn read_tree<'a>(prefix: &str, text: &'a str, paths: &mut BTreeSet<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let after = read_tree(prefix, rest, paths);
            if after.len() == rest.len() {
                return after;
            }
            rest = after;
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    match rest.strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => read_tree(&path, rest, paths),
        _ => {
            paths.insert(path);
            // `name as other`
            let alias = rest
                .trim_start()
                .strip_prefix("as ")
                .map(|alias| alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'));
            alias.unwrap_or(rest)
        }
    }
}

#[test]
fn imports_are_read_as_rust_reads_them() {
    let text = "
        use crate::model::{Tag, Weight as W};
        use crate::{rpc::{client::Client, envelope}, state};
        // use crate::comment::Line;
        pub(crate) use other_crate::x;
        fn f() -> crate::store::Store { $crate::skipped::x() }
        #[cfg(test)]
        mod tests { use crate::proxy::x; }
    ";
    let expected = [
        "model::Tag",
        "model::Weight",
        "rpc::client::Client",
        "rpc::envelope",
        "state",
        "store::Store",
    ];
    assert_eq!(imports(text), expected.map(str::to_owned).into());
    assert_eq!(part_of("rpc::client::Client").unwrap().0, "rpc::client");
    assert_eq!(part_of("rpc::clients").unwrap().0, "rpc");
    assert!(part_of("nowhere").is_none());
}
