//! What is generated from the command line's definition is in step with it. `./dev bless` (or
//! `VHOST_BLESS=1`) writes it anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vhost::model::{Reason, RequestVariable};
use vhost::telemetry::AccessField;

const VHOST: &str = env!("CARGO_BIN_EXE_vhost");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn vhost(args: &[&str]) -> Vec<u8> {
    let output = Command::new(VHOST).args(args).output().expect("vhost runs");
    assert!(output.status.success(), "{args:?}: {output:?}");
    output.stdout
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("a name");
        (name, fs::read(entry.path()).expect("a file"))
    };
    entries.map(file).collect()
}

#[test]
fn the_manual_pages_are_those_of_the_commands() {
    let directory = tempfile::tempdir().expect("a directory");
    vhost(&["man", directory.path().to_str().expect("UTF-8")]);
    let generated = files(directory.path());
    let committed = root().join("man");
    if std::env::var_os("VHOST_BLESS").is_some() {
        let _ = fs::remove_dir_all(&committed);
        fs::create_dir_all(&committed).expect("a directory");
        for (name, page) in &generated {
            fs::write(committed.join(name), page).expect("a page is written");
        }
    }
    let kept = files(&committed);
    let names = |pages: &BTreeMap<String, Vec<u8>>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&generated), "man/ has other pages; run `./dev bless`");
    for (name, page) in &generated {
        assert!(kept[name] == *page, "man/{name} is not of this version; run `./dev bless`");
    }
    assert_eq!(vhost(&["man"]), generated["vhost.1"]);
}

/// One row for each reason, as its table in `src/model/reason.rs` has it.
#[test]
fn the_page_of_the_logs_has_the_reasons_of_the_code() {
    let table = |is_of_connection: bool| {
        let rows = Reason::all().filter(|reason| reason.is_of_connection() == is_of_connection);
        let rows = rows.map(|reason| {
            let row = reason.row();
            let status = row.answer.map(|(status, _)| status.as_str().to_owned());
            let (status, blame) = (status.unwrap_or_default(), row.blame);
            format!("| `{}` | {status} | {blame} | {} | {} |\n", row.name, row.meaning, row.remedy)
        });
        "| reason | status | blame | what it means | what to do |\n|---|---|---|---|---|\n"
            .to_owned()
            + &rows.collect::<String>()
    };
    let path = root().join("docs/logs.md");
    let page = fs::read_to_string(&path).expect("the page");
    let page_of_code = replaced(&page, "reasons of requests", &table(false));
    let page_of_code = replaced(&page_of_code, "reasons of connections", &table(true));
    if std::env::var_os("VHOST_BLESS").is_some() {
        fs::write(&path, page_of_code).expect("the page is written");
    } else {
        assert!(page == page_of_code, "docs/logs.md is not of this version; run `./dev bless`");
    }
}

/// A row of a page's table for each field of the access log, and for each variable of requests.
#[test]
fn the_pages_have_the_fields_and_the_variables_of_the_code() {
    let fields = AccessField::rows().iter().map(|row| (row.name.to_owned(), row.meaning));
    let variables =
        RequestVariable::ALL.map(|variable| (format!("${{{variable}}}"), variable.meaning()));
    for (file, part, what, rows) in [
        ("docs/logs.md", "fields of the access log", "field", fields.collect::<Vec<_>>()),
        ("docs/hosts.md", "variables of requests", "variable", variables.to_vec()),
    ] {
        let rows = rows.iter().map(|(name, meaning)| format!("| `{name}` | {meaning} |\n"));
        let table = format!("| {what} | meaning |\n|---|---|\n{}", rows.collect::<String>());
        let path = root().join(file);
        let page = fs::read_to_string(&path).expect("the page");
        let page_of_code = replaced(&page, part, &table);
        if std::env::var_os("VHOST_BLESS").is_some() {
            fs::write(&path, page_of_code).expect("the page is written");
        } else {
            assert!(page == page_of_code, "{file} is not of this version; run `./dev bless`");
        }
    }
}

/// A page with another text between the marks of `part`.
fn replaced(page: &str, part: &str, text: &str) -> String {
    let begin = format!("<!-- {part}: written by ./dev bless -->\n");
    let (before, rest) = page.split_once(&begin).expect("the page has the mark");
    let (_, after) = rest.split_once("<!-- end -->").expect("the mark has an end");
    format!("{before}{begin}{text}<!-- end -->{after}")
}

#[test]
fn the_example_is_that_of_the_settings() {
    let (path, example) = (root().join("config.example.toml"), vhost(&["schema", "--example"]));
    if std::env::var_os("VHOST_BLESS").is_some() {
        fs::write(&path, &example).expect("the example is written");
    }
    let kept = fs::read(&path).expect("the example");
    assert!(kept == example, "config.example.toml is not of this version; run `./dev bless`");
}

#[test]
fn groff_finds_nothing_wrong_with_the_manual_pages() {
    for name in files(&root().join("man")).keys() {
        let output = Command::new("groff")
            .args(["-man", "-ww", "-Kutf8", "-Tutf8", "-z"])
            .arg(root().join("man").join(name))
            .output()
            .expect("groff runs; `./dev test` installs it");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && words.is_empty(), "{name}: {words}");
    }
}

#[test]
fn elvish_reads_its_script() {
    // The editor's module is there only on a terminal: this is what the script uses of it.
    let program = r"
        var offer~ = {|value &display=''| put $display }
        var arguments = (ns [&arg-completer=[&]])
        var edit: = (ns [&completion:=$arguments &complex-candidate~=$offer~])
        eval (slurp < completions/vhost.elv) &ns=(ns [&edit:=$edit:])
        $edit:completion:arg-completer[vhost] vhost ctl sw
    ";
    let folder = Path::new(VHOST).parent().expect("it is in a folder").display().to_string();
    let output = Command::new("elvish")
        .args(["-norc", "-c", program])
        .current_dir(root())
        .env("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap_or_default()))
        .output()
        .expect("elvish runs; `./dev test` installs it");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("switch (Move a domain"), "{text}{output:?}");
}

/// The scripts are written by hand and part of the program: it prints the files.
#[test]
fn the_completion_scripts_are_those_that_vhost_prints() {
    let mut kept = files(&root().join("completions"));
    for (shell, file) in [
        ("bash", "vhost.bash"),
        ("zsh", "_vhost"),
        ("fish", "vhost.fish"),
        ("elvish", "vhost.elv"),
        ("powershell", "_vhost.ps1"),
    ] {
        let script = kept.remove(file).expect(file);
        assert!(vhost(&["completions", shell]) == script, "build vhost again: {file} has changed");
    }
    assert!(kept.is_empty(), "{:?}", kept.keys());
}
