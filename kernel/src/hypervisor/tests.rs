use super::class::PointerClass;
use super::cpu_struct::{CPU_STRUCT_PAGES, GUARD, has_frame};
use super::kmem::{KallocError, KfreeError, Kmem, ListDamage, PageState};
use super::vmem::{self, Found, Linear, Plan, READ_ONLY, READ_WRITE, Stretch};
use super::*;
use crate::mapper::{Mapper, Reach, Supply};
use crate::memory::Memory;
use pagescope_protocol::info::FREED_FILL;
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysAddr, PhysPage, PhysRange, VirtRange};
use proptest::prelude::*;
use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::string::ToString as _;
use std::vec::Vec;

/// RAM that is seen through the linear map, and nothing else: any other address panics, as it would fault.
struct LinearRam {
    size: u64,
    words: BTreeMap<u64, u64>,
}

impl LinearRam {
    fn new(size: u64) -> Self {
        Self {
            size,
            words: BTreeMap::new(),
        }
    }

    fn place(&self, address: VirtAddr) -> u64 {
        let offset = address.checked_offset_from(VAS_LINEAR_MAP);
        let offset = offset.filter(|offset| *offset < self.size && offset.is_multiple_of(8));
        offset.unwrap_or_else(|| panic!("{address} is not in the linear map"))
    }
}

impl Memory for LinearRam {
    fn load(&self, address: VirtAddr) -> u64 {
        self.words.get(&self.place(address)).copied().unwrap_or(0)
    }

    fn store(&mut self, address: VirtAddr, value: u64) {
        self.words.insert(self.place(address), value);
    }

    fn fence_page(&mut self, _: VirtAddr) {}

    fn fence_all(&mut self) {}
}

const MIB: u64 = 1 << 20;

/// RAM in these tests: small, so that filling it costs little.
const RAM_SIZE: u64 = 8 * MIB;

/// Where the free pages begin.
const FREE_FROM: u64 = 5 * MIB;

fn linear(offset: u64) -> VirtAddr {
    VAS_LINEAR_MAP.wrapping_add(offset)
}

fn kmem(ram: &mut LinearRam, pages: u64) -> Box<Kmem> {
    let mut kmem = Box::new(Kmem::empty());
    let range = VirtRange::new(linear(FREE_FROM), pages * PAGE_SIZE).unwrap();
    kmem.free_all(ram, range);
    kmem
}

/// Tables from the free list.
struct Frames<'a> {
    kmem: &'a mut Kmem,
    window: Window,
}

impl Supply for Frames<'_> {
    fn available(&self) -> usize {
        self.kmem.free() as usize
    }

    fn take<M: Memory>(&mut self, memory: &mut M) -> Option<PhysPage> {
        let page = self.kmem.take(memory).ok()?;
        memory.fill_page(page, 0);
        self.kmem.set_table(page, true);
        self.window.frame_at(page)
    }

    fn is_table(&self, frame: PhysPage) -> bool {
        self.kmem.state(self.window.address_of(frame)) == PageState::Table
    }
}

/// A hart's leaves: address, physical address less RAM's first, size, flags.
type Leaves = Vec<(VirtAddr, u64, u64, LeafFlags)>;

