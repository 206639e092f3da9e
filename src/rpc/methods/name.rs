//! Methods on names: what a shell completes a word with.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::domain::pool;
use crate::model::{BackendState, DomainName, Pattern, PoolName, Tag, counted, unicode_host};
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::run::{Answered, Run, methods};
use crate::state::{BackendNode, DomainNode, Snapshot};

methods! {
    /// Names that begin with a text.
    Complete, "name.complete", CompleteParams => NameList;
}

/// What `name.complete` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteParams {
    /// The kind of name.
    pub noun: Noun,
    /// Only tags of this domain's app; with `noun` `tag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// The text that the names begin with. Without it, all names.
    #[serde(default)]
    pub prefix: String,
    /// The maximum number of names. The default is 200.
    pub limit: Option<usize>,
}

/// The kinds of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Noun {
    /// Virtual hosts and their aliases.
    Domain,
    /// Tags that a backend carries.
    Tag,
    /// Backends.
    Backend,
    /// Apps.
    App,
}

/// The answer of `name.complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NameList {
    /// The revision of the state that was read.
    pub revision: u64,
    /// The names. If there are more than the limit, the first and the last are always included, so that the
    /// common prefix of these is that of all names.
    pub names: Vec<Name>,
    /// Whether there are more.
    pub more: bool,
}

/// A name with a short description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(crate) struct Name {
    /// The name.
    pub name: String,
    /// A domain's name as people write it, where that is another form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unicode: Option<String>,
    /// A short description.
    pub about: String,
}

impl Run for Complete {
    async fn run(server: &Dispatch, params: CompleteParams, _: &Call) -> Answered<Self> {
        Ok(complete(&server.control.snapshot(), &params))
    }
}

/// Names that are returned when no limit is given, and at most.
const NAMES: usize = 200;
const MAX_NAMES: usize = 10_000;

/// The names that begin as `params` ask.
fn complete(snapshot: &Snapshot, params: &CompleteParams) -> NameList {
    let limit = params.limit.unwrap_or(NAMES).clamp(2, MAX_NAMES);
    let prefix = params.prefix.as_str();
    let (names, more) = match params.noun {
        Noun::Domain => {
            let names = snapshot.domains().flat_map(move |node| {
                let host = &node.virtual_host;
                host.names().map(move |name| (Text::of(name, prefix), (node, name)))
            });
            chosen(names, prefix, limit, |_, (node, name)| Name {
                name: name.to_string(),
                unicode: name.unicode(),
                about: about_domain(node, name),
            })
        }
        Noun::Tag => {
            let of = params.domain.as_ref().and_then(|domain| snapshot.domain(domain));
            let is_own = |name: &&PoolName| {
                of.is_none_or(|node| node.virtual_host.app() == name.app.as_ref())
            };
            let mut names: Vec<_> = snapshot.pools().into_iter().filter(is_own).collect();
            names.sort_by_key(|name| &name.tag);
            // Two apps may have a tag of one name, which is one word to type.
            names.dedup_by_key(|name| &name.tag);
            let names = names.into_iter();
            let names = names.map(|name| (Text::Plain(name.tag.as_str().into()), name));
            chosen(names, prefix, limit, |text, name| {
                let pool = pool(snapshot, name);
                let about =
                    format!("{} of {} healthy", pool.healthy, counted(pool.total, "backend"));
                Name { name: text.to_string(), unicode: None, about }
            })
        }
        Noun::Backend => {
            let names = snapshot
                .backends()
                .map(|node| (Text::Plain(node.backend.id.as_str().into()), node));
            chosen(names, prefix, limit, |name, node| Name {
                name: name.to_string(),
                unicode: None,
                about: about_backend(node),
            })
        }
        Noun::App => {
            let names =
                snapshot.apps().map(|node| (Text::Plain(node.app.name.as_str().into()), node));
            chosen(names, prefix, limit, |text, node| Name {
                name: text.to_string(),
                unicode: None,
                about: counted(node.domains().len(), "domain"),
            })
        }
    };
    NameList { revision: snapshot.revision(), names, more }
}

