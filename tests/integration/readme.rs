//! The README's session prints what it says, its config is right, and its links lead somewhere. The tours of
//! `docs/tour.md` work line by line as printed, one after the other in one shell.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::vhost_binary;

/// The ports that the tours name, which are a person's to choose.
const PORTS: [&str; 5] = ["3001", "3002", "8000", "8080", "8443"];

/// The variables by which `deploy/pebble.sh` takes further ports.
const PEBBLE: [&str; 4] = ["ACME_PORT", "MANAGEMENT_PORT", "DNS_PORT", "DNS_MANAGEMENT_PORT"];

/// What is before a tour's output.
const TOUR: &str = "<<tour>>";

/// Free ports in place of those that are printed.
struct Ports {
    free: Vec<String>,
}

impl Ports {
    fn new() -> Self {
        let listeners: Vec<_> = (0..PORTS.len() + PEBBLE.len())
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
            .collect();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
        Self { free: listeners.iter().map(port).collect() }
    }

    fn put_into(&self, text: &str) -> String {
        let replace = |text: String, (printed, used): (&str, &String)| text.replace(printed, used);
        PORTS.into_iter().zip(&self.free).fold(text.to_owned(), replace)
    }

    /// Runs a script in a folder with one interactive shell's settings; its standard output and standard error.
    fn run(&self, script: &str, folder: &Path) -> (String, String) {
        let path = format!(
            "{}:{}",
            Path::new(vhost_binary()).parent().expect("it is in a folder").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let output = Command::new("timeout")
            .args(["--kill-after=5", "100", "bash", "-euc", &self.put_into(script)])
            .current_dir(folder)
            .envs(PEBBLE.into_iter().zip(&self.free[PORTS.len()..]))
            .env("PATH", path)
            .env_remove("VHOST_SOCKET")
            .stdin(Stdio::null())
            .output()
            .expect("bash runs");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
        (stdout, stderr)
    }
}

fn page(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The commands of each tour.
fn tours() -> Vec<String> {
    let text = page("docs/tour.md");
    let tour = |rest: &str| {
        let (tour, _) = rest.split_once("<!-- end of the tour -->").expect("the tour ends");
        let blocks = tour.split("```sh\n").skip(1);
        blocks.map(|rest| rest.split_once("```").expect("a block ends").0).collect::<String>()
    };
    text.split("<!-- tour: run by a test -->").skip(1).map(tour).collect()
}

/// A folder with the scripts that the tours call.
fn checkout() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    std::os::unix::fs::symlink(scripts, folder.path().join("deploy")).unwrap();
    folder
}

#[track_caller]
fn assert_only_the_scripts_are_left(folder: &Path) {
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn the_tours_work_as_printed_one_after_the_other_in_one_shell() {
    let (ports, folder) = (Ports::new(), checkout());
    let tours = tours();
    assert_eq!(tours.len(), 3, "{tours:#?}");
    for port in PORTS {
        assert!(tours.iter().any(|tour| tour.contains(port)), "no tour uses port {port}");
    }
    let script: String =
        tours.iter().flat_map(|tour| ["echo '", TOUR, "'\n", tour.as_str()]).collect();
    let (stdout, stderr) = ports.run(&script, folder.path());
    assert_only_the_scripts_are_left(folder.path());
    let printed: Vec<&str> = stdout.split(TOUR).skip(1).collect();
    let [deploy, tls, tags] = printed[..] else { panic!("{stdout}") };

    let answers: Vec<&str> = deploy.lines().filter(|line| line.starts_with("hello")).collect();
    let versions = ["v1", "v2", "v2", "v1"].map(|version| format!("hello from {version}"));
    assert_eq!(answers, versions, "{stdout}\n{stderr}");
    for part in ["exit status 6", "a (v1)", "b (v2)", "deploy shop v2: a→b, done", "gate failed"]
    {
        assert!(deploy.contains(part), "no {part}: {stdout}\n{stderr}");
    }
    assert!(tls.contains("\nhello over HTTPS\n"), "{stdout}\n{stderr}");
    let port = ports.put_into("8443");
    let redirect = format!("this site is served at https://example.com:{port}");
    assert!(tls.contains(&redirect), "{stdout}\n{stderr}");
    assert!(tls.contains("Pebble Intermediate CA"), "{stdout}\n{stderr}");
    assert!(tags.contains("at most 30 s"), "{stdout}\n{stderr}");
    assert!(tags.contains("\"openapi\""), "{stdout}\n{stderr}");
    for refused in ["\"status\":4", "\"status\":5"] {
        assert!(!tags.contains(refused), "{stdout}\n{stderr}");
    }
}

/// The example config with a CA and with the paths of a folder, and a site that it serves.
const EXAMPLE: &str = r#"
mkdir -p tour/site
echo "hello over HTTPS" > tour/site/index.html
python3 -m http.server 3001 --bind 127.0.0.1 --directory tour/site > /dev/null 2>&1 &
deploy/pebble.sh tour/pebble 8000 8443 > /dev/null &
until [ -e tour/pebble/lets_encrypt.toml ]; do sleep 0.1; done

sed -e '/^#\[lets_encrypt\]/r tour/pebble/lets_encrypt.toml' \
    -e 's/"0.0.0.0:443"/"127.0.0.1:8443"/' -e 's/"0.0.0.0:80"/"127.0.0.1:8000"/' \
    -e 's/^#admin_socket .*/admin_socket = "admin.sock"/' -e 's/^#state_dir .*/state_dir = "state"/' \
    config.example.toml > tour/vhost.toml

date +begun:%s%3N
vhost serve --config tour/vhost.toml 2> tour/vhost.log &
export VHOST_SOCKET="$PWD/tour/admin.sock"
until vhost ctl status > /dev/null 2>&1; do sleep 0.1; done
curl --cacert tour/pebble/root.pem --resolve example.com:8443:127.0.0.1 https://example.com:8443/
date +ended:%s%3N
vhost ctl cert wait www.example.com
kill $(jobs -p)
wait
rm -r tour config.example.toml
"#;

#[test]
fn with_a_ca_the_example_config_serves_https_within_10_s_of_the_start() {
    let (ports, folder) = (Ports::new(), checkout());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let example = ports.put_into(&std::fs::read_to_string(example).unwrap());
    std::fs::write(folder.path().join("config.example.toml"), example).unwrap();
    let (stdout, stderr) = ports.run(EXAMPLE, folder.path());
    let at = |mark: &str| -> u64 {
        let line = stdout.lines().find_map(|line| line.strip_prefix(mark));
        line.unwrap_or_else(|| panic!("no `{mark}`: {stdout}\n{stderr}")).parse().unwrap()
    };
    let took = Duration::from_millis(at("ended:") - at("begun:"));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(stdout.contains("\nhello over HTTPS\n"), "{stdout}\n{stderr}");
    assert_only_the_scripts_are_left(folder.path());
}

/// What the README's session begins with: two versions, and a server at its ports.
const SESSION: &str = r#"
mkdir v1 v2
python3 -m http.server 3001 --bind 127.0.0.1 --directory v1 > /dev/null 2>&1 &
python3 -m http.server 3002 --bind 127.0.0.1 --directory v2 > /dev/null 2>&1 &
vhost serve --config vhost.toml 2> log &
export VHOST_SOCKET="$PWD/admin.sock"
until vhost ctl status > /dev/null 2>&1; do sleep 0.1; done
exec 2>&1
"#;

/// The blocks of one language in a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split_once("```").expect("a block ends").0).collect()
}

/// The README's config with addresses and paths of its own.
fn config_of_the_readme() -> String {
    let readme = page("README.md");
    let [config] = blocks(&readme, "toml")[..] else { panic!("the README has one config") };
    let config = config
        .replace(r#"["0.0.0.0:443", "[::]:443"]"#, r#""127.0.0.1:8443""#)
        .replace(r#"["0.0.0.0:80", "[::]:80"]"#, r#""127.0.0.1:8000""#);
    let paths = "[proxy]\nadmin_socket = \"admin.sock\"\nstate_dir = \"state\"\n";
    let config = config.replacen("[proxy]\n", paths, 1);
    for part in ["8443", "8000", paths] {
        assert!(config.contains(part), "no {part}: {config}");
    }
    config
}

#[test]
fn the_config_of_the_readme_is_right() {
    let (ports, folder) = (Ports::new(), tempfile::tempdir().unwrap());
    let config = config_of_the_readme();
    std::fs::write(folder.path().join("vhost.toml"), ports.put_into(&config)).unwrap();
    ports.run("vhost check vhost.toml", folder.path());
}

/// The lines as a terminal has them at the end, with `N` for each figure: durations differ from run to run.
fn without_figures(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let bare = word.trim_matches(|mark: char| !mark.is_ascii_alphanumeric());
        match bare {
            "ms" => word.replace(bare, "s"),
            _ if bare.parse::<f64>().is_ok() => word.replace(bare, "N"),
            _ => word.to_owned(),
        }
    };
    // What is not a terminal gets the time of each step, and those before the last.
    let is_time = |word: &&str| word.starts_with("20") && word.ends_with('Z');
    let line = |line: &str| {
        let words = line.split_whitespace().skip_while(is_time);
        words.map(word).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).filter(|line| !line.starts_with("checking ")).collect()
}

#[test]
fn the_session_of_the_readme_prints_what_it_says() {
    let (ports, folder) = (Ports::new(), tempfile::tempdir().unwrap());
    let config = config_of_the_readme();
    // No test orders a certificate of Let's Encrypt.
    let (config, _) = config.split_once("[lets_encrypt]").expect("the config has a CA");
    std::fs::write(folder.path().join("vhost.toml"), ports.put_into(config)).unwrap();
    let readme = page("README.md");
    let session = blocks(&readme, "console").concat().replace("$ sudo ", "$ ");
    let commands = session.lines().filter_map(|line| line.strip_prefix("$ "));
    let commands = commands.map(|command| ["echo '$ ", command, "'\n", command, "\n"].concat());
    let script = SESSION.to_owned() + &commands.collect::<String>() + "kill $(jobs -p); wait\n";
    let (stdout, _) = ports.run(&script, folder.path());
    let printed = without_figures(&ports.put_into(&session));
    assert_eq!(without_figures(&stdout), printed, "{stdout}");
}

/// What a page has outside of blocks of code.
fn prose(page: &str) -> String {
    let parts = page.split("```").step_by(2);
    parts.collect()
}

/// The names that GitHub gives the headings of a page.
fn anchors(page: &str) -> Vec<String> {
    let title = |line: &str| Some(line.trim_start_matches('#').strip_prefix(' ')?.to_lowercase());
    let name = |title: String| {
        let kept = |sign: &char| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_');
        title.chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.filter_map(title).map(name).collect()
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    for folder in ["docs", "docs/from"] {
        let files = std::fs::read_dir(root.join(folder)).unwrap().flatten();
        let pages_in_it = files.map(|file| file.path());
        pages.extend(pages_in_it.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    let (mut seen, mut broken) = (0, Vec::new());
    for path in &pages {
        let text = prose(&std::fs::read_to_string(path).unwrap());
        for rest in text.split("](").skip(1) {
            let (link, _) = rest.split_once(')').expect("a link ends");
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = path.parent().expect("it is in a folder");
            let target = if file.is_empty() { path.clone() } else { folder.join(file) };
            let has_anchor = || {
                let page = prose(&std::fs::read_to_string(&target).unwrap());
                anchors(&page).iter().any(|name| name == anchor)
            };
            if !target.exists() || !(anchor.is_empty() || has_anchor()) {
                broken.push(format!("{}: {link}", path.display()));
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} links were found");
    assert_eq!(broken, [""; 0]);
}
