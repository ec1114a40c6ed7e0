//! Page tables of the four self-mapping strategies, built by hand from numbers.
//!
//! It shares nothing with the kernel and nothing with the inspector's own fixture: entries are
//! shifted together here, and only reading them back goes through the protocol's walk. So a test
//! that compares the two says something about both.
//!
//! ```text
//!  pool       table F at VA F
//!  self-leaf  root[511] → root; T[510] = leaf(T):  L0_ij at (i,j,510), L1_i at (511,i,510),
//!             root at (511,511,510)
//!  mirror     root[511] → MR, MR[i] → M0_i, M0_i[j] = leaf(L0_ij): L0_ij at (511,i,j);
//!             MR[510] → Q0, Q0[i] = leaf(L1_i): L1_i at (511,510,i), root at (511,510,510);
//!             M0_511[i] = leaf(M0_i): M0_i at (511,511,i), Q0 at (511,511,510)
//! ```
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary, and the example, uses its part"
)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use pagescope_protocol::coalesce::{self, coalesce};
use pagescope_protocol::snapshot::{
    FORMAT_VERSION, Hart, Heap, KernelFacts, Mapping, PhysicalKind, PhysicalRegion, Provenance,
    Region, RegionKind, RegionSpace, Snapshot, Space, Table, TableEntries,
};
use pagescope_protocol::walk::{self, TableReader, walk_space};
use pagescope_protocol::{PhysAddr, PhysPage, Satp, TranslationMode, VirtAddr};

/// V, R, W, A, D.
pub const RW: u64 = 0b1100_0111;
/// V, R, X, A.
pub const RX: u64 = 0b0100_1011;
/// V, R, A.
pub const R: u64 = 0b0100_0011;

/// The slot of the recursion, and of the mirror.
pub const SLOT_R: usize = 511;
/// The slot of the self-leaves, and of Q0.
pub const SLOT_S: usize = 510;

/// The frame that `kalloc(0)` returns.
const TOP: u64 = 0x87ffe;

/// How tables are reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    Pool,
    SelfLeaf,
    Mirror,
    Demand,
}

impl Strategy {
    pub const ALL: [Self; 4] = [Self::Pool, Self::SelfLeaf, Self::Mirror, Self::Demand];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::SelfLeaf => "self-leaf",
            Self::Mirror => "mirror",
            Self::Demand => "demand",
        }
    }
}

/// A pointer to the table in `frame`.
pub const fn pointer(frame: u64) -> u64 {
    frame << 10 | 1
}

/// A leaf for `frame`.
pub const fn leaf(frame: u64, flags: u64) -> u64 {
    frame << 10 | flags
}

/// The Sv39 address with these indices.
pub const fn va(l2: usize, l1: usize, l0: usize) -> u64 {
    let bits = (l2 as u64) << 30 | (l1 as u64) << 21 | (l0 as u64) << 12;
    if l2 >= 256 { bits | !0 << 39 } else { bits }
}

/// A machine whose tables are built.
#[derive(Clone, Debug)]
pub struct Built {
    pub strategy: Strategy,
    /// Frame number to words.
    pub frames: BTreeMap<u64, [u64; 512]>,
    pub root: u64,
    /// Frames handed out.
    pub count: u64,
    /// MR, M0_511 and Q0 of a mirror.
    mirror: Option<[u64; 3]>,
    pub facts: KernelFacts,
}

impl Built {
    /// The tables after boot, and `pages` heap pages at their own addresses.
    pub fn new(strategy: Strategy, pages: u64) -> Self {
        let mut built = Self {
            strategy,
            frames: BTreeMap::new(),
            root: 0,
            count: 0,
            mirror: None,
            facts: KernelFacts {
                layout: "pseudos".into(),
                strategy: strategy.name().into(),
                kalloc_depth_max: 1,
                reserve: 3,
                reserve_low: 3,
                reserve_mark: Some(3),
                map_calls: Some(40 + pages),
                machine_table_traps: 0,
                changing: 0,
            },
        };
        built.boot();
        for page in 0..8 {
            let flags = if page < 4 { RX } else { RW };
            built.map(0x8020_0000 + page * 4096, 0x80200 + page, flags);
        }
        built.map(0x1000_0000, 0x10000, RW);
        let devices = built.table_of(0x3000_0000, 1);
        for megapage in 0..128 {
            // The self-leaf of this L1 costs the ECAM two of its 256 MiB.
            if strategy == Strategy::SelfLeaf && 384 + megapage as usize == SLOT_S {
                continue;
            }
            let frame = 0x30000 + megapage * 512;
            built.set(devices, 384 + megapage as usize, leaf(frame, RW));
        }
        built.map(0x87ff_f000, 0x87fff, RW);
        for _ in 0..pages {
            let page = built.alloc();
            built.map(page << 12, page, RW);
        }
        built
    }

