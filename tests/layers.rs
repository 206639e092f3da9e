//! Who may import whom: the walls between the rooms of `src/`, which one crate can't build itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms that every room may use. They import nothing but each other.
const SHARED: &str = "
    accept heads model atomic_file clock counters crash_point https_client own_program places plain_file reserved_paths slow_reader
    stable_hash sync telemetry wrapped";

/// The other rooms, by the path of their modules, and the rooms that they may use besides [`SHARED`]
/// and themselves. What stands further in is a room of the one above, and `.room` one beside it. The
/// longest path that fits is the one that counts. A new arrow changes this table first.
const ROOMS: &str = "
tls:
# Connections with backends.
link:
state: link tls
stats: state
store:
tokens:
config: tls
# Where the socket is unless it is told: both ends must agree, and no file is read for it.
config::default_admin_socket:
acme: config
# What the request path answers CAs with.
acme::challenge: acme::order_file
acme::order_file:
certs: acme config state tls
control: config state store tls
hand_over: control
# Watches new tags, decides, and has control take the steps.
rollout: control state stats
upstream: state
exposition: certs state
# Who is notified, and asked.
notify: config control health state
health: state upstream

proxy:
    options: acme::challenge tls
    memory: .options state
    wire: .memory
    client: .memory .wire tls
    balance: state
    limits: .balance .client .memory .options .wire state
    host: .client .memory .options .wire state
    decision: .client .host .limits .options .wire state tls
    # The name of `decision::explain` to the control side: what would become of a request.
    explain:
    carry: .balance .client .decision .host .limits .memory .options .wire state upstream
    # Our own way of carrying requests.
    exchange: .carry .client .host .memory .wire link state upstream
    front: .carry .client .exchange .host .limits .memory .options .wire link state tls
    # For the benchmarks.
    measured: .balance .carry .client .host .limits .options .wire state

rpc:
    version:
    envelope: .version
    method: .envelope
    page:
    # Its types are the wire's, and name nothing of the server; below them is how each method runs.
    methods: .dispatch .method .page .run control hand_over notify proxy::explain rollout state stats tokens
    catalogue: .methods .run
    # What both ends want to know before they trust the socket's place.
    folder:
    lines:
    client: .envelope .folder .lines .method .version
    # What the composition root needs of the server's end.
    peer_check:
    socket: .folder .peer_check
    server: .dispatch .envelope .fault .lines .peer_check .progress .socket .version control
    dispatch: .method .progress certs control hand_over notify proxy::explain rollout state stats tokens
    run: .dispatch .envelope .method
    call: .catalogue .dispatch .envelope .fault .methods .progress .run
    progress: .envelope
    fault: .catalogue .dispatch .envelope .run .version certs control hand_over notify tokens

rest: exposition rpc rpc::catalogue rpc::envelope rpc::methods state tokens
# Files alone: nothing of it runs in a server.
backup: acme config proxy store tls tokens
server: acme certs config control exposition hand_over health notify proxy proxy::explain rest rollout rpc state stats store tls tokens
demo: config rpc::client rpc::methods server upstream
# Configs of other proxies: pure, what it reads comes through a trait.
translate:
cli: backup config demo rpc::client rpc::envelope server translate
cli::ctl: cli config::default_admin_socket rpc::client rpc::envelope rpc::methods
cli::completions: cli cli::ctl rpc::catalogue rpc::client rpc::methods
";

/// Rooms that hold nothing but rooms.
const DIVIDED: [&str; 2] = ["proxy", "rpc"];

/// What uses what: rooms of the table, or files.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The code of each file, by the path of its module.
type Sources = BTreeMap<String, String>;

