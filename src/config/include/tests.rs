use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::config::load::{inspect, load};
use crate::config::{Config, ConfigError, Problem};
use crate::model::TlsMode;
use crate::tls::testing::self_signed_pem;

const MAIN: &str = "include = [\"conf.d/*.toml\"]\n[proxy]\nlisten_addr_http = \"127.0.0.1:80\"\nstate_dir = \"/state\"\n";

fn backend(id: &str, tag: &str) -> String {
    format!("[[backends]]\nid = \"{id}\"\naddress = \"127.0.0.1:1\"\ntags = [\"{tag}\"]\n")
}

fn domain(name: &str, tag: &str) -> String {
    format!("[[virtual_hosts]]\ndomain = \"{name}\"\nenabled_backends_tag = \"{tag}\"\n")
}

/// The files of a test, in a directory of its own.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the test");
        fs::create_dir(directory.path().join("conf.d")).unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn load(&self) -> Result<Config, ConfigError> {
        load(&self.0.path().join("vhost.toml"))
    }

    fn valid(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The problems as they are printed, without the test's directory.
    fn told(&self) -> Vec<String> {
        let text = self.load().expect_err("something is wrong").to_string();
        let text = text.replace(&format!("{}/", self.0.path().display()), "");
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.pop();
        lines
    }

    fn problems(&self) -> Vec<Problem> {
        inspect(&self.0.path().join("vhost.toml")).expect("it can be read").problems
    }
}

#[test]
fn what_included_files_declare_joins_the_main_file_by_name() {
    let files = Files::new(&[
        ("vhost.toml", &format!("{MAIN}{}", domain("main.example", "b"))),
        ("conf.d/b.toml", &backend("two", "b")),
        ("conf.d/a.toml", &format!("{}{}", domain("a.example", "b"), backend("one", "a"))),
        ("conf.d/.hidden.toml", "no toml"),
        ("conf.d/notes.txt", "no toml"),
    ]);
    fs::create_dir(files.0.path().join("conf.d/directory.toml")).unwrap();
    let config = files.valid();
    let ids: Vec<_> = config.declared.backends.iter().map(|b| b.id.as_str()).collect();
    assert_eq!(ids, ["one", "two"]);
    let names: Vec<_> = config.declared.domains.iter().map(|d| d.domain.to_string()).collect();
    assert_eq!(names, ["main.example", "a.example"]);
    let read: Vec<_> = config.files.iter().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(read, ["vhost.toml", "a.toml", "b.toml"]);
}

#[test]
fn a_pattern_without_matches_is_fine_and_a_name_without_a_file_is_not() {
    let files = Files::new(&[("vhost.toml", MAIN)]);
    assert_eq!(files.valid().files.len(), 1);
    let files = Files::new(&[("vhost.toml", &MAIN.replace("*.toml", "shop.toml"))]);
    assert_eq!(
        files.told(),
        ["vhost.toml:1: include[0]: `conf.d/shop.toml`: there is no file `conf.d/shop.toml`; a \
             pattern such as `conf.d/*.toml` may match none"]
    );
    let files = Files::new(&[("vhost.toml", &MAIN.replace("conf.d/*.toml", "conf.d"))]);
    assert!(files.told()[0].ends_with("write `conf.d/*.toml`"), "{:?}", files.told());
    let files = Files::new(&[("vhost.toml", &MAIN.replace("*.toml", "***"))]);
    assert!(files.told()[0].contains("no valid pattern"), "{:?}", files.told());
}

#[test]
fn the_files_of_a_certificate_are_found_from_the_file_that_names_them() {
    let (cert, key) = self_signed_pem(&["a.example"]);
    let tls = "tls = { cert = \"a.pem\", key = \"../a.key\" }\n";
    let included = format!("{}{tls}{}", domain("a.example", "a"), backend("one", "a"));
    let files = Files::new(&[
        ("vhost.toml", MAIN),
        ("conf.d/a.toml", &included),
        ("conf.d/a.pem", &cert),
        ("a.key", &key),
    ]);
    let TlsMode::Files { cert, key } = &files.valid().declared.domains[0].top.tls else {
        panic!("the files are named");
    };
    assert_eq!(*cert, files.0.path().join("conf.d/a.pem"));
    assert_eq!(*key, files.0.path().join("conf.d/../a.key"));
}

#[test]
fn a_file_is_read_once_and_never_includes_itself() {
    let files = Files::new(&[
        (
            "vhost.toml",
            &MAIN.replace("\"conf.d/*.toml\"", "\"*.toml\", \"conf.d/a.toml\", \"conf.d/*\""),
        ),
        ("conf.d/a.toml", &backend("one", "a")),
        ("other.toml", &backend("two", "a")),
    ]);
    assert_eq!(files.valid().declared.backends.len(), 2);
}

