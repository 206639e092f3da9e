//! A server that may open no further file.

use std::collections::HashSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use super::site;
use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

/// More than the files that are left.
const CROWD: usize = 40;

/// Leaves `more` files to open, and answers with the limit of before.
fn leave(vhost: &Vhost, more: usize) -> String {
    let files = std::fs::read_dir(format!("/proc/{}/fd", vhost.pid())).expect("it runs");
    let numbers = files.flatten().filter_map(|file| file.file_name().to_str()?.parse().ok());
    let open: HashSet<usize> = numbers.collect();
    // A limit is on their numbers.
    let last = (0..).filter(|number| !open.contains(number)).nth(more).expect("numbers do not end");
    limit(vhost, &last.to_string())
}

/// Sets how many files it may open, and answers with the limit of before.
fn limit(vhost: &Vhost, most: &str) -> String {
    let prlimit = |arguments: &[&str]| {
        let output = Command::new("prlimit")
            .args(["--pid", &vhost.pid().to_string()])
            .args(arguments)
            .output()
            .expect("prlimit runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    let before = prlimit(&["--nofile", "--noheadings", "--raw", "--output", "SOFT"]);
    prlimit(&[&format!("--nofile={most}:")]);
    before
}

/// Connections that have begun with this.
fn crowd(vhost: &Vhost, beginning: &[u8]) -> Vec<TcpStream> {
    let connect = || {
        let mut stream = TcpStream::connect(vhost.http()).expect("the kernel accepts");
        stream.write_all(beginning).expect("the kernel takes it");
        stream
    };
    (0..CROWD).map(|_| connect()).collect()
}

#[test]
fn connections_wait_until_there_is_a_file_for_them() {
    let backend = Backend::start("web");
    let vhost = site(&backend).start();
    vhost.wait_until_healthy(1);
    let mut kept = vhost.connect();
    assert_eq!(kept.get("example.com", "/").status, 200);
    let before = leave(&vhost, 4);
    let waiting = crowd(&vhost, b"GET / HTTP/1.1\r\n");
    vhost.wait_for_log("cannot accept connections");
    assert_eq!(kept.get("example.com", "/").status, 200, "those that are open are served");
    drop(waiting);
    eventually("the files of those that went are used", SOON, || {
        vhost.connect().try_get("example.com", "/").is_ok_and(|response| response.status == 200)
    });
    let logged = vhost.log_lines("cannot accept connections");
    assert!(logged.len() <= 2, "not a line for each: {logged:?}");
    limit(&vhost, &before);
    assert_eq!(vhost.get("example.com", "/").status, 200);
}

#[test]
fn connections_that_say_nothing_give_their_files_to_others() {
    let backend = Backend::start("web");
    let vhost = site(&backend).start();
    vhost.wait_until_healthy(1);
    assert_eq!(vhost.get("example.com", "/").status, 200, "its backend's connection is kept");
    leave(&vhost, 4);
    let _silent = crowd(&vhost, b"");
    eventually("somebody who asks is served", SOON, || {
        vhost.connect().try_get("example.com", "/").is_ok_and(|response| response.status == 200)
    });
}
