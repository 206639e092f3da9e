//! The service that says for which names a certificate may be ordered on demand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::{RawBackend, answer};

/// A service that allows what is on its list, and counts.
pub(crate) struct AskServer {
    server: RawBackend,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    allowed: BTreeSet<String>,
    asked: Vec<String>,
}

impl AskServer {
    /// Allows these names.
    pub(crate) fn start(allowed: &[&str]) -> Self {
        let allowed = allowed.iter().map(|&name| name.to_owned()).collect();
        let state = Arc::new(Mutex::new(State { allowed, asked: Vec::new() }));
        let answering = Arc::clone(&state);
        let server = RawBackend::start(move |connection| {
            while let Some(head) = connection.read_request() {
                let name =
                    head.split(['?', '&', ' ']).find_map(|part| part.strip_prefix("domain="));
                let name = name.unwrap_or_default().to_owned();
                let mut state = answering.lock().unwrap_or_else(PoisonError::into_inner);
                let allowed = state.allowed.contains(&name);
                state.asked.push(name);
                drop(state);
                if allowed {
                    connection.send(&answer("yes"));
                } else {
                    connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
                }
            }
        });
        Self { server, state }
    }

    /// What goes into `lets_encrypt.on_demand_ask`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/may-have-a-certificate", self.server.address())
    }

    /// The names that were asked about, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// Times that `name` was asked about.
    pub(crate) fn asked_about(&self, name: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == name).count()
    }
}
