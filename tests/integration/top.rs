//! The live view: as one frame, and on a terminal that is tmux's.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn serve() -> (Vhost, [Backend; 2]) {
    let backends = ["a1", "b1"].map(Backend::start);
    let vhost = Setup::new()
        .domain("example.com", "a")
        .domain("idle.test", "a")
        .backend("a1", backends[0].address(), &["a"])
        .backend("b1", backends[1].address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    (vhost, backends)
}

/// One frame as text.
fn frame(vhost: &Vhost, args: &[&str]) -> String {
    let output = vhost.ctl_ok(&[&["top", "--once"], args].concat());
    assert_eq!(output.stderr, "");
    assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{}", output.stdout);
    output.stdout
}

/// The words of the line that begins with this one.
fn row(frame: &str, first: &str) -> Vec<String> {
    let mut rows = frame.lines().map(|line| line.split_whitespace().map(str::to_owned));
    rows.find_map(|mut row| (row.next()? == first).then(|| row.collect()))
        .unwrap_or_else(|| panic!("no row of {first}:\n{frame}"))
}

#[test]
fn a_frame_is_printed_for_scripts() {
    let (vhost, backends) = serve();
    let at_rest = frame(&vhost, &[]);
    assert!(at_rest.starts_with("vhost  0/s  0% errors  p50 -  p99 -  0 in flight"), "{at_rest}");
    assert_eq!(row(&at_rest, "example.com")[..6], ["a", "0", "0%", "-", "-", "0"]);
    assert_eq!(row(&at_rest, "a1")[..2], ["a", "healthy"]);

    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("it is held", PATIENCE, || backends[0].held() == 1);
    for path in ["/", "/", "/", "/status/500"] {
        vhost.get("example.com", path);
    }
    let under_load = eventually_some("all are counted", PATIENCE, || {
        let frame = frame(&vhost, &["--window", "start"]);
        (row(&frame, "example.com")[2] == "25%").then_some(frame)
    });
    let figures = row(&under_load, "example.com");
    assert!(figures[1] != "0" && figures[3].ends_with("ms") && figures[5] == "1", "{figures:?}");

    vhost.ctl_ok(&["switch", "example.com", "b", "--no-drain"]);
    let switched = frame(&vhost, &[]);
    assert_eq!(row(&switched, "example.com")[0], "a→b", "{switched}");
    assert!(switched.contains("example.com a → b, not drained"), "{switched}");
    let opened = frame(&vhost, &["example.com"]);
    let tags = opened.lines().nth(2).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(tags, ["b", "(live)", "a", "(draining)"], "{opened}");
    assert_eq!(row(&opened, "requests"), ["0", "4"]);
    backends[0].release();
    assert_eq!(held.read_response().status, 200);

    backends[1].set_health(503);
    vhost.wait_for_health("b1", "unhealthy");
    let unhealthy = frame(&vhost, &[]);
    assert_eq!(row(&unhealthy, "b1")[..2], ["b", "unhealthy"], "{unhealthy}");
    assert!(unhealthy.lines().any(|line| line.starts_with("b1") && line.contains("503")));
}

