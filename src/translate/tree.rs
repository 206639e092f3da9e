//! Configs in YAML and TOML, as trees whose places are known.

use super::finding::Place;

/// The most nodes of a file, with those that aliases repeat.
pub(super) const MAX_NODES: usize = 100_000;
/// How deep they may be in each other.
pub(super) const MAX_DEPTH: usize = 64;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a value is. Numbers and the like are texts: that is how they are used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Content {
    #[default]
    Empty,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A member, whatever the case of its key: `certResolver` and `certresolver` are the same to Traefik.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.members().iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, node)| node)
    }

    /// What is at a path of members, such as `http.routers`.
    pub(super) fn at(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, key| node.get(key))
    }

    pub(super) fn members(&self) -> &[(String, Node)] {
        match &self.content {
            Content::Map(members) => members,
            Content::Empty | Content::Text(_) | Content::List(_) => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Empty | Content::List(_) | Content::Map(_) => None,
        }
    }

    /// The text of a member.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::text)
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self.text(), Some("true" | "yes" | "True"))
    }

    pub(super) fn is_false(&self) -> bool {
        matches!(self.text(), Some("false" | "no" | "False"))
    }

    /// The items of a list; one text is a list of one, or of what commas divide.
    pub(super) fn texts(&self) -> Vec<&str> {
        match &self.content {
            Content::List(items) => items.iter().filter_map(Self::text).collect(),
            Content::Text(text) => {
                text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect()
            }
            Content::Empty | Content::Map(_) => Vec::new(),
        }
    }

    pub(super) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            Content::Empty | Content::Text(_) | Content::Map(_) => &[],
        }
    }

    /// How many nodes it is, itself counted.
    pub(super) fn size(&self) -> usize {
        match &self.content {
            Content::Empty | Content::Text(_) => 1,
            Content::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Content::Map(members) => 1 + members.iter().map(|(_, node)| node.size()).sum::<usize>(),
        }
    }

    /// Puts a text at a path of members.
    pub(super) fn put(&mut self, path: &[&str], text: &str, place: Place) {
        let Some((first, rest)) = path.split_first() else {
            self.content = Content::Text(text.to_owned());
            self.place = place;
            return;
        };
        if !matches!(self.content, Content::Map(_)) {
            self.content = Content::Map(Vec::new());
            self.place = place;
        }
        let Content::Map(members) = &mut self.content else { return };
        let at = members.iter().position(|(name, _)| name.eq_ignore_ascii_case(first));
        let at = at.unwrap_or_else(|| {
            members.push(((*first).to_owned(), Self { place, content: Content::Empty }));
            members.len() - 1
        });
        members[at].1.put(rest, text, place);
    }

    /// Adds the members of another tree where this one has none.
    pub(super) fn merge(&mut self, other: Self) {
        match (&mut self.content, other.content) {
            (Content::Map(own), Content::Map(others)) => {
                for (name, node) in others {
                    match own.iter_mut().find(|(it, _)| it.eq_ignore_ascii_case(&name)) {
                        Some((_, mine)) => mine.merge(node),
                        None => own.push((name, node)),
                    }
                }
            }
            (Content::Empty, content) => {
                self.content = content;
                self.place = other.place;
            }
            _ => {}
        }
    }
}
