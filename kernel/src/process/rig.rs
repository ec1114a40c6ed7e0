//! What tests build spaces with: RAM behind the kernel heap's window, frames that are counted, and the
//! kernel's tables.

use std::collections::{BTreeSet, HashMap};
use std::vec::Vec;

use pagescope_protocol::translate::Translation;
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysPage, VirtAddr};

use super::kernel_map::{self, Stretch};
use super::layout::HEAP_WINDOW;
use super::tables::{self, Frames};
use crate::board::RAM;
use crate::memory::Memory;

/// RAM, seen through the kernel heap's window only.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    words: HashMap<u64, u64>,
    /// The pages that were fenced, and in which space.
    pub(crate) fenced: Vec<(VirtAddr, u16)>,
    /// The spaces that were fenced whole.
    pub(crate) fenced_spaces: Vec<u16>,
}

impl Seen {
    fn place(address: VirtAddr) -> u64 {
        let frame = HEAP_WINDOW.frame_at(address).expect("no such frame");
        assert!(
            RAM.contains(frame.start()),
            "{address} is not in the window"
        );
        assert!(address.is_aligned(8), "{address} is misaligned");
        address.as_u64()
    }
}

impl Memory for Seen {
    fn load(&self, address: VirtAddr) -> u64 {
        self.words.get(&Self::place(address)).copied().unwrap_or(0)
    }

    fn store(&mut self, address: VirtAddr, value: u64) {
        self.words.insert(Self::place(address), value);
    }

    fn fence_page(&mut self, address: VirtAddr) {
        self.fenced.push((address, 0));
    }

    fn fence_all(&mut self) {}

    fn fence_page_of(&mut self, address: VirtAddr, asid: u16) {
        self.fenced.push((address, asid));
    }

    fn fence_space(&mut self, asid: u16) {
        self.fenced_spaces.push(asid);
    }
}

/// Frames from the top of RAM down; each comes full of garbage, and goes back once.
#[derive(Debug)]
pub(crate) struct Counted {
    free: Vec<PhysPage>,
    out: BTreeSet<PhysPage>,
}

impl Counted {
    pub(crate) fn taken(&self) -> usize {
        self.out.len()
    }

    /// From here on, only so many can be taken.
    pub(crate) fn leave(&mut self, count: usize) {
        let surplus = self.free.len() - count;
        self.free.drain(..surplus);
    }
}

impl Frames for Counted {
    fn take(&mut self) -> Option<PhysPage> {
        let frame = self.free.pop()?;
        self.out.insert(frame);
        Some(frame)
    }

    fn give_back(&mut self, frame: PhysPage) {
        assert!(self.out.remove(&frame), "{frame} was not handed out");
        self.free.push(frame);
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) memory: Seen,
    pub(crate) frames: Counted,
    pub(crate) kernel_root: PhysPage,
}

impl Rig {
    /// The kernel's tables, as they are when it has booted.
    pub(crate) fn new() -> Self {
        let page = |address: u64| PhysPage::from_truncated(address / PAGE_SIZE);
        let mut memory = Seen::default();
        let mut frames = Counted {
            free: (0..4096)
                .map(|n| page(0x8700_0000 + n * PAGE_SIZE))
                .collect(),
            out: BTreeSet::new(),
        };
        let lower =
            |start, end, flags| Stretch::lower(VirtAddr::new(start), VirtAddr::new(end), flags);
        let writable = LeafFlags::READ | LeafFlags::WRITE;
        let stretches = [
            lower(0, 0x2_8000, LeafFlags::EXECUTE),
            lower(0x2_8000, 0x3_2000, LeafFlags::READ),
            lower(0x3_2000, 0x6_f000, writable),
            Stretch::upper(VirtAddr::new(0x3fe7_0000), writable),
        ];
        let kernel_root = kernel_map::build(&mut memory, &mut frames, &stretches).unwrap();
        Self {
            memory,
            frames,
            kernel_root,
        }
    }

    pub(crate) fn lookup(&self, root: PhysPage, address: u64) -> Translation {
        tables::lookup(&self.memory, root, VirtAddr::new(address))
    }
}
