//! `[[apps]]`, `[[virtual_hosts]]` and `[[backends]]`: what each says, and what they say together.

use std::collections::BTreeMap;

use super::declared::{Declared, DeclaredApp, DeclaredBackend};
use super::problem::shorten;
use super::reader::Section;
use super::records::{ReadRecord, References, note, read_record};
use super::report::{Place, Span};
use super::value::{choice, parsed};
use crate::model::{
    AppName, AppOptions, BackendAddr, BackendId, BackendOptions, BackendState, Beside, DomainName,
    HostOptions, MAX_PAGE_BYTES, OptionSet, PoolName, Tag, TlsMode, TopOptions, VirtualHost,
    nearest,
};
use crate::plain_file;
use crate::reserved_paths::ReservedPaths;
use crate::tls::read_fitting_pair;

/// The tags that backends carry, with their apps; each as it is shown.
pub(super) type Tags = BTreeMap<PoolName, String>;

/// What the entries that were read have between them.
#[derive(Default)]
struct Names {
    apps: BTreeMap<AppName, Place>,
    ids: BTreeMap<BackendId, Place>,
    /// Each with the path of the key that has it.
    hosts: BTreeMap<DomainName, (Place, String)>,
    /// By the tag that serves it, the first domain in no app.
    without_app: BTreeMap<Tag, (Place, DomainName)>,
}

/// Reads the entries of all files and checks them against each other. Where the files are not
/// complete, nothing is said of tags that are missing.
pub(super) fn read_declared(
    roots: &mut [Section<'_, '_>],
    is_complete: bool,
    reserved_paths: &ReservedPaths,
) -> Declared {
    let mut declared = Declared::default();
    let mut names = Names::default();
    let mut apps_are_known = is_complete;
    for root in &mut *roots {
        let read = |entry: &mut Section<'_, '_>| {
            let app = read_app(entry, &mut names);
            apps_are_known &= app.is_some();
            app
        };
        declared.apps.extend(root.entries("apps", "name", read).into_iter().flatten());
    }
    let apps = apps_are_known.then(|| names.apps.keys().cloned().collect::<Vec<_>>());
    let mut tags = is_complete.then(Tags::new);
    for root in &mut *roots {
        let read = |entry: &mut Section<'_, '_>| {
            let backend = read_backend(entry, &mut names, &mut tags, reserved_paths);
            check_app(
                entry,
                backend.as_ref().and_then(|read| read.options.app.as_ref()),
                apps.as_deref(),
            );
            backend
        };
        declared.backends.extend(root.entries("backends", "id", read).into_iter().flatten());
    }
    for root in roots {
        let read = |entry: &mut Section<'_, '_>| {
            let domain = read_domain(entry, &mut names, tags.as_ref(), reserved_paths);
            check_app(entry, domain.as_ref().and_then(VirtualHost::app), apps.as_deref());
            domain
        };
        declared
            .domains
            .extend(root.entries("virtual_hosts", "domain", read).into_iter().flatten());
    }
    declared
}

fn read_app(entry: &mut Section<'_, '_>, names: &mut Names) -> Option<DeclaredApp> {
    let name = entry.required("name", "\"shop\"", parsed::<AppName>);
    if let Some(name) = &name {
        let place = entry.report().place(&entry.span_of("name"));
        if let Some(first) = names.apps.get(name) {
            let first = entry.report().tell(first);
            entry.problem("name", format!("the app on {first} has this name"));
        } else {
            names.apps.insert(name.clone(), place);
        }
    }
    let options = read_record::<AppOptions>(entry, References::Followed);
    Some(DeclaredApp { name: name?, options: options?.record })
}

/// The app that an entry names is declared. `apps` are those that are, if all could be read.
fn check_app(entry: &Section<'_, '_>, app: Option<&AppName>, apps: Option<&[AppName]>) {
    let (Some(app), Some(apps)) = (app, apps) else { return };
    if apps.contains(app) {
        return;
    }
    let near = nearest(app.as_str(), apps.iter().map(AppName::as_str));
    let meant = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let message =
        format!("there is no such app{meant}; declare it with `[[apps]]` and `name = \"{app}\"`");
    entry.problem("app", message);
}

