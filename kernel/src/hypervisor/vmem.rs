//! The virtual memory manager: a hart's final tables.
//!
//! ```text
//!  root ┬ 0    ─▶ UART0, PCI ECAM     rw-  G
//!       ├ 256  ─▶ image               r-x r-- rw-  G
//!       ├ 257  ─▶ cpu struct          rw-       the one thing that is another frame on each hart
//!       └ 384  ─▶ RAM                 rw-  G, and the image in it r--
//! ```
//!
//! Every hart has all of these tables for itself. The linear map shows the whole of RAM but the machine
//! program, which PMP closes. The image is read-only in it: writable, it would be a way around .text's
//! permissions. Leaves are of 2 MiB wherever addresses and length allow.
//!
//! Tables are reached through the linear map ([`Linear`]), so no table needs a leaf of its own.

use core::convert::Infallible;

use pagescope_protocol::translate::{Translation, translate};
use pagescope_protocol::{
    ENTRIES_PER_TABLE, LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, PhysRange, Pte, PteKind,
    VirtAddr, VirtRange,
};

use super::cpu_struct::CPU_STRUCT_PAGES;
use super::{VAS_CPU_STRUCT, linear_window};
use crate::mapper::{MODE, MapError, Mapper, ROOT_LEVEL, Supply};
use crate::memory::Memory;
use crate::self_map::{SelfMap, Table, WindowLeaf};
use crate::window::Window;

/// How everything is mapped that is the same on every hart.
pub const GLOBAL: LeafFlags = LeafFlags::GLOBAL;

/// Constants, and the image in the linear map.
pub const READ_ONLY: LeafFlags = LeafFlags::VALID.union(LeafFlags::READ);

/// Memory that can be written.
pub const READ_WRITE: LeafFlags = READ_ONLY.union(LeafFlags::WRITE);

/// Tables that are reached through the linear map, as any other page is.
#[derive(Clone, Copy, Debug)]
pub struct Linear;

impl SelfMap for Linear {
    fn name(&self) -> &'static str {
        "linear map"
    }

    /// None: kalloc gives a page that is mapped already.
    fn reserve_mark(&self) -> usize {
        0
    }

    fn window_of(&self, table: Table, heap: Window) -> VirtAddr {
        heap.address_of(table.frame)
    }

    fn window_leaf(&self) -> WindowLeaf {
        WindowLeaf::InHeapWindow
    }

    fn reserved(&self, _virt: VirtAddr, _level: Level) -> Option<&'static str> {
        None
    }
}

/// A stretch of addresses that is mapped to a stretch of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// Where it is seen.
    pub virt: VirtRange,
    /// Where it lies.
    pub phys: PhysAddr,
    /// How it is mapped.
    pub flags: LeafFlags,
}

/// What a hart's tables are made from.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// RAM.
    pub ram: PhysRange,
    /// The image in it; what lies below is the machine program's.
    pub image: PhysRange,
    /// The image's sections that are mapped.
    pub sections: &'a [Stretch],
    /// Devices, which are mapped where they are.
    pub devices: &'a [PhysRange],
    /// The frames of this hart's cpu struct, page by page; none in the guards.
    pub cpu_struct: &'a [Option<PhysPage>; CPU_STRUCT_PAGES],
}

impl Plan<'_> {
    /// All that is mapped alike on every hart.
    pub fn global(&self) -> impl Iterator<Item = Stretch> {
        let sections = self.sections.iter().copied();
        let devices = self.devices.iter().filter_map(|device| {
            Some(Stretch {
                virt: VirtRange::new(VirtAddr::new(device.start().as_u64()), device.size())?,
                phys: device.start(),
                flags: READ_WRITE,
            })
        });
        let behind_image = PhysRange::from_bounds(self.image.end(), self.ram.end());
        let linear = [(Some(self.image), READ_ONLY), (behind_image, READ_WRITE)];
        let linear = linear.into_iter().filter_map(|(range, flags)| {
            let range = range?;
            let start = linear_window(self.ram).address_of(range.start().page()?);
            Some(Stretch {
                virt: VirtRange::new(start, range.size())?,
                phys: range.start(),
                flags,
            })
        });
        let all = sections.chain(linear).chain(devices);
        all.map(|stretch| Stretch {
            flags: stretch.flags | GLOBAL,
            ..stretch
        })
    }

    /// All that is mapped for this hart alone, page by page.
    pub fn own(&self) -> impl Iterator<Item = Stretch> {
        let pages = self.cpu_struct.iter().enumerate();
        pages.filter_map(|(number, frame)| {
            let start = VAS_CPU_STRUCT.wrapping_add(number as u64 * PAGE_SIZE);
            Some(Stretch {
                virt: VirtRange::new(start, PAGE_SIZE)?,
                phys: (*frame)?.start(),
                flags: READ_WRITE,
            })
        })
    }
}

