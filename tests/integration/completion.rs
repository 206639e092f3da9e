//! Completion as a user of bash, zsh and fish sees it, and as fast as one expects it.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::*;

/// A shell with `vhost` on its path and its script loaded, in a directory of its own.
struct Shell {
    kind: Kind,
    home: tempfile::TempDir,
    socket: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bash,
    Zsh,
    Fish,
}

const SHELLS: [Kind; 3] = [Kind::Bash, Kind::Zsh, Kind::Fish];

/// Readline inserts every completion into the line; a key of its own then writes the line down.
const BASH: &str = r#"
PS1='$ '
source vhost.bash
save() { printf '%s\n' "$READLINE_LINE" > line; exit; }
bind -x '"\C-x\C-p": save'
"#;
const BASH_KEYS: &str = "\x1b*\x18\x10";

/// The same in zsh, whose line editor wants a terminal: another zsh makes one.
const ZSH: &str = r"
PS1='$ '
fpath=($PWD $fpath)
autoload -Uz compinit
compinit -u -D
all() { _main_complete; compstate[insert]=all; compstate[list]= }
zle -C all complete-word all
bindkey '^X^A' all
save() { print -r -- $BUFFER > line; exit }
zle -N save
bindkey '^X^P' save
";
const ZSH_KEYS: &str = r#"
zmodload zsh/zpty
zpty shell zsh -i
zpty -w -n shell "$1"$'\x18\x01\x18\x10'
while zpty -r shell seen; do :; done
"#;

impl Shell {
    fn new(kind: Kind, socket: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
        let (shell, file, setup) = match kind {
            Kind::Bash => ("bash", "vhost.bash", (".bashrc", BASH)),
            Kind::Zsh => ("zsh", "_vhost", (".zshrc", ZSH)),
            Kind::Fish => ("fish", "vhost.fish", ("keys", "")),
        };
        let script = Command::new(vhost_binary()).args(["completions", shell]).output().unwrap();
        assert!(script.status.success(), "{script:?}");
        write(file, &String::from_utf8(script.stdout).unwrap());
        write(setup.0, setup.1);
        write("keys.zsh", ZSH_KEYS);
        Self { kind, home, socket: socket.to_owned() }
    }

    /// What the shell offers for the last word of `line`.
    #[track_caller]
    fn offers(&self, line: &str) -> BTreeSet<String> {
        let (words, talk) = self.complete(line);
        assert_eq!(talk, "", "{:?} is not told anything at {line:?}", self.kind);
        words
    }

    fn complete(&self, line: &str) -> (BTreeSet<String>, String) {
        let mut command = match self.kind {
            Kind::Bash => {
                let mut command = Command::new("bash");
                command.args(["--noprofile", "--rcfile", ".bashrc", "-i"]);
                command
            }
            Kind::Zsh => {
                let mut command = Command::new("zsh");
                command.args(["-f", "keys.zsh", line]);
                command
            }
            Kind::Fish => {
                let mut command = Command::new("fish");
                let script = "source vhost.fish; complete -C \"$argv[1]\"";
                command.args(["--no-config", "-c", script, line]);
                command
            }
        };
        let folder = Path::new(vhost_binary()).parent().unwrap().display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        command
            .current_dir(self.home.path())
            .env("PATH", path)
            .env("HOME", self.home.path())
            .env("ZDOTDIR", self.home.path())
            .env("VHOST_SOCKET", &self.socket)
            .env_remove("XDG_CONFIG_HOME");
        if self.kind == Kind::Bash {
            let keys = self.home.path().join("keys");
            std::fs::write(&keys, format!("{line}{BASH_KEYS}")).unwrap();
            command.stdin(std::fs::File::open(keys).unwrap());
        } else {
            command.stdin(Stdio::null());
        }
        let output = command.output().unwrap_or_else(|error| {
            panic!("{:?}: {error}; `./dev test` installs the shells", self.kind)
        });
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        if self.kind == Kind::Fish {
            let lines = String::from_utf8(output.stdout).unwrap();
            // Behind the tab there is the description.
            let words = lines.lines().map(|line| line.split('\t').next().unwrap().to_owned());
            return (words.collect(), talk);
        }
        let saved = std::fs::read_to_string(self.home.path().join("line"))
            .unwrap_or_else(|error| panic!("{:?} at {line:?}: {error}: {talk}", self.kind));
        // Bash's line editor speaks on standard error; what `vhost` says would stand there too.
        let talk = talk.lines().filter(|line| line.starts_with("error:")).collect();
        if saved.strip_suffix('\n') == Some(line) {
            return (BTreeSet::new(), talk);
        }
        let typed = line.rsplit(' ').next().unwrap();
        let start = line.len() - typed.len();
        let words = saved[start..].split_whitespace().map(|word| word.replace('\\', ""));
        (words.collect(), talk)
    }
}

