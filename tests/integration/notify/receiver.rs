//! A service that is notified of events, as its operator would write it.

use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use serde_json::Value;

use crate::harness::*;

/// What came in one request.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Post {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn id(&self) -> String {
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Whether it is signed with `secret`.
    pub(super) fn is_signed_with(&self, secret: &str) -> bool {
        let Some(signature) = self.header("vhost-signature") else { return false };
        let (time, digest) = signature.split_once(",v1=").expect("time and digest");
        let time = time.strip_prefix("t=").expect("a time");
        let signed = [time.as_bytes(), b".", &self.body].concat();
        let bytes =
            |hex: &str| (0..hex.len()).step_by(2).map(|at| byte(&hex[at..at + 2])).collect();
        let digest: Vec<u8> = bytes(digest);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::verify(&key, &signed, &digest).is_ok()
    }
}

fn byte(hex: &str) -> u8 {
    u8::from_str_radix(hex, 16).expect("hexadecimal")
}

/// What it answers; `None` for one that never does.
type Answer = Arc<Mutex<Option<String>>>;

pub(super) struct Receiver {
    backend: RawBackend,
    answer: Answer,
    posts: Arc<Mutex<Vec<(Post, bool)>>>,
}

impl Receiver {
    /// Answers each POST with this status, and the rest of an answer.
    pub(super) fn answering(answer: &str) -> Self {
        Self::start(Some(answer.to_owned()))
    }

    /// Takes each POST and never answers.
    pub(super) fn hanging() -> Self {
        Self::start(None)
    }

    fn start(answer: Option<String>) -> Self {
        let answer: Answer = Arc::new(Mutex::new(answer));
        let posts = Arc::new(Mutex::new(Vec::new()));
        let (answers, taken) = (Arc::clone(&answer), Arc::clone(&posts));
        let backend = RawBackend::start(move |connection| {
            let Some(head) = connection.read_head() else { return };
            let post = Post { head, body: Vec::new() };
            let length = post.header("content-length").and_then(|length| length.parse().ok());
            let Some(body) = connection.take(length.unwrap_or(0)) else { return };
            let answer = lock(&answers).clone();
            let is_taken = answer.as_ref().is_some_and(|answer| answer.starts_with('2'));
            lock(&taken).push((Post { body, ..post }, is_taken));
            match answer {
                Some(answer) => connection.send(format!("HTTP/1.1 {answer}").as_bytes()),
                None => connection.wait_for_close(),
            }
        });
        Self { backend, answer, posts }
    }

    /// Answers so from now on.
    pub(super) fn answer(&self, answer: &str) {
        *lock(&self.answer) = Some(answer.to_owned());
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.backend.address())
    }

    /// All that came, taken or not.
    pub(super) fn posts(&self) -> Vec<Post> {
        lock(&self.posts).iter().map(|(post, _)| post.clone()).collect()
    }

    /// What it has taken, each once: what comes again has the same id. A switch that was still draining comes
    /// again at its end: only that is here.
    pub(super) fn taken(&self) -> Vec<Value> {
        let mut seen = std::collections::BTreeSet::new();
        let posts = lock(&self.posts);
        let taken = posts.iter().filter(|(_, is_taken)| *is_taken).map(|(post, _)| post.json());
        let is_last = |post: &Value| !post["id"].as_str().expect("an id").ends_with("-draining");
        taken.filter(is_last).filter(|post| seen.insert(post["id"].to_string())).collect()
    }

    /// Of the switches that it has taken, the tags that they went to.
    pub(super) fn tags(&self) -> Vec<String> {
        let tag = |post: Value| Some(post["event"]["steps"][0]["to"].as_str()?.to_owned());
        self.taken().into_iter().filter_map(tag).collect()
    }

    #[track_caller]
    pub(super) fn wait_for_tags(&self, tags: &[&str]) {
        let what = format!("it is notified of {tags:?}");
        eventually(&what, SOON, || self.tags().len() >= tags.len());
        assert_eq!(self.tags(), tags);
    }
}

pub(super) const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// An answer that agrees.
pub(super) const GOOD: &str = "204 No Content\r\nConnection: close\r\n\r\n";

/// An answer that refuses for now.
pub(super) const BUSY: &str =
    "503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy";

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
