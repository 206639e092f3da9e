//! What the control plane has other rooms do for it.

use super::checks::{PeakNow, SmokeNow};
use super::gate::ProbeNow;
use super::trials::BaselineNow;

/// What the control plane has other rooms do for it. Given by the server.
#[derive(Clone)]
pub(crate) struct Services {
    /// Probes a backend.
    pub probe: ProbeNow,
    /// Says what is known of a tag's traffic until now.
    pub baseline: BaselineNow,
    /// Says how many requests were in flight at once.
    pub peak: PeakNow,
    /// Tries a new backend with requests.
    pub smoke: SmokeNow,
}
