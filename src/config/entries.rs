//! `[[virtual_hosts]]` and `[[backends]]`: what each says, and what they say together.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::declared::{Declared, DeclaredBackend};
use super::problem::shorten;
use super::reader::Section;
use super::report::{Place, Span};
use super::value::{choice, parsed};
use crate::model::record::{self, Record};
use crate::model::{
    BackendAddr, BackendId, BackendOptions, BackendState, DomainName, HostOptions, MAX_PAGE_BYTES,
    OptionError, OptionSet, Tag, TlsMode, TopOptions, VirtualHost,
};
use crate::plain_file;
use crate::reserved_paths::ReservedPaths;
use crate::tls::read_fitting_pair;

/// The tags that backends carry, each as it is shown.
pub(super) type Tags = BTreeMap<Tag, String>;

/// Reads the entries of all files and checks them against each other. Where the files are not
/// complete, nothing is said of tags that are missing.
pub(super) fn read_declared(
    roots: &mut [Section<'_, '_>],
    is_complete: bool,
    reserved_paths: &ReservedPaths,
) -> Declared {
    let mut declared = Declared::default();
    let mut ids = BTreeMap::new();
    let mut tags = is_complete.then(Tags::new);
    for root in &mut *roots {
        let read =
            |entry: &mut Section<'_, '_>| read_backend(entry, &mut ids, &mut tags, reserved_paths);
        declared.backends.extend(root.entries("backends", "id", read).into_iter().flatten());
    }
    let mut names = BTreeMap::new();
    for root in roots {
        let read = |entry: &mut Section<'_, '_>| {
            read_domain(entry, &mut names, tags.as_ref(), reserved_paths)
        };
        declared
            .domains
            .extend(root.entries("virtual_hosts", "domain", read).into_iter().flatten());
    }
    declared
}

/// Reads a backend. `tags` gathers the tags that exist. An invalid one is reported, and is no reason to
/// say nothing of a domain that wants another; but `tags` becomes `None` once those of a backend can't be
/// known.
fn read_backend(
    entry: &mut Section<'_, '_>,
    ids: &mut BTreeMap<BackendId, Place>,
    tags: &mut Option<Tags>,
    reserved_paths: &ReservedPaths,
) -> Option<DeclaredBackend> {
    let id = entry.required("id", "\"web-1\"", parsed::<BackendId>);
    if let Some(id) = &id {
        let place = entry.report().place(&entry.span_of("id"));
        if let Some(first) = ids.get(id) {
            let first = entry.report().tell(first);
            entry.problem("id", format!("the backend on {first} has this id"));
        } else {
            ids.insert(id.clone(), place);
        }
    }
    let address = entry.required("address", "\"127.0.0.1:3001\"", parsed);
    if let Some(address) = &address {
        refuse_own_address(entry, address, reserved_paths);
    }
    let own_tags = entry.required_elements("tags", "[\"a\"]", parsed::<Tag>);
    match (&own_tags, &mut *tags) {
        (Some(own), Some(all)) => {
            for (index, (tag, _)) in own.iter().enumerate() {
                if !all.contains_key(tag) {
                    let shown = entry.shown_element("tags", index).unwrap_or_default();
                    all.insert(tag.clone(), shown);
                }
            }
        }
        (None, Some(all)) => match readable_tags(entry) {
            Some(readable) => all.extend(readable.map(|tag| (tag.clone(), tag.to_string()))),
            None => *tags = None,
        },
        (_, None) => {}
    }
    let state = entry.optional("state", choice::<BackendState>);
    let options = read_record::<BackendOptions>(entry, References::Followed);
    let tags = own_tags?.into_iter().map(|(tag, _)| tag).collect();
    let (id, address, options) = (id?, address?, options?.record);
    if options.tls_insecure_skip_verify {
        let warning = "the backend's certificate is not verified: anyone on the network path can \
                       read and change the traffic; `tls_ca_file` names the CAs to trust \
                       instead, and `tls_server_name` the name of the certificate";
        entry.warn(BackendOptions::INSECURE_SKIP_VERIFY, warning);
    }
    let declared = DeclaredBackend { id, address, tags, options, state };
    let read = entry.report().peer_files.borrow_mut().read(&declared.options);
    if let Err(error) = read {
        let (cause, hint) = (&error.cause, error.hint());
        // What a reference stands for may be a secret.
        let message = if entry.refers(error.key) {
            format!("{cause}; {hint}")
        } else {
            format!("`{}`: {cause}; {hint}", error.path.display())
        };
        entry.bad_file(error.key, message);
    }
    Some(declared)
}

