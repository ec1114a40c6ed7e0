//! The physical memory manager: free pages in a linked list.
//!
//! ```text
//!  head ─▶ ┌────────┐   ┌────────┐   ┌────────┐
//!          │ next ──┼──▶│ next ──┼──▶│   0    │     the first word of a free page is the list;
//!          │ 5a5a…  │   │ 5a5a…  │   │ 5a5a…  │     the rest is the freed fill
//!          └────────┘   └────────┘   └────────┘
//! ```
//!
//! It knows pointers into the linear map and no others: no physical address, and no identity mapping,
//! which is gone later on (S2.5). What each page is, it keeps beside the list, so that a page is neither freed
//! twice nor handed out twice, whoever has written to it.
//!
//! A page that is taken back belongs to nobody while it is filled: [`Kmem::retire`] under the lock, the fill
//! without it, [`Kmem::link`] under the lock again.

use pagescope_protocol::info::FREED_FILL;
use pagescope_protocol::{PAGE_SIZE, VirtAddr, VirtRange};
use thiserror::Error;

use crate::board;
use crate::memory::Memory;

/// Pages at most.
pub const MAX_PAGES: usize = (board::RAM.size() / PAGE_SIZE) as usize;

/// What a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PageState {
    /// None of ours.
    Foreign,
    /// In the list.
    Free,
    /// Handed out.
    HandedOut,
    /// Handed out, and a page table.
    Table,
    /// On its way back into the list.
    Retired,
}

/// Why there is no page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KallocError {
    /// The list is empty.
    #[error("out of memory")]
    Empty,
    /// Somebody has written to a page that is free: its link leads to no free page.
    #[error("the free page {page} was written to: its link is {found:#x}")]
    Damaged {
        /// The page.
        page: VirtAddr,
        /// What is in its first word.
        found: u64,
    },
}

/// Why a page is not taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KfreeError {
    /// No page of the heap begins there.
    #[error("{0} is not a page of the heap")]
    Foreign(VirtAddr),
    /// It is free.
    #[error("{0} is free already")]
    Free(VirtAddr),
    /// It is a page table.
    #[error("{0} is a page table")]
    Table(VirtAddr),
}

/// What is wrong with the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ListDamage {
    /// A link leads to what is not free: the list is cut, or crosses a page in use.
    #[error("the list leads to {0}, which is not free")]
    NotFree(VirtAddr),
    /// There are more links than free pages: a cycle.
    #[error("the list is longer than the {0} free pages that there are")]
    TooLong(u64),
    /// Free pages are missing from it.
    #[error("the list has {linked} of {free} free pages")]
    Lost {
        /// Pages in the list.
        linked: u64,
        /// Pages that are free.
        free: u64,
    },
    /// Pages are missing altogether.
    #[error("of {all} pages, {free} are free and {handed_out} are handed out")]
    Miscounted {
        /// Pages that there are.
        all: u64,
        /// Pages that are free.
        free: u64,
        /// Pages that are handed out.
        handed_out: u64,
    },
}

/// The free list.
#[derive(Debug)]
pub struct Kmem {
    pages: VirtRange,
    head: Option<VirtAddr>,
    free: u64,
    handed_out: u64,
    /// The lowest page that was ever handed out; `pages.end()` before that.
    lowest: VirtAddr,
    states: [PageState; MAX_PAGES],
}

impl Kmem {
    /// No pages at all.
    pub const fn empty() -> Self {
        let Some(pages) = VirtRange::new(VirtAddr::new(0), 0) else {
            panic!("an empty range wraps around")
        };
        Self {
            pages,
            head: None,
            free: 0,
            handed_out: 0,
            lowest: VirtAddr::new(0),
            states: [PageState::Foreign; MAX_PAGES],
        }
    }

    /// Frees all of `pages`, of the linear map, one after the other: the last is the first to be handed out.
    /// What is more than [`MAX_PAGES`] stays unused. To be called once.
    pub fn free_all<M: Memory>(&mut self, memory: &mut M, pages: VirtRange) {
        let count = (pages.size() / PAGE_SIZE).min(MAX_PAGES as u64);
        let Some(pages) = VirtRange::new(pages.start(), count * PAGE_SIZE) else {
            return;
        };
        (self.pages, self.lowest) = (pages, pages.end());
        for number in 0..count {
            let page = pages.start().wrapping_add(number * PAGE_SIZE);
            memory.fill_page(page, FREED_FILL);
            self.push(memory, page);
        }
    }

    /// Its pages.
    pub const fn pages(&self) -> VirtRange {
        self.pages
    }

    /// Pages in the list.
    pub const fn free(&self) -> u64 {
        self.free
    }

    /// Pages that are handed out.
    pub const fn handed_out(&self) -> u64 {
        self.handed_out
    }

