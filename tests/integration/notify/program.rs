//! Programs that are run for events.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Site;
use super::receiver::SOON;
use crate::harness::*;

/// A program of these lines.
pub(super) fn program(directory: &Path, name: &str, lines: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("the program is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("it may be run");
    path
}

#[test]
fn a_program_gets_the_event_on_its_standard_input_and_no_environment_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let lines = format!(
        "env > {0}/env.new; printf '%s\\n' \"$@\" > {0}/arguments; cat > {0}/input.new\n\
         mv {0}/env.new {0}/env; mv {0}/input.new {0}/input",
        path.display()
    );
    let program = program(path, "notified", &lines);
    let injected = path.join("injected");
    let argument = format!("$(touch {0}); touch {0}", injected.display());
    let entry = format!(
        "[[notify]]\nname = \"program\"\nexec = [{:?}, {argument:?}, \"two words\"]\n\
         events = [\"switch\"]\n",
        program.display().to_string(),
    );
    let site = Site::start_with(&entry, |setup| setup.env("A_SECRET", "n0t-for-programs".into()));
    site.switch("b");
    let done = || {
        let text = fs::read(path.join("input")).ok()?;
        let input: Value = serde_json::from_slice(&text).expect("JSON");
        (input["event"]["outcome"]["state"] == "done").then_some(input)
    };
    let input = eventually_some("the program was run", SOON, done);
    assert_eq!(input["event"]["steps"][0]["to"], "b");
    let arguments = fs::read_to_string(path.join("arguments")).unwrap();
    assert_eq!(arguments, format!("{argument}\ntwo words\n"));
    assert!(!injected.exists(), "a shell has read the arguments");
    let environment = fs::read_to_string(path.join("env")).unwrap();
    assert!(environment.contains("VHOST_EVENT=switch\n"), "{environment}");
    assert!(!environment.contains("n0t-for-programs"), "{environment}");
    // A shell sets some itself.
    let of_a_shell = ["PWD", "OLDPWD", "SHLVL", "_"];
    let names = environment.lines().filter_map(|line| Some(line.split_once('=')?.0));
    let others: Vec<_> = names.filter(|name| !of_a_shell.contains(name)).collect();
    assert_eq!(others.len(), 2, "{others:?}");
}

#[test]
fn a_program_that_fails_is_run_again_and_its_words_are_logged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let lines = format!(
        "cat > /dev/null; if [ -e {0}/failed ]; then touch {0}/done; exit 0; fi\n\
         touch {0}/failed; echo no network >&2; exit 7",
        path.display()
    );
    let entry = format!(
        "[[notify]]\nname = \"program\"\nexec = [{:?}]\n",
        program(path, "failing", &lines).display().to_string(),
    );
    let site = Site::start(&entry);
    site.switch("b");
    eventually("it was run again", SOON, || path.join("done").exists());
    site.vhost.wait_for_log("it ended with status 7: no network");
}