/// The valid tags of a backend, where others are not. `None` where its tags can't be known: they are
/// missing, are no texts, or refer to the environment.
fn readable_tags(entry: &Section<'_, '_>) -> Option<impl Iterator<Item = Tag>> {
    Some(entry.plain_texts("tags")?.into_iter().filter_map(|text| text.parse::<Tag>().ok()))
}

fn read_domain(
    entry: &mut Section<'_, '_>,
    names: &mut BTreeMap<DomainName, (Place, String)>,
    tags: Option<&Tags>,
    reserved_paths: &ReservedPaths,
) -> Option<VirtualHost> {
    let domain = entry.required("domain", "\"example.com\"", parsed::<DomainName>);
    if let Some(domain) = &domain {
        let (span, path) = (entry.span_of("domain"), entry.path_of("domain"));
        let shown = entry.written("domain").map(shorten);
        claim_name(entry, names, domain, &span, path, shown);
    }
    let live = entry.required("enabled_backends_tag", "\"a\"", parsed::<Tag>);
    if let (Some(live), Some(tags)) = (&live, tags)
        && !tags.contains_key(live)
    {
        let message = format!("no backend carries this tag; {}", list_tags(tags));
        entry.problem("enabled_backends_tag", message);
    }
    let top = read_record::<TopOptions>(entry, References::Followed).map(|read| read.record);
    for (index, alias) in top.iter().flat_map(|top| &top.aliases).enumerate() {
        let (span, path) = entry.element("aliases", index);
        let shown = entry.shown_reference("aliases", index);
        claim_name(entry, names, alias, &span, path, shown);
    }
    check_tls(entry, domain.as_ref(), top.as_ref());
    let options = read_options(entry);
    look_at_pages(entry, &options, reserved_paths);
    for route in &options.get().paths {
        if tags.is_some_and(|tags| !tags.contains_key(&route.tag)) {
            let (prefix, tag) = (&route.prefix, &route.tag);
            let others = tags.map(list_tags).unwrap_or_default();
            let message = format!("`{prefix}`: no backend carries the tag `{tag}`; {others}");
            entry.problem("paths", message);
        }
    }
    Some(VirtualHost { domain: domain?, live: live?, previous: None, top: top?, options })
}

/// The certificate that a domain names is one that it can have.
fn check_tls(entry: &Section<'_, '_>, domain: Option<&DomainName>, top: Option<&TopOptions>) {
    let Some((domain, TopOptions { tls, aliases, .. })) = domain.zip(top) else { return };
    if let Some(problem) = tls.problem_of(domain) {
        entry.problem("tls", problem);
    }
    if let TlsMode::Files { cert, key } = tls {
        let names = std::iter::once(domain).chain(aliases);
        if let Err(error) = read_fitting_pair(cert, key, names) {
            entry.bad_file("tls", format!("{error}; {}", error.hint()));
        }
    }
}

/// A backend is never the server itself. By TCP it may be, where an operator means it: who may come
/// in there is asked there again.
fn refuse_own_address(
    entry: &Section<'_, '_>,
    address: &BackendAddr,
    reserved_paths: &ReservedPaths,
) {
    if let BackendAddr::Unix(_) = address {
        if let Some(why) = reserved_paths.refuses(address) {
            entry.problem("address", why);
        }
    } else if let Some(key) = reserved_paths.listens_at(address) {
        let warning = format!(
            "`{key}` is there: whoever reaches a domain of this backend reaches it; limit who that is \
             with `allow` or `basic_auth`"
        );
        entry.warn("address", &warning);
    }
}

/// The file may name pages anywhere but in the server's own places. One that is missing is missed, not
/// refused: a deployment may bring it.
fn look_at_pages(entry: &Section<'_, '_>, options: &HostOptions, reserved_paths: &ReservedPaths) {
    let statuses = options.get().error_pages.files().map(|(status, _)| status);
    for (status, (path, shown)) in statuses.zip(options.shown_pages()) {
        if reserved_paths.holds(&path) {
            entry.problem(
                "error_pages",
                format!(
                    "`{status}`: `{shown}` is in a place of the server's own, where its secrets are; \
                     keep pages in a directory of their own, such as `/etc/vhost/pages`"
                ),
            );
        } else if let Err(error) = plain_file::read(&path, MAX_PAGE_BYTES) {
            let warning = format!("`{status}`: cannot read `{shown}`: {error}");
            entry.warn("error_pages", &warning);
        }
    }
}

