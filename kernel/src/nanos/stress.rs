//! Random allocations and frees over all heaps, held against what was handed out.
//!
//! ```text
//!  item    something that was handed out: by which heap, where, how large
//!  marker  its own address, in the first and the last word of mapped memory
//!  audit   every item is in its heap's accounts as it was handed out, no two share an address, and
//!          the sums of all accounts are equal
//! ```
//!
//! It runs in the kernel (`stress N`) and on the host, where a shadow of its own is kept beside it.

use pagescope_protocol::info::region_kind;
use pagescope_protocol::{PAGE_SIZE, PhysAddr, VirtAddr};
use thiserror::Error;

use super::general::{GeneralError, LARGEST};
use super::kernel_heaps::{Call, HUGE, KernelHeaps, Watch};
use super::table_pool::CHUNK_PAGES;
use super::tracking::{Label, Tag};
use crate::memory::Memory;
use crate::stress::Random;

/// Items that there are at a time, at most.
pub const SLOTS: usize = 96;

/// A heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heap {
    /// Frames.
    Physical,
    /// 2^32 addresses.
    VirtualHuge,
    /// Pages of addresses.
    VirtualPage,
    /// Mapped memory.
    Backed,
    /// Mapped pages.
    Kalloc,
    /// Small objects.
    General,
}

impl Heap {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Physical,
        Self::VirtualHuge,
        Self::VirtualPage,
        Self::Backed,
        Self::Kalloc,
        Self::General,
    ];
}

/// Something that was handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// By which heap.
    pub heap: Heap,
    /// Its first address.
    pub start: u64,
    /// Bytes that were asked for.
    pub size: u64,
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// Something was handed out.
    Allocated(Item),
    /// Something was taken back.
    Freed(Item),
    /// The heap had nothing like that.
    Refused(Heap),
}

/// What is not as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum StressError {
    /// A heap refused what it had handed out.
    #[error("{0:?} does not take {1:#x} back")]
    NotTakenBack(Heap, u64),
    /// A heap took the same back twice.
    #[error("{0:?} takes {1:#x} back twice")]
    TakenBackTwice(Heap, u64),
    /// An address that is not aligned to its size.
    #[error("{0:?} handed {2:#x} bytes out at {1:#x}, which is not aligned")]
    Misaligned(Heap, u64, u64),
    /// Two items share an address.
    #[error("{0:?} handed {1:#x} out, which overlaps {2:#x}")]
    Overlap(Heap, u64, u64),
    /// A marker was overwritten.
    #[error("the word at {0:#x} is {1:#x}, not its marker")]
    Marker(u64, u64),
    /// An item is not in its heap's accounts.
    #[error("{0:?} does not know of {1:#x}")]
    Unknown(Heap, u64),
    /// Two ways of counting.
    #[error("{0:?} has {1} units handed out, and {2} are known of")]
    Sum(Heap, u64, u64),
}

/// The items, and where the random numbers come from.
#[derive(Debug)]
pub struct Stress {
    random: Random,
    items: [Option<Item>; SLOTS],
    /// Frames that were handed out before, by `physical` alone.
    frames_before: u64,
}

impl Stress {
    /// Nothing handed out yet.
    pub fn new(seed: u64, heaps: &KernelHeaps<'_>) -> Self {
        Self {
            random: Random::new(seed),
            items: [None; SLOTS],
            frames_before: heaps.physical().used_units() - frames_known_of(heaps),
        }
    }

