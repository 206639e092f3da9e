//! Names of domains are shown as people write them, and scripts go on to see their ASCII form.

use serde_json::{Value, json};

use crate::harness::*;

const ASCII: &str = "xn--bcher-kva.example";
const UNICODE: &str = "bücher.example";

/// Hebrew, which would turn the line that it stands on.
const RIGHT_TO_LEFT: &str = "xn--9dbne9b.test";

fn site() -> (Backend, Vhost) {
    let backend = Backend::start("w1");
    let vhost = Setup::new()
        .domain(UNICODE, "a")
        .domain("plain.test", "a")
        .domain(RIGHT_TO_LEFT, "a")
        .backend("w1", backend.address(), &["a", "b"])
        .start();
    vhost.wait_until_healthy(1);
    (backend, vhost)
}

#[test]
fn people_see_a_name_as_it_is_written_and_scripts_as_it_was() {
    let (_backend, vhost) = site();
    assert_eq!(vhost.get(ASCII, "/").status, 200);
    let names = |args: &[&str]| {
        let list = vhost.ctl_ok(args).stdout;
        let rows = list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned());
        rows.skip(1).collect::<Vec<_>>()
    };
    let shown = ["plain.test", RIGHT_TO_LEFT, UNICODE];
    for list in [&["domain", "list"][..], &["cert", "list"], &["stats", "--sort", "name"]] {
        let mut names = names(list);
        names.sort_by_key(|name| shown.iter().position(|one| one == name));
        assert_eq!(names, shown, "{list:?}");
    }
    let wide = vhost.ctl_ok(&["domain", "list", "-o", "wide"]).stdout;
    let row = wide.lines().find(|line| line.starts_with(UNICODE)).expect("a row");
    assert!(row.split_whitespace().any(|cell| cell == ASCII), "{wide}");
    let top = vhost.ctl_ok(&["top", "--once"]).stdout;
    assert!(top.lines().any(|line| line.starts_with("bücher.example  ")), "{top}");

    let json = vhost.ctl_json(&["domain", "show", UNICODE]);
    assert_eq!((&json["domain"], &json["unicode"]), (&json!(ASCII), &json!(UNICODE)));
    for same in ["plain.test", RIGHT_TO_LEFT] {
        let json = vhost.ctl_json(&["domain", "show", same]);
        assert_eq!((&json["domain"], &json["unicode"]), (&json!(same), &Value::Null));
    }
    let stats = vhost.ctl_json(&["stats", ASCII]);
    assert_eq!(stats["domains"][0]["unicode"], UNICODE);
    let cert = vhost.ctl_json(&["cert", "show", UNICODE]);
    assert_eq!((&cert["name"], &cert["unicode"]), (&json!(ASCII), &json!(UNICODE)));
    let log = vhost.log();
    assert!(!log.contains("bücher"), "logs have the name that others know");
}

#[test]
fn messages_name_a_domain_as_it_is_written() {
    let (_backend, vhost) = site();
    let changed = vhost.ctl_ok(&["domain", "set", ASCII, "--alias", "www.bücher.example"]);
    assert_eq!(changed.stderr, "bücher.example: aliases none → www.bücher.example (revision 2)\n");
    let unknown = vhost.ctl(&["domain", "show", "bücher.exampl"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (4, ""));
    assert_eq!(
        unknown.stderr,
        "error: cannot show `bücher.exampl`\ncause: unknown domain `bücher.exampl`\n\
         hint: did you mean `bücher.example`?\n"
    );
    let scripts = vhost.ctl(&["-o", "json", "domain", "show", "bücher.exampl"]).stderr;
    let scripts: Value = serde_json::from_str(&scripts).unwrap();
    assert_eq!(scripts["error"]["message"], "unknown domain `xn--bcher-kva.exampl`");
    let switched = vhost.ctl_ok(&["switch", UNICODE, "b"]);
    assert!(switched.stderr.contains("bücher.example a → b at revision"), "{switched:?}");
    let history = vhost.ctl_ok(&["history", UNICODE]).stdout;
    assert!(history.contains("bücher.example a → b, done"), "{history}");
    assert!(history.contains("bücher.example aliases: none → www.bücher.example"), "{history}");
    assert!(!history.contains("xn--"), "{history}");
    let explained = vhost.ctl_ok(&["explain", "http://www.bücher.example/"]).stdout;
    assert!(
        explained.contains("bücher.example, exact by its alias www.bücher.example"),
        "{explained}"
    );
    vhost.ctl_ok(&["domain", "pause", UNICODE]);
    let warned = vhost.ctl(&["status", "--check", "--quiet"]);
    assert_eq!(warned.code, 1);
    assert!(warned.stdout.starts_with("`bücher.example` is paused, "), "{warned:?}");
}

#[test]
fn both_forms_of_a_name_are_completed() {
    let (_backend, vhost) = site();
    let complete = |prefix: &str| {
        let params = json!({"noun": "domain", "prefix": prefix});
        let list = vhost.rpc("name.complete", params).unwrap()["names"].take();
        list.as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    for prefix in ["b", "bü", "xn--b"] {
        assert_eq!(complete(prefix), [ASCII], "{prefix}");
    }
    // The shell gets the form that is being typed.
    let typed = |word: &str| {
        let mut command = std::process::Command::new(vhost_binary());
        command.args(["completions", "fish", "--", "vhost", "ctl", "domain", "show", word]);
        command.env("VHOST_SOCKET", vhost.socket());
        RunningCtl::of(command).wait()
    };
    for (word, offered) in [("b", UNICODE), ("bü", UNICODE), ("xn--b", ASCII)] {
        let output = typed(word);
        assert_eq!((output.code, output.stdout), (0, format!("{offered}\tlive a\n")), "{word}");
    }
}
