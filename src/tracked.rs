#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Values that track their changes. A decision that can't be stored must be undone, and a decision
//! that can be stored must be written to the store; both take time in proportion to the changes,
//! not to the size of the whole.
//!
//! A change is first *made*, and can then be undone. It is then *accepted*: it can no longer be
//! undone and waits to be stored. Finally it is *stored*.

use std::collections::{BTreeMap, BTreeSet, btree_map};

/// An ordered map that tracks its changes.
#[derive(Debug, Clone)]
pub struct TrackedMap<K, V> {
    now: BTreeMap<K, V>,
    /// For each key changed since the last acceptance: the value that it had before.
    before: BTreeMap<K, Option<V>>,
    /// Keys with accepted changes that are not stored yet.
    unstored: BTreeSet<K>,
}

impl<K, V> Default for TrackedMap<K, V> {
    fn default() -> Self {
        Self { now: BTreeMap::new(), before: BTreeMap::new(), unstored: BTreeSet::new() }
    }
}

/// Compares the current values, not the tracked changes.
impl<K: PartialEq, V: PartialEq> PartialEq for TrackedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.now == other.now
    }
}

impl<K: Eq, V: Eq> Eq for TrackedMap<K, V> {}

impl<K: Ord + Clone, V: Clone> TrackedMap<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.now.get(key)
    }

    /// The value of a key, for changing it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let value = self.now.get_mut(key)?;
        if !self.before.contains_key(key) {
            self.before.insert(key.clone(), Some(value.clone()));
        }
        Some(value)
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.now.contains_key(key)
    }

    /// Sets the value of a key; returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let old = self.now.insert(key.clone(), value);
        self.before.entry(key).or_insert_with(|| old.clone());
        old
    }

    /// The value of a key, to be changed; the default when it had none.
    pub fn get_or_default(&mut self, key: &K) -> &mut V
    where
        V: Default,
    {
        if !self.before.contains_key(key) {
            self.before.insert(key.clone(), self.now.get(key).cloned());
        }
        self.now.entry(key.clone()).or_default()
    }

    /// Removes a key; returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.now.remove(key)?;
        if !self.before.contains_key(key) {
            self.before.insert(key.clone(), Some(old.clone()));
        }
        Some(old)
    }

    /// Removes all keys.
    pub fn clear(&mut self) {
        for (key, value) in std::mem::take(&mut self.now) {
            self.before.entry(key).or_insert(Some(value));
        }
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.now.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> btree_map::Iter<'_, K, V> {
        self.now.iter()
    }

    /// The keys in order.
    pub fn keys(&self) -> btree_map::Keys<'_, K, V> {
        self.now.keys()
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> btree_map::Values<'_, K, V> {
        self.now.values()
    }

    /// Keys within `range` and their values, in order.
    pub fn range(&self, range: impl std::ops::RangeBounds<K>) -> btree_map::Range<'_, K, V> {
        self.now.range(range)
    }

    /// The first key and its value.
    #[must_use]
    pub fn first(&self) -> Option<(&K, &V)> {
        self.now.first_key_value()
    }

    /// Keys that were changed since the last acceptance, whether or not their values differ from
    /// before.
    pub fn touched(&self) -> impl Iterator<Item = &K> {
        self.before.keys()
    }

    /// Undoes all changes since the last acceptance.
    pub fn undo(&mut self) {
        for (key, value) in std::mem::take(&mut self.before) {
            match value {
                Some(value) => self.now.insert(key, value),
                None => self.now.remove(&key),
            };
        }
    }

    /// Accepts all changes; they can't be undone any more.
    pub fn accept(&mut self)
    where
        V: PartialEq,
    {
        for (key, value) in std::mem::take(&mut self.before) {
            if self.now.get(&key) != value.as_ref() {
                self.unstored.insert(key);
            }
        }
    }

    /// Marks all keys, and these additional ones, as not stored.
    pub fn store_all(&mut self, besides: impl IntoIterator<Item = K>) {
        self.unstored.extend(self.now.keys().cloned().chain(besides));
    }

    /// The keys to store, with their values or with `None` when they were removed. Includes changes
    /// that are not accepted yet.
    pub fn to_store(&self) -> impl Iterator<Item = (&K, Option<&V>)>
    where
        V: PartialEq,
    {
        let changed = self
            .before
            .iter()
            .filter(|(key, value)| {
                !self.unstored.contains(*key) && self.now.get(*key) != value.as_ref()
            })
            .map(|(key, _)| key);
        self.unstored.iter().chain(changed).map(|key| (key, self.now.get(key)))
    }

    /// Marks the changes returned by [`Self::to_store`] as stored, which also accepts them.
    pub fn stored(&mut self) {
        self.before.clear();
        self.unstored.clear();
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for TrackedMap<K, V> {
    /// Makes a map with these entries, which count as stored.
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        Self { now: entries.into_iter().collect(), ..Self::default() }
    }
}

