//! A server for tests that reads a request on each connection and answers what it was told to.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use serde_json::Value;

/// Stands for the request's id in the answers.
pub(crate) const ID: &str = "$ID";

/// Answers a request, line by line, and closes; then perhaps another.
pub(crate) struct FakeServer {
    folder: tempfile::TempDir,
    thread: JoinHandle<Vec<Value>>,
}

impl FakeServer {
    /// Listens; [`ID`] in `answers` becomes the id of the request.
    pub(crate) fn answering(answers: &[impl ToString]) -> Self {
        Self::sending(lines(answers))
    }

    /// Listens, and answers each of several requests.
    pub(crate) fn answering_each(answers: &[Vec<impl ToString>]) -> Self {
        Self::sending_each(answers.iter().map(|answers| lines(answers)).collect())
    }

    /// Listens and sends these very bytes, except for [`ID`].
    pub(crate) fn sending(bytes: String) -> Self {
        Self::sending_each(vec![bytes])
    }

    fn sending_each(answers: Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("admin.sock")).expect("bound");
        let answer = move |bytes: String| {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).expect("a request");
            let request: Value = serde_json::from_str(&line).expect("JSON");
            let bytes = bytes.replace(&format!("\"{ID}\""), &request["id"].to_string());
            // A client that has heard enough may be gone.
            let _ = stream.write_all(bytes.as_bytes());
            request
        };
        let thread = std::thread::spawn(move || answers.into_iter().map(answer).collect());
        Self { folder, thread }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// The request that came first.
    pub(crate) fn request(self) -> Value {
        self.requests().swap_remove(0)
    }

    /// All requests that came.
    pub(crate) fn requests(self) -> Vec<Value> {
        self.thread.join().expect("the server ran to its end")
    }
}

fn lines(answers: &[impl ToString]) -> String {
    answers.iter().map(|line| line.to_string() + "\n").collect()
}
