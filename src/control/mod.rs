//! The one writer: every change is validated, persisted, published, and then answered.
//!
//! One file per kind of operation. Each plans its edit as a pure function of the snapshot; the plane
//! alone commits and publishes. Knows neither JSON nor sockets.

mod announce;
mod backends;
mod caller;
mod claims;
mod configuration;
mod differences;
mod domains;
mod drain;
mod error;
mod export;
mod files;
mod find;
mod forecast;
mod gate;
mod history;
mod loss;
mod plan;
mod plane;
mod reach;
mod reconcile;
mod reload;
mod settings;
mod switch;
mod token;
mod wait;

pub use backends::{BackendEdit, NewBackend};
pub use caller::Caller;
pub use configuration::{Configuration, Settle};
pub use domains::{DomainEdit, NewDomain};
pub use error::ControlError;
pub use export::{Exported, Secrets};
pub use gate::{ProbeNow, Probed};
pub use history::EventWatch;
pub use plane::{ControlOptions, ControlPlane};
pub use reach::Reach;
pub use reload::ReloadOptions;
pub use switch::SwitchTarget;

#[cfg(test)]
mod tests;
