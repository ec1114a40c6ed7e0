//! The pages that the idle loop and the console hold, newest first.
//!
//! A stack whose links lie in the pages themselves, so that it has no limit of its own:
//!
//! ```text
//!  page + 0   the page that was taken before, or 0
//!  page + 8…  the page's own address, in every word: an overwritten word is found, and whoever
//!             looks at the memory sees where they are
//! ```

use pagescope_protocol::{PAGE_SIZE, VirtAddr};
use thiserror::Error;

use crate::memory::Memory;

/// The pages held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Holdings {
    newest: Option<VirtAddr>,
    count: u64,
}

/// A word of a page that is not what was stored there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the word at {address} is {found:#018x}; stored was {stored:#018x}")]
pub struct Damage {
    /// Where.
    pub address: VirtAddr,
    /// What is there.
    pub found: u64,
    /// What should be.
    pub stored: u64,
}

impl Holdings {
    /// None.
    pub const NONE: Self = Self {
        newest: None,
        count: 0,
    };

    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The page that was taken last.
    pub const fn newest(&self) -> Option<VirtAddr> {
        self.newest
    }

    /// Takes `page` and fills it.
    pub fn push<M: Memory>(&mut self, memory: &mut M, page: VirtAddr) {
        for offset in (8..PAGE_SIZE).step_by(8) {
            memory.store(page.wrapping_add(offset), page.as_u64());
        }
        memory.store(page, self.newest.map_or(0, VirtAddr::as_u64));
        self.newest = Some(page);
        self.count += 1;
    }

    /// Gives the newest page up.
    pub fn pop<M: Memory>(&mut self, memory: &M) -> Option<VirtAddr> {
        let page = self.newest?;
        self.newest = link(memory, page);
        self.count -= 1;
        Some(page)
    }

    /// Gives `page` up; `false` where it is not held.
    pub fn remove<M: Memory>(&mut self, memory: &mut M, page: VirtAddr) -> bool {
        if self.newest == Some(page) {
            return self.pop(memory).is_some();
        }
        let mut newer = self.newest;
        // No more steps than pages, should a link have been overwritten into a cycle.
        for _ in 0..self.count {
            let Some(at) = newer else { break };
            let next = link(memory, at);
            if next == Some(page) {
                memory.store(at, memory.load(page));
                self.count -= 1;
                return true;
            }
            newer = next;
        }
        false
    }

    /// Whether `page`, which is held, still has in it what [`push`](Self::push) stored.
    ///
    /// # Errors
    /// The first [`Damage`].
    pub fn check<M: Memory>(memory: &M, page: VirtAddr) -> Result<(), Damage> {
        let stored = page.as_u64();
        for offset in (8..PAGE_SIZE).step_by(8) {
            let address = page.wrapping_add(offset);
            let found = memory.load(address);
            if found != stored {
                return Err(Damage {
                    address,
                    found,
                    stored,
                });
            }
        }
        Ok(())
    }
}

fn link<M: Memory>(memory: &M, page: VirtAddr) -> Option<VirtAddr> {
    match memory.load(page) {
        0 => None,
        link => Some(VirtAddr::new(link)),
    }
}

#[cfg(test)]
mod tests;
