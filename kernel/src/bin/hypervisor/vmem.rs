//! Each hart's final tables: building them, changing all of them together, looking at any of them.
//!
//! What is global is in every hart's tables, and is changed in all of them under one lock. After that the
//! other harts are made to forget what they know ([`ipi`]), and only then are frames
//! given back.

use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::hypervisor::VAS_CPU_STRUCT;
use pagescope_kernel::hypervisor::class::PointerClass;
use pagescope_kernel::hypervisor::cpu_struct::{CPU_STRUCT_PAGES, has_frame};
use pagescope_kernel::hypervisor::vmem::{self, Found, GLOBAL, Linear, Plan, Stretch};
use pagescope_kernel::lock::SpinLock;
use pagescope_kernel::mapper::{MODE, MapError, Mapper, Reach, Supply, UnmapError};
use pagescope_kernel::memory::Memory;
use pagescope_kernel::program::image::{EXECUTABLE, READ_ONLY, Symbol, WRITABLE, physical};
use pagescope_kernel::program::publish;
use pagescope_kernel::{board, println, publish, return_address};
use pagescope_protocol::info::{EVERY_SPACE, TraceEvent, trace_kind};
use pagescope_protocol::translate::Translation;
use pagescope_protocol::{
    LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, PhysRange, Satp, VirtAddr, VirtRange,
};

use crate::cpu::{self, MAX_HARTS};
use crate::{entry, ipi, kmem, linear};

/// The devices that are mapped, each at its own address.
pub(crate) const DEVICES: [PhysRange; 2] = [board::UART0, board::PCI_ECAM];

/// Every hart's root table.
struct Roots([Option<PhysPage>; MAX_HARTS]);

static ROOTS: SpinLock<Roots> = SpinLock::new(Roots([None; MAX_HARTS]));

/// What a hart moves into.
#[derive(Clone, Copy)]
pub(crate) struct Built {
    /// Its satp.
    pub(crate) satp: Satp,
    /// The frames of its cpu struct, page by page.
    pub(crate) cpu_struct: [Option<PhysPage>; CPU_STRUCT_PAGES],
    /// Where [`build`] was called.
    caller: u64,
}

impl Built {
    /// Its cpu info page, as a linear pointer.
    pub(crate) fn info_page(&self) -> VirtAddr {
        self.cpu_struct[0].map_or(VAS_CPU_STRUCT, linear::pointer_to)
    }
}

/// Page tables come from kalloc.
struct Frames;

impl Supply for Frames {
    fn available(&self) -> usize {
        kmem::free_pages() as usize
    }

    fn take<M: Memory>(&mut self, memory: &mut M) -> Option<PhysPage> {
        let page = kmem::alloc_page()?;
        memory.fill_page(page, 0);
        kmem::lock().set_table(page, true);
        Some(linear::frame_at(page))
    }

    fn is_table(&self, frame: PhysPage) -> bool {
        kmem::is_table(frame)
    }
}

fn mapper(memory: &mut LiveMemory, root: PhysPage) -> Mapper<'_, LiveMemory, Frames> {
    Mapper {
        memory,
        supply: Frames,
        self_map: &Linear,
        reach: Reach::Windows,
        heap: linear::window(),
        root,
    }
}

/// Builds the tables of `hart`; `None` where memory is used up. What was mapped is for [`trace_built`] to say.
#[inline(never)]
pub(crate) fn build(hart: u64) -> Option<Built> {
    let caller = return_address!();
    let mut memory = linear::memory();
    let mut cpu_struct = [None; CPU_STRUCT_PAGES];
    // From the top down, as kalloc goes: so the frames lie as the addresses do.
    for (number, place) in cpu_struct.iter_mut().enumerate().rev() {
        if has_frame(number) {
            let page = kmem::alloc_page()?;
            memory.fill_page(page, 0);
            *place = Some(linear::frame_at(page));
        }
    }
    let root = Frames.take(&mut memory)?;
    let sections = sections();
    let plan = plan(&sections, &cpu_struct);
    if let Err(error) = vmem::build(&mut mapper(&mut memory, root), &plan) {
        println!("hart {hart}: its tables cannot be built: {error}");
        return None;
    }
    *ROOTS.lock(cpu::hart()).0.get_mut(hart as usize)? = Some(root);
    Some(Built {
        satp: Satp::new(MODE, 0, root),
        cpu_struct,
        caller,
    })
}