    fn boot(&mut self) {
        match self.strategy {
            Strategy::Pool => {
                let [l0, l1, root] = [0; 3].map(|_| self.alloc());
                self.root = root;
                for frame in [l0, l1, root] {
                    self.frames.insert(frame, [0; 512]);
                }
                self.set(root, 2, pointer(l1));
                self.set(l1, 63, pointer(l0));
                for frame in [l0, l1, root] {
                    self.set(l0, frame as usize & 511, leaf(frame, RW));
                }
            }
            Strategy::SelfLeaf => {
                self.root = self.fresh();
                self.set(self.root, SLOT_R, pointer(self.root));
                self.set(self.root, SLOT_S, leaf(self.root, RW));
            }
            Strategy::Mirror | Strategy::Demand => {
                self.root = self.fresh();
                let [mr, m0, q0] = [0; 3].map(|_| self.fresh());
                self.mirror = Some([mr, m0, q0]);
                self.set(self.root, SLOT_R, pointer(mr));
                self.set(mr, 511, pointer(m0));
                self.set(mr, 510, pointer(q0));
                self.set(q0, 511, leaf(mr, RW));
                self.set(q0, 510, leaf(self.root, RW));
                self.set(m0, 511, leaf(m0, RW));
                self.set(m0, 510, leaf(q0, RW));
            }
        }
    }

    /// The next page of the heap, which grows down.
    pub fn alloc(&mut self) -> u64 {
        self.count += 1;
        TOP + 1 - self.count
    }

    /// A zeroed frame that is to be a table.
    fn fresh(&mut self) -> u64 {
        let frame = self.alloc();
        self.frames.insert(frame, [0; 512]);
        frame
    }

    pub fn set(&mut self, table: u64, index: usize, word: u64) {
        self.frames.get_mut(&table).expect("a table")[index] = word;
    }

    pub fn get(&self, table: u64, index: usize) -> u64 {
        self.frames[&table][index]
    }

    /// Maps one page, and makes the tables that it lacks.
    pub fn map(&mut self, virt: u64, frame: u64, flags: u64) {
        let table = self.table_of(virt, 0);
        self.set(table, (virt >> 12) as usize & 511, leaf(frame, flags));
    }

    /// The table at `level` that translates `virt`, made where it is not there.
    pub fn table_of(&mut self, virt: u64, level: u32) -> u64 {
        let i = (virt >> 30) as usize & 511;
        let j = (virt >> 21) as usize & 511;
        if self.get(self.root, i) == 0 {
            let l1 = self.new_table();
            if self.strategy == Strategy::SelfLeaf {
                self.set(l1, SLOT_S, leaf(l1, RW));
            }
            self.set(self.root, i, pointer(l1));
            if let Some([mr, m0_511, q0]) = self.mirror {
                let m0 = self.fresh();
                self.set(mr, i, pointer(m0));
                self.set(m0_511, i, leaf(m0, RW));
                self.set(q0, i, leaf(l1, RW));
            }
        }
        let l1 = self.get(self.root, i) >> 10;
        if level == 1 {
            return l1;
        }
        if self.get(l1, j) == 0 {
            let l0 = self.new_table();
            if self.strategy == Strategy::SelfLeaf {
                self.set(l0, SLOT_S, leaf(l0, RW));
            }
            self.set(l1, j, pointer(l0));
            if let Some([mr, ..]) = self.mirror {
                let m0 = self.get(mr, i) >> 10;
                self.set(m0, j, leaf(l0, RW));
            }
        }
        self.get(l1, j) >> 10
    }

