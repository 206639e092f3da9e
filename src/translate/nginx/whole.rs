//! What the translator needs of all of the config.

use super::scope::Scope;
use super::upstreams::Upstreams;
use crate::translate::pools::Pools;

/// What all servers share.
pub(super) struct Whole<'t> {
    pub(super) http: Scope<'t>,
    pub(super) upstreams: Upstreams<'t>,
    pub(super) pools: Pools,
}