/// Traces all that [`build`] mapped, now that the hart's space has an id.
pub(crate) fn trace_built(built: &Built, space: u64) {
    let sections = sections();
    let plan = plan(&sections, &built.cpu_struct);
    for stretch in plan.global().chain(plan.own()) {
        trace_map(stretch, space, built.caller);
    }
}

/// What a hart's tables are made from.
fn plan<'a>(
    sections: &'a [Stretch],
    cpu_struct: &'a [Option<PhysPage>; CPU_STRUCT_PAGES],
) -> Plan<'a> {
    Plan {
        ram: linear::ram(),
        image: kmem::image(),
        sections,
        devices: &DEVICES,
        cpu_struct,
    }
}

/// The image's sections, as they are mapped.
pub(crate) fn sections() -> [Stretch; 4] {
    let section = |start: &'static Symbol, end: &'static Symbol, flags| {
        let first = VirtAddr::new(start.address());
        let range = VirtRange::from_bounds(first, VirtAddr::new(end.address()));
        Stretch {
            virt: range.expect("the linker puts a section's end behind its start"),
            phys: physical(start),
            flags,
        }
    };
    [
        section(&entry::__text_start, &entry::__text_end, EXECUTABLE),
        section(&entry::__rodata_start, &entry::__rodata_end, READ_ONLY),
        section(&entry::__data_start, &entry::__data_end, WRITABLE),
        section(&entry::__bss_start, &entry::__bss_end, WRITABLE),
    ]
}

fn trace_map(stretch: Stretch, space: u64, caller: u64) {
    // As the mapper stores them.
    let flags = stretch.flags | LeafFlags::ACCESSED | LeafFlags::DIRTY;
    publish::trace(TraceEvent {
        kind: trace_kind::MAP,
        address: stretch.virt.start().as_u64(),
        argument: stretch.phys.as_u64(),
        size: stretch.virt.size(),
        flags: flags.bits().into(),
        space,
        caller,
        ..TraceEvent::EMPTY
    });
}

/// The kernel's own map stays as it is.
fn check_free(virt: VirtAddr) -> Option<&'static str> {
    match PointerClass::of(virt) {
        PointerClass::User => None,
        PointerClass::Image => Some("the kernel image"),
        PointerClass::Cpu => Some("the cpu struct"),
        PointerClass::Linear => Some("the linear map"),
        PointerClass::Device => Some("the devices"),
        PointerClass::None => Some("what stays unmapped"),
    }
}

/// Maps the page at `virt` to `phys` on every hart.
#[unsafe(export_name = "map")]
#[inline(never)]
pub(crate) fn map(virt: VirtAddr, phys: PhysAddr, flags: LeafFlags) -> Result<(), MapError> {
    let caller = return_address!();
    if MODE.is_canonical(virt)
        && let Some(what) = check_free(virt)
    {
        return Err(MapError::ReservedRegion(virt, what));
    }
    let flags = flags | GLOBAL;
    let roots = ROOTS.lock(cpu::hart());
    let mut memory = linear::memory();
    let mut mapped = Ok(());
    for root in roots.0.into_iter().flatten() {
        mapped = mapper(&mut memory, root)
            .map(virt, phys, Level::L0, flags)
            .map(drop);
        if mapped.is_err() {
            break;
        }
    }
    if mapped.is_err() {
        // All or none: those before it forget it again. Where it was mapped before, nothing was done.
        for root in roots.0.into_iter().flatten() {
            let mut mapper = mapper(&mut memory, root);
            let is_ours = mapper
                .lookup(virt)
                .mapped()
                .is_some_and(|found| found.address == phys);
            if is_ours && !matches!(mapped, Err(MapError::AlreadyMapped(..))) {
                let _ = mapper
                    .unmap(virt)
                    .map(|unmapped| give_back(unmapped.released.iter()));
            }
        }
    }
    // An entry that was invalid may be known as such.
    ipi::fence_others();
    drop(roots);
    if mapped.is_ok() {
        publish!(map_calls = publish::read().map_calls + 1);
        let virt = VirtRange::new(virt, PAGE_SIZE);
        if let Some(virt) = virt {
            trace_map(Stretch { virt, phys, flags }, EVERY_SPACE, caller);
        }
    }
    mapped
}

