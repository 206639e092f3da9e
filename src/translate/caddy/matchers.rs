//! Which requests a directive is for.

use std::collections::BTreeMap;

use crate::translate::blocks::Directive;

/// The matchers that a site names.
#[derive(Default)]
pub(super) struct Matchers<'t> {
    named: BTreeMap<&'t str, Vec<&'t Directive>>,
    inline: BTreeMap<&'t str, (&'t str, &'t [String])>,
}

/// What a matcher means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Match {
    /// Every request.
    All,
    /// Those at or below one of these prefixes.
    Prefixes(Vec<String>),
    /// Those for these hosts.
    Hosts(Vec<String>),
    /// Those of these clients.
    Clients(Vec<String>),
    /// Those of all but these clients.
    OtherClients(Vec<String>),
    /// Something that can't be said.
    Other,
}

impl<'t> Matchers<'t> {
    pub(super) fn of(directives: &'t [Directive]) -> Self {
        let mut matchers = Self::default();
        for directive in directives.iter().filter(|it| it.name.starts_with('@')) {
            match (&directive.block, directive.args.split_first()) {
                (Some(block), None) => {
                    matchers.named.insert(&directive.name, block.iter().collect());
                }
                (_, Some((kind, args))) => {
                    matchers.inline.insert(&directive.name, (kind, args));
                }
                (None, None) => {}
            }
        }
        matchers
    }

    /// The matcher of a directive, and its other arguments.
    pub(super) fn split<'a>(&self, args: &'a [String]) -> (Match, &'a [String]) {
        match args.split_first() {
            Some((first, rest)) if first == "*" => (Match::All, rest),
            Some((first, rest)) if first.starts_with('/') => {
                (prefixes(std::slice::from_ref(first)), rest)
            }
            Some((first, rest)) if first.starts_with('@') => (self.named(first), rest),
            _ => (Match::All, args),
        }
    }

    fn named(&self, name: &str) -> Match {
        if let Some((kind, args)) = self.inline.get(name) {
            return meaning(kind, args);
        }
        match self.named.get(name).map(Vec::as_slice) {
            Some([only]) => meaning(&only.name, &only.args),
            _ => Match::Other,
        }
    }
}

fn meaning(kind: &str, args: &[String]) -> Match {
    match kind {
        "path" => prefixes(args),
        "host" => Match::Hosts(args.to_vec()),
        "remote_ip" | "client_ip" => Match::Clients(clients(args)),
        "not" => match args.split_first().map(|(kind, args)| meaning(kind, args)) {
            Some(Match::Clients(clients)) => Match::OtherClients(clients),
            _ => Match::Other,
        },
        _ => Match::Other,
    }
}

/// The networks, `private_ranges` written out.
fn clients(args: &[String]) -> Vec<String> {
    const PRIVATE: [&str; 6] =
        ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.0/8", "fd00::/8", "::1"];
    let words = args.iter().filter(|arg| *arg != "forwarded");
    let all = words.flat_map(|arg| {
        if arg == "private_ranges" {
            PRIVATE.map(str::to_owned).to_vec()
        } else {
            vec![arg.clone()]
        }
    });
    all.collect()
}

fn prefixes(patterns: &[String]) -> Match {
    let mut all = Vec::new();
    for pattern in patterns {
        let Some(prefix) = pattern.strip_suffix('*') else { return Match::Other };
        let prefix = prefix.trim_end_matches('/');
        if prefix.contains('*') || (!prefix.is_empty() && !prefix.starts_with('/')) {
            return Match::Other;
        }
        if prefix.is_empty() {
            return Match::All;
        }
        all.push(prefix.to_owned());
    }
    if all.is_empty() { Match::Other } else { Match::Prefixes(all) }
}
