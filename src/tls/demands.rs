//! Names on demand: clients have requested them, and a certificate has to be made or ordered.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::places::ClientKey;

/// A name on demand.
#[derive(Debug)]
pub struct Demand {
    pub host: String,
    /// Who has asked.
    pub client: ClientKey,
    /// Whether it stands for many clients, such as a trusted proxy.
    pub is_many: bool,
    /// Gets a message if there will be no certificate; closed without one otherwise.
    pub refused: oneshot::Sender<()>,
}

pub type Demands = mpsc::Receiver<Demand>;

/// The most names of one client in a window, allowed or not; then the same for one that stands for
/// many, or for clients beyond `MAX_CLIENTS`.
const MAX_NAMES: u32 = 120;
const MAX_NAMES_OF_MANY: u32 = 6000;

const WINDOW: Duration = Duration::from_mins(1);

/// The most clients that are counted separately in a window.
const MAX_CLIENTS: usize = 10_000;

/// The number of names of each client in this window.
#[derive(Debug)]
pub(super) struct ClientDemands {
    began: Instant,
    names: HashMap<ClientKey, u32>,
}

impl Default for ClientDemands {
    fn default() -> Self {
        Self { began: Instant::now(), names: HashMap::new() }
    }
}

impl ClientDemands {
    /// Counts a name, and returns whether it is within the limit.
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
        let (mut asked, start) = (ClientDemands::default(), Instant::now());
        let taken = |asked: &mut ClientDemands, client, now| {
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