impl<'a, K: Ord + Clone, V: Clone> IntoIterator for &'a TrackedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = btree_map::Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One value that tracks its changes. For small values, since it is copied as a whole when it is
/// changed.
#[derive(Debug, Clone, Default)]
pub struct Tracked<T> {
    now: T,
    before: Option<T>,
    unstored: bool,
}

/// Compares the current values, not the tracked changes.
impl<T: PartialEq> PartialEq for Tracked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.now == other.now
    }
}

impl<T: Eq> Eq for Tracked<T> {}

impl<T> std::ops::Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.now
    }
}

impl<T: Clone + PartialEq> Tracked<T> {
    /// Makes a tracked value that counts as stored.
    pub const fn new(value: T) -> Self {
        Self { now: value, before: None, unstored: false }
    }

    /// The value, for changing it.
    pub fn edit(&mut self) -> &mut T {
        if self.before.is_none() {
            self.before = Some(self.now.clone());
        }
        &mut self.now
    }

    /// Undoes all changes since the last acceptance.
    pub fn undo(&mut self) {
        if let Some(before) = self.before.take() {
            self.now = before;
        }
    }

    /// Accepts all changes; they can't be undone any more.
    pub fn accept(&mut self) {
        self.unstored = self.is_to_store();
        self.before = None;
    }

    /// Marks the value as not stored.
    pub const fn store_all(&mut self) {
        self.unstored = true;
    }

    /// Whether it differs from what is stored.
    #[must_use]
    pub fn is_to_store(&self) -> bool {
        self.unstored || self.before.as_ref().is_some_and(|before| *before != self.now)
    }

    /// Marks the value as stored, which also accepts its changes.
    pub fn stored(&mut self) {
        self.before = None;
        self.unstored = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(map: &TrackedMap<u8, u8>) -> Vec<(u8, Option<u8>)> {
        map.to_store().map(|(key, value)| (*key, value.copied())).collect()
    }

    #[test]
    fn a_map_undoes_exactly_what_was_done_since_the_last_acceptance() {
        let mut map: TrackedMap<u8, u8> = [(1, 10), (2, 20), (3, 30)].into_iter().collect();
        assert_eq!(changes(&map), []);
        map.insert(4, 40);
        map.accept();
        let before = map.clone();
        *map.get_mut(&1).expect("there") = 11;
        *map.get_mut(&1).expect("there") = 12;
        map.remove(&2);
        map.insert(2, 22);
        map.remove(&3);
        map.insert(5, 50);
        map.remove(&5);
        map.insert(4, 41);
        assert_eq!(changes(&map), [(4, Some(41)), (1, Some(12)), (2, Some(22)), (3, None)]);
        map.undo();
        assert_eq!(map, before);
        assert_eq!(changes(&map), [(4, Some(40))], "what was accepted still waits to be stored");
        map.stored();
        assert_eq!(changes(&map), []);
        map.clear();
        assert_eq!(changes(&map).len(), 4);
        map.undo();
        assert_eq!(map, before);
    }

    #[test]
    fn what_came_back_to_what_it_was_is_not_stored_again() {
        let mut map: TrackedMap<u8, u8> = [(1, 10)].into_iter().collect();
        map.remove(&1);
        map.insert(1, 10);
        map.insert(2, 20);
        map.remove(&2);
        assert_eq!(changes(&map), []);
        map.accept();
        assert_eq!(changes(&map), []);
        map.store_all([3]);
        assert_eq!(changes(&map), [(1, Some(10)), (3, None)]);
        let mut value = Tracked::new(1);
        *value.edit() = 2;
        *value.edit() = 1;
        assert!(!value.is_to_store());
        *value.edit() = 3;
        value.accept();
        *value.edit() = 4;
        value.undo();
        assert_eq!((*value, value.is_to_store()), (3, true));
        value.stored();
        assert!(!value.is_to_store());
    }
}