#[test]
fn no_room_imports_what_the_table_does_not_allow() {
    let (rooms, sources) = (rooms(), sources());
    let (mut broken, mut seen) = (Vec::new(), BTreeSet::new());
    for (module, code) in &sources {
        let room = room_of(module, &rooms).filter(|room| room == module || !DIVIDED.contains(room));
        let Some(room) = room else {
            broken.push(format!("{module}: its room is not in the table"));
            continue;
        };
        seen.insert(room);
        for path in named(module, code, &sources).into_iter().map(|named| named.path) {
            let Some(used) = room_of(&path, &rooms) else {
                broken.push(format!("{module}: `{path}` is not in the table"));
                continue;
            };
            seen.insert(used);
            // The fuzz targets compile `model` alone.
            let may_share = room != "model" && is_shared(used);
            // A room's own file puts together what is in it.
            let is_inner = used.starts_with(&format!("{room}::"));
            let may_use = may_share || is_inner || rooms[room].contains(used);
            if used != room && !may_use {
                broken.push(format!("{module}: `{room}` may not use `{used}`"));
            }
        }
    }
    let unseen = rooms.keys().filter(|room| !seen.contains(room.as_str()));
    broken.extend(unseen.map(|room| format!("`{room}` is in the table, and nowhere else")));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_architecture_names_every_room() {
    let text = include_str!("../docs/architecture.md");
    let named: BTreeSet<&str> = text.split('`').skip(1).step_by(2).collect();
    let rooms = rooms();
    let is_named = |room: &str| {
        let short = room.rsplit_once("::").filter(|(above, _)| DIVIDED.contains(above));
        named.contains(room) || short.is_some_and(|(_, short)| named.contains(short))
    };
    let missing: Vec<_> = rooms.keys().filter(|room| !is_named(room)).collect();
    assert!(missing.is_empty(), "docs/architecture.md doesn't name {missing:?}");
}

/// What is read of files comes with a change, so that no lock is held while a disk is waited for.
#[test]
fn the_state_does_no_io() {
    const IO: [&str; 6] =
        ["std::fs", "tokio::fs", "std::io", "plain_file", "atomic_file", "files.read("];
    let mut broken = Vec::new();
    for (module, code) in sources().iter().filter(|(module, _)| module.starts_with("state")) {
        let found = IO.iter().filter(|io| code.contains(*io));
        broken.extend(found.map(|io| format!("{module}: `{io}`")));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_rooms_make_a_circle() {
    assert_eq!(circle(&rooms()), None);
}

#[test]
fn no_files_make_a_circle() {
    let sources = sources();
    let arrows = sources.iter().map(|(module, code)| {
        let imports = named(module, code, &sources).into_iter().filter(|named| !named.is_passed_on);
        let files = imports.filter_map(|named| file_of(&named.path, &sources));
        let used = files.filter(|file| file != module);
        (module.clone(), used.collect())
    });
    assert_eq!(circle(&arrows.collect()), None);
}

/// The client's end sees the types of methods and not how they run, although one file has both.
#[test]
fn the_types_of_methods_name_nothing_of_the_server() {
    const OF_BOTH_ENDS: [&str; 5] =
        ["rpc::envelope", "rpc::method", "rpc::methods", "rpc::page", "rpc::run"];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut broken = Vec::new();
    let (rooms, sources) = (rooms(), sources());
    for (module, code) in sources.iter().filter(|(module, _)| module.starts_with("rpc::methods")) {
        let (types, runs) = code.split_once("\nimpl Run for ").unwrap_or((code, ""));
        let declared = types.split_once("\nmethods! {").map_or("", |(_, declared)| declared);
        let words: BTreeSet<&str> = declared.split(|c| !is_word(c)).collect();
        for Named { path, .. } in named(module, types, &sources) {
            let name = path.rsplit("::").next().unwrap_or_default();
            let of_server = room_of(&path, &rooms)
                .is_some_and(|room| !is_shared(room) && !OF_BOTH_ENDS.contains(&room));
            // A module is named by what is behind it.
            let is_module = name.starts_with(|c: char| c.is_ascii_lowercase());
            let is_named = if is_module {
                declared.contains(&format!("{name}::"))
            } else {
                words.contains(name)
            };
            if of_server && is_named {
                broken.push(format!("{module}: `{name}` above the first `impl Run`"));
            }
        }
        if runs.lines().any(|line| line.starts_with("pub struct") || line.starts_with("pub enum")) {
            broken.push(format!("{module}: a type below the first `impl Run`"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The table as arrows.
fn rooms() -> Arrows {
    let mut rooms: Arrows =
        SHARED.split_whitespace().map(|room| (room.to_owned(), BTreeSet::new())).collect();
    let mut above = "";
    let lines = ROOMS.lines().filter(|line| !line.trim_start().starts_with('#'));
    for line in lines {
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        let name = name.strip_suffix(':').expect("a room, and a colon");
        let beside = |name: &str| format!("{above}::{name}");
        let used = words.map(|word| word.strip_prefix('.').map_or(word.to_owned(), beside));
        let used = used.collect();
        if line.starts_with(' ') {
            rooms.insert(beside(name), used);
        } else {
            rooms.insert(name.to_owned(), used);
            above = name;
        }
    }
    rooms
}

fn is_shared(room: &str) -> bool {
    SHARED.split_whitespace().any(|shared| shared == room)
}

/// The room of the table that a path belongs to.
fn room_of<'r>(path: &str, rooms: &'r Arrows) -> Option<&'r str> {
    let (room, _) = prefixes(path).find_map(|prefix| rooms.get_key_value(prefix))?;
    Some(room)
}

/// The file that declares what a path names, or its module where that can't be seen.
fn file_of(path: &str, sources: &Sources) -> Option<String> {
    let module = prefixes(path).find(|prefix| sources.contains_key(*prefix))?;
    let rest = path[module.len()..].trim_start_matches("::");
    let name = rest.split("::").next().unwrap_or_default();
    let passed_on = named(module, &sources[module], sources).into_iter().find(|named| {
        named.is_passed_on
            && named.name == name
            && !named.path.starts_with(&format!("{module}::{name}::"))
    });
    match passed_on {
        Some(from) => file_of(&from.path, sources),
        None => Some(module.to_owned()),
    }
}

/// `a::b::c`, `a::b`, `a`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once("::").map(|(prefix, _)| prefix))
}

/// Who uses each other in a circle, where anybody does.
fn circle(arrows: &Arrows) -> Option<Vec<&str>> {
    fn visit<'a>(
        one: &'a str,
        arrows: &'a Arrows,
        way: &mut Vec<&'a str>,
        seen: &mut BTreeSet<&'a str>,
    ) -> bool {
        if let Some(from) = way.iter().position(|before| *before == one) {
            way.drain(..from);
            return true;
        }
        if !seen.insert(one) {
            return false;
        }
        way.push(one);
        let used = arrows.get(one).unwrap_or_else(|| panic!("`{one}` is not in the table"));
        let found = used.iter().any(|used| visit(used, arrows, way, seen));
        if !found {
            way.pop();
        }
        found
    }
    let (mut way, mut seen) = (Vec::new(), BTreeSet::new());
    arrows.keys().any(|one| visit(one, arrows, &mut way, &mut seen)).then_some(way)
}

/// Every source file but the roots, which see everything, and files that hold only tests.
fn sources() -> Sources {
    fn read(directory: &Path, above: &str, sources: &mut Sources) {
        for entry in fs::read_dir(directory).expect("a directory").flatten() {
            let path = entry.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let module = match (above, name) {
                (_, "lib" | "main" | "tests" | "testing" | "fake_server") => continue,
                (above, "mod") => above.to_owned(),
                ("", name) => name.to_owned(),
                (above, name) => format!("{above}::{name}"),
            };
            if path.is_dir() {
                read(&path, &module, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                sources.insert(module, code_of(&text));
            }
        }
    }
    let mut sources = Sources::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    assert!(sources.len() > 100, "the sources were not found");
    sources
}

/// The code that is neither a comment nor for tests.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            code.extend([line, "\n"]);
            continue;
        }
        let mut open = 0;
        for line in lines.by_ref() {
            open += line.matches('{').count();
            open = open.saturating_sub(line.matches('}').count());
            if open == 0 && line.trim_end().ends_with([';', '}']) {
                break;
            }
        }
    }
    code
}

/// Something of this crate that the code of a module names.
#[derive(Debug, PartialEq)]
struct Named {
    /// From the root of the crate.
    path: String,
    /// What it is called here.
    name: String,
    /// Whether it is only given to others, by `pub use`.
    is_passed_on: bool,
}

/// What the code of a module names: after `crate::`, `super::` and `self::`, and in its own modules; groups
/// in braces taken apart.
fn named(module: &str, code: &str, sources: &Sources) -> Vec<Named> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (end, _) in code.match_indices("::") {
        let start = code[..end].rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
        let before = &code[..start];
        let first = &code[start..end];
        let base = match first {
            "crate" => String::new(),
            "self" => module.to_owned(),
            "super" => step(module, "super"),
            child => step(module, child),
        };
        let is_ours = matches!(first, "crate" | "self" | "super") || sources.contains_key(&base);
        if first.is_empty() || before.ends_with(['$', ':', '\'']) || !is_ours {
            continue;
        }
        let statement = before.trim_end().strip_suffix("use").unwrap_or_default().trim_end();
        let is_passed_on = statement.ends_with("pub") || statement.ends_with(')');
        read_tree(&base, &code[end + 2..], &mut |path: String, name| {
            let name = name.or_else(|| path.rsplit("::").next()).unwrap_or_default().to_owned();
            found.push(Named { path, name, is_passed_on });
        });
    }
    found
}

/// What a name stands for in a module, or at the end of a path.
fn step(from: &str, name: &str) -> String {
    match (from, name) {
        (from, "self") => from.to_owned(),
        (from, "super") => from.rsplit_once("::").map_or("", |(above, _)| above).to_owned(),
        ("", name) => name.to_owned(),
        (from, name) => format!("{from}::{name}"),
    }
}

/// Reads one path, or a group of them, and gives what follows.
fn read_tree<'a>(
    prefix: &str,
    text: &'a str,
    found: &mut impl FnMut(String, Option<&'a str>),
) -> &'a str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = |text: &'a str| text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()));
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let after = read_tree(prefix, rest, found);
            if after.len() == rest.len() {
                return after;
            }
            rest = after;
        }
    }
    let (name, rest) = word(text);
    let path = step(prefix, name);
    match rest.strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => read_tree(&path, rest, found),
        _ => {
            // `name as other`
            let alias = rest.trim_start().strip_prefix("as ").map(word);
            found(path, alias.map(|(alias, _)| alias));
            alias.map_or(rest, |(_, rest)| rest)
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
        #[cfg(test)]
        use crate::health::y;
        fn f() -> crate::store::Store { $crate::skipped::x() }
        use super::super::tls::{self, Pair};
        pub(super) use inner::Part;
        fn g() { inner::part(); foreign::part() }
        #[cfg(test)]
        mod tests { use crate::proxy::x; }
    ";
    let sources =
        Sources::from(["rpc::lines", "rpc::lines::inner"].map(|m| (m.into(), String::new())));
    let found = named("rpc::lines", &code_of(text), &sources);
    let found: Vec<_> = found.iter().map(|n| (&*n.path, &*n.name, n.is_passed_on)).collect();
    let expected = [
        ("model::Tag", "Tag", false),
        ("model::Weight", "W", false),
        ("rpc::client::Client", "Client", false),
        ("rpc::envelope", "envelope", false),
        ("state", "state", false),
        ("store::Store", "Store", false),
        ("tls", "tls", false),
        ("tls::Pair", "Pair", false),
        ("rpc::lines::inner::Part", "Part", true),
        ("rpc::lines::inner::part", "part", false),
    ];
    assert_eq!(found, expected);
    let rooms = rooms();
    assert_eq!(room_of("rpc::client::Client", &rooms), Some("rpc::client"));
    assert_eq!(room_of("rpc::clients", &rooms), Some("rpc"));
    assert_eq!(room_of("nowhere", &rooms), None);
}

#[test]
fn circles_are_found_through_what_is_passed_on() {
    let sources = [
        ("a", "pub(crate) use b::B; pub(super) use c::C;"),
        ("a::b", "use super::C;"),
        ("a::c", "fn c() -> crate::a::B {}"),
    ];
    let sources = Sources::from(sources.map(|(module, code)| (module.into(), code.into())));
    assert_eq!(file_of("a::B", &sources).as_deref(), Some("a::b"));
    assert_eq!(file_of("a::c::D", &sources).as_deref(), Some("a::c"));
}
