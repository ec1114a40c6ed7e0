//! The frame allocator: the heap that grows down, and its counter.
//!
//! ```text
//!  bottom                    next                             top
//!    ├──────── untouched ─────┼── handed out, freed, tables ──┤ counter's page
//!                             ◀── grows
//! ```
//!
//! A page that was freed waits in a list, newest first, whose links lie in the freed pages
//! themselves. The heap counter counts the pages that are handed out: [`take`](Heap::take) adds
//! one, [`give_back`](Heap::give_back) takes one off (S0.4). While pages are freed newest first,
//! `kalloc(n)` is therefore the same page every time.
//!
//! Two bits say of each page what it is, so that a page which was not handed out cannot be freed:
//! not twice, not a table, not somebody else's.

use pagescope_protocol::{ENTRIES_PER_TABLE, Level, PhysPage, VirtAddr};
use thiserror::Error;

use crate::board;
use crate::memory::Memory;
use crate::window::Window;

/// Most pages that a heap can have: all of RAM.
const MAX_PAGES: usize = (board::RAM.size() / pagescope_protocol::PAGE_SIZE) as usize;

/// What a page of the heap is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PageState {
    /// Never handed out.
    Untouched = 0,
    /// Handed out.
    InUse = 1,
    /// Given back; it waits in the list.
    Freed = 2,
    /// A page table, or in reserve to become one.
    Table = 3,
}

impl PageState {
    const fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0 => Self::Untouched,
            1 => Self::InUse,
            2 => Self::Freed,
            _ => Self::Table,
        }
    }
}

/// Why a page was not taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FreeError {
    /// Not a multiple of 4096.
    #[error("{0} is not the start of a page")]
    Misaligned(VirtAddr),
    /// Not a page of the heap.
    #[error("{0} is not a page of the heap")]
    Foreign(VirtAddr),
    /// A page of the heap that was never handed out.
    #[error("{0} was never handed out")]
    NeverHandedOut(VirtAddr),
    /// A page that was freed already.
    #[error("{0} is free already")]
    DoubleFree(VirtAddr),
    /// A page that the page tables are made of.
    #[error("{0} is a page table, or in reserve to become one")]
    Table(VirtAddr),
}

/// Where a heap lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeapLayout {
    /// The page that is handed out first.
    pub top: PhysPage,
    /// The lowest page that may be handed out.
    pub bottom: PhysPage,
    /// Where the program finds the pages' bytes.
    pub window: Window,
    /// Where the program finds the heap counter.
    pub counter: VirtAddr,
    /// The index, in its 2 MiB of the window, of the page that is passed over: a table's place
    /// ([`SelfMap::in_place_index`](crate::self_map::SelfMap::in_place_index)).
    pub passed_over: Option<usize>,
}

/// All pages of a heap, counted one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Audit {
    /// Pages that there are.
    pub total: u64,
    /// Handed out and not taken back.
    pub in_use: u64,
    /// Page tables and those in reserve; with them what is passed over for good.
    pub tables: u64,
    /// Given back.
    pub freed: u64,
    /// Never handed out.
    pub untouched: u64,
    /// Pages in the list of those given back.
    pub listed: u64,
    /// What the heap counter says.
    pub counter: u64,
    /// Tables linked and in reserve, counted where they are, and what is passed over for good.
    pub needed: u64,
}

impl Audit {
    /// Whether none is lost: in use and free are all that there are, the counter counts what is in
    /// use, every page that was given back can be found, and every table is linked or in reserve.
    pub const fn is_complete(&self) -> bool {
        let in_use = self.in_use + self.tables;
        in_use + self.freed + self.untouched == self.total
            && in_use == self.counter
            && self.listed == self.freed
            && self.tables == self.needed
    }
}

/// The allocator's state.
#[derive(Debug)]
pub struct Heap {
    layout: HeapLayout,
    /// Pages between `top` and the next untouched page.
    taken: u64,
    /// What the heap counter says.
    handed_out: u64,
    freed: u64,
    newest_freed: Option<PhysPage>,
    /// Pages that were passed over and are no table: nobody's for good.
    nobodys: u64,
    states: [u8; MAX_PAGES / 4],
}