fn server() -> (Vhost, Backend) {
    let backend = Backend::start("web-v1");
    let server = Setup::new()
        .domain_with("example.com", "a", "aliases = [\"www.example.com\"]")
        .domain("example.org", "a")
        .domain("*.example.com", "b")
        .domain("*", "b")
        .backend("web-v1", backend.address(), &["a"])
        .backend("web-v2", refusing_address(), &["b", "shop-blue"])
        .start();
    (server, backend)
}

#[track_caller]
fn assert_offers(shell: &Shell, line: &str, expected: &[&str]) {
    let expected: BTreeSet<_> = expected.iter().map(|word| (*word).to_owned()).collect();
    assert_eq!(shell.offers(line), expected, "{:?} at {line:?}", shell.kind);
}

#[test]
fn names_come_from_the_running_server_in_bash_zsh_and_fish() {
    let (server, _backend) = server();
    for shell in SHELLS.map(|kind| Shell::new(kind, &server.socket())) {
        for (line, expected) in [
            ("vhost ctl switch exa", &["example.com", "example.org"][..]),
            ("vhost ctl switch example.com ", &["a", "b", "shop-blue"]),
            ("vhost ctl switch example.com sh", &["shop-blue"]),
            ("vhost ctl switch example.com --also www", &["www.example.com"]),
            ("vhost ctl backend show ", &["web-v1", "web-v2"]),
            ("vhost ctl backend remove web-v2", &["web-v2"]),
            ("vhost ctl undo other", &[]),
            // What is new has no name yet.
            ("vhost ctl backend add web", &[]),
        ] {
            assert_offers(&shell, line, expected);
        }
        let all = ["*", "*.example.com", "example.com", "example.org", "www.example.com"];
        assert_offers(&shell, "vhost ctl domain show ", &all);
        assert_offers(&shell, r"vhost ctl domain show \*.", &["*.example.com"]);
    }
}

#[test]
fn commands_flags_and_files_are_completed() {
    let none = Path::new("/nonexistent/admin.sock");
    for shell in SHELLS.map(|kind| Shell::new(kind, none)) {
        assert_offers(&shell, "vhost ctl sw", &["switch"]);
        assert_offers(&shell, "vhost ctl domain rem", &["remove"]);
        assert_offers(&shell, "vhost ctl switch example.com --no-d", &["--no-drain"]);
        assert_offers(&shell, "vhost ctl --out", &["--output"]);
        std::fs::write(shell.home.path().join("site.toml"), "").unwrap();
        assert_offers(&shell, "vhost check sit", &["site.toml"]);
        assert_offers(&shell, "vhost serve --config sit", &["site.toml"]);
        assert_offers(&shell, "vhost ctl call switch.s", &["switch.start"]);
        assert!(shell.offers("vhost ").is_superset(&["serve", "ctl"].map(str::to_owned).into()));
        assert!(shell.offers("vhost ctl --color a").contains("always"));
    }
}

#[test]
fn all_options_are_offered_before_a_letter_of_one_is_typed() {
    let none = Path::new("/nonexistent/admin.sock");
    for shell in SHELLS.map(|kind| Shell::new(kind, none)) {
        for (line, some) in [
            ("vhost ctl domain set example.com --option ", ["max_body_bytes=", "tls=", "sticky."]),
            ("vhost ctl domain add example.com --option ", ["deny=", "tls.", "timeouts."]),
            ("vhost ctl domain set example.com --no-option ", ["deny", "sticky", "timeouts"]),
            ("vhost ctl backend set web --option ", ["weight=", "scheme=", "tls_ca_file="]),
            (
                "vhost ctl backend set web --no-option ",
                ["tls_ca_file", "tls_server_name", "connect_timeout_secs"],
            ),
        ] {
            let offered = shell.offers(line);
            let some = some.map(str::to_owned).into();
            assert!(offered.is_superset(&some), "{:?} at {line:?}: {offered:?}", shell.kind);
        }
    }
}