/// A name that is looked at without being written out, in the order that its text has: there may be a
/// hundred thousand of them, and a person waits for the key press.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Text<'a> {
    Default,
    Wildcard(Cow<'a, str>),
    Plain(Cow<'a, str>),
}

impl<'a> Text<'a> {
    /// A domain as people write it; in its ASCII form where only that begins with `prefix`.
    fn of(name: &'a DomainName, prefix: &str) -> Self {
        let (host, make): (&str, fn(Cow<'a, str>) -> Self) = match name.pattern() {
            Pattern::Default => return Self::Default,
            Pattern::Wildcard(base) => (base, Self::Wildcard),
            Pattern::Exact(name) => (name, Self::Plain),
        };
        let unicode = unicode_host(host).map(|host| make(host.into()));
        unicode.filter(|name| name.starts_with(prefix)).unwrap_or_else(|| make(host.into()))
    }

    fn starts_with(&self, prefix: &str) -> bool {
        match self {
            Self::Default => "*".starts_with(prefix),
            Self::Wildcard(base) => match prefix.strip_prefix("*.") {
                Some(rest) => base.starts_with(rest),
                None => "*".starts_with(prefix),
            },
            Self::Plain(name) => name.starts_with(prefix),
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("*"),
            Self::Wildcard(base) => write!(f, "*.{base}"),
            Self::Plain(name) => f.write_str(name),
        }
    }
}

/// The first `limit` names that begin with `prefix`; where there are more, the least and the greatest
/// of all are among them.
fn chosen<'a, T>(
    all: impl Iterator<Item = (Text<'a>, T)>,
    prefix: &str,
    limit: usize,
    made: impl Fn(Text<'a>, T) -> Name,
) -> (Vec<Name>, bool) {
    let mut fitting = all.filter(|(name, _)| name.starts_with(prefix));
    let mut names: Vec<_> = fitting.by_ref().take(limit).collect();
    names.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut more = false;
    for (name, of) in fitting {
        more = true;
        let (first, last) = (0, names.len() - 1);
        if name < names[first].0 {
            names[first] = (name, of);
        } else if name > names[last].0 {
            names[last] = (name, of);
        }
    }
    (names.into_iter().map(|(name, of)| made(name, of)).collect(), more)
}

fn about_domain(node: &DomainNode, name: &DomainName) -> String {
    let host = &node.virtual_host;
    if *name == host.domain {
        format!("live {}", host.live)
    } else {
        format!("alias of {}", host.domain.shown())
    }
}

fn about_backend(node: &BackendNode) -> String {
    let backend = &node.backend;
    let state = match backend.state {
        BackendState::Ready => node.live.health().as_str(),
        out => out.as_str(),
    };
    let tags: Vec<_> = backend.tags.iter().map(Tag::as_str).collect();
    if tags.is_empty() {
        format!("{state}, no tag")
    } else {
        format!("{state}, {}", tags.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, TopOptions, VirtualHost};

    fn host(domain: &str, aliases: &[&str]) -> Change {
        Change::PutDomain(VirtualHost {
            domain: domain.parse().unwrap(),
            live: "a".parse().unwrap(),
            previous: None,
            beside: crate::model::Beside::default(),
            top: TopOptions {
                aliases: aliases.iter().map(|alias| alias.parse().unwrap()).collect(),
                ..Default::default()
            },
            options: crate::model::HostOptions::default(),
        })
    }

    fn domains(snapshot: &Snapshot, prefix: &str, limit: Option<usize>) -> (Vec<String>, bool) {
        let params =
            CompleteParams { noun: Noun::Domain, domain: None, prefix: prefix.to_owned(), limit };
        let list = complete(snapshot, &params);
        (list.names.into_iter().map(|name| name.name).collect(), list.more)
    }

    #[test]
    fn names_and_aliases_that_begin_alike_are_found() {
        let hosts = vec![host("b.test", &["a.test"]), host("*.b.test", &[]), host("*", &[])];
        let snapshot = Snapshot::default().after(hosts, 1);
        for (prefix, found) in [
            ("", &["*", "*.b.test", "a.test", "b.test"][..]),
            ("a", &["a.test"]),
            ("*.", &["*.b.test"]),
            ("b.test.", &[]),
        ] {
            assert_eq!(domains(&snapshot, prefix, None).0, found, "{prefix}");
        }
    }

    #[test]
    fn a_name_is_found_by_either_of_its_forms() {
        let hosts = vec![host("bücher.test", &["*.bücher.test"]), host("xylophon.test", &[])];
        let snapshot = Snapshot::default().after(hosts, 1);
        let ascii = ["*.xn--bcher-kva.test", "xn--bcher-kva.test"];
        for (prefix, found) in [
            ("b", &ascii[1..]),
            ("bü", &ascii[1..]),
            ("xn--b", &ascii[1..]),
            ("*.bü", &ascii[..1]),
            ("*.xn", &ascii[..1]),
            ("x", &["xn--bcher-kva.test", "xylophon.test"]),
            ("", &["*.xn--bcher-kva.test", "xn--bcher-kva.test", "xylophon.test"]),
            ("c", &[]),
        ] {
            assert_eq!(domains(&snapshot, prefix, None).0, found, "{prefix}");
        }
        let params = CompleteParams {
            noun: Noun::Domain,
            domain: None,
            prefix: "*.x".to_owned(),
            limit: None,
        };
        let names = complete(&snapshot, &params).names;
        assert_eq!(names[0].unicode.as_deref(), Some("*.bücher.test"));
        assert_eq!(names[0].about, "alias of bücher.test");
    }

    #[test]
    fn what_is_left_out_does_not_change_what_all_names_begin_with() {
        let hosts = ["m.test", "n.test", "o.test", "p.test"].map(|name| host(name, &[]));
        let snapshot = Snapshot::default().after(hosts.into(), 1);
        let with_alias = snapshot.after(vec![host("z.test", &["0.test"])], 2);
        let (names, more) = domains(&with_alias, "", Some(3));
        assert!(more);
        let ends = (names.first().map(String::as_str), names.last().map(String::as_str));
        assert_eq!((names.len(), ends), (3, (Some("0.test"), Some("z.test"))));
        assert!(!domains(&snapshot, "", Some(4)).1, "all fit");
    }
}
