//! From reset to the first instruction of S-mode, on hart 0.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::board;
use pagescope_kernel::boot_map::{self, BootMap, BootPlan, PSEUDOS_DEVICES};
use pagescope_kernel::bootargs::BootArgs;
use pagescope_kernel::carried;
use pagescope_kernel::device_tree::{self, Facts};
use pagescope_kernel::handoff::{BOOT_MAGIC, BOOT_VERSION, BootHeader, HandOff};
use pagescope_kernel::heap::{Heap, HeapLayout};
use pagescope_kernel::mapper::MODE;
use pagescope_kernel::reserve::Reserve;
use pagescope_kernel::self_map;
use pagescope_kernel::window::Window;
use pagescope_protocol::info::{name, name_text};
use pagescope_protocol::{PhysAddr, PhysRange, Satp};

use crate::entry::{self, INFO_POINTER, MAX_HARTS};
use crate::out::{self, refuse, say};
use crate::{debug, hart, table_service, trap};

/// Harts that there are and that can be started.
static HARTS: AtomicU64 = AtomicU64::new(1);

/// Harts that there are and that can be started.
pub(crate) fn harts() -> u64 {
    HARTS.load(Ordering::Relaxed)
}

/// What S-mode may use of RAM.
pub(crate) fn supervisor_ram() -> PhysRange {
    let range = PhysRange::from_bounds(board::MACHINE_RAM.end(), board::RAM.end());
    range.unwrap_or(board::RAM)
}

/// Boots: called from reset, once, on hart 0, with the address of the device tree.
pub(crate) extern "C" fn boot(hart: u64, device_tree: u64) -> ! {
    out::uart().enable_fifos();
    // The device tree lies where the heap will be: what is needed of it is copied first.
    let mut hand_off = hand_off(&device_tree_facts(device_tree));
    let words = hand_off;
    let args = match BootArgs::parse(words.bootargs()) {
        Ok(args) => args,
        Err(error) => refuse(format_args!("{error}")),
    };
    if let Some(layout) = args.layout {
        bring(layout);
    }
    let header = header_in_place();
    if let Err(error) = header.check(supervisor_ram()) {
        refuse(format_args!("{error}"));
    }
    let heap = boot_map::physical_heap(header.image_end().unwrap_or(board::RAM.end()));
    hand_off.heap_bottom = heap.bottom.start().as_u64();
    let satp = if header.starts_bare() {
        Satp::default()
    } else {
        let map = build_tables(&header, heap, args.strategy);
        hand_off.strategy = name(args.strategy);
        hand_off.root = map.root.start().as_u64();
        hand_off.handed_out = map.handed_out;
        Satp::new(MODE, 0, map.root)
    };

    let place = core::ptr::with_exposed_provenance_mut::<HandOff>(header.hand_off as usize);
    // SAFETY: `BootHeader::check` found it aligned and in the program's writable memory, and the
    // program does not run yet.
    unsafe { place.write_volatile(hand_off) };
    // SAFETY: the pointer at the entry is M-mode's to write, and nobody reads it here.
    unsafe { (&raw mut INFO_POINTER.block).write_volatile(header.info) };
    trap::count_in(PhysAddr::new(header.info));
    open_debug_channel(&hand_off, &header);

    let entry = header.entry;
    if header.starts_bare() {
        say(format_args!(
            "layout {}; the supervisor program starts untranslated at {entry:#x}",
            header.layout()
        ));
    } else {
        say(format_args!(
            "layout {}, tables {}: root table {:#x}, {} pages handed out; the supervisor program starts at {entry:#x}",
            header.layout(),
            name_text(&hand_off.strategy),
            hand_off.root,
            hand_off.handed_out,
        ));
    }
    hart::enter_supervisor(entry, satp, hart, header.hand_off)
}

fn open_debug_channel(hand_off: &HandOff, header: &BootHeader) {
    let start = PhysAddr::new(hand_off.ram_start);
    let ram = PhysRange::new(start, hand_off.ram_size).unwrap_or(board::RAM);
    let ticks = match hand_off.timebase_hz {
        0 => board::DEFAULT_TIMEBASE_HZ,
        ticks => ticks,
    };
    debug::open(ram, header.services, ticks);
}

fn device_tree_facts(address: u64) -> Facts<'static> {
    if address < board::MACHINE_RAM.end().as_u64() || !address.is_multiple_of(8) {
        refuse(format_args!("no device tree: a1 was {address:#x} at reset"));
    }
    let pointer = core::ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: the boot protocol has a1 point to the device tree, which has a header; nothing
    // writes there before S-mode runs.
    let header = unsafe { pointer.cast::<[u8; 8]>().read_volatile() };
    let facts = device_tree::size_of_tree(header).and_then(|size| {
        // SAFETY: the header has the magic, so the tree is as long as it says.
        device_tree::read(unsafe { core::slice::from_raw_parts(pointer, size) })
    });
    match facts {
        Ok(facts) => facts,
        Err(error) => refuse(format_args!("{error}")),
    }
}