    /// The items that there are.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().flatten()
    }

    /// One allocation, or one free.
    ///
    /// # Errors
    /// [`StressError`].
    pub fn step<M: Memory, W: Watch>(
        &mut self,
        heaps: &mut KernelHeaps<'_>,
        call: &mut Call<'_, M, W>,
    ) -> Result<Done, StressError> {
        let slot = self.random.below(SLOTS as u64) as usize;
        if let Some(item) = self.items.get_mut(slot).and_then(Option::take) {
            give_back(item, heaps, call)?;
            return Ok(Done::Freed(item));
        }
        let which = self.random.below(Heap::ALL.len() as u64) as usize;
        let heap = *Heap::ALL.get(which).unwrap_or(&Heap::Backed);
        let size = self.size_for(heap);
        let Some(start) = allocate(heap, size, heaps, call) else {
            return Ok(Done::Refused(heap));
        };
        let item = Item { heap, start, size };
        self.check_new(item)?;
        if is_mapped(heap) {
            for place in markers(item) {
                call.memory.store(VirtAddr::new(place), place);
            }
        }
        if let Some(place) = self.items.get_mut(slot) {
            *place = Some(item);
        }
        Ok(Done::Allocated(item))
    }

    /// Everything is taken back.
    ///
    /// # Errors
    /// [`StressError`].
    pub fn finish<M: Memory, W: Watch>(
        &mut self,
        heaps: &mut KernelHeaps<'_>,
        call: &mut Call<'_, M, W>,
    ) -> Result<(), StressError> {
        for item in self.items.iter_mut().filter_map(Option::take) {
            give_back(item, heaps, call)?;
        }
        self.audit(heaps)
    }

    /// Holds all accounts against each other.
    ///
    /// # Errors
    /// [`StressError`].
    pub fn audit(&self, heaps: &KernelHeaps<'_>) -> Result<(), StressError> {
        for item in self.items() {
            let (start, size) = (item.start, item.size);
            let held = match item.heap {
                Heap::Physical => heaps.physical().size_of(start).ok(),
                Heap::VirtualHuge => heaps.virtual_huge().size_of(start).ok(),
                Heap::VirtualPage | Heap::Backed => heaps.virtual_page().size_of(start).ok(),
                Heap::Kalloc => heaps.kalloc_pages().size_of(start).ok(),
                Heap::General => Some(size),
            };
            if held.is_none_or(|held| held < size || held >= size + unit_of(item.heap, heaps)) {
                return Err(StressError::Unknown(item.heap, start));
            }
        }
        let bytes_of = |tags: &[Tag]| -> u64 {
            let records = heaps.tracking().records().iter();
            let tagged = records.filter(|record| tags.contains(&record.tag));
            tagged.map(|record| record.size).sum()
        };
        let pages = bytes_of(&[Tag::VirtualPage, Tag::Kalloc]) + bytes_of(&Tag::MAPPED);
        let pages = pages / PAGE_SIZE;
        let items = self.items().filter(|item| item.heap == Heap::Physical);
        let frames: u64 = items.map(|item| item.size.div_ceil(PAGE_SIZE)).sum();
        for (heap, used, known) in [
            (Heap::VirtualPage, heaps.virtual_page().used_units(), pages),
            (
                Heap::VirtualHuge,
                heaps.virtual_huge().used_units(),
                bytes_of(&[Tag::VirtualHuge]) / HUGE,
            ),
            (
                Heap::Physical,
                heaps.physical().used_units(),
                self.frames_before + frames_known_of(heaps) + frames,
            ),
        ] {
            if used != known {
                return Err(StressError::Sum(heap, used, known));
            }
        }
        Ok(())
    }

    fn size_for(&mut self, heap: Heap) -> u64 {
        match heap {
            Heap::Kalloc => PAGE_SIZE,
            Heap::General => 1 + self.random.below(LARGEST + LARGEST / 8),
            Heap::VirtualHuge => (1 + self.random.below(2)) << 32,
            // Now and then more than its parent's unit has left, so that it asks for another.
            Heap::VirtualPage if self.random.below(16) == 0 => 3 << 30,
            _ => {
                let bits = self.random.below(23);
                1 + self.random.below(1 << bits)
            }
        }
    }

    fn check_new(&self, item: Item) -> Result<(), StressError> {
        let Item { heap, start, size } = item;
        let unit = match heap {
            Heap::General if size > LARGEST => PAGE_SIZE,
            Heap::General => size.next_power_of_two().max(16),
            Heap::VirtualHuge => HUGE,
            _ => PAGE_SIZE,
        };
        if !start.is_multiple_of(size.div_ceil(unit).next_power_of_two() * unit) {
            return Err(StressError::Misaligned(heap, start, size));
        }
        let space = |heap: Heap| match heap {
            Heap::Physical => 0,
            // A unit of virtual_huge never holds what virtual_page hands out, either: its own
            // units are allocations of virtual_huge's.
            _ => 1,
        };
        let other = self.items().find(|other| {
            let overlaps = start < other.start + other.size && other.start < start + size;
            space(other.heap) == space(heap) && overlaps
        });
        match other {
            Some(other) => Err(StressError::Overlap(heap, start, other.start)),
            None => Ok(()),
        }
    }
}