/// Builds the tables of a hart on a machine whose RAM begins at `base`.
fn build(base: u64, ram: &mut LinearRam, kmem: &mut Kmem) -> Leaves {
    let at = |offset: u64, size: u64| PhysRange::new(PhysAddr::new(base + offset), size).unwrap();
    let all = at(0, RAM_SIZE);
    let window = linear_window(all);
    let mut cpu_struct = [None; CPU_STRUCT_PAGES];
    for (number, place) in cpu_struct.iter_mut().enumerate() {
        if has_frame(number) {
            *place = window.frame_at(kmem.take(ram).unwrap());
        }
    }
    let section = |offset: u64, size: u64, flags| Stretch {
        virt: VirtRange::new(VAS_KERNEL_IMAGE.wrapping_add(offset), size).unwrap(),
        phys: PhysAddr::new(base + offset),
        flags,
    };
    let text = READ_ONLY | LeafFlags::EXECUTE;
    let plan = Plan {
        ram: all,
        image: at(2 * MIB, 0x5000),
        sections: &[
            section(2 * MIB, 0x3000, text),
            section(2 * MIB + 0x3000, 0x2000, READ_WRITE),
        ],
        devices: &[PhysRange::new(PhysAddr::new(0x1000_0000), 0x1000).unwrap()],
        cpu_struct: &cpu_struct,
    };
    let mut frames = Frames { kmem, window };
    let root = frames.take(ram).unwrap();
    let mut mapper = Mapper {
        memory: ram,
        supply: frames,
        self_map: &Linear,
        reach: Reach::Windows,
        heap: window,
        root,
    };
    vmem::build(&mut mapper, &plan).unwrap();
    let is_table = |frame| kmem.state(window.address_of(frame)) == PageState::Table;
    let mut leaves = Vec::new();
    vmem::visit(ram, window, root, &is_table, &mut |found| {
        if let Found::Leaf { virt, level, pte } = found {
            let phys = pte.page().start().as_u64();
            let phys = if PointerClass::of(virt) == PointerClass::Device {
                phys
            } else {
                phys - base
            };
            leaves.push((virt, phys, level.entry_size(), pte.flags()));
        }
    });
    leaves
}

/// S2.11.
#[test]
fn s2_11_a_pointer_says_what_it_is() {
    for (address, class) in [
        (0, PointerClass::None),
        (0xfff, PointerClass::None),
        (0x1000_0000, PointerClass::Device),
        (0x7fff_ffff, PointerClass::Device),
        (0x8020_0000, PointerClass::User),
        (0x3f_ffff_ffff, PointerClass::User),
        (0x40_0000_0000, PointerClass::None),
        (0xffff_ffbf_ffff_ffff, PointerClass::None),
        (0xffff_ffc0_0020_0000, PointerClass::Image),
        (0xffff_ffc0_3fff_ffff, PointerClass::Image),
        (0xffff_ffc0_4000_0000, PointerClass::Cpu),
        (0xffff_ffc0_8000_0000, PointerClass::None),
        (0xffff_ffe0_0000_0000, PointerClass::Linear),
        (0xffff_ffe0_3fff_ffff, PointerClass::Linear),
        (0xffff_ffe0_4000_0000, PointerClass::None),
        (u64::MAX, PointerClass::None),
    ] {
        assert_eq!(
            PointerClass::of(VirtAddr::new(address)),
            class,
            "{address:#x}"
        );
    }
}

/// S2.9: the guard lies between the info page and the stack, and the trap stack has one of its own.
#[test]
fn s2_9_the_guards_have_no_frames() {
    let without: Vec<usize> = (0..CPU_STRUCT_PAGES)
        .filter(|number| !has_frame(*number))
        .collect();
    assert_eq!(without, [1, 10]);
    assert_eq!(GUARD.start(), VAS_CPU_STRUCT.wrapping_add(0x1000));
}

/// S2.5: only linear pointers, which [`LinearRam`] insists on; the last page freed is the first out.
#[test]
fn s2_5_the_list_is_linked_through_linear_pointers() {
    let mut ram = LinearRam::new(RAM_SIZE);
    let mut kmem = kmem(&mut ram, 4);
    assert_eq!((kmem.free(), kmem.handed_out()), (4, 0));
    assert_eq!(kmem.audit(&ram), Ok(()));
    let last = linear(FREE_FROM + 3 * PAGE_SIZE);
    assert_eq!(kmem.next_untouched(), last);
    assert_eq!(ram.load(last), linear(FREE_FROM + 2 * PAGE_SIZE).as_u64());
    assert_eq!(
        ram.load(last.wrapping_add(8)),
        u64::from_le_bytes([FREED_FILL; 8])
    );
    for number in (0..4).rev() {
        assert_eq!(kmem.take(&ram), Ok(linear(FREE_FROM + number * PAGE_SIZE)));
    }
    assert_eq!(kmem.take(&ram), Err(KallocError::Empty));
    assert_eq!(kmem.audit(&ram), Ok(()));
}