/// What the program in its place says, not yet checked.
fn header_in_place() -> BootHeader {
    let address = board::SUPERVISOR_START.as_u64() as usize;
    let place = core::ptr::with_exposed_provenance::<BootHeader>(address);
    // SAFETY: this is RAM, aligned, and every bit pattern is a header.
    unsafe { place.read_volatile() }
}

/// Puts `layout`'s program into its place, if it is not there already.
fn bring(layout: &str) {
    let header = header_in_place();
    if header.magic == BOOT_MAGIC && header.layout() == layout {
        return;
    }
    let place = carried::PLACE;
    let start = core::ptr::with_exposed_provenance::<u8>(place.start().as_u64() as usize);
    // SAFETY: this is RAM, to which nobody writes before S-mode runs; the program's place, which is
    // written below, is another part of it.
    let bytes = unsafe { core::slice::from_raw_parts(start, place.size() as usize) };
    let Some(program) = carried::programs(bytes).find(|program| program.layout == layout) else {
        refuse(format_args!(
            "layout={layout} is not in this image, which carries {}",
            Carries(header.layout(), bytes)
        ))
    };
    let room = place.start().as_u64() - board::SUPERVISOR_START.as_u64();
    if program.image.len() as u64 > room {
        refuse(format_args!("layout={layout} is larger than its place"));
    }
    let address = board::SUPERVISOR_START.as_u64() as usize;
    let target = core::ptr::with_exposed_provenance_mut::<u8>(address);
    // SAFETY: the program's place is RAM that ends before the archive begins; no reference to it
    // exists. `enter_supervisor` fences instructions.
    unsafe { target.copy_from_nonoverlapping(program.image.as_ptr(), program.image.len()) };
}

/// The names of the layouts that this image has.
struct Carries<'a>(&'a str, &'a [u8]);

impl fmt::Display for Carries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        carried::programs(self.1).try_for_each(|program| write!(f, ", {}", program.layout))
    }
}

/// Builds the first tables, and has what is missing in them served where the strategy wants that.
fn build_tables(header: &BootHeader, layout: HeapLayout, strategy: &str) -> BootMap {
    // `BootArgs` has refused every other name.
    let Some(self_map) = self_map::by_name(strategy) else {
        refuse(format_args!("no strategy {strategy}"))
    };
    let reserve = core::ptr::with_exposed_provenance::<Reserve>(header.reserve as usize);
    // SAFETY: `BootHeader::check` found it aligned and in the program's writable memory, for good; its
    // fields are atomic, and empty in the image.
    let reserve: &'static Reserve = unsafe { &*reserve };
    // SAFETY: the heap is free memory: above the image, whose sections were checked, and nothing
    // of the device tree in it is needed any more.
    let mut memory = unsafe { LiveMemory::new() };
    let mut heap = Heap::new(layout);
    let plan = BootPlan {
        window: Window::IDENTITY,
        self_map,
        sections: header.sections(),
        devices: &PSEUDOS_DEVICES,
    };
    let map = match boot_map::build(&mut memory, &mut heap, reserve, plan) {
        Ok(map) => map,
        Err(error) => refuse(format_args!("the boot map cannot be built: {error}")),
    };
    if self_map.is_served_by_machine_mode() {
        table_service::start(reserve, map.root);
    }
    map
}

/// What the device tree says, to be handed on.
fn hand_off(facts: &Facts<'_>) -> HandOff {
    if !facts.ram.contains_range(board::RAM) {
        let (given, needed) = (facts.ram, board::RAM);
        refuse(format_args!(
            "RAM is {given}; this kernel needs {needed}: give QEMU -m 128M"
        ));
    }
    HARTS.store(facts.harts.clamp(1, MAX_HARTS) as u64, Ordering::Relaxed);
    if facts.harts > MAX_HARTS {
        say(format_args!(
            "{} harts, of which the first {MAX_HARTS} can be started",
            facts.harts
        ));
    }
    let mut hand_off = HandOff {
        version: BOOT_VERSION,
        ram_start: facts.ram.start().as_u64(),
        ram_size: facts.ram.size(),
        machine_entry: entry::_start as *const () as u64,
        timebase_hz: facts.timebase_hz,
        harts: harts(),
        ..HandOff::EMPTY
    };
    if !hand_off.set_bootargs(facts.bootargs) {
        let most = hand_off.bootargs.len();
        refuse(format_args!("the command line has more than {most} bytes"));
    }
    hand_off
}
