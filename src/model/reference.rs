//! `${NAME}` in a text: what a variable of the environment holds takes its place.
//!
//! What is kept, stored and shown is the text as it is written; what it stands for is in memory alone.

use super::{RequestVariable, shorten};

/// Where the values of variables come from.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A text whose references were followed.
#[derive(PartialEq, Eq)]
pub struct Followed {
    /// What the text stands for.
    pub meant: String,
    /// What the variables held.
    pub held: Vec<String>,
}

/// What stands in a text between `${` and `}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextSyntax {
    /// References to the environment and nothing else.
    Plain,
    /// Variables of requests too, in values of headers. Their names are no references, and they stay in the
    /// text whatever is made of it; so does `$${`, with which it says `${` itself.
    OfRequests,
}

/// Follows the references of `text`, in which nothing else is meant by `${`. `$${` stands for `${` itself.
///
/// # Errors
/// When one is malformed or its variable is not set; with what would be right.
pub fn follow(text: &str, variable: &Variables<'_>) -> Result<Followed, String> {
    TextSyntax::Plain.follow(text, variable)
}

/// A text as a file has to write it, so that nothing in it is taken for a reference.
pub fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

impl TextSyntax {
    /// Follows the references of `text`.
    ///
    /// # Errors
    /// When one is malformed or its variable is not set; with what would be right.
    pub fn follow(self, text: &str, variable: &Variables<'_>) -> Result<Followed, String> {
        let (mut meant, mut held) = (String::new(), Vec::new());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            let after = &from[2..];
            if let Some(before) = before.strip_suffix('$') {
                meant.push_str(before);
                meant.push_str(self.escaped_brace());
                rest = after;
                continue;
            }
            meant.push_str(before);
            let Some(name) = name_in(after) else {
                return Err(self.malformed(after));
            };
            rest = &after[name.len() + 1..];
            if self.is_variable(name) {
                meant.push_str(&from[..name.len() + 3]);
                continue;
            }
            let Some(value) = variable(name) else {
                return Err(self.not_set(name));
            };
            match self {
                Self::Plain => meant.push_str(&value),
                Self::OfRequests => meant.push_str(&escape(&value)),
            }
            held.push(value);
        }
        meant.push_str(rest);
        Ok(Followed { meant, held })
    }

    /// Whether a text of a file refers to the environment.
    pub(super) fn refers(self, text: &str) -> bool {
        references(text).any(|name| name.is_some_and(|name| !self.is_variable(name)))
    }

    /// What is wrong with a text of a command, which can't refer to the environment.
    pub(super) fn problem_of_command(self, text: &str) -> Option<String> {
        if self == Self::OfRequests {
            let mut names = text.match_indices("${").filter(|(at, _)| !text[..*at].ends_with('$'));
            let wrong = names.find_map(|(at, _)| {
                let (name, _) = text[at + 2..].split_once('}')?;
                (!self.is_variable(name)).then_some(name)
            });
            let words = |name: &str| {
                let (shown, list) = (shorten(name, 40), RequestVariable::list_for(name));
                format!(
                    "`${{{shown}}}` is no variable of requests, and only the config file can refer to the \
                     environment; {list}"
                )
            };
            return wrong.map(words);
        }
        let words = "only the config file can refer to the environment; write `${…}` there";
        self.refers(text).then(|| words.to_owned())
    }

    /// A text that refers to nothing, as a file has to write it. With variables of requests it may be written
    /// so already.
    pub(super) fn escape(self, text: &str) -> String {
        if self == Self::Plain {
            return escape(text);
        }
        let (mut escaped, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find("${") {
            let (before, after) = (&rest[..at], &rest[at + 2..]);
            escaped.push_str(before);
            let is_variable = name_in(after).is_some_and(|name| self.is_variable(name));
            let is_meant = before.ends_with('$') || is_variable;
            escaped.push_str(if is_meant { "${" } else { "$${" });
            rest = after;
        }
        escaped + rest
    }

    /// What a text of a file that refers to nothing stands for.
    pub(super) fn unescape(self, text: &str) -> String {
        match self {
            Self::Plain => text.replace("$${", "${"),
            Self::OfRequests => text.to_owned(),
        }
    }

    fn is_variable(self, name: &str) -> bool {
        self == Self::OfRequests && RequestVariable::named(name).is_some()
    }

    /// What stands for `${` itself in what is made of a text.
    fn escaped_brace(self) -> &'static str {
        match self {
            Self::Plain => "${",
            Self::OfRequests => "$${",
        }
    }

    fn malformed(self, after: &str) -> String {
        match self {
            Self::Plain => "write the name of an environment variable between the braces, such as \
                            `${SECRET}`; `$${` stands for `${` itself"
                .to_owned(),
            Self::OfRequests => {
                let name = after.split('}').next().unwrap_or_default();
                format!(
                    "write a variable between the braces, of requests or of the environment; {}; `$${{` stands for \
                     `${{` itself",
                    RequestVariable::list_for(&shorten(name, 40))
                )
            }
        }
    }

    fn not_set(self, name: &str) -> String {
        let of_requests = match self {
            Self::Plain => String::new(),
            Self::OfRequests => {
                format!(
                    ", and no variable of requests has this name: {}",
                    RequestVariable::list_for(name)
                )
            }
        };
        let hint = "set it for the server, such as with `Environment=` or `EnvironmentFile=` in its systemd unit, \
                    and for `vhost check`";
        format!("the environment variable `{name}` is not set{of_requests}; {hint}")
    }
}

