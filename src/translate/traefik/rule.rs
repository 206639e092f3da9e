//! Rules of routers: which hosts, and which paths of them.

/// How deep a rule may be, and how many hosts it may name.
const MAX_DEPTH: usize = 16;
const MAX_MATCHES: usize = 256;

/// A host, and the beginning of the path; whatever is `None` is any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RuleMatch {
    pub(super) host: Option<String>,
    pub(super) prefix: Option<String>,
}

/// What a rule matches. `None` if that can't be said in hosts and prefixes.
pub(super) fn read(rule: &str) -> Option<Vec<RuleMatch>> {
    let mut parser = Parser { rest: rule, depth: 0 };
    let matches = parser.or()?;
    parser.space();
    parser.rest.is_empty().then_some(matches)
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, token: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn or(&mut self) -> Option<Vec<RuleMatch>> {
        let mut all = self.and()?;
        while self.takes("||") {
            all.extend(self.and()?);
            if all.len() > MAX_MATCHES {
                return None;
            }
        }
        Some(all)
    }

    fn and(&mut self) -> Option<Vec<RuleMatch>> {
        let mut all = self.one()?;
        while self.takes("&&") {
            let others = self.one()?;
            if all.len().saturating_mul(others.len()) > MAX_MATCHES {
                return None;
            }
            let both = all.iter().flat_map(|one| others.iter().map(move |other| one.and(other)));
            all = both.collect::<Option<_>>()?;
        }
        Some(all)
    }

    fn one(&mut self) -> Option<Vec<RuleMatch>> {
        if self.takes("(") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return None;
            }
            let inner = self.or()?;
            self.depth -= 1;
            return self.takes(")").then_some(inner);
        }
        self.space();
        let end = self.rest.find('(')?;
        let name = self.rest[..end].trim();
        let is_host = match name {
            "Host" => true,
            "PathPrefix" => false,
            _ => return None,
        };
        self.rest = &self.rest[end + 1..];
        let mut values = Vec::new();
        loop {
            self.space();
            let quote = self.rest.chars().next().filter(|c| matches!(c, '`' | '"' | '\''))?;
            let (value, rest) = self.rest[1..].split_once(quote)?;
            self.rest = rest;
            values.push(value.to_owned());
            if self.takes(")") {
                break;
            }
            if !self.takes(",") || values.len() > MAX_MATCHES {
                return None;
            }
        }
        let matches = values.into_iter().map(|value| {
            if is_host {
                RuleMatch { host: Some(value), prefix: None }
            } else {
                RuleMatch { host: None, prefix: Some(value).filter(|it| it != "/") }
            }
        });
        Some(matches.collect())
    }
}

impl RuleMatch {
    /// What both match; `None` where that is nothing, or can't be said.
    fn and(&self, other: &Self) -> Option<Self> {
        let differ = |one: &Option<String>, other: &Option<String>| {
            one.as_ref().zip(other.as_ref()).is_some_and(|(one, other)| one != other)
        };
        if differ(&self.host, &other.host) || differ(&self.prefix, &other.prefix) {
            return None;
        }
        let either =
            |one: &Option<String>, other: &Option<String>| one.as_ref().or(other.as_ref()).cloned();
        Some(Self {
            host: either(&self.host, &other.host),
            prefix: either(&self.prefix, &other.prefix),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_hosts_and_prefixes() {
        let shown = |rule: &str| {
            let matches = read(rule)?;
            let one = |it: &RuleMatch| {
                format!(
                    "{}{}",
                    it.host.as_deref().unwrap_or("*"),
                    it.prefix.as_deref().unwrap_or("")
                )
            };
            Some(matches.iter().map(one).collect::<Vec<_>>().join(" "))
        };
        for (rule, expected) in [
            ("Host(`a.test`)", Some("a.test")),
            ("Host(`a.test`, `b.test`)", Some("a.test b.test")),
            ("Host(`a.test`) || Host(\"b.test\")", Some("a.test b.test")),
            ("(Host(`a`) || Host(`b`)) && PathPrefix(`/x`)", Some("a/x b/x")),
            ("PathPrefix(`/`)", Some("*")),
            ("Host(`a`) && Method(`GET`)", None),
            ("!Host(`a`)", None),
            ("Host(`a`) && Host(`b`)", None),
            ("Host(`a`", None),
            ("Host(é)", None),
            ("", None),
        ] {
            assert_eq!(shown(rule).as_deref(), expected, "{rule}");
        }
    }
}