impl Heap {
    /// A heap that has handed out nothing. The counter in memory is written with the first page.
    pub const fn new(layout: HeapLayout) -> Self {
        Self {
            layout,
            taken: 0,
            handed_out: 0,
            freed: 0,
            newest_freed: None,
            nobodys: 0,
            states: [0; MAX_PAGES / 4],
        }
    }

    /// A heap that takes over from another program, which has handed out `tables` pages for page
    /// tables and their reserve.
    pub fn resume(layout: HeapLayout, tables: u64) -> Self {
        let mut heap = Self::new(layout);
        heap.taken = tables;
        heap.handed_out = tables;
        for number in 0..tables {
            heap.set_state(
                PhysPage::from_truncated(layout.top.number() - number),
                PageState::Table,
            );
        }
        heap
    }

    /// Where it lies.
    pub const fn layout(&self) -> HeapLayout {
        self.layout
    }

    /// Pages handed out: the heap counter's value.
    pub const fn handed_out(&self) -> u64 {
        self.handed_out
    }

    /// Pages that wait in the list.
    pub const fn freed(&self) -> u64 {
        self.freed
    }

    /// Pages that it has in all.
    pub const fn capacity(&self) -> u64 {
        (self.layout.top.number() + 1).saturating_sub(self.layout.bottom.number())
    }

    /// Pages that [`take`](Self::take) can still give.
    pub fn available(&self) -> u64 {
        let lowest = self.layout.bottom.number();
        let end = (self.layout.top.number() + 1).saturating_sub(self.taken);
        let passed_over = self.layout.passed_over.map_or(0, |index| {
            let distance = Level::L0.index_of(self.layout.window.address_of(self.layout.bottom));
            let table = ENTRIES_PER_TABLE as u64;
            // The first of them, counted from the lowest page.
            let first = (index as u64 + table - distance as u64) % table;
            (end.saturating_sub(lowest) + table - 1).saturating_sub(first) / table
        });
        self.freed + end.saturating_sub(lowest) - passed_over
    }

    /// The untouched page that comes next; `None` where there are none left.
    pub fn next_untouched(&self) -> Option<PhysPage> {
        let lowest = self.layout.bottom.number();
        let highest = self.layout.top.number().checked_sub(self.taken)?;
        let mut pages = (lowest..=highest).rev().map(PhysPage::from_truncated);
        pages.find(|page| !self.is_passed_over(*page))
    }

    /// Whether `page` is one that [`take`](Self::take) never gives.
    fn is_passed_over(&self, page: PhysPage) -> bool {
        let index = Level::L0.index_of(self.layout.window.address_of(page));
        self.layout.passed_over == Some(index)
    }

    /// Counts every page, and follows the list of freed ones to its end. `needed` says how many tables
    /// there are, linked or in reserve.
    pub fn audit<M: Memory>(&self, memory: &M, needed: u64) -> Audit {
        let HeapLayout { top, bottom, .. } = self.layout;
        let mut audit = Audit {
            total: self.capacity(),
            needed: needed + self.nobodys,
            counter: memory.load(self.layout.counter),
            ..Audit::default()
        };
        for number in bottom.number()..=top.number() {
            match self.state(PhysPage::from_truncated(number)) {
                Some(PageState::InUse) => audit.in_use += 1,
                Some(PageState::Table) => audit.tables += 1,
                Some(PageState::Freed) => audit.freed += 1,
                Some(PageState::Untouched) | None => audit.untouched += 1,
            }
        }
        let mut newest = self.newest_freed;
        while let Some(page) = newest.filter(|_| audit.listed <= audit.freed) {
            audit.listed += 1;
            newest = self.next_freed(memory, page);
        }
        audit
    }

    /// What `page` is; `None` where it is not the heap's.
    pub fn state(&self, page: PhysPage) -> Option<PageState> {
        let (byte, shift) = self.place(page)?;
        Some(PageState::from_bits(self.states[byte] >> shift))
    }

    /// Declares a page that is handed out to be a table, or in reserve to become one.
    pub fn keep_as_table(&mut self, page: PhysPage) {
        self.set_state(page, PageState::Table);
    }

    /// Declares a table's frame to be a page that is handed out: it can be given back then.
    pub fn release_table(&mut self, page: PhysPage) {
        if self.state(page) == Some(PageState::Table) {
            self.set_state(page, PageState::InUse);
        }
    }

