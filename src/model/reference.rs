//! `${NAME}` in a text: what a variable of the environment holds takes its place.
//!
//! What is kept, stored and shown is the text as it is written; what it stands for is in memory alone.

/// What is shown in the place of a secret.
pub const HIDDEN: &str = "(hidden)";

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

/// Follows the references of `text`. `$${` stands for `${` itself.
///
/// # Errors
/// When one is malformed or its variable is not set; with what would be right.
pub fn follow(text: &str, variable: &Variables<'_>) -> Result<Followed, String> {
    let (mut meant, mut held) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let after = &from[2..];
        if let Some(before) = before.strip_suffix('$') {
            meant.push_str(before);
            meant.push_str("${");
            rest = after;
            continue;
        }
        meant.push_str(before);
        let Some(name) = name_in(after) else {
            return Err("write the name of an environment variable between the braces, such as \
                        `${SECRET}`; `$${` stands for `${` itself"
                .to_owned());
        };
        let Some(value) = variable(name) else {
            return Err(format!(
                "the environment variable `{name}` is not set; set it for the server, such as with \
                 `Environment=` or `EnvironmentFile=` in its systemd unit, and for `vhost check`"
            ));
        };
        meant.push_str(&value);
        held.push(value);
        rest = &after[name.len() + 1..];
    }
    meant.push_str(rest);
    Ok(Followed { meant, held })
}

/// Whether a text of a file refers to the environment.
pub(super) fn refers(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if !before.ends_with('$') && name_in(after).is_some() {
            return true;
        }
        rest = after;
    }
    false
}

/// A text as a file has to write it, so that nothing in it is taken for a reference.
pub fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

/// What a text of a file that refers to nothing stands for.
pub(super) fn unescape(text: &str) -> String {
    text.replace("$${", "${")
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
            assert_eq!(refers(text), held > 0, "{text}");
            if held == 0 {
                assert_eq!(unescape(text), meant, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_reference_says_what_would_be_one() {
        for text in ["${", "${}", "${A B}", "${1}", "x${A", "${A:-b}", "${é}"] {
            assert!(followed(text).expect_err(text).contains("between the braces"), "{text}");
            assert!(!refers(text), "{text}");
        }
        assert!(followed("${NONE}").expect_err("unset").contains("`NONE` is not set"));
    }

    proptest::proptest! {
        #[test]
        fn an_escaped_text_means_itself(text in r"[ab${}]{0,20}") {
            let escaped = escape(&text);
            proptest::prop_assert!(!refers(&escaped));
            let followed = follow(&escaped, &|_| None);
            proptest::prop_assert_eq!(followed.ok().map(|f| f.meant), Some(text));
        }
    }
}