/// Reads a backend. `tags` gathers the tags that exist. An invalid one is reported, and is no reason to
/// say nothing of a domain that wants another; but `tags` becomes `None` once those of a backend can't be
/// known.
fn read_backend(
    entry: &mut Section<'_, '_>,
    names: &mut Names,
    tags: &mut Option<Tags>,
    reserved_paths: &ReservedPaths,
) -> Option<DeclaredBackend> {
    let id = entry.required("id", "\"web-1\"", parsed::<BackendId>);
    if let Some(id) = &id {
        let place = entry.report().place(&entry.span_of("id"));
        if let Some(first) = names.ids.get(id) {
            let first = entry.report().tell(first);
            entry.problem("id", format!("the backend on {first} has this id"));
        } else {
            names.ids.insert(id.clone(), place);
        }
    }
    let address = entry.required("address", "\"127.0.0.1:3001\"", parsed);
    if let Some(address) = &address {
        refuse_own_address(entry, address, reserved_paths);
    }
    let own_tags = entry.required_elements("tags", "[\"a\"]", parsed::<Tag>);
    let options = read_record::<BackendOptions>(entry, References::Followed);
    let app = match &options {
        Some(read) => Some(read.record.app.clone()),
        None if !entry.has("app") => Some(None),
        // The key may be right where another is wrong.
        None => entry.plain_texts("app").and_then(|text| text.concat().parse().ok()).map(Some),
    };
    match (&own_tags, &mut *tags) {
        (_, Some(_)) if app.is_none() => *tags = None,
        (Some(own), Some(all)) => {
            for (index, (tag, _)) in own.iter().enumerate() {
                let pool = PoolName::new(app.iter().flatten().next(), tag);
                all.entry(pool)
                    .or_insert_with(|| entry.shown_element("tags", index).unwrap_or_default());
            }
        }
        (None, Some(all)) => match readable_tags(entry) {
            Some(readable) => all
                .extend(readable.map(|tag| {
                    (PoolName::new(app.iter().flatten().next(), &tag), tag.to_string())
                })),
            None => *tags = None,
        },
        (_, None) => {}
    }
    let state = entry.optional("state", choice::<BackendState>);
    if let (Some(address), Some(read)) = (&address, &options)
        && let Some(problem) = read.record.problem_at(address)
    {
        note(entry, &problem);
    }
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
    names: &mut Names,
    tags: Option<&Tags>,
    reserved_paths: &ReservedPaths,
) -> Option<VirtualHost> {
    let domain = entry.required("domain", "\"example.com\"", parsed::<DomainName>);
    if let Some(domain) = &domain {
        let (span, path) = (entry.span_of("domain"), entry.path_of("domain"));
        let shown = entry.written("domain").map(shorten);
        claim_name(entry, &mut names.hosts, domain, &span, path, shown);
    }
    let live = entry.required("enabled_backends_tag", "\"a\"", parsed::<Tag>);
    let top = read_record::<TopOptions>(entry, References::Followed).map(|read| read.record);
    // Of an app that can't be read it is not known which tags there are.
    let app = top.as_ref().map(|top| top.app.as_ref());
    let tags = tags.zip(app);
    if let (Some(live), Some((tags, app))) = (&live, tags)
        && !tags.contains_key(&PoolName::new(app, live))
    {
        let message = format!("no backend{} carries this tag; {}", of(app), list_tags(tags, app));
        entry.problem("enabled_backends_tag", message);
    }
    if let (Some(domain), Some(live), Some(None)) = (&domain, &live, app) {
        warn_of_shared_tag(entry, names, domain, live);
    }
    for (index, alias) in top.iter().flat_map(|top| &top.aliases).enumerate() {
        let (span, path) = entry.element("aliases", index);
        let shown = entry.shown_reference("aliases", index);
        claim_name(entry, &mut names.hosts, alias, &span, path, shown);
    }
    check_tls(entry, domain.as_ref(), top.as_ref());
    let options = read_options(entry);
    look_at_pages(entry, &options, reserved_paths);
    for route in &options.get().paths {
        if let Some((tags, app)) = tags
            && !tags.contains_key(&PoolName::new(app, &route.tag))
        {
            let (prefix, tag, others) = (&route.prefix, &route.tag, list_tags(tags, app));
            let of = of(app);
            let message = format!("`{prefix}`: no backend{of} carries the tag `{tag}`; {others}");
            entry.problem("paths", message);
        }
    }
    Some(VirtualHost {
        domain: domain?,
        live: live?,
        previous: None,
        beside: Beside::default(),
        top: top?,
        options,
    })
}

/// Two domains that are in no app and live on one tag are served by the same backends. That may be what is
/// meant, and may be an accident of two applications that both call their versions `a` and `b`.
fn warn_of_shared_tag(entry: &Section<'_, '_>, names: &mut Names, domain: &DomainName, live: &Tag) {
    let Some((first, other)) = names.without_app.get(live) else {
        let place = entry.report().place(&entry.span_of("enabled_backends_tag"));
        names.without_app.insert(live.clone(), (place, domain.clone()));
        return;
    };
    let first = entry.report().tell(first);
    let warning = format!(
        "`{other}` on {first} is live on this tag too, so the same backends serve both; to keep \
         applications apart, or to say that these are one, write `app = \"NAME\"` in each domain and in \
         its backends, and `[[apps]]` with `name = \"NAME\"`"
    );
    entry.warn("enabled_backends_tag", &warning);
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

fn of(app: Option<&AppName>) -> String {
    app.map(|app| format!(" of the app `{app}`")).unwrap_or_default()
}

/// Says which tags exist in an app, or in none; some of them, when there are many.
pub(super) fn list_tags(tags: &Tags, app: Option<&AppName>) -> String {
    const MAX_LISTED: usize = 10;
    let own: Vec<_> = tags.iter().filter(|(pool, _)| pool.app.as_ref() == app).collect();
    let mut words: Vec<_> =
        own.iter().take(MAX_LISTED).map(|(_, tag)| format!("`{tag}`")).collect();
    if own.len() > MAX_LISTED {
        words.push(format!("{} more", own.len() - MAX_LISTED));
    }
    match words.as_slice() {
        [] if app.is_some() => "none of its backends has a tag".to_owned(),
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
