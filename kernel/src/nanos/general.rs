//! The general heap: small objects, in pages of the backed heap.
//!
//! ```text
//!  page + 0    class   which size: 16, 32, … 2048 bytes
//!       + 8    next    the next page of the class, or 0
//!       + 16   used    a bit for each object: four words
//!       + 48   …       objects, at multiples of their size
//! ```
//!
//! So each object is aligned to its size, and freeing finds the page by the address. Where the objects of
//! a page are, its size says; what is larger than half a page has pages of its own.

use pagescope_protocol::info::region_kind;
use pagescope_protocol::{PAGE_SIZE, VirtAddr};
use thiserror::Error;

use super::kernel_heaps::{Call, HeapError, KernelHeaps, Watch};
use super::tracking::{Label, Tag};
use crate::memory::Memory;

/// Bytes of the smallest objects.
const SMALLEST: u64 = 16;

/// Sizes: 16 to 2048.
const CLASSES: usize = 8;

/// Bytes of the largest objects that share a page.
pub const LARGEST: u64 = SMALLEST << (CLASSES - 1);

const CLASS: u64 = 0;
const NEXT: u64 = 8;
const USED: u64 = 16;
const HEADER: u64 = 48;

/// Words that say which objects are handed out.
const WORDS: u64 = 4;

/// The general heap: the first page of each size.
#[derive(Debug)]
pub struct General {
    first: [Option<VirtAddr>; CLASSES],
}

/// Why an object is not taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum GeneralError {
    /// An object of no bytes.
    #[error("an object of no bytes")]
    Empty,
    /// An address that the general heap has handed out no object at.
    #[error("the general heap has no object at {0}")]
    Foreign(VirtAddr),
    /// An object that is free.
    #[error("the object at {0} is free already")]
    Free(VirtAddr),
    /// The backed heap refuses.
    #[error(transparent)]
    Backed(#[from] HeapError),
}

impl General {
    /// No pages.
    pub const EMPTY: Self = Self {
        first: [None; CLASSES],
    };
}

/// The class of objects with so many bytes, 1 to [`LARGEST`].
const fn class_of(size_bytes: u64) -> usize {
    let mut class = 0;
    while SMALLEST << class < size_bytes {
        class += 1;
    }
    class
}

const fn size_of_class(class: usize) -> u64 {
    SMALLEST << class
}

/// The objects' numbers: their addresses by their size, where the header is not.
fn objects(class: usize) -> core::ops::Range<u64> {
    let size = size_of_class(class);
    HEADER.div_ceil(size)..PAGE_SIZE / size
}

const DESCRIPTIONS: [&str; CLASSES] = [
    "objects of 16 bytes",
    "objects of 32 bytes",
    "objects of 64 bytes",
    "objects of 128 bytes",
    "objects of 256 bytes",
    "objects of 512 bytes",
    "objects of 1024 bytes",
    "objects of 2048 bytes",
];

impl KernelHeaps<'_> {
    /// Hands out an object: at least `size_bytes`, aligned to its class.
    ///
    /// # Errors
    /// [`GeneralError`].
    pub fn alloc_object<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        size_bytes: u64,
    ) -> Result<VirtAddr, GeneralError> {
        if size_bytes == 0 {
            return Err(GeneralError::Empty);
        }
        if size_bytes > LARGEST {
            let label = Label {
                name: Tag::GeneralLarge.name(),
                description: "one object",
                kind: region_kind::HEAP,
            };
            return Ok(self.alloc_mapped(call, size_bytes, Tag::GeneralLarge, label)?);
        }
        let class = class_of(size_bytes);
        let mut slab = self.general.first.get(class).copied().flatten();
        while let Some(page) = slab {
            if let Some(object) = take(call.memory, page, class) {
                return Ok(object);
            }
            slab = link(call.memory, page);
        }
        let page = self.new_slab(call, class)?;
        take(call.memory, page, class).ok_or(GeneralError::Foreign(page))
    }

    /// Takes an object back; a page without objects goes back to the backed heap.
    ///
    /// # Errors
    /// [`GeneralError`]; nothing has changed then.
    pub fn free_object<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        object: VirtAddr,
    ) -> Result<(), GeneralError> {
        let page = object.align_down(PAGE_SIZE);
        let is_tracked = |tag| self.tracking().find(page, tag).is_some();
        if object == page && is_tracked(Tag::GeneralLarge) {
            return Ok(self.free_mapped(call, page, Tag::GeneralLarge)?);
        }
        if !is_tracked(Tag::General) {
            return Err(GeneralError::Foreign(object));
        }
        let class = call.memory.load(page.wrapping_add(CLASS)) as usize;
        let class = class.min(CLASSES - 1);
        let number = object.page_offset() / size_of_class(class);
        let is_object = objects(class).contains(&number) && object.is_aligned(size_of_class(class));
        if !is_object {
            return Err(GeneralError::Foreign(object));
        }
        let (place, bit) = (
            page.wrapping_add(USED + number / 64 * 8),
            1 << (number % 64),
        );
        let word = call.memory.load(place);
        if word & bit == 0 {
            return Err(GeneralError::Free(object));
        }
        call.memory.store(place, word & !bit);
        let words = (0..WORDS).map(|word| page.wrapping_add(USED + word * 8));
        if words.into_iter().all(|place| call.memory.load(place) == 0) {
            self.unlink(call.memory, page, class);
            self.free_mapped(call, page, Tag::General)?;
        }
        Ok(())
    }

    fn new_slab<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        class: usize,
    ) -> Result<VirtAddr, GeneralError> {
        let label = Label {
            name: Tag::General.name(),
            description: DESCRIPTIONS.get(class).copied().unwrap_or_default(),
            kind: region_kind::HEAP,
        };
        let page = self.alloc_mapped(call, PAGE_SIZE, Tag::General, label)?;
        call.memory.fill_page(page, 0);
        if let Some(first) = self.general.first.get_mut(class) {
            let next = first.replace(page).map_or(0, VirtAddr::as_u64);
            call.memory.store(page.wrapping_add(CLASS), class as u64);
            call.memory.store(page.wrapping_add(NEXT), next);
        }
        Ok(page)
    }

    /// Takes a page out of its class's list.
    fn unlink<M: Memory>(&mut self, memory: &mut M, page: VirtAddr, class: usize) {
        let next = link(memory, page);
        let Some(first) = self.general.first.get_mut(class) else {
            return;
        };
        if *first == Some(page) {
            *first = next;
            return;
        }
        let mut before = *first;
        while let Some(at) = before {
            if link(memory, at) == Some(page) {
                memory.store(at.wrapping_add(NEXT), next.map_or(0, VirtAddr::as_u64));
                return;
            }
            before = link(memory, at);
        }
    }
}

fn link<M: Memory>(memory: &M, page: VirtAddr) -> Option<VirtAddr> {
    match memory.load(page.wrapping_add(NEXT)) {
        0 => None,
        next => Some(VirtAddr::new(next)),
    }
}

/// A free object of the page.
fn take<M: Memory>(memory: &mut M, page: VirtAddr, class: usize) -> Option<VirtAddr> {
    for number in objects(class) {
        let (place, bit) = (
            page.wrapping_add(USED + number / 64 * 8),
            1 << (number % 64),
        );
        let word = memory.load(place);
        if word & bit == 0 {
            memory.store(place, word | bit);
            return Some(page.wrapping_add(number * size_of_class(class)));
        }
    }
    None
}