    /// All pages.
    pub const fn capacity(&self) -> u64 {
        self.pages.size() / PAGE_SIZE
    }

    /// The page that comes next when none of those that were given back are left.
    pub const fn next_untouched(&self) -> VirtAddr {
        self.lowest.wrapping_add(PAGE_SIZE.wrapping_neg())
    }

    /// Pages that were handed out once and wait to be handed out again.
    pub const fn given_back(&self) -> u64 {
        let touched = (self.pages.end().as_u64() - self.lowest.as_u64()) / PAGE_SIZE;
        touched.saturating_sub(self.handed_out)
    }

    /// What the page at `page` is.
    pub fn state(&self, page: VirtAddr) -> PageState {
        self.place(page)
            .map_or(PageState::Foreign, |place| self.states[place])
    }

    /// Takes a page out of the list, the one that came last. What is in it, its user decides.
    ///
    /// # Errors
    /// [`KallocError`].
    pub fn take<M: Memory>(&mut self, memory: &M) -> Result<VirtAddr, KallocError> {
        let page = self.head.ok_or(KallocError::Empty)?;
        let found = memory.load(page);
        let next = match found {
            0 if self.free == 1 => None,
            link => Some(VirtAddr::new(link)),
        };
        if next.is_some_and(|next| next == page || self.state(next) != PageState::Free) {
            return Err(KallocError::Damaged { page, found });
        }
        self.head = next;
        self.set_state(page, PageState::HandedOut);
        self.free -= 1;
        self.handed_out += 1;
        self.lowest = self.lowest.min(page);
        Ok(page)
    }

    /// Takes `page` back: from now on it is nobody's, and [`link`](Self::link) is due.
    ///
    /// # Errors
    /// [`KfreeError`].
    pub fn retire(&mut self, page: VirtAddr) -> Result<(), KfreeError> {
        match self.state(page) {
            PageState::HandedOut => {
                self.set_state(page, PageState::Retired);
                self.handed_out -= 1;
                Ok(())
            }
            PageState::Foreign => Err(KfreeError::Foreign(page)),
            PageState::Table => Err(KfreeError::Table(page)),
            PageState::Free | PageState::Retired => Err(KfreeError::Free(page)),
        }
    }

    /// Puts a page that was retired into the list.
    pub fn link<M: Memory>(&mut self, memory: &mut M, page: VirtAddr) {
        if self.state(page) == PageState::Retired {
            self.push(memory, page);
        }
    }

    /// Says whether a page that was handed out is a page table.
    pub fn set_table(&mut self, page: VirtAddr, is_table: bool) {
        match (self.state(page), is_table) {
            (PageState::HandedOut, true) => self.set_state(page, PageState::Table),
            (PageState::Table, false) => self.set_state(page, PageState::HandedOut),
            _ => {}
        }
    }

    /// Follows the list from end to end, and counts: nothing is lost, nothing is there twice.
    ///
    /// # Errors
    /// [`ListDamage`].
    pub fn audit<M: Memory>(&self, memory: &M) -> Result<(), ListDamage> {
        let count = |state| self.states.iter().filter(|found| **found == state).count() as u64;
        let free = count(PageState::Free);
        let mut linked = 0;
        let mut next = self.head;
        while let Some(page) = next {
            if self.state(page) != PageState::Free {
                return Err(ListDamage::NotFree(page));
            }
            linked += 1;
            // As many links as pages and no end: some page is linked twice.
            if linked > free {
                return Err(ListDamage::TooLong(free));
            }
            next = match memory.load(page) {
                0 => None,
                link => Some(VirtAddr::new(link)),
            };
        }
        if linked != free || self.free != free {
            return Err(ListDamage::Lost { linked, free });
        }
        let handed_out = count(PageState::HandedOut) + count(PageState::Table);
        if handed_out != self.handed_out || free + handed_out != self.capacity() {
            return Err(ListDamage::Miscounted {
                all: self.capacity(),
                free,
                handed_out,
            });
        }
        Ok(())
    }

    fn push<M: Memory>(&mut self, memory: &mut M, page: VirtAddr) {
        memory.store(page, self.head.map_or(0, VirtAddr::as_u64));
        self.head = Some(page);
        self.set_state(page, PageState::Free);
        self.free += 1;
    }

    fn place(&self, page: VirtAddr) -> Option<usize> {
        let is_ours = self.pages.contains(page) && page.is_aligned(PAGE_SIZE);
        let offset = page.checked_offset_from(self.pages.start())?;
        is_ours.then_some((offset / PAGE_SIZE) as usize)
    }

    fn set_state(&mut self, page: VirtAddr, state: PageState) {
        if let Some(place) = self.place(page) {
            self.states[place] = state;
        }
    }
}