/// Fills the tables of `mapper`, whose root is empty.
///
/// # Errors
/// [`MapError`]; the tables are of no use then.
pub fn build<M: Memory, S: Supply>(
    mapper: &mut Mapper<'_, M, S>,
    plan: &Plan<'_>,
) -> Result<(), MapError> {
    for stretch in plan.global().chain(plan.own()) {
        map_stretch(mapper, stretch)?;
    }
    Ok(())
}

/// Maps a stretch, by 2 MiB leaves where that can be.
///
/// # Errors
/// [`MapError`].
pub fn map_stretch<M: Memory, S: Supply>(
    mapper: &mut Mapper<'_, M, S>,
    stretch: Stretch,
) -> Result<(), MapError> {
    let mut done = 0;
    while done < stretch.virt.size() {
        let virt = stretch.virt.start().wrapping_add(done);
        let phys = stretch.phys.wrapping_add(done);
        let large = Level::L1.entry_size();
        let fits =
            virt.is_aligned(large) && phys.is_aligned(large) && stretch.virt.size() - done >= large;
        let level = if fits { Level::L1 } else { Level::L0 };
        mapper.map(virt, phys, level, stretch.flags)?;
        done += level.entry_size();
    }
    Ok(())
}

/// Translates `virt` as the hardware would under `root`. Tables are believed where `is_table` says so.
pub fn lookup<M: Memory>(
    memory: &M,
    window: Window,
    root: PhysPage,
    virt: VirtAddr,
    is_table: impl Fn(PhysPage) -> bool,
) -> Translation {
    let read = |entry: PhysAddr| {
        let table = entry.page().filter(|frame| is_table(*frame));
        let place = table.map(|frame| window.address_of(frame).wrapping_add(entry.page_offset()));
        Ok::<_, Infallible>(place.map(|place| Pte::from_bits(memory.load(place))))
    };
    match translate(MODE, root, virt, read) {
        Ok(translation) => translation,
    }
}

/// Something that is found in tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// A table.
    Table(Table),
    /// A leaf.
    Leaf {
        /// The first address that it maps.
        virt: VirtAddr,
        /// The table with the leaf.
        level: Level,
        /// The entry.
        pte: Pte,
    },
}

/// Tells `visit` of every table under `root`, each before what is in it, and of every leaf, in ascending
/// order of their indices.
pub fn visit<M: Memory>(
    memory: &M,
    window: Window,
    root: PhysPage,
    is_table: &impl Fn(PhysPage) -> bool,
    visit: &mut impl FnMut(Found),
) {
    visit_table(memory, window, Table::root(root), is_table, visit);
}

/// As deep as there are levels.
fn visit_table<M: Memory>(
    memory: &M,
    window: Window,
    table: Table,
    is_table: &impl Fn(PhysPage) -> bool,
    visit: &mut impl FnMut(Found),
) {
    if !is_table(table.frame) {
        return;
    }
    visit(Found::Table(table));
    let level = table.level;
    for index in 0..ENTRIES_PER_TABLE as u64 {
        let place = window.address_of(table.frame).wrapping_add(index * 8);
        let pte = Pte::from_bits(memory.load(place));
        let offset = index * level.entry_size();
        let virt = table.covers_from.wrapping_add(offset);
        let virt = if level == ROOT_LEVEL {
            MODE.canonical(virt.as_u64())
        } else {
            virt
        };
        match (pte.classify(level), level.next()) {
            (PteKind::Leaf(_), _) => visit(Found::Leaf { virt, level, pte }),
            (PteKind::Pointer(frame), Some(next)) => {
                let table = Table::covering(frame, next, virt);
                visit_table(memory, window, table, is_table, visit);
            }
            _ => {}
        }
    }
}