/// Unmaps the page at `virt` on every hart, and gives its frame once no hart can reach it any more.
#[unsafe(export_name = "unmap")]
#[inline(never)]
pub(crate) fn unmap(virt: VirtAddr) -> Result<PhysAddr, UnmapError> {
    let caller = return_address!();
    if let Some(what) = check_free(virt) {
        return Err(UnmapError::ReservedRegion(virt, what));
    }
    let roots = ROOTS.lock(cpu::hart());
    let mut memory = linear::memory();
    let mut released = [None; MAX_HARTS];
    let mut phys = None;
    let mut refused = None;
    for (root, place) in roots.0.into_iter().flatten().zip(&mut released) {
        let mut mapper = mapper(&mut memory, root);
        let found = mapper.lookup(virt).mapped();
        // A hart that refuses keeps what it has; the others' part is done to the end all the same.
        match mapper.unmap(virt) {
            Ok(unmapped) => (phys, *place) = (found, Some(unmapped.released)),
            Err(error) => refused = Some(error),
        }
    }
    // Until they have all done so, a hart may still reach the page, or walk through the tables.
    ipi::fence_others();
    for released in released.iter().flatten() {
        give_back(released.iter());
    }
    drop(roots);
    let none = || refused.unwrap_or(UnmapError::NotMapped(virt));
    let phys = phys.ok_or_else(none)?.address;
    publish::trace(TraceEvent {
        kind: trace_kind::UNMAP,
        address: virt.as_u64(),
        argument: phys.as_u64(),
        size: PAGE_SIZE,
        caller,
        ..TraceEvent::EMPTY
    });
    Ok(phys)
}

/// Frees frames that were tables.
fn give_back(frames: impl Iterator<Item = PhysPage>) {
    for frame in frames {
        let page = linear::pointer_to(frame);
        kmem::lock().set_table(page, false);
        kmem::kfree(page.as_u64() as usize);
    }
}

/// The root table of `hart`.
pub(crate) fn root_of(hart: u64) -> Option<PhysPage> {
    *ROOTS.lock(cpu::hart()).0.get(hart as usize)?
}

/// Where `map` has put the page that is seen at `page` in the linear map, if anywhere.
pub(crate) fn other_address_of(page: VirtAddr) -> Option<VirtAddr> {
    let frame = linear::frame_at(page);
    let mut other = None;
    // What was mapped is in the tables of every hart alike.
    visit(root_of(cpu::hart())?, &mut |found| {
        if let Found::Leaf { virt, pte, .. } = found
            && PointerClass::of(virt) == PointerClass::User
            && pte.page() == frame
        {
            other = Some(virt);
        }
    });
    other
}

/// How `virt` is translated under `root`. It takes no lock, so that a fault can be looked into whatever
/// was going on: any frame behind the machine program is read as the table that an entry says it is.
pub(crate) fn lookup(root: PhysPage, virt: VirtAddr) -> Translation {
    let readable = PhysRange::from_bounds(kmem::image().start(), linear::ram().end());
    let is_readable = |frame: PhysPage| readable.is_some_and(|range| range.contains(frame.start()));
    vmem::lookup(&linear::memory(), linear::window(), root, virt, is_readable)
}

/// Tells `visit` of every table and leaf under `root`.
pub(crate) fn visit(root: PhysPage, visit: &mut impl FnMut(Found)) {
    vmem::visit(
        &linear::memory(),
        linear::window(),
        root,
        &kmem::is_table,
        visit,
    );
}