    /// Hands out a page that [`take`](Self::take) passes over, to be the table of its own 2 MiB:
    /// `false` where that has been done, or where it is not such a page.
    pub fn claim<M: Memory>(&mut self, memory: &mut M, page: PhysPage) -> bool {
        let free = self.is_passed_over(page) && self.state(page) == Some(PageState::Untouched);
        if free {
            self.set_state(page, PageState::Table);
            self.count(memory, self.handed_out + 1);
        }
        free
    }

    /// Hands out a page: the one freed last, else the next untouched one. The caller has mapped
    /// the latter. A page that is passed over and is no table yet is nobody's for good, and counts
    /// as handed out.
    pub fn take<M: Memory>(&mut self, memory: &mut M) -> Option<PhysPage> {
        let page = match self.pop_freed(memory) {
            Some(page) => page,
            None => {
                let page = self.next_untouched()?;
                let first = self.layout.top.number() - self.taken;
                for number in page.number() + 1..=first {
                    let passed = self.claim(memory, PhysPage::from_truncated(number));
                    self.nobodys += u64::from(passed);
                }
                self.taken = self.layout.top.number() + 1 - page.number();
                page
            }
        };
        self.set_state(page, PageState::InUse);
        self.count(memory, self.handed_out + 1);
        Some(page)
    }

    /// Takes the page at `address` back, fills it with `fill` and links it into the list.
    ///
    /// # Errors
    /// [`FreeError`], where it was not handed out; nothing has changed then.
    pub fn give_back<M: Memory>(
        &mut self,
        memory: &mut M,
        address: VirtAddr,
        fill: u8,
    ) -> Result<PhysPage, FreeError> {
        if address.page_offset() != 0 {
            return Err(FreeError::Misaligned(address));
        }
        let foreign = FreeError::Foreign(address);
        let page = self.layout.window.frame_at(address).ok_or(foreign)?;
        match self.state(page) {
            None => return Err(foreign),
            Some(PageState::Untouched) => return Err(FreeError::NeverHandedOut(address)),
            Some(PageState::Freed) => return Err(FreeError::DoubleFree(address)),
            Some(PageState::Table) => return Err(FreeError::Table(address)),
            Some(PageState::InUse) => {}
        }
        memory.fill_page(address, fill);
        let link = self.newest_freed.map_or(0, |next| next.start().as_u64());
        memory.store(address, link);
        self.newest_freed = Some(page);
        self.freed += 1;
        self.set_state(page, PageState::Freed);
        self.count(memory, self.handed_out - 1);
        Ok(page)
    }

    /// Whether the next page comes from the list.
    pub const fn has_freed(&self) -> bool {
        self.newest_freed.is_some()
    }

    /// Takes the newest page off the list. A link that was overwritten after its page was freed
    /// ends the list: the pages behind it are lost, and no page is handed out twice.
    fn pop_freed<M: Memory>(&mut self, memory: &M) -> Option<PhysPage> {
        let page = self.newest_freed?;
        self.newest_freed = self.next_freed(memory, page);
        self.freed = match self.newest_freed {
            Some(_) => self.freed.saturating_sub(1),
            None => 0,
        };
        Some(page)
    }

    /// The freed page that the link in `page`, a freed one, leads to.
    fn next_freed<M: Memory>(&self, memory: &M, page: PhysPage) -> Option<PhysPage> {
        let link = memory.load(self.layout.window.address_of(page));
        pagescope_protocol::PhysAddr::new(link)
            .page()
            .filter(|next| link & 0xfff == 0 && self.state(*next) == Some(PageState::Freed))
            .filter(|next| *next != page)
    }

    fn count<M: Memory>(&mut self, memory: &mut M, handed_out: u64) {
        self.handed_out = handed_out;
        memory.store(self.layout.counter, handed_out);
    }

    fn place(&self, page: PhysPage) -> Option<(usize, u32)> {
        let HeapLayout { top, bottom, .. } = self.layout;
        if page < bottom || page > top {
            return None;
        }
        let number = (top.number() - page.number()) as usize;
        (number < MAX_PAGES).then_some((number / 4, (number % 4) as u32 * 2))
    }

    fn set_state(&mut self, page: PhysPage, state: PageState) {
        if let Some((byte, shift)) = self.place(page) {
            self.states[byte] = self.states[byte] & !(0b11 << shift) | (state as u8) << shift;
        }
    }
}