#[test]
fn what_cannot_be_shown_is_said_as_by_any_command() {
    let (mut vhost, _backends) = serve();
    let unknown = vhost.ctl(&["top", "nobody.test", "--once"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (4, ""), "{unknown:?}");
    assert_eq!(vhost.ctl(&["top", "--interval", "1ms"]).code, 2);
    vhost.kill();
    let gone = vhost.ctl(&["top"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (3, ""), "{gone:?}");
}

#[test]
fn off_a_terminal_each_look_follows_the_one_before() {
    let (vhost, _backends) = serve();
    let mut top = Command::new(vhost_binary())
        .args(["ctl", "top", "--interval", "200ms"])
        .env("VHOST_SOCKET", vhost.socket())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("vhost ctl starts");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(top.stdout.take().unwrap()));
    let heads = lines.map(Result::unwrap).filter(|line| line.starts_with("vhost  0/s"));
    assert_eq!(heads.take(2).count(), 2);
    eventually("it ends when nobody reads", PATIENCE, || top.try_wait().unwrap().is_some());
    assert_eq!(top.wait().unwrap().code(), Some(0));
}

/// A terminal in which `vhost ctl top` runs.
struct Screen {
    server: String,
}

impl Screen {
    fn start(vhost: &Vhost, columns: u16, lines: u16, env: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let screen = Self { server: format!("vhost-top-{}-{number}", std::process::id()) };
        let socket = vhost.socket().display().to_string();
        let command = format!(
            "env VHOST_SOCKET={socket} {env} {} ctl top; echo ended $?; exec sleep 60",
            vhost_binary()
        );
        let (columns, lines) = (columns.to_string(), lines.to_string());
        // No config of whoever runs the tests.
        let args = ["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &lines, &command];
        screen.tmux(&args);
        screen
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-L", &self.server])
            .args(args)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("tmux runs");
        assert!(output.status.success(), "tmux {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The screen once all of these are on it.
    #[track_caller]
    fn wait_for(&self, parts: &[&str]) -> String {
        let mut last = String::new();
        let end = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < end {
            last = self.text();
            if parts.iter().all(|part| last.contains(part)) {
                return last;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{parts:?} did not appear:\n{last}");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.server, "kill-server"]).output();
    }
}

#[test]
fn a_switch_is_made_and_undone_with_keys() {
    let (vhost, backends) = serve();
    let screen = Screen::start(&vhost, 80, 24, "");
    screen.wait_for(&["DOMAIN", "example.com", "idle.test", "a1", "healthy", "q quit"]);
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("it is held", PATIENCE, || backends[0].held() == 1);

    screen.keys(&["S"]);
    screen.wait_for(&[
        "switch example.com a → b, 1 of 1 backend healthy, 1 request to drain?",
        "y yes  n no",
    ]);
    screen.keys(&["n"]);
    screen.wait_for(&["nothing was changed"]);
    assert_eq!(vhost.live("example.com"), "a");

    screen.keys(&["S"]);
    screen.wait_for(&["y yes"]);
    screen.keys(&["y"]);
    screen.wait_for(&["draining: 1 request left", "a→b", "example.com a → b, draining"]);
    assert_eq!(vhost.live("example.com"), "b");
    backends[0].release();
    assert_eq!(held.read_response().status, 200);
    screen.wait_for(&["example.com a → b: done", "example.com a → b, done"]);

    screen.keys(&["Enter"]);
    screen.wait_for(&["example.com  live b, before it a", "b (live)", "p90", "retries"]);
    screen.keys(&["u"]);
    screen.wait_for(&["undo example.com b → a", "y yes"]);
    screen.keys(&["y"]);
    screen.wait_for(&["example.com b → a: done", "live a, before it b"]);
    assert_eq!(vhost.live("example.com"), "a");

    screen.keys(&["Escape"]);
    screen.wait_for(&["DOMAIN", "idle.test"]);
    screen.keys(&["/", "i", "d", "l"]);
    let found = screen.wait_for(&["/idl▏"]);
    assert!(!found.contains("\nexample.com"), "{found}");
    screen.keys(&["Escape"]);
    screen.wait_for(&["example.com", "q quit"]);
    screen.keys(&["?"]);
    screen.wait_for(&["KEYS", "back to the previous tag"]);
    screen.keys(&["x"]);
    screen.wait_for(&["DOMAIN"]);
    screen.keys(&["q"]);
    let left = screen.wait_for(&["ended 0"]);
    assert!(!left.contains("DOMAIN"), "the terminal is as it was:\n{left}");
}

#[test]
fn a_server_that_starts_again_is_found_again_and_signals_leave_the_terminal_right() {
    let (mut vhost, _backends) = serve();
    let screen = Screen::start(&vhost, 80, 24, "NO_COLOR=1");
    screen.wait_for(&["DOMAIN", "example.com"]);
    let colored = screen.tmux(&["capture-pane", "-p", "-e"]);
    for color in ["[31m", "[32m", "[33m", "[34m", "[36m", "[90m"] {
        assert!(!colored.contains(color), "{colored:?}");
    }
    vhost.signal(Signal::SIGTERM);
    vhost.wait_for_exit(PATIENCE);
    screen.wait_for(&["trying again", "example.com"]);
    vhost.restart();
    screen.wait_for(&["vhost  0/s", "example.com"]);

    screen.tmux(&["resize-window", "-x", "40", "-y", "8"]);
    let small = screen.wait_for(&["DOMAIN", "q quit"]);
    assert!(small.lines().all(|line| line.chars().count() <= 40), "{small}");
    screen.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    screen.wait_for(&["LAST MINUTE"]);

    let pane = screen.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", pane.trim()));
    let top: i32 = children.unwrap().split_whitespace().next().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(top), Signal::SIGTERM).unwrap();
    let left = screen.wait_for(&["ended 0"]);
    assert!(!left.contains("DOMAIN"), "{left}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_is_printed_on() {
    let (vhost, _backends) = serve();
    let screen = Screen::start(&vhost, 80, 60, "TERM=dumb");
    let text = eventually_some("two frames", PATIENCE, || {
        let text = screen.text();
        (text.matches("DOMAIN").count() > 1).then_some(text)
    });
    assert!(!text.contains("q quit"), "{text}");
}
