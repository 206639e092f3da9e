//! The README's tours work line by line as printed, one after the other in one shell.

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

/// The commands of each tour of the README.
fn tours() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path).expect("there is a README");
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
    // The tests of REST compare the status of each answer with the one that is printed.
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
