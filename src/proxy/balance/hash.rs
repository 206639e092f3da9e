//! Hash-based balancing: the same key goes to the same backend.

use std::sync::Arc;

use super::terms::Terms;
use crate::state::{BackendNode, Pool};

/// Rendezvous hashing: of the backends that take the request, the one with the highest score for this
/// key. The scores of others don't depend on who is there, so when one leaves only its own keys move,
/// and they spread over all that stay.
pub(super) fn by_hash<'p>(
    pool: &'p Pool,
    terms: &Terms<'_>,
    key: u64,
    backup: bool,
) -> Option<&'p Arc<BackendNode>> {
    let has_room = |node: &Arc<BackendNode>| {
        let most = node.live.max_requests(terms.most);
        most.is_none_or(|most| node.live.in_flight() < most.get())
    };
    pool.ready()
        .filter(|node| node.backend.options.backup == backup && has_room(node) && terms.takes(node))
        .map(|node| (score(key, node.seed(), node.backend.options.weight.get()), node))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, node)| node)
}

/// The score of a backend for a key. With scores of this form the highest is each backend's as often as
/// its weight says.
pub(super) fn score(key: u64, seed: u64, weight: u16) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let between_0_and_1 = ((mix(key ^ seed) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / between_0_and_1.ln()
}

/// The end of splitmix64: every bit of the input moves every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