#[test]
fn what_was_not_handed_out_is_refused() {
    let mut ram = LinearRam::new(RAM_SIZE);
    let mut kmem = kmem(&mut ram, 4);
    let page = kmem.take(&ram).unwrap();
    let inside = page.wrapping_add(8);
    assert_eq!(kmem.retire(inside), Err(KfreeError::Foreign(inside)));
    let below = linear(FREE_FROM - PAGE_SIZE);
    assert_eq!(kmem.retire(below), Err(KfreeError::Foreign(below)));
    kmem.set_table(page, true);
    assert_eq!(kmem.retire(page), Err(KfreeError::Table(page)));
    kmem.set_table(page, false);
    assert_eq!(kmem.retire(page), Ok(()));
    // On its way back it is nobody's.
    assert_eq!(kmem.retire(page), Err(KfreeError::Free(page)));
    kmem.link(&mut ram, page);
    assert_eq!(kmem.retire(page), Err(KfreeError::Free(page)));
    // And linking it again changes nothing.
    kmem.link(&mut ram, page);
    assert_eq!(kmem.audit(&ram), Ok(()));
    assert_eq!((kmem.free(), kmem.given_back()), (4, 1));
}

#[test]
fn damage_to_a_free_page_is_found_before_it_spreads() {
    let mut ram = LinearRam::new(RAM_SIZE);
    let mut kmem = kmem(&mut ram, 4);
    let page = linear(FREE_FROM + 3 * PAGE_SIZE);
    let good = ram.load(page);
    for found in [
        0,
        1,
        page.as_u64(),
        linear(0).as_u64(),
        0x8050_0000,
        u64::MAX,
    ] {
        ram.store(page, found);
        assert_eq!(kmem.take(&ram), Err(KallocError::Damaged { page, found }));
        assert!(kmem.audit(&ram).is_err());
    }
    ram.store(page, good);
    let second = VirtAddr::new(good);
    ram.store(second, page.as_u64());
    assert_eq!(kmem.audit(&ram), Err(ListDamage::TooLong(4)));
    ram.store(second, 0);
    assert_eq!(
        kmem.audit(&ram),
        Err(ListDamage::Lost { linked: 2, free: 4 })
    );
}

proptest! {
    /// Against a set: no page twice, none lost.
    #[test]
    fn any_order_keeps_the_list_whole(steps: Vec<(bool, u8)>) {
        let mut ram = LinearRam::new(RAM_SIZE);
        let mut kmem = kmem(&mut ram, 8);
        let mut held = BTreeSet::new();
        for (takes, which) in steps {
            if takes {
                match kmem.take(&ram) {
                    Ok(page) => prop_assert!(held.insert(page)),
                    Err(error) => prop_assert_eq!((error, held.len()), (KallocError::Empty, 8)),
                }
            } else if let Some(page) = held.iter().nth(usize::from(which) % 8).copied() {
                held.remove(&page);
                prop_assert_eq!(kmem.retire(page), Ok(()));
                kmem.link(&mut ram, page);
            }
            prop_assert_eq!(kmem.handed_out() as usize, held.len());
            prop_assert_eq!(kmem.audit(&ram), Ok(()));
        }
    }
}

/// S2.7, S2.8: two harts' tables differ in the cpu struct's frames and in nothing else; and all but
/// the cpu struct is global.
#[test]
fn s2_7_s2_8_only_the_cpu_struct_is_a_harts_own() {
    let mut ram = LinearRam::new(RAM_SIZE);
    let mut kmem = kmem(&mut ram, 256);
    let first = build(0x8000_0000, &mut ram, &mut kmem);
    let second = build(0x8000_0000, &mut ram, &mut kmem);
    assert_eq!(first.len(), second.len());
    let is_cpu = |virt| PointerClass::of(virt) == PointerClass::Cpu;
    for (one, other) in first.iter().zip(&second) {
        assert_eq!((one.0, one.2, one.3), (other.0, other.2, other.3));
        assert_eq!(one.1 != other.1, is_cpu(one.0), "{}", one.0);
        assert_eq!(
            one.3.contains(LeafFlags::GLOBAL),
            !is_cpu(one.0),
            "{}",
            one.0
        );
        let preset = LeafFlags::ACCESSED | LeafFlags::DIRTY;
        assert!(one.3.contains(preset), "{}", one.0);
    }
    assert_eq!(kmem.audit(&ram), Ok(()));
}

