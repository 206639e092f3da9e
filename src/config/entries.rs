//! `[[virtual_hosts]]` and `[[backends]]`: what each says, and what they say together.

use std::collections::BTreeMap;

use serde_json::Map;

use super::declared::{Declared, DeclaredBackend, DeclaredDomain};
use super::problem::shorten;
use super::reader::Section;
use super::report::{Place, Span};
use super::value::{boolean, choice, integer, parsed, path, tls_mode, weight};
use crate::model::{
    BackendAddr, BackendId, BackendState, BackendTls, Balance, DomainName, HostOptions,
    LONGEST_HSTS_SECS, MAX_PAGE_BYTES, OptionError, OptionSet, Scheme, SendProxyProtocol, Tag,
    TlsMode, TlsName, TlsProblem, Weight,
};
use crate::plain_file;
use crate::plain_file::absolute;
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

/// Reads a backend. `tags` gathers the tags that exist; nothing is known of them once one backend's
/// are wrong.
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
        _ => *tags = None,
    }
    let weight = entry.or("weight", Weight::default(), weight);
    let scheme = entry.or("scheme", Scheme::default(), parsed);
    let tls = read_backend_tls(entry, scheme);
    let states = [BackendState::Ready, BackendState::Draining, BackendState::Disabled];
    let state = entry.optional("state", choice(&states.map(|state| (state.as_str(), state))));
    let backup = entry.or("backup", false, boolean);
    let announcing = SendProxyProtocol::ALL.map(|how| (how.as_str(), how));
    let send_proxy_protocol =
        entry.or("send_proxy_protocol", SendProxyProtocol::Off, choice(&announcing));
    if let Some(problem) = send_proxy_protocol.problem_with(scheme) {
        entry.problem("send_proxy_protocol", problem);
    }
    let tags = own_tags?.into_iter().map(|(tag, _)| tag).collect();
    let (id, address) = (id?, address?);
    let declared = DeclaredBackend {
        id,
        address,
        tags,
        weight,
        scheme,
        tls: tls?,
        state,
        backup,
        send_proxy_protocol,
    };
    let read = entry.report().peer_files.borrow_mut().read(&declared.tls);
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

/// Reads how TLS to a backend differs from what is usual; nothing when that makes no sense.
fn read_backend_tls(entry: &mut Section<'_, '_>, scheme: Scheme) -> Option<BackendTls> {
    let base = entry.report().directory();
    let tls = BackendTls {
        server_name: entry.optional(BackendTls::SERVER_NAME, parsed::<TlsName>),
        ca_file: entry.optional(BackendTls::CA_FILE, path(base)).map(absolute),
        client_cert_file: entry.optional(BackendTls::CLIENT_CERT_FILE, path(base)).map(absolute),
        client_key_file: entry.optional(BackendTls::CLIENT_KEY_FILE, path(base)).map(absolute),
        insecure_skip_verify: entry.or(BackendTls::INSECURE_SKIP_VERIFY, false, boolean),
    };
    let problems = tls.problems(scheme);
    for TlsProblem { key, remedy } in &problems {
        // What is there and can't be read is told already.
        if entry.has(key) == tls.values().any(|(given, _)| given == *key) {
            entry.problem(key, remedy.as_str());
        }
    }
    if tls.insecure_skip_verify && problems.is_empty() {
        let warning = "the backend's certificate is not verified: whoever can reach into the network \
                       between can read and change what is sent; `tls_ca_file` names the CAs to trust \
                       instead, and `tls_server_name` the name of the certificate";
        entry.warn(BackendTls::INSECURE_SKIP_VERIFY, warning);
    }
    problems.is_empty().then_some(tls)
}

