//! The one writer: every change is validated, persisted, published, and then answered.
//!
//! One file per kind of operation. Each plans its edit as a pure function of the snapshot; the plane
//! alone commits and publishes. Knows neither JSON nor sockets.

mod announce;
mod apps;
mod ask;
mod backends;
mod caller;
mod checks;
mod claims;
mod configuration;
mod deploy;
mod differences;
mod domains;
mod drain;
mod edit;
mod error;
mod export;
mod files;
pub(crate) mod find;
mod followers;
mod forecast;
mod gate;
mod giving;
mod history;
mod hooks;
mod left;
mod left_tags;
mod loss;
mod plan;
mod plane;
mod planned;
mod previews;
mod reach;
mod reconcile;
mod reload;
mod services;
mod settings;
mod splits;
mod switch;
mod trials;
mod wait;

pub(crate) use backends::BackendEdit;
pub(crate) use caller::Caller;
pub(crate) use checks::{SmokeNow, SmokeTry};
pub(crate) use configuration::{Configuration, Settle};
pub(crate) use domains::{DomainEdit, NewDomain};
pub(crate) use error::ControlError;
pub(crate) use export::Secrets;
#[cfg(test)]
pub(crate) use gate::ProbeNow;
pub(crate) use gate::Probed;
pub(crate) use hooks::{AskHook, Hooks, without_checks, without_hooks};
pub(crate) use plan::SwitchTarget;
pub(crate) use plane::{ControlOptions, ControlPlane, Effect};
pub(crate) use reach::Reach;
pub(crate) use reload::ReloadOptions;
pub(crate) use services::Services;
pub(crate) use trials::{TrialError, TrialStep, kind_of};

#[cfg(test)]
mod tests;
