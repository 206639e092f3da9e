//! `[[notify]]` and `[[hooks]]`.

use super::*;
use crate::config::{CallBy, Secret};
use crate::model::NotifyKind;

#[test]
fn targets_and_hooks_are_read_with_their_defaults() {
    let config = valid(&format!(
        "{PROXY}[[notify]]\nname = \"chat\"\nurl = \"https://a.test/h\"\nsecret = \"${{NOTIFY_SECRET}}\"\n\
         events = [\"health\"]\ntimeout_secs = 3\n[[notify]]\nname = \"log\"\nexec = [\"/bin/log\", \"-x\"]\n\
         [[hooks]]\nname = \"approve\"\nexec = [\"/bin/ok\"]\n"
    ));
    let [chat, log] = &config.notify[..] else { panic!("{:?}", config.notify) };
    let CallBy::Url { url, secret, ca_file: None } = &chat.callee.by else { panic!("{chat:?}") };
    assert_eq!((url.as_str(), &chat.events[..]), ("https://a.test/h", &[NotifyKind::Health][..]));
    assert_eq!(secret.as_ref().map(Secret::reveal), Some("of-the-environment"));
    assert!(!format!("{chat:?}").contains("of-the-environment"), "{chat:?}");
    assert_eq!(chat.callee.timeout, Duration::from_secs(3));
    assert_eq!(log.callee.by, CallBy::Exec(vec!["/bin/log".into(), "-x".into()]));
    assert_eq!((log.events.len(), log.callee.timeout), (5, Duration::from_secs(10)));
    assert_eq!(config.hooks[0].timeout, Duration::from_secs(30));
    let shown = config.effective.iter().find(|setting| setting.key == "notify").unwrap();
    let shown = shown.value.as_ref().unwrap().to_string();
    assert!(shown.contains("${NOTIFY_SECRET}") && !shown.contains("of-the"), "{shown}");
}

#[test]
fn each_mistake_in_them_says_what_would_be_right() {
    for (text, expected) in [
        ("url = \"http://a\"", "3: notify[0].name: missing; add `name = \"chat\"`"),
        ("name = \"a b\"\nurl = \"http://a\"", "use letters, digits, `-` and `_`"),
        ("name = \"n\"", "3: notify[\"n\"]: it says nobody to call; add `url = "),
        ("name = \"n\"\nurl = \"ftp://a\"", "write a URL that begins with `https://` or `http://`"),
        ("name = \"n\"\nurl = \"http://u:p@a\"", "it has a user before the host"),
        ("name = \"n\"\nurl = \"http://a\"\nexec = [\"/x\"]", "there is a `url` as well"),
        ("name = \"n\"\nexec = []", "it is empty; write the absolute path of a program first"),
        ("name = \"n\"\nexec = [\"x\"]", "notify[\"n\"].exec[0]: `x`: write the absolute path"),
        ("name = \"n\"\nexec = [\"/x\"]\nca_file = \"/y\"", "ca_file: only a `url` uses it"),
        ("name = \"n\"\nurl = \"http://a\"\nevents = [\"boot\"]", "`switch`"),
        ("name = \"n\"\nurl = \"http://a\"\nevents = []", "it is empty; name at least one"),
        ("name = \"n\"\nurl = \"http://a\"\ntimeout_secs = 0", "timeout_secs: `0`"),
        (
            "name = \"n\"\nurl = \"http://a\"\n[[notify]]\nname = \"n\"\nurl = \"http://b\"",
            "another one has this name",
        ),
    ] {
        let found = problem(&format!("[[notify]]\n{text}\n"));
        assert!(found.contains(expected), "`{expected}` is not in `{found}`");
    }
    let many = "[[hooks]]\nname = \"n\"\nexec = [\"/x\"]\n".repeat(17);
    let found = problems(&format!("{PROXY}{many}"));
    assert!(
        found.iter().any(|problem| problem.to_string().contains("there are 17; keep at most 16"))
    );
}

#[test]
fn a_secret_that_stands_in_the_file_is_refused_and_not_repeated() {
    let found = problem("[[notify]]\nname = \"n\"\nurl = \"http://a\"\nsecret = \"hunter2\"\n");
    assert!(found.contains("${NOTIFY_SECRET}") && !found.contains("hunter2"), "{found}");
    let unset = problem("[[notify]]\nname = \"n\"\nurl = \"http://a\"\nsecret = \"${UNSET}\"\n");
    assert!(unset.contains("UNSET"), "{unset}");
}