fn read_domain(
    entry: &mut Section<'_, '_>,
    names: &mut BTreeMap<DomainName, (Place, String)>,
    tags: Option<&Tags>,
    reserved_paths: &ReservedPaths,
) -> Option<DeclaredDomain> {
    let domain = entry.required("domain", "\"example.com\"", parsed::<DomainName>);
    if let Some(domain) = &domain {
        let (span, path) = (entry.span_of("domain"), entry.path_of("domain"));
        let shown = entry.written("domain").map(shorten);
        claim_name(entry, names, domain, &span, path, shown);
    }
    let aliases = entry.elements("aliases", "[\"www.example.com\"]", parsed::<DomainName>);
    for (index, (alias, span)) in aliases.iter().flatten().enumerate() {
        let path = format!("{}[{index}]", entry.path_of("aliases"));
        claim_name(entry, names, alias, span, path, entry.shown_reference("aliases", index));
    }
    let live = entry.required("enabled_backends_tag", "\"a\"", parsed::<Tag>);
    if let (Some(live), Some(tags)) = (&live, tags)
        && !tags.contains_key(live)
    {
        let message = format!("no backend carries this tag; {}", list_tags(tags));
        entry.problem("enabled_backends_tag", message);
    }
    let http_to_https = entry.or("http_to_https", true, boolean);
    let balance = entry.or("balance", Balance::default(), parsed);
    let tls = read_tls(entry, domain.as_ref());
    if let TlsMode::Files { cert, key } = &tls {
        let names = domain.iter().chain(aliases.iter().flatten().map(|(alias, _)| alias));
        if let Err(error) = read_fitting_pair(cert, key, names) {
            entry.bad_file("tls", format!("{error}; {}", error.hint()));
        }
    }
    let hsts_max_age_secs = entry.or("hsts_max_age_secs", 0, integer(0..=LONGEST_HSTS_SECS));
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
    Some(DeclaredDomain {
        domain: domain?,
        aliases: aliases.into_iter().flatten().map(|(alias, _)| alias).collect(),
        live: live?,
        http_to_https,
        balance,
        tls,
        hsts_max_age_secs,
        options,
    })
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

/// Reads the options that the model knows by itself. Each key that is wrong is told.
fn read_options(entry: &mut Section<'_, '_>) -> HostOptions {
    let (mut options, mut written) = (Map::new(), Map::new());
    for key in OptionSet::KEYS {
        let Some(value) = entry.plain_value(key) else { continue };
        let alone = Map::from_iter([(key.to_owned(), value.clone())]);
        match HostOptions::read(alone) {
            Ok(_) => {
                options.insert(key.to_owned(), value);
                if entry.refers(key) {
                    written.extend(entry.plain_written(key).map(|value| (key.to_owned(), value)));
                }
            }
            // Nobody is shown what the environment says.
            Err(_) if entry.refers(key) => entry.problem(key, "what it stands for does not fit"),
            Err(OptionError { path, reason }) if path == key => entry.problem(key, reason),
            Err(OptionError { path, reason }) => entry.problem(key, format!("`{path}`: {reason}")),
        }
    }
    // Each has been read alone, and none depends on another.
    let read =
        HostOptions::read(options.clone()).and_then(|read| read.with_references(written, &options));
    let mut options = read.unwrap_or_default();
    options.start_at(entry.report().directory());
    options
}

/// Reads where a certificate comes from: a word, or the files of one.
fn read_tls(entry: &mut Section<'_, '_>, domain: Option<&DomainName>) -> TlsMode {
    if entry.has_table("tls") {
        let base = entry.report().directory();
        let files = entry.table("virtual_hosts.tls", |files| {
            let cert = files.required("cert", "\"/etc/ssl/example.com.pem\"", path(base));
            let key = files.required("key", "\"/etc/ssl/example.com.key\"", path(base));
            cert.map(absolute).zip(key.map(absolute))
        });
        let files = files.flatten();
        return files.map_or(TlsMode::Auto, |(cert, key)| TlsMode::Files { cert, key });
    }
    let tls = entry.or("tls", TlsMode::default(), tls_mode);
    if let Some(problem) = domain.and_then(|domain| tls.problem_of(domain)) {
        entry.problem("tls", problem);
    }
    tls
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
