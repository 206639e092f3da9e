//! What one command changes: the unit that is persisted and published.

use serde::{Deserialize, Serialize};

use super::{App, AppName, Backend, BackendId, DomainName, VirtualHost};

/// One edit of the desired state. A command yields a list of them that is applied whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Adds the virtual host, or replaces the one with this domain.
    PutDomain(VirtualHost),
    /// Removes a virtual host with its aliases.
    DropDomain(DomainName),
    /// Adds the backend, or replaces the one with this id.
    PutBackend(Backend),
    /// Removes a backend.
    DropBackend(BackendId),
    /// Adds the app, or replaces the one with this name.
    PutApp(App),
    /// Removes an app, which no domain and no backend names.
    DropApp(AppName),
}
