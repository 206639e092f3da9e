//! What the translator needs of all of the config.

use crate::translate::pools::Pools;
use crate::translate::tree::Node;

/// What all routers share.
pub(super) struct Whole<'t> {
    pub(super) http: &'t Node,
    pub(super) config: &'t Node,
    pub(super) pools: Pools,
}
