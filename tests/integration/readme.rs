//! The README's tours work line by line as printed.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::vhost_binary;

/// A tour of the README as a script.
struct Tour {
    script: String,
    /// The ports that are printed, and those that are used.
    ports: Vec<(&'static str, String)>,
    environment: Vec<(&'static str, String)>,
}

impl Tour {
    /// The commands between two marks.
    fn between(begin: &str, end: &str) -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let text = std::fs::read_to_string(path).expect("there is a README");
        let (_, tour) = text.split_once(begin).expect("the tour begins");
        let (tour, _) = tour.split_once(end).expect("the tour ends");
        let blocks: Vec<&str> = tour
            .split("```sh\n")
            .skip(1)
            .map(|rest| rest.split_once("```").expect("a block ends").0)
            .collect();
        assert!(blocks.len() >= 3, "{blocks:#?}");
        Self { script: blocks.concat(), ports: Vec::new(), environment: Vec::new() }
    }

    /// Ports are a person's to choose; here they are free ones: those that the tour names, and those
    /// of variables that its scripts read.
    fn with_free_ports(mut self, ports: &[&'static str], variables: &[&'static str]) -> Self {
        let listeners: Vec<_> = (0..ports.len() + variables.len())
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
            .collect();
        let mut free =
            listeners.iter().map(|listener| listener.local_addr().unwrap().port().to_string());
        for port in ports {
            assert!(self.script.contains(port), "the tour does not use port {port}");
            self.ports.push((port, free.next().expect("one for each")));
        }
        self.script = self.with_ports(&self.script);
        self.environment = variables.iter().copied().zip(free).collect();
        self
    }

    fn with_ports(&self, text: &str) -> String {
        let replace = |text: String, (printed, used): &(&str, String)| text.replace(printed, used);
        self.ports.iter().fold(text.to_owned(), replace)
    }

    /// Runs it in a folder; what it says on standard output and standard error.
    fn run(&self, folder: &Path) -> (String, String) {
        let path = format!(
            "{}:{}",
            Path::new(vhost_binary()).parent().expect("it is in a folder").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let output = Command::new("timeout")
            .args(["--kill-after=5", "100", "bash", "-euc", &self.script])
            .current_dir(folder)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
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

#[test]
fn the_tour_works_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let tour = Tour::between("<!-- tour: run by a test -->", "<!-- end of the tour -->")
        .with_free_ports(&["3001", "3002", "8080"], &[]);
    let (stdout, stderr) = tour.run(folder.path());
    let answers: Vec<&str> = stdout.lines().filter(|line| line.starts_with("hello")).collect();
    assert_eq!(answers, ["hello from v1", "hello from v2", "hello from v1"], "{stdout}\n{stderr}");
    assert!(stdout.contains("exit status 6"), "{stdout}\n{stderr}");
    assert!(stdout.contains("release 2"), "the history has the reason: {stdout}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

/// The script with the time printed before the line that begins so, and after that which begins so.
fn timed(script: &str, before: &str, after: &str) -> String {
    let lines = script.lines().map(|line| match line {
        line if line.starts_with(before) => format!("date +begun:%s%3N\n{line}\n"),
        line if line.starts_with(after) => format!("{line}\ndate +ended:%s%3N\n"),
        line => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn with_a_ca_the_example_config_serves_https_within_10_s_of_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut tour =
        Tour::between("<!-- TLS tour: run by a test -->", "<!-- end of the TLS tour -->")
            .with_free_ports(
                &["3001", "8080", "8443"],
                &["ACME_PORT", "MANAGEMENT_PORT", "DNS_PORT", "DNS_MANAGEMENT_PORT"],
            );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(root.join("deploy"), folder.path().join("deploy")).unwrap();
    let example = std::fs::read_to_string(root.join("config.example.toml")).unwrap();
    let example = tour.with_ports(&example);
    std::fs::write(folder.path().join("config.example.toml"), example).unwrap();
    tour.script = timed(&tour.script, "vhost serve ", "curl --cacert ");
    let (stdout, stderr) = tour.run(folder.path());
    let at = |mark: &str| -> u64 {
        let line = stdout.lines().find_map(|line| line.strip_prefix(mark));
        line.unwrap_or_else(|| panic!("no `{mark}`: {stdout}\n{stderr}")).parse().unwrap()
    };
    let took = Duration::from_millis(at("ended:") - at("begun:"));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(stdout.contains("\nhello over HTTPS\n"), "{stdout}\n{stderr}");
    assert!(stdout.contains("this site is served at https://example.com:"), "{stdout}\n{stderr}");
    assert!(stdout.contains("Pebble Intermediate CA"), "{stdout}\n{stderr}");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "nothing is left behind but what was there");
}