    /// A table; in the pool with its window, which every page there has from the start.
    fn new_table(&mut self) -> u64 {
        let frame = self.fresh();
        if self.strategy == Strategy::Pool {
            let l1 = self.get(self.root, 2) >> 10;
            let l0 = self.get(l1, 63) >> 10;
            self.set(l0, frame as usize & 511, leaf(frame, RW));
        }
        frame
    }

    /// The mirror's MR, M0_511 and Q0.
    pub fn mirror(&self) -> [u64; 3] {
        self.mirror.expect("a mirror")
    }

    /// The space as an inspector captures it.
    pub fn space(&self, name: &str, harts: &[u32]) -> Space {
        let root = PhysPage::from_truncated(self.root);
        let mut reader = Reader(&self.frames);
        let mode = TranslationMode::Sv39;
        let Ok(walked) = walk_space(mode, root, walk::Limits::default(), &mut reader);
        let mappings = coalesce(&walked, coalesce::Limits::default());
        Space {
            name: name.into(),
            mode,
            asid: 0,
            root,
            kind: None,
            number: None,
            harts: harts.to_vec(),
            through: None,
            truncated: walked.truncated || mappings.truncated,
            tables: walked
                .tables
                .iter()
                .map(|table| {
                    Arc::new(Table {
                        level: table.level,
                        frame: table.page,
                        covers_from: table.covers_from,
                        parent: table.parent.map(|slot| slot.table),
                        parent_index: table.parent.map_or(0, |slot| slot.index as u16),
                        other_parents: table.other_parents as u32,
                        entries: table.words.clone().map(TableEntries::new),
                    })
                })
                .collect(),
            mappings: mappings.ranges.into_iter().map(Mapping::from).collect(),
        }
    }

    /// One hart in this space.
    pub fn snapshot(&self) -> Snapshot {
        let next = (TOP - self.count) << 12;
        let satp = Satp::from_bits(8 << 60 | self.root);
        let region = |start, size, kind, name: &str| PhysicalRegion {
            start: PhysAddr::new(start),
            size,
            kind,
            name: name.into(),
        };
        let device = PhysicalKind::Device;
        let section = |start, size, kind, name: &str| Region {
            start,
            size,
            space: RegionSpace::Physical,
            kind,
            name: name.into(),
            ..Region::default()
        };
        Snapshot {
            version: FORMAT_VERSION,
            provenance: Provenance {
                tool: "a test".into(),
                guest: format!("pseudos, {}", self.strategy.name()),
                ..Provenance::default()
            },
            stop: format!("kalloc({}) → {:#x}", self.count - 1, next + 4096),
            kernel: Some(self.facts.clone()),
            heap: Some(Heap {
                counter: self.count,
                counter_address: PhysAddr::new(0x87ff_fff8),
                top: PhysAddr::new(TOP << 12),
                bottom: PhysAddr::new(0x8020_8000),
                next: PhysAddr::new(next),
                freed: 0,
            }),
            harts: vec![Hart {
                id: 0,
                pc: Some(VirtAddr::new(0x8020_0100)),
                place: String::new(),
                privilege: Some("S".into()),
                satp: Some(satp),
                registers: Vec::new(),
            }],
            physical: vec![
                region(0x1000_0000, 0x1000, device, "UART0"),
                region(0x3000_0000, 256 << 20, device, "PCI ECAM"),
                region(0x8000_0000, 128 << 20, PhysicalKind::Ram, "RAM"),
            ]
            .into(),
            regions: vec![
                section(
                    0x8000_0000,
                    0x1_2000,
                    RegionKind::Machine,
                    "machine program",
                ),
                section(0x8020_0000, 0x4000, RegionKind::Text, ".text"),
                section(0x8020_4000, 0x4000, RegionKind::Data, ".data"),
            ]
            .into(),
            spaces: vec![self.space("hart 0", &[0])],
            ..Snapshot::default()
        }
    }
}

struct Reader<'a>(&'a BTreeMap<u64, [u64; 512]>);

impl TableReader for Reader<'_> {
    type Error = Infallible;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<walk::TableWords>>>, Infallible> {
        let words = frames.iter().map(|frame| self.0.get(&frame.number()));
        Ok(words.map(|words| words.copied().map(Arc::new)).collect())
    }
}
