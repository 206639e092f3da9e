//! Names for which a client has asked, and for which a certificate is yet to be made or ordered.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::places::ClientKey;

/// A name that a client has asked for.
#[derive(Debug)]
pub struct Demand {
    /// Normalised.
    pub host: String,
    /// Who has asked.
    pub client: ClientKey,
    /// Whether it stands for many, whose names are not its own.
    pub is_many: bool,
    /// Answered when there will be none; closed without an answer while it is seen to.
    pub refused: oneshot::Sender<()>,
}

/// The end at which they come out.
pub type Demands = mpsc::Receiver<Demand>;

/// Names that one client may ask for in a window, whatever becomes of them; of one that stands for many,
/// or of clients that are too many to be told apart.
const MAX_NAMES: u32 = 120;
const MAX_NAMES_OF_MANY: u32 = 6000;

const WINDOW: Duration = Duration::from_mins(1);

/// Clients that are told apart in a window.
const MAX_CLIENTS: usize = 10_000;

/// How many names each client has asked for in this window.
#[derive(Debug)]
pub(super) struct Asked {
    began: Instant,
    names: HashMap<ClientKey, u32>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { began: Instant::now(), names: HashMap::new() }
    }
}

impl Asked {
    /// Counts a name; whether it may be asked for.
    pub(super) fn admit(&mut self, client: ClientKey, is_many: bool, now: Instant) -> bool {
        if now.duration_since(self.began) >= WINDOW {
            self.began = now;
            self.names = HashMap::new();
        }
        let is_crowded = self.names.len() >= MAX_CLIENTS && !self.names.contains_key(&client);
        let key = if is_crowded { ClientKey::UNKNOWN } else { client };
        let most = if is_many || is_crowded { MAX_NAMES_OF_MANY } else { MAX_NAMES };
        let names = self.names.entry(key).or_default();
        *names = names.saturating_add(1);
        *names <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_may_ask_for_so_many_names_in_a_window_and_none_is_kept_longer() {
        let (mut asked, start) = (Asked::default(), Instant::now());
        let taken = |asked: &mut Asked, client, now| {
            (0..10_000).take_while(|_| asked.admit(client, false, now)).count()
        };
        assert_eq!(taken(&mut asked, ClientKey::of_uid(1), start), 120);
        assert_eq!(taken(&mut asked, ClientKey::of_uid(2), start), 120);
        assert!(!asked.admit(ClientKey::of_uid(1), false, start));
        for client in 0..20_000 {
            asked.admit(ClientKey::of_uid(client), false, start);
        }
        assert!(asked.names.len() <= MAX_CLIENTS + 1);
        assert!(asked.admit(ClientKey::of_uid(1), false, start + WINDOW));
        assert_eq!(asked.names.len(), 1);
    }
}
