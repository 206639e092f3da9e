//! Strange requests, byte for byte: what each is answered with, and what its backend got of it.

mod bodies;
mod fields;
mod framing;
mod odd;
mod pipelined;
mod recorder;
mod targets;

use std::io::ErrorKind;
use std::time::Duration;

use recorder::Recorder;

use crate::harness::*;

/// One connection. Each character that a client sends is one byte, up to `\u{ff}`.
struct Row {
    name: &'static str,
    sends: String,
    /// The statuses that come back, interim ones too.
    answers: Vec<u16>,
    /// Whether the connection can be used again.
    kept: bool,
    /// Whether the backend may have got the beginning of a body that was broken off.
    cut: bool,
    /// What the backend got, in the words of the [`recorder`].
    backend: Vec<&'static str>,
}

/// Refused without a word to a backend, and closed.
fn refused(name: &'static str, sends: impl Into<String>, status: u16) -> Row {
    let (sends, answers) = (sends.into(), vec![status]);
    Row { name, sends, answers, kept: false, cut: false, backend: Vec::new() }
}

/// Answered by the backend; the connection is used again.
fn passes(name: &'static str, sends: impl Into<String>, backend: &'static str) -> Row {
    let (answers, backend) = (vec![200], vec![backend]);
    Row { name, sends: sends.into(), answers, kept: true, cut: false, backend }
}

impl Row {
    fn closes(self) -> Self {
        Self { kept: false, ..self }
    }

    fn cut(self) -> Self {
        Self { cut: true, ..self }
    }

    fn answers(self, answers: &[u16]) -> Self {
        Self { answers: answers.to_vec(), ..self }
    }

    fn backend(self, backend: &[&'static str]) -> Self {
        Self { backend: backend.to_vec(), ..self }
    }

    /// What went otherwise than it says.
    fn run(&self, vhost: &Vhost, recorder: &mut Recorder) -> Vec<String> {
        let bytes: Vec<u8> = self.sends.chars().map(|c| u8::try_from(c).expect("a byte")).collect();
        let mut client = vhost.connect();
        // A server that has refused already may have closed.
        let _ = client.try_send(&bytes);
        let mut wrong = Vec::new();
        for expected in &self.answers {
            match read_answer(&mut client, bytes.starts_with(b"HEAD ")) {
                Ok(status) if status == *expected => {}
                Ok(status) => wrong.push(format!("{status} instead of {expected}")),
                Err(error) => wrong.push(format!("{error} instead of {expected}")),
            }
        }
        let mut expected = self.backend.clone();
        if self.kept {
            match client.try_get("example.com", "/kept") {
                Ok(response) if response.status == 200 => {}
                other => wrong.push(format!("the next request: {other:?}")),
            }
            expected.push("GET /kept @example.com");
        } else {
            match client.take(1) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                other => wrong.push(format!("{other:?} instead of the end")),
            }
        }
        expected.sort_unstable();
        let mut got = recorder.new_requests(&expected);
        if self.cut {
            got.retain(|request| !request.ends_with('…'));
        }
        if got != expected {
            wrong.push(format!("the backend got {got:?} instead of {expected:?}"));
        }
        wrong.into_iter().map(|wrong| format!("{}: {wrong}\n", self.name)).collect()
    }
}

/// Reads one answer, interim or final, to its end.
fn read_answer(client: &mut Client, is_head: bool) -> std::io::Result<u16> {
    let head = client.read_head()?;
    let length = head.header("content-length").and_then(|length| length.parse().ok());
    if let (Some(length), false) = (length, is_head) {
        client.take(length)?;
    }
    Ok(head.status)
}

/// Runs rows against one server; its backend's connections are used again from row to row, so that
/// bytes which one row leaves behind would show in the next.
fn run(rows: &[Row]) {
    let mut recorder = Recorder::start();
    let vhost = Setup::new()
        .lifetime(Duration::from_mins(3))
        .tcp_probes()
        .set("health_check.interval_secs", 60)
        .set("health_check.unhealthy_threshold", 1000)
        .set("proxy.max_header_bytes", 16384)
        .set("proxy.header_timeout_secs", 2)
        .set("proxy.read_timeout_secs", 2)
        .domain("example.com", "a")
        .domain("[::1]", "a")
        .domain("127.0.0.1", "a")
        .domain("xn--bcher-kva.example", "a")
        .backend("web", recorder.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut names: Vec<_> = rows.iter().map(|row| row.name).collect();
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "each row has a name of its own");
    let wrong: Vec<_> = rows.iter().flat_map(|row| row.run(&vhost, &mut recorder)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.concat());
    // Each refusal was counted: those of the front, and those of the phases.
    let errors = rows.iter().flat_map(|row| &row.answers).filter(|status| **status >= 400).count();
    eventually("each refusal is counted, and nothing else", Duration::from_secs(10), || {
        let state = vhost.rpc("state.get", serde_json::json!({})).unwrap();
        let counted = state["refused"].as_object().into_iter().flat_map(|refused| refused.values());
        counted.filter_map(serde_json::Value::as_u64).sum::<u64>() == errors as u64
    });
}

#[test]
fn there_are_enough_of_them() {
    let parts = [
        targets::rows(),
        fields::rows(),
        framing::rows(),
        bodies::rows(),
        pipelined::rows(),
        odd::rows(),
    ];
    let count: usize = parts.iter().map(Vec::len).sum();
    assert!(count >= 120, "{count}");
}