#[test]
fn the_socket_of_the_line_goes_before_that_of_the_environment() {
    let (server, _backend) = server();
    let socket = server.socket().display().to_string();
    for shell in SHELLS.map(|kind| Shell::new(kind, Path::new("/nonexistent/admin.sock"))) {
        let line = format!("vhost ctl --socket {socket} backend show web-v1");
        assert_offers(&shell, &line, &["web-v1"]);
        let line = format!("vhost ctl --socket={socket} domain show www");
        assert_offers(&shell, &line, &["www.example.com"]);
    }
}

#[test]
fn without_a_server_nothing_is_offered_and_nothing_said() {
    let directory = tempfile::tempdir().unwrap();
    let left = directory.path().join("left.sock");
    drop(UnixListener::bind(&left).unwrap());
    for socket in [Path::new("/nonexistent/admin.sock"), &left] {
        for shell in SHELLS.map(|kind| Shell::new(kind, socket)) {
            assert_offers(&shell, "vhost ctl switch exa", &[]);
            assert_offers(&shell, "vhost ctl switch example.com ", &[]);
        }
    }
}

#[test]
fn a_server_that_does_not_answer_costs_less_than_200_ms() {
    let directory = tempfile::tempdir().unwrap();
    let silent = directory.path().join("silent.sock");
    let _listener = UnixListener::bind(&silent).unwrap();
    for socket in [Path::new("/nonexistent/admin.sock"), &silent] {
        let ask = || {
            let start = Instant::now();
            let output = Command::new(vhost_binary())
                .args(["completions", "bash", "--", "vhost", "ctl", "switch", "exa"])
                .env("VHOST_SOCKET", socket)
                .output()
                .unwrap();
            assert_eq!((output.stdout, output.stderr), (vec![], vec![]));
            start.elapsed()
        };
        // Other tests run beside this one: the best of some is what it costs.
        let what = format!("{} costs less than 200 ms", socket.display());
        eventually(&what, Duration::from_secs(30), || ask() < Duration::from_millis(200));
    }
}

#[test]
fn descriptions_are_shown_where_the_shell_can() {
    let (server, _backend) = server();
    server.wait_for_health("web-v1", "healthy");
    let answer = |shell: &str, words: &[&str]| {
        let output = Command::new(vhost_binary())
            .args(["completions", shell, "--", "vhost", "ctl"])
            .args(words)
            .env("VHOST_SOCKET", server.socket())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(answer("fish", &["switch", "example.c"]), "example.com\tlive a\n");
    assert_eq!(answer("bash", &["cert", "renew", "example.c"]), "example.com\n");
    assert_eq!(answer("bash", &["cert", "import", "x", "--key", ""]), ":files\n");
    assert_eq!(answer("zsh", &["switch", "example.c"]), "example.com:live a\n");
    assert_eq!(answer("bash", &["switch", "example.c"]), "example.com\n");
    assert_eq!(answer("fish", &["switch", "www"]), "www.example.com\talias of example.com\n");
    assert_eq!(answer("elvish", &["switch", "x", "a"]), "a\t1 of 1 backend healthy\n");
    assert_eq!(answer("powershell", &["backend", "show", "web-v1"]), "web-v1\thealthy, a\n");
}

#[test]
fn many_names_are_bounded_and_do_not_mislead() {
    let names: Vec<_> = (0..300).map(|number| format!("site{number:03}.test")).collect();
    let setup = names.iter().fold(Setup::new(), |setup, name| setup.domain(name, "a"));
    let server = setup.backend("x", refusing_address(), &["a"]).start();
    let params = json!({ "noun": "domain", "prefix": "site", "limit": 10 });
    let answer = server.rpc("name.complete", params).unwrap();
    assert_eq!(answer["names"].as_array().unwrap().len(), 10);
    assert_eq!(answer["names"][0]["name"], "site000.test");
    assert_eq!(answer["names"][9]["name"], "site299.test", "`site0` is not all that they share");
    assert_eq!(answer["more"], true);
    let params = json!({ "noun": "domain", "prefix": "site29" });
    let answer = server.rpc("name.complete", params).unwrap();
    assert_eq!((answer["names"].as_array().unwrap().len(), &answer["more"]), (10, &json!(false)));
}
