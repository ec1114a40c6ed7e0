//! A spin lock that knows who holds it.
//!
//! A hart that takes a lock which it holds already would wait for itself for ever; here it finds
//! out, and says so.

use core::cell::UnsafeCell;
use core::fmt;
use core::hint::spin_loop;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, Ordering};

/// Nobody holds it: no hart has this number.
const FREE: u64 = u64::MAX;

/// A value that one hart at a time may use.
pub struct SpinLock<T> {
    holder: AtomicU64,
    value: UnsafeCell<T>,
}

// SAFETY: `holder` lets one hart in at a time.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// An unlocked value.
    pub const fn new(value: T) -> Self {
        Self {
            holder: AtomicU64::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for it, and takes it for `hart`.
    ///
    /// # Panics
    /// Where this hart holds it already, or is no hart.
    pub fn lock(&self, hart: u64) -> SpinGuard<'_, T> {
        loop {
            if let Some(guard) = self.try_lock(hart) {
                return guard;
            }
            assert!(
                self.holder() != Some(hart),
                "hart {hart} waits for a lock that it holds itself"
            );
            spin_loop();
        }
    }

    /// Takes it for `hart`; `None` while anybody holds it.
    ///
    /// # Panics
    /// Where `hart` is [`u64::MAX`], which is no hart's number.
    pub fn try_lock(&self, hart: u64) -> Option<SpinGuard<'_, T>> {
        assert!(hart != FREE, "a lock is taken by nobody");
        let taken = self
            .holder
            .compare_exchange(FREE, hart, Ordering::Acquire, Ordering::Relaxed);
        // Not `then_some`: a guard that is not given out would unlock on being dropped.
        taken.is_ok().then(|| SpinGuard { lock: self })
    }

    /// Which hart holds it.
    pub fn holder(&self) -> Option<u64> {
        let holder = self.holder.load(Ordering::Relaxed);
        (holder != FREE).then_some(holder)
    }

    /// Where the word lies that says who holds it, for whoever looks from outside.
    pub const fn holder_address(&self) -> *const AtomicU64 {
        &raw const self.holder
    }
}

impl<T> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpinLock")
            .field("holder", &self.holder())
            .finish_non_exhaustive()
    }
}

/// The right to use what a [`SpinLock`] protects, until it is dropped.
pub struct SpinGuard<'a, T> {
    lock: &'a SpinLock<T>,
}

// SAFETY: a shared guard gives no more than a shared reference to the value.
unsafe impl<T: Sync> Sync for SpinGuard<'_, T> {}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard's hart holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.holder.store(FREE, Ordering::Release);
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn one_at_a_time() {
        let counter = SpinLock::new(0_u64);
        thread::scope(|scope| {
            for hart in 0..4 {
                let counter = &counter;
                scope.spawn(move || {
                    for _ in 0..10_000 {
                        *counter.lock(hart) += 1;
                    }
                });
            }
        });
        assert_eq!(*counter.lock(0), 40_000);
        assert_eq!(counter.holder(), None);
    }

    #[test]
    #[should_panic(expected = "hart 3 waits for a lock that it holds itself")]
    fn waiting_for_oneself_is_said() {
        let lock = SpinLock::new(());
        let _held = lock.lock(3);
        let _again = lock.lock(3);
    }

    #[test]
    #[should_panic(expected = "a lock is taken by nobody")]
    fn nobody_takes_no_lock() {
        let lock = SpinLock::new(7);
        let _first = lock.lock(u64::MAX);
    }

    #[test]
    fn another_hart_is_not_let_in() {
        let lock = SpinLock::new(7);
        let held = lock.lock(0);
        assert!(lock.try_lock(1).is_none());
        assert_eq!((lock.holder(), *held), (Some(0), 7));
    }
}
