//! Pages that become page tables: all of them mapped before they are needed (S4.13).
//!
//! ```text
//!  virtual    [ 512 pages, mapped by one 2 MiB leaf ]     a chunk; where its frames are seen
//!                │        │        │                      differs from them by a constant
//!  physical   [ table ][ free ][ table ][ free …    ]
//! ```
//!
//! A table that is needed while something is mapped is taken from here, zeroed, and linked: its own
//! mapping is there already, so table code never calls itself. The pool is filled up again afterwards,
//! while there are still enough free pages to map the next chunk with. A chunk stays: its pages are
//! tables again, sooner or later.

use pagescope_protocol::{PAGE_SIZE, PhysPage, VirtAddr};

use crate::memory::Memory;

/// Pages of a chunk.
pub const CHUNK_PAGES: u64 = 512;

/// Bytes of a chunk: what one leaf of L1 maps.
pub const CHUNK_SIZE: u64 = CHUNK_PAGES * PAGE_SIZE;

/// Most chunks: enough tables to map 16 GiB by pages.
const MAX_CHUNKS: usize = 16;

/// Free pages below which another chunk is wanted: all of RAM can be mapped once by pages with as many.
pub const LOW_MARK: u64 = 96;

/// Words of a chunk's map of its pages.
const WORDS: usize = (CHUNK_PAGES / u64::BITS as u64) as usize;

#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// The first frame.
    frame: PhysPage,
    /// Where its first byte is seen.
    window: VirtAddr,
    /// A bit for each page: it is a table.
    tables: [u64; WORDS],
}

impl Chunk {
    fn index_of(&self, frame: PhysPage) -> Option<u64> {
        let index = frame.number().checked_sub(self.frame.number())?;
        (index < CHUNK_PAGES).then_some(index)
    }

    fn used(&self) -> u64 {
        let ones = self.tables.iter().map(|word| u64::from(word.count_ones()));
        ones.sum()
    }
}

/// The pool.
#[derive(Debug)]
pub struct TablePool {
    chunks: [Option<Chunk>; MAX_CHUNKS],
}

impl TablePool {
    /// No pages.
    pub const EMPTY: Self = Self {
        chunks: [None; MAX_CHUNKS],
    };

    /// Adds the 512 pages from `frame` on, seen from `window` on; `false` where there are too many chunks.
    pub fn add_chunk(&mut self, frame: PhysPage, window: VirtAddr) -> bool {
        let vacant = self.chunks.iter_mut().find(|place| place.is_none());
        let Some(place) = vacant else {
            return false;
        };
        *place = Some(Chunk {
            frame,
            window,
            tables: [0; WORDS],
        });
        true
    }

    /// Whether another chunk could be added.
    pub fn has_place(&self) -> bool {
        self.chunks.iter().any(Option::is_none)
    }

    /// The chunk that `frame` lies in is seen from `window` on, from now on.
    pub fn move_window(&mut self, frame: PhysPage, window: VirtAddr) {
        for chunk in self.chunks.iter_mut().flatten() {
            if chunk.index_of(frame).is_some() {
                chunk.window = window;
            }
        }
    }

    /// Pages that are no tables.
    pub fn free(&self) -> u64 {
        let chunks = self.chunks.iter().flatten();
        chunks.map(|chunk| CHUNK_PAGES - chunk.used()).sum()
    }

    /// Pages that are tables.
    pub fn used(&self) -> u64 {
        self.chunks.iter().flatten().map(Chunk::used).sum()
    }

    /// A zeroed page, which is a table from now on.
    pub fn take<M: Memory>(&mut self, memory: &mut M) -> Option<PhysPage> {
        for chunk in self.chunks.iter_mut().flatten() {
            for (place, word) in (0..).zip(&mut chunk.tables) {
                if *word != u64::MAX {
                    let bit = u64::from(word.trailing_ones());
                    *word |= 1 << bit;
                    let index = place * u64::from(u64::BITS) + bit;
                    memory.fill_page(chunk.window.wrapping_add(index * PAGE_SIZE), 0);
                    return Some(PhysPage::from_truncated(chunk.frame.number() + index));
                }
            }
        }
        None
    }

    /// Takes a table back.
    pub fn give_back(&mut self, frame: PhysPage) {
        for chunk in self.chunks.iter_mut().flatten() {
            if let Some(index) = chunk.index_of(frame)
                && let Some(word) = chunk.tables.get_mut((index / 64) as usize)
            {
                *word &= !(1 << (index % 64));
            }
        }
    }

    /// Where `frame` is seen, if it is a table of the pool's. Others are nobody's to read as one.
    pub fn window_of(&self, frame: PhysPage) -> Option<VirtAddr> {
        let mut chunks = self.chunks.iter().flatten();
        chunks.find_map(|chunk| {
            let index = chunk.index_of(frame)?;
            let word = chunk.tables.get((index / 64) as usize)?;
            let is_table = word >> (index % 64) & 1 != 0;
            is_table.then(|| chunk.window.wrapping_add(index * PAGE_SIZE))
        })
    }

    /// Whether `frame` lies in a chunk, table or not.
    pub fn contains(&self, frame: PhysPage) -> bool {
        let mut chunks = self.chunks.iter().flatten();
        chunks.any(|chunk| chunk.index_of(frame).is_some())
    }
}