/// The name of each `${…}` that is not escaped, where it is one.
fn references(text: &str) -> impl Iterator<Item = Option<&str>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find("${")?;
            let (before, after) = (&rest[..at], &rest[at + 2..]);
            rest = after;
            if !before.ends_with('$') {
                return Some(name_in(after));
            }
        }
    })
}

/// The name that a text begins with, up to a brace: as POSIX has them, letters, digits and `_`, no digit
/// first.
fn name_in(after: &str) -> Option<&str> {
    let (name, _) = after.split_once('}')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: TextSyntax = TextSyntax::Plain;

    #[test]
    fn variables_of_requests_stay_where_they_may_stand() {
        let variable = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "B" => Some("${client_ip}".to_owned()),
            // Whoever has set it is not asked.
            "host" => Some("of the environment".to_owned()),
            _ => None,
        };
        let syntax = TextSyntax::OfRequests;
        for (text, meant, held) in [
            ("${client_ip}", "${client_ip}", 0),
            ("${host}-${A}", "${host}-one", 1),
            ("$${client_ip}", "$${client_ip}", 0),
            ("$${A}", "$${A}", 0),
            ("${B}", "$${client_ip}", 1),
            ("$remote_addr", "$remote_addr", 0),
        ] {
            let followed = syntax.follow(text, &variable).unwrap();
            assert_eq!((followed.meant.as_str(), followed.held.len()), (meant, held), "{text}");
            assert_eq!(syntax.refers(text), held > 0, "{text}");
            assert_eq!(syntax.problem_of_command(text).is_some(), held > 0, "{text}");
        }
        for (text, near) in [
            ("${cleint_ip}", "${client_ip}"),
            ("${TLS_SNI}", "${tls_sni}"),
            ("${client-ip}", "${client_ip}"),
        ] {
            let words = syntax.follow(text, &variable).err().unwrap();
            assert!(words.contains(&format!("did you mean `{near}`?")), "{words}");
            let words = syntax.problem_of_command(text).unwrap();
            assert!(words.contains(&format!("did you mean `{near}`?")), "{words}");
        }
        assert_eq!(syntax.problem_of_command("${ $"), None);
        for (text, escaped) in [
            ("${ $", "$${ $"),
            ("$${A} ${host} $${host}", "$${A} ${host} $${host}"),
            ("${${host}}${A}", "$${${host}}$${A}"),
        ] {
            assert_eq!(syntax.escape(text), escaped);
            assert_eq!(syntax.escape(escaped), escaped);
            assert_eq!(
                syntax.follow(escaped, &|_| None).map(|followed| followed.meant),
                Ok(escaped.to_owned())
            );
        }
        assert!(follow("${host}", &variable).unwrap().meant.starts_with("of the"));
    }

    fn followed(text: &str) -> Result<(String, usize), String> {
        let variable = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "_b2" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        follow(text, &variable).map(|followed| (followed.meant, followed.held.len()))
    }

    #[test]
    fn references_are_replaced_once_and_the_escape_is_taken_off() {
        for (text, meant, held) in [
            ("${A}", "one", 1),
            ("x-${A}-${A}.y", "x-one-one.y", 2),
            ("${_b2}", "${A}", 1),
            ("${EMPTY}", "", 1),
            ("$${A}", "${A}", 0),
            ("$$${A}", "$${A}", 0),
            ("$${${A}}", "${one}", 1),
            ("$A $ {A} }", "$A $ {A} }", 0),
        ] {
            assert_eq!(followed(text), Ok((meant.to_owned(), held)), "{text}");
            assert_eq!(PLAIN.refers(text), held > 0, "{text}");
            if held == 0 {
                assert_eq!(PLAIN.unescape(text), meant, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_reference_says_what_would_be_one() {
        for text in ["${", "${}", "${A B}", "${1}", "x${A", "${A:-b}", "${é}"] {
            assert!(followed(text).expect_err(text).contains("between the braces"), "{text}");
            assert!(!PLAIN.refers(text), "{text}");
        }
        assert!(followed("${NONE}").expect_err("unset").contains("`NONE` is not set"));
    }

    proptest::proptest! {
        #[test]
        fn an_escaped_text_means_itself(text in r"[ab${}]{0,20}") {
            let escaped = escape(&text);
            proptest::prop_assert!(!PLAIN.refers(&escaped));
            let followed = follow(&escaped, &|_| None);
            proptest::prop_assert_eq!(followed.ok().map(|f| f.meant), Some(text));
        }
    }
}