/// Frames that are known of by what is mapped to them: backed memory, kalloc's pages, the pool.
fn frames_known_of(heaps: &KernelHeaps<'_>) -> u64 {
    let records = heaps.tracking().records().iter();
    let backed = records.filter(|record| Tag::MAPPED.contains(&record.tag));
    let backed: u64 = backed.map(|record| record.size / PAGE_SIZE).sum();
    let pool = heaps.tables().pool();
    let pool = (pool.used() + pool.free()) / CHUNK_PAGES * CHUNK_PAGES;
    backed + heaps.kalloc_pages().used_units() + pool
}

const fn is_mapped(heap: Heap) -> bool {
    matches!(heap, Heap::Backed | Heap::Kalloc | Heap::General)
}

fn unit_of(heap: Heap, heaps: &KernelHeaps<'_>) -> u64 {
    match heap {
        Heap::VirtualHuge => heaps.virtual_huge().unit(),
        _ => PAGE_SIZE,
    }
}

/// The first word, and the last one that lies whole within what was asked for.
fn markers(item: Item) -> impl Iterator<Item = u64> {
    let words = item.size / 8;
    let last = words.checked_sub(1).map(|last| item.start + last * 8);
    last.map(|_| item.start).into_iter().chain(last)
}

fn allocate<M: Memory, W: Watch>(
    heap: Heap,
    size: u64,
    heaps: &mut KernelHeaps<'_>,
    call: &mut Call<'_, M, W>,
) -> Option<u64> {
    let label = Label {
        name: "stress",
        description: "handed out at random",
        kind: if is_mapped(heap) {
            region_kind::HEAP
        } else {
            region_kind::RESERVED
        },
    };
    let start = match heap {
        Heap::Physical => return heaps.alloc_physical(size).ok().map(PhysAddr::as_u64),
        Heap::VirtualHuge => heaps.alloc_huge(call, size, label).ok(),
        Heap::VirtualPage => heaps.alloc_virtual(call, size, label).ok(),
        Heap::Backed => heaps.alloc_backed(call, size, label).ok(),
        Heap::Kalloc => heaps.kalloc(call).ok(),
        Heap::General => heaps.alloc_object(call, size).ok(),
    };
    start.map(VirtAddr::as_u64)
}

fn free<M: Memory, W: Watch>(
    item: Item,
    heaps: &mut KernelHeaps<'_>,
    call: &mut Call<'_, M, W>,
) -> Result<(), GeneralError> {
    let start = VirtAddr::new(item.start);
    match item.heap {
        Heap::Physical => heaps.free_physical(PhysAddr::new(item.start), item.size)?,
        Heap::VirtualHuge => heaps.free_huge(call, start)?,
        Heap::VirtualPage => heaps.free_virtual(call, start)?,
        Heap::Backed => heaps.free_backed(call, start)?,
        Heap::Kalloc => heaps.kfree(call, start)?,
        Heap::General => return heaps.free_object(call, start),
    }
    Ok(())
}

/// Takes an item back, after a look at its markers; and once more, which must be refused.
fn give_back<M: Memory, W: Watch>(
    item: Item,
    heaps: &mut KernelHeaps<'_>,
    call: &mut Call<'_, M, W>,
) -> Result<(), StressError> {
    if is_mapped(item.heap) {
        for place in markers(item) {
            let found = call.memory.load(VirtAddr::new(place));
            if found != place {
                return Err(StressError::Marker(place, found));
            }
        }
    }
    if free(item, heaps, call).is_err() {
        return Err(StressError::NotTakenBack(item.heap, item.start));
    }
    if free(item, heaps, call).is_ok() {
        return Err(StressError::TakenBackTwice(item.heap, item.start));
    }
    Ok(())
}
