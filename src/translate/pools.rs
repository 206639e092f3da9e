//! Groups of backends: the same group is made once, under one tag.

use std::collections::BTreeSet;

use super::draft::{Draft, Entry};

/// The groups of a config.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pools: Vec<Pool>,
    tags: BTreeSet<String>,
}

#[derive(Debug)]
struct Pool {
    tag: String,
    servers: Vec<Entry>,
}

impl Pools {
    /// The tag of these backends, which have no ids and tags yet; `wish` is what it is best called.
    pub(super) fn tag(&mut self, wish: &str, servers: Vec<Entry>) -> String {
        if let Some(pool) = self.pools.iter().find(|pool| pool.servers == servers) {
            return pool.tag.clone();
        }
        let tag = unique(&slug(wish), &self.tags);
        self.tags.insert(tag.clone());
        self.pools.push(Pool { tag: tag.clone(), servers });
        tag
    }

    /// The tag of what the other server did itself, such as serving files: a backend that gets nothing
    /// until somebody says where that is done now.
    pub(super) fn missing(&mut self, source: &str) -> String {
        let mut server = Entry::default();
        server.set("address", "127.0.0.1:8081");
        server.set("state", "disabled");
        server.comment(format!(
            "{source} answered these requests itself. Let something do so at this address, and remove `state`;\n\
             until then they get 503."
        ));
        self.tag("missing", vec![server])
    }

    /// Writes the backends.
    pub(super) fn write(self, draft: &mut Draft) {
        let mut ids = BTreeSet::new();
        for Pool { tag, servers } in self.pools {
            for (number, mut server) in servers.into_iter().enumerate() {
                let id = unique(&format!("{tag}-{}", number + 1), &ids);
                server.set("tags", vec![tag.as_str()]);
                server.put_first("id", id.as_str());
                ids.insert(id);
                draft.backends.push(server);
            }
        }
    }
}

/// A name as tags may have it.
pub(super) fn slug(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let slug: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).take(50).collect();
    let slug = slug.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if slug.is_empty() { "pool".to_owned() } else { slug.to_owned() }
}

fn unique(wish: &str, taken: &BTreeSet<String>) -> String {
    let (mut name, mut number) = (wish.to_owned(), 2_usize);
    while taken.contains(&name) {
        name = format!("{wish}-{number}");
        number += 1;
    }
    name
}
