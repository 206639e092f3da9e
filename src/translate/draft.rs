//! The config that a translation makes.

use std::fmt::Write as _;

use toml::Value;

use super::finding::Findings;

/// A section, or an entry, in the order in which it is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Entry {
    keys: Vec<(&'static str, Value)>,
    comment: Option<String>,
}

impl Entry {
    /// Sets a key; the last value counts.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.keys.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key, value)),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Puts a value into the table of a key.
    pub(super) fn set_in(&mut self, key: &'static str, inner: &str, value: impl Into<Value>) {
        let mut table = match self.get(key) {
            Some(Value::Table(table)) => table.clone(),
            _ => toml::Table::new(),
        };
        table.insert(inner.to_owned(), value.into());
        self.set(key, Value::Table(table));
    }

    /// Adds a value to the list of a key, once.
    pub(super) fn push(&mut self, key: &'static str, value: impl Into<Value>) {
        let value = value.into();
        let mut list = match self.get(key) {
            Some(Value::Array(list)) => list.clone(),
            _ => Vec::new(),
        };
        if !list.contains(&value) {
            list.push(value);
        }
        self.set(key, Value::Array(list));
    }

    /// Sets a key that is not set yet, above the others.
    pub(super) fn put_first(&mut self, key: &'static str, value: impl Into<Value>) {
        self.keys.insert(0, (key, value.into()));
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.keys.retain(|(name, _)| *name != key);
    }

    /// A line above it.
    pub(super) fn comment(&mut self, text: impl Into<String>) {
        self.comment = Some(text.into());
    }

    fn render(&self, heading: &str, text: &mut String) {
        // Writing to a text never fails.
        if let Some(comment) = &self.comment {
            for line in comment.lines() {
                let _ = write!(text, "\n# {line}");
            }
        }
        let _ = write!(text, "\n{heading}\n");
        for (key, value) in &self.keys {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
}

/// A domain.
#[derive(Debug, Clone, Default)]
pub(super) struct Domain {
    pub(super) entry: Entry,
    /// Whether something that limited who may reach it is missing.
    pub(super) is_closed: bool,
}

/// A config in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) proxy: Entry,
    pub(super) upstream: Entry,
    pub(super) switch: Entry,
    pub(super) health_check: Entry,
    pub(super) lets_encrypt: Entry,
    pub(super) logging: Entry,
    pub(super) access_log: Entry,
    pub(super) metrics: Entry,
    pub(super) apps: Vec<Entry>,
    pub(super) domains: Vec<Domain>,
    pub(super) backends: Vec<Entry>,
}

impl Draft {
    /// Closes the domains of which something is missing that limited who may reach them.
    pub(super) fn finish(&mut self, findings: &Findings) {
        let all = findings.closes_all();
        for domain in &mut self.domains {
            if domain.is_closed || all {
                close(&mut domain.entry);
            }
        }
        if self.proxy.keys.is_empty() {
            self.proxy.set("listen_addr_http", vec!["0.0.0.0:80", "[::]:80"]);
        }
    }

    /// The text of the file.
    pub(super) fn render(&self, heading: &str) -> String {
        let mut text = format!("{heading}\n");
        for (name, section) in [
            ("[proxy]", &self.proxy),
            ("[upstream]", &self.upstream),
            ("[switch]", &self.switch),
            ("[health_check]", &self.health_check),
            ("[lets_encrypt]", &self.lets_encrypt),
            ("[logging]", &self.logging),
            ("[access_log]", &self.access_log),
            ("[metrics]", &self.metrics),
        ] {
            if !section.keys.is_empty() {
                section.render(name, &mut text);
            }
        }
        for app in &self.apps {
            app.render("[[apps]]", &mut text);
        }
        for domain in &self.domains {
            domain.entry.render("[[virtual_hosts]]", &mut text);
        }
        for backend in &self.backends {
            backend.render("[[backends]]", &mut text);
        }
        text
    }
}

/// A text of the other config as a value of ours, in which `${` stands for a variable.
pub(super) fn text(text: &str) -> Value {
    Value::String(escaped(text))
}

/// The same for a part of a value.
pub(super) fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

/// What all addresses are.
pub(super) const EVERYBODY: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// Closes a domain to everybody.
fn close(domain: &mut Entry) {
    domain.remove("allow");
    domain.set("deny", EVERYBODY.to_vec());
    domain.comment(
        "CLOSED: `deny` refuses everybody, because a rule of the original that limits who may reach this domain\n\
         could not be translated. Remove `deny` when you have replaced that rule.",
    );
}