/// The linear map: without the machine program, the image read-only, 2 MiB leaves where they fit.
#[test]
fn the_linear_map_gives_no_way_around_the_images_permissions() {
    let mut ram = LinearRam::new(RAM_SIZE);
    let mut kmem = kmem(&mut ram, 256);
    let leaves = build(0x8000_0000, &mut ram, &mut kmem);
    let linear: Vec<_> = leaves
        .into_iter()
        .filter(|(virt, ..)| PointerClass::of(*virt) == PointerClass::Linear)
        .collect();
    let (image, rest): (Leaves, Leaves) = linear
        .iter()
        .copied()
        .partition(|(_, phys, ..)| *phys < 2 * MIB + 0x5000);
    assert_eq!(image.len(), 5);
    assert!(
        image
            .iter()
            .all(|(.., flags)| flags.to_string() == "r---gad")
    );
    assert!(
        rest.iter()
            .all(|(.., flags)| flags.to_string() == "rw--gad")
    );
    assert_eq!(linear[0].0, VAS_LINEAR_MAP.wrapping_add(2 * MIB));
    let large: Vec<_> = rest
        .iter()
        .filter(|(_, _, size, _)| *size == 2 * MIB)
        .map(|(virt, ..)| *virt)
        .collect();
    assert_eq!(
        large,
        [
            VAS_LINEAR_MAP.wrapping_add(4 * MIB),
            VAS_LINEAR_MAP.wrapping_add(6 * MIB)
        ]
    );
    for (virt, phys, ..) in linear {
        assert_eq!(virt, VAS_LINEAR_MAP.wrapping_add(phys));
    }
}

/// S2.12: a linear pointer's page is that far from RAM's first, wherever RAM lies; and what a pointer is does not
/// depend on it either.
#[test]
fn s2_12_windows_and_classes_wherever_ram_lies() {
    for base in [0x4000_0000, 0x8000_0000, 0xc000_0000, 0x12_4000_0000] {
        let ram = PhysRange::new(PhysAddr::new(base), RAM_SIZE).unwrap();
        let window = linear_window(ram);
        for offset in (0..RAM_SIZE).step_by(PAGE_SIZE as usize) {
            let frame = PhysAddr::new(base + offset).page().unwrap();
            assert_eq!(window.address_of(frame), linear(offset), "{base:#x}");
            assert_eq!(window.frame_at(linear(offset)), Some(frame), "{base:#x}");
        }
        let mut memory = LinearRam::new(RAM_SIZE);
        let mut kmem = kmem(&mut memory, 256);
        let mut found = BTreeMap::new();
        for (virt, _, size, _) in build(base, &mut memory, &mut kmem) {
            *found.entry(PointerClass::of(virt).name()).or_insert(0) += size;
        }
        let expected = [
            ("cpu", 13 * PAGE_SIZE),
            ("device", PAGE_SIZE),
            ("image", 5 * PAGE_SIZE),
            ("linear", RAM_SIZE - 2 * MIB),
        ];
        assert_eq!(found, BTreeMap::from(expected), "{base:#x}");
    }
    let end = crate::board::PCI_MMIO.end().as_u64();
    let classes = [end - 1, end].map(|address| PointerClass::of(VirtAddr::new(address)));
    assert_eq!(classes, [PointerClass::Device, PointerClass::User]);
}

/// S2.12: wherever RAM lies, the kernel's addresses are the same.
#[test]
fn s2_12_the_same_addresses_whatever_rams_base() {
    let [low, high] = [0x8000_0000, 0x12_4000_0000].map(|base| {
        let mut ram = LinearRam::new(RAM_SIZE);
        let mut kmem = kmem(&mut ram, 256);
        build(base, &mut ram, &mut kmem)
    });
    assert_eq!(low, high);
}
