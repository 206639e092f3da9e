//! Text of every kind: never a panic, and every error says where it is and what it is about.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseError;

use super::*;

/// Reads a text and holds what comes of it to what every answer promises.
fn read(text: &str) -> Result<(), TestCaseError> {
    let variable = |name: &str| (name == "SET").then(|| "s3cr3t".to_owned());
    let path = Path::new("/nonexistent/vhost.toml");
    let loaded = read_text(path, text, &Environment::new(&variable, 0));
    let (domains, problems) = (loaded.config.is_some(), loaded.problems.clone());
    prop_assert!(domains || !problems.is_empty(), "neither config nor problem");
    let lines = text.matches('\n').count() + 1;
    for problem in &problems {
        prop_assert_eq!(problem.file.as_path(), path);
        prop_assert!((1..=lines).contains(&problem.line), "{:?}", problem);
        prop_assert!((problem.line..=lines).contains(&problem.end_line), "{:?}", problem);
        prop_assert!(problem.column >= 1 && problem.end_column >= 1, "{:?}", problem);
        prop_assert!(problem.message.trim().len() > 4, "{:?}", problem);
        let told = problem.to_string();
        prop_assert!(!told.contains(char::is_control), "{:?}", told);
        prop_assert!(told.len() < 2000, "{:?}", told);
        prop_assert!(!told.contains("s3cr3t") || text.contains("s3cr3t"), "{:?}", told);
    }
    let told = loaded.into_result(path);
    prop_assert_eq!(told.is_ok(), problems.is_empty());
    Ok(())
}

/// A line of the example, or one with something else in it.
fn any_line() -> impl Strategy<Value = String> {
    let lines: Vec<String> = whole_example().lines().map(str::to_owned).collect();
    prop_oneof![
        select(lines),
        "[a-z_]{1,12} = (\"[^\"\n]{0,12}\"|-?[0-9.e]{1,9}|true|\\[\\]|\\{\\})",
        "\\[{1,2}(proxy|upstream|switch|backends|virtual_hosts|logging|[a-z.]{0,8})\\]{1,2}",
        "(id|address|domain|tags|state_dir|listen_addr|include) = [\"\\['][$]{0,2}[{]?(SET|NONE|[A-Z ]{0,4})[}]?[\"\\]']{1,2}",
        "\\PC{0,30}",
    ]
}

/// A value for any key: of the kind that it takes, nearly, or of another.
fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}").replace("inf", "1e999")),
        "[0-9_]{1,40}",
        "[+-]?(0x[0-9a-f]{1,20}|nan|inf|[0-9]{1,3}\\.[0-9]{1,12}e[+-]?[0-9]{1,4})",
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        "\"[a-z0-9:./*@\\[\\]_-]{0,80}\"",
        "\"(unix:|http://|\\*\\.|xn--)?[a-zé0-9.-]{0,70}(:[0-9]{0,6})?\"",
        "\"[$]{0,2}[{](SET|NONE|)[}][a-z:0-9.]{0,6}\"",
        "\\[(\"[a-z0-9./:]{0,9}\"(, )?){0,3}\\]",
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("{ a = 1 }".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "(?s).{0,400}") {
        read(&text)?;
    }

    #[test]
    fn toml_like_text(
        text in "([\\[\\]{}=\",.#\n '\"a-z0-9_$-]|proxy|\\[\\[|\u{e9}|[$][{]SET[}]){0,200}") {
        read(&text)?;
    }

    #[test]
    fn the_example_with_bytes_changed(
        cuts in proptest::collection::vec(
            (any::<Index>(), 0usize..40, "(?s).{0,6}|\\PC{0,3}|[\\[\\]{}\"=$\n]{1,3}"), 1..6),
    ) {
        let mut text: Vec<char> = whole_example().chars().collect();
        for (at, length, new) in cuts {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, new.chars());
        }
        read(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn the_example_with_lines_changed(
        edits in proptest::collection::vec((any::<Index>(), any_line(), 0..4_u8), 1..8),
    ) {
        let mut lines: Vec<String> = whole_example().lines().map(str::to_owned).collect();
        for (at, line, what) in edits {
            let at = at.index(lines.len());
            match what {
                0 => lines[at] = line,
                1 => lines.insert(at, line),
                2 => lines.insert(at, lines[at].clone()),
                _ if lines.len() > 1 => drop(lines.remove(at)),
                _ => {}
            }
        }
        read(&lines.join("\n"))?;
    }

    #[test]
    fn the_example_with_values_changed(
        edits in proptest::collection::vec((any::<Index>(), any_value()), 1..8),
    ) {
        let mut lines: Vec<String> = whole_example().lines().map(str::to_owned).collect();
        let keys: Vec<usize> = (0..lines.len())
            .filter(|at| lines[*at].contains(" = ") && !lines[*at].starts_with('#'))
            .collect();
        for (at, value) in edits {
            let at = keys[at.index(keys.len())];
            let (key, _) = lines[at].split_once(" = ").expect("a key");
            lines[at] = format!("{key} = {value}");
        }
        read(&lines.join("\n"))?;
    }

    #[test]
    fn arguments_of_any_text(text in "\\PC{0,60}|[a-z0-9.=:,*\\[\\]/-]{0,60}") {
        for error in [
            text.parse::<crate::config::Route>().err(),
            text.parse::<crate::config::BackendArgument>().err(),
        ].into_iter().flatten() {
            prop_assert!(error.reason.len() > 4, "{}", error);
        }
        if let Err(message) = crate::config::listen_address(&text) {
            prop_assert!(message.len() > 4);
        }
    }
}
