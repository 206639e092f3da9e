//! The items of clients, in a lane for each; the largest lane is found at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

/// The items of each owner, in order of arrival.
#[derive(Debug)]
pub(super) struct Lanes<K, T> {
    lanes: HashMap<K, BTreeMap<u64, T>, foldhash::fast::RandomState>,
    /// The lanes by size; of equal ones, the one with the oldest item comes last.
    by_size: BTreeSet<(usize, Reverse<u64>, K)>,
}

impl<K, T> Default for Lanes<K, T> {
    fn default() -> Self {
        Self { lanes: HashMap::default(), by_size: BTreeSet::new() }
    }
}

impl<K: Copy + Ord + Hash, T> Lanes<K, T> {
    /// Appends an item to a lane; ids must grow.
    pub(super) fn push(&mut self, owner: K, id: u64, kept: T) {
        let lane = self.lanes.entry(owner).or_default();
        if let Some(first) = lane.keys().next() {
            self.by_size.remove(&(lane.len(), Reverse(*first), owner));
        }
        lane.insert(id, kept);
        let first = lane.keys().next().copied().unwrap_or(id);
        self.by_size.insert((lane.len(), Reverse(first), owner));
    }

    pub(super) fn remove(&mut self, owner: K, id: u64) -> Option<T> {
        let lane = self.lanes.get_mut(&owner)?;
        let (size, first) = (lane.len(), *lane.keys().next()?);
        let kept = lane.remove(&id)?;
        self.by_size.remove(&(size, Reverse(first), owner));
        match lane.keys().next() {
            Some(first) => {
                self.by_size.insert((lane.len(), Reverse(*first), owner));
            }
            None => {
                self.lanes.remove(&owner);
            }
        }
        Some(kept)
    }

    /// The size of an owner's lane.
    pub(super) fn size(&self, owner: K) -> usize {
        self.lanes.get(&owner).map_or(0, BTreeMap::len)
    }

    /// The owner with the most items, and their number.
    pub(super) fn largest(&self) -> Option<(K, usize)> {
        self.by_size.last().map(|(size, _, owner)| (*owner, *size))
    }

    /// The first id of an owner's lane.
    pub(super) fn oldest(&self, owner: K) -> Option<u64> {
        self.lanes.get(&owner)?.keys().next().copied()
    }

    /// The last item of an owner's lane.
    pub(super) fn newest(&self, owner: K) -> Option<(u64, &T)> {
        self.lanes.get(&owner)?.iter().next_back().map(|(id, kept)| (*id, kept))
    }

    pub(super) fn get_mut(&mut self, owner: K, id: u64) -> Option<&mut T> {
        self.lanes.get_mut(&owner)?.get_mut(&id)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.by_size.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_lane_is_known_and_an_empty_one_is_gone() {
        let mut lanes = Lanes::default();
        for (id, owner) in ['a', 'b', 'a', 'c', 'b'].into_iter().enumerate() {
            lanes.push(owner, id as u64, ());
        }
        assert_eq!(lanes.largest(), Some(('a', 2)), "of two that are as large, the older");
        assert_eq!((lanes.oldest('b'), lanes.newest('b').map(|(id, ())| id)), (Some(1), Some(4)));
        assert_eq!(lanes.remove('a', 0), Some(()));
        assert_eq!(lanes.remove('a', 0), None);
        assert_eq!((lanes.largest(), lanes.size('a')), (Some(('b', 2)), 1));
        for (owner, id) in [('a', 2), ('b', 1), ('b', 4), ('c', 3)] {
            assert_eq!(lanes.remove(owner, id), Some(()));
        }
        assert!(lanes.is_empty());
    }
}