fn read_options(entry: &mut Section<'_, '_>) -> HostOptions {
    let Some(ReadRecord { record, values, written }) =
        read_record::<OptionSet>(entry, References::Kept)
    else {
        return HostOptions::default();
    };
    let mut options =
        HostOptions::from(record).with_references(written, &values).unwrap_or_default();
    options.start_at(entry.report().directory());
    options
}

/// What an entry gives of a record.
struct ReadRecord<R> {
    record: R,
    /// What stands at each key that is given.
    values: Map<String, Value>,
    /// The same of the keys that refer to the environment, as the file writes them.
    written: Map<String, Value>,
}

/// What becomes of references to the environment in a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum References {
    /// They stay, and what they stand for is nobody's to see.
    Kept,
    /// What they stand for takes their place.
    Followed,
}

/// Reads the keys of a record; nothing when one is wrong. Each that is wrong is reported.
fn read_record<R: Record>(
    entry: &mut Section<'_, '_>,
    references: References,
) -> Option<ReadRecord<R>> {
    let (mut values, mut written, mut wrong) = (Map::new(), Map::new(), Vec::new());
    for key in R::KEYS {
        let Some(value) = entry.plain_value(key) else {
            wrong.extend(entry.has(key).then_some(*key));
            continue;
        };
        let alone = Map::from_iter([((*key).to_owned(), value.clone())]);
        if let Err(error) = record::typed::<R>(alone) {
            wrong.push(*key);
            if entry.refers(key) {
                entry.problem(key, "the value that it refers to does not fit");
            } else {
                note(entry, &error);
            }
            continue;
        }
        values.insert((*key).to_owned(), value);
        if entry.refers(key) {
            written.extend(entry.plain_written(key).map(|value| ((*key).to_owned(), value)));
        }
    }
    if references == References::Followed {
        record::absolute::<R>(&mut values, entry.report().directory());
    }
    // Each has been read alone.
    let record: R = record::typed(values.clone()).unwrap_or_default();
    let problems = record.problems();
    // What can't be read has been reported already.
    for problem in problems.iter().filter(|problem| !wrong.contains(&problem.key())) {
        if references == References::Kept && entry.refers(problem.key()) {
            entry.problem(problem.key(), "the value that it refers to does not fit");
        } else {
            note(entry, problem);
        }
    }
    let is_right = wrong.is_empty() && problems.is_empty();
    is_right.then_some(ReadRecord { record, values, written })
}

/// Notes a problem of an option. What its value is stands there already.
fn note(entry: &Section<'_, '_>, error: &OptionError) {
    let OptionError { path, reason, remedy } = error;
    let key = error.key();
    if path == key {
        entry.problem(key, remedy.as_ref().unwrap_or(reason).as_str());
    } else {
        entry.problem(key, format!("`{path}`: {reason}"));
    }
}

/// Says which tags exist; some of them, when there are many.
pub(super) fn list_tags(tags: &Tags) -> String {
    const MOST: usize = 10;
    let mut words: Vec<_> = tags.values().take(MOST).map(|tag| format!("`{tag}`")).collect();
    if tags.len() > MOST {
        words.push(format!("{} more", tags.len() - MOST));
    }
    match words.as_slice() {
        [] => "there are no tags at all".to_owned(),
        [only] => format!("the only tag is {only}"),
        [others @ .., last] => format!("there are {} and {last}", others.join(", ")),
    }
}

/// Makes sure that a name stands for one virtual host only. `written` is what the file says where it
/// refers to the environment.
fn claim_name(
    entry: &Section<'_, '_>,
    names: &mut BTreeMap<DomainName, (Place, String)>,
    name: &DomainName,
    span: &Span,
    path: String,
    written: Option<String>,
) {
    if let Some((first, first_path)) = names.get(name) {
        let first = entry.report().tell(first);
        let message = format!("{first} has this name already (`{first_path}`)");
        let shown = written.unwrap_or_else(|| name.to_string());
        entry.report().add(span, path, Some(shown), message);
    } else {
        names.insert(name.clone(), (entry.report().place(span), path));
    }
}
