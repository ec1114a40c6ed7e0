//! How one list became another: the stretches of the old one that stay, and what is new.
//!
//! ```text
//! old   a b c d e
//! new   b c x e        [Same(from: 1, count: 2), New(x), Same(from: 4, count: 1)]
//! ```

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::Debug;

use serde::{Deserialize, Serialize};

/// Most items that a list may have after its edits; a file that asks for more is refused.
pub(super) const MAX_ITEMS: usize = 1 << 17;

/// A part of the new list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ListEdit<T> {
    /// A stretch of the old list.
    Same {
        /// Its first item's place there.
        from: usize,
        /// How many items.
        count: usize,
    },
    /// An item that the old list has not.
    New(T),
}

/// The edits that make `new` of `old`; `None` where the two are equal. `key` is equal for equal items, and
/// seldom for others.
pub(super) fn between<T: Clone + PartialEq, K: Ord>(
    old: &[T],
    new: &[T],
    key: impl Fn(&T) -> K,
) -> Option<Vec<ListEdit<T>>> {
    if old == new {
        return None;
    }
    let mut places: BTreeMap<K, usize> = BTreeMap::new();
    for (place, item) in old.iter().enumerate() {
        places.entry(key(item)).or_insert(place);
    }
    let mut edits: Vec<ListEdit<T>> = Vec::new();
    for item in new {
        // Where the last stretch goes on, it goes on.
        if let Some(ListEdit::Same { from, count }) = edits.last_mut()
            && old.get(*from + *count) == Some(item)
        {
            *count += 1;
            continue;
        }
        let place = places.get(&key(item)).copied();
        edits.push(match place.filter(|place| old[*place] == *item) {
            Some(from) => ListEdit::Same { from, count: 1 },
            None => ListEdit::New(item.clone()),
        });
    }
    Some(edits)
}

/// Plays `edits` onto `old`; `None` where they name what is not there, or make too much.
pub(super) fn apply<T: Clone>(old: &[T], edits: &[ListEdit<T>]) -> Option<Vec<T>> {
    let mut new = Vec::new();
    for edit in edits {
        match edit {
            ListEdit::Same { from, count } => {
                new.extend_from_slice(old.get(*from..from.checked_add(*count)?)?);
            }
            ListEdit::New(item) => new.push(item.clone()),
        }
        if new.len() > MAX_ITEMS {
            return None;
        }
    }
    Some(new)
}