#[test]
fn the_problems_of_all_files_are_told_at_once_each_in_its_own() {
    let files = Files::new(&[
        ("vhost.toml", &format!("{MAIN}threads = 0\n")),
        ("conf.d/a.toml", &format!("{}weight = 0\n", backend("one", "a"))),
        ("conf.d/b.toml", "[[backends]]\nid = \"x\"\n[proxy]\nthreads = 1\n"),
        ("conf.d/c.toml", "[[backends\n"),
        ("conf.d/d.toml", "include = [\"e.toml\"]\nbackend = 1\nthreads = 1\n"),
    ]);
    fs::write(files.0.path().join("conf.d/e.toml"), b"# \xff").unwrap();
    let told = files.told();
    let starts = [
        "vhost.toml:5: proxy.threads: `0`: use 1 to 1024",
        "conf.d/a.toml:5: backends[\"one\"].weight: `0`: use 1 to 1000",
        "conf.d/b.toml:1: backends[\"x\"].address: missing",
        "conf.d/b.toml:1: backends[\"x\"].tags: missing",
        "conf.d/b.toml:3: proxy: `[proxy]` belongs in the main file, `vhost.toml`",
        "conf.d/c.toml:1: column",
        "conf.d/d.toml:1: include: a file that is included cannot include others; name them in",
        "conf.d/d.toml:2: backend: unknown key; did you mean `backends`?",
        "conf.d/d.toml:3: threads: unknown key here; it belongs in `[proxy]`",
        "conf.d/e.toml:1: column 3: not UTF-8",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (line, start) in told.iter().zip(starts) {
        assert!(line.starts_with(start), "   found: {line}\nexpected: {start}");
    }
    let error = files.load().expect_err("ten problems").to_string();
    assert!(error.ends_with("\n10 problems in 6 files"), "{error}");
}

#[test]
fn what_occurs_twice_names_both_places() {
    let files = Files::new(&[
        ("vhost.toml", &format!("{MAIN}{}{}", backend("one", "a"), domain("x.example", "a"))),
        ("conf.d/a.toml", &format!("{}{}", backend("one", "a"), domain("x.example", "a"))),
    ]);
    assert_eq!(
        files.told(),
        [
            "conf.d/a.toml:2: backends[\"one\"].id: `one`: the backend on line 6 of `vhost.toml` has this id",
            "conf.d/a.toml:6: virtual_hosts[\"x.example\"].domain: `x.example`: line 10 of `vhost.toml` has this \
             name already (`virtual_hosts[\"x.example\"].domain`)",
        ]
    );
}

#[test]
fn a_tag_may_be_carried_by_a_backend_of_another_file_also_of_one_that_is_broken() {
    let main = format!("{MAIN}{}", domain("x.example", "c"));
    let files = Files::new(&[("vhost.toml", &main), ("conf.d/a.toml", &backend("one", "a"))]);
    assert!(files.told()[0].ends_with("no backend carries this tag; the only tag is `a`"));
    let files = Files::new(&[("vhost.toml", &main), ("conf.d/a.toml", "[[backends")]);
    assert_eq!(files.problems().len(), 1, "{:?}", files.problems());
    let main = main.replace("*.toml\"", "*.toml\", \"none.toml\"");
    let files = Files::new(&[("vhost.toml", &main), ("conf.d/a.toml", &backend("one", "a"))]);
    assert_eq!(files.problems().len(), 1, "{:?}", files.problems());
}

#[test]
fn an_included_file_that_cannot_be_read_is_told_by_name() {
    if nix::unistd::geteuid().is_root() {
        // Root reads everything; a link to itself is not readable for anyone.
        let files = Files::new(&[("vhost.toml", MAIN)]);
        let link = files.0.path().join("conf.d/loop.toml");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        assert!(files.told()[0].contains("cannot read `conf.d/loop.toml`"), "{:?}", files.told());
    } else {
        let files = Files::new(&[("vhost.toml", MAIN), ("conf.d/a.toml", "")]);
        let path = files.0.path().join("conf.d/a.toml");
        fs::set_permissions(path, PermissionsExt::from_mode(0o000)).unwrap();
        assert!(files.told()[0].contains("cannot read `conf.d/a.toml`"), "{:?}", files.told());
    }
}

#[test]
fn a_problem_says_where_it_begins_and_ends() {
    let files = Files::new(&[("vhost.toml", &format!("{MAIN}trusted_proxies = [\n  \"é/8\"]\n"))]);
    let found = &files.problems()[0];
    assert_eq!((found.line, found.column, found.end_line, found.end_column), (6, 3, 6, 8));
}
