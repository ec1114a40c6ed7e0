//! Pages that wait to become tables.
//!
//! They belong to S-mode's heap and are zeroed. With `demand`, M-mode takes from them too, in the
//! middle of a store of S-mode's; so the places are atomic, and nobody ever has them to himself.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_protocol::{PhysAddr, PhysPage};

/// Most pages that wait: `mirror` keeps three, and one more is wanted where `kalloc` comes to a fresh
/// 2 MiB.
pub const RESERVE_MAX: usize = 4;

/// The pages, by physical address; 0 is an empty place.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Reserve {
    places: [AtomicU64; RESERVE_MAX],
}

impl Reserve {
    /// None.
    pub const fn new() -> Self {
        Self {
            places: [const { AtomicU64::new(0) }; RESERVE_MAX],
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        let waits = |place: &&AtomicU64| place.load(Ordering::Acquire) != 0;
        self.places.iter().filter(waits).count()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes one.
    pub fn take(&self) -> Option<PhysPage> {
        let taken = self.places.iter().find_map(|place| {
            let address = place.swap(0, Ordering::AcqRel);
            (address != 0).then_some(address)
        });
        PhysAddr::new(taken?).page()
    }

    /// Puts `page` in; gives it back where there is no room.
    ///
    /// # Errors
    /// The page.
    pub fn put(&self, page: PhysPage) -> Result<(), PhysPage> {
        let address = page.start().as_u64();
        let into = |place: &&AtomicU64| {
            place
                .compare_exchange(0, address, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        };
        self.places.iter().find(into).map(drop).ok_or(page)
    }

    /// The pages, for whoever only looks.
    pub fn pages(&self) -> impl Iterator<Item = PhysPage> {
        let pages = self
            .places
            .iter()
            .map(|place| place.load(Ordering::Acquire));
        pages.filter_map(|address| PhysAddr::new(address).page().filter(|_| address != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_was_put_in_can_be_taken_and_no_more() {
        let reserve = Reserve::new();
        let page = |number| PhysPage::from_truncated(number);
        for number in 1..=RESERVE_MAX as u64 {
            assert_eq!(reserve.put(page(number)), Ok(()));
        }
        assert_eq!(reserve.put(page(9)), Err(page(9)));
        assert_eq!(reserve.len(), RESERVE_MAX);
        assert_eq!(reserve.take(), Some(page(1)));
        assert_eq!(
            reserve.pages().collect::<Vec<_>>(),
            [page(2), page(3), page(4)]
        );
        while reserve.take().is_some() {}
        assert!(reserve.is_empty());
    }
}
