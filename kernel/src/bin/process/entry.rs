//! The boot header, and the first instructions.

use core::arch::global_asm;
use core::cell::UnsafeCell;

use pagescope_kernel::handoff::{
    BOOT_MAGIC, BOOT_VERSION, BootHeader, BootSection, HandOff, MAX_SECTIONS, Services, paging,
};
use pagescope_kernel::mapper::MODE;
use pagescope_kernel::process::boot::{BootTables, Words};
use pagescope_kernel::program::image::{
    self, LinkAddress, NO_SECTION, READ_ONLY, Symbol, UNMAPPED, WRITABLE,
};
use pagescope_protocol::info::{name, region_kind};
use pagescope_protocol::{LeafFlags, PhysAddr, Satp};

use crate::{debug, heap};

/// The layout that this program implements.
pub(crate) const LAYOUT: &str = "process";

unsafe extern "C" {
    pub(crate) safe static __text_end: Symbol;
    pub(crate) safe static __rodata_start: Symbol;
    pub(crate) safe static __rodata_end: Symbol;
    pub(crate) safe static __data_start: Symbol;
    pub(crate) safe static __bss_end: Symbol;
    pub(crate) safe static __original_start: Symbol;
    pub(crate) safe static __original_end: Symbol;
    pub(crate) safe static __kernel_stack_start: Symbol;
    pub(crate) safe static __kernel_stack_end: Symbol;
    pub(crate) safe static __shared_start: Symbol;
    pub(crate) safe static __shared_end: Symbol;
    pub(crate) safe static __heap_start: Symbol;
    pub(crate) safe static __upper_end: Symbol;
    safe static __rodata_physical: Symbol;
    safe static __data_physical: Symbol;
    safe static __original_physical: Symbol;
    safe static __stack_physical: Symbol;
    safe static __text_physical: Symbol;
    safe static __info_physical: Symbol;
    safe static __hand_off_physical: Symbol;
    safe static __start_physical: Symbol;
}

/// What the machine program hands on, written by its physical address.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.hand_off")]
pub(crate) static mut HAND_OFF: HandOff = HandOff::EMPTY;

/// Instructions can be executed, and not be read.
pub(crate) const EXECUTE_ONLY: LeafFlags = LeafFlags::VALID.union(LeafFlags::EXECUTE);

/// What the machine program reads at 0x80200000.
#[used]
#[unsafe(link_section = ".text.boot_header")]
static BOOT_HEADER: BootHeader<LinkAddress> = BootHeader {
    magic: BOOT_MAGIC,
    version: BOOT_VERSION,
    layout: name(LAYOUT),
    paging: paging::BARE,
    entry: LinkAddress::of(&raw const __start_physical),
    info: LinkAddress::of(&raw const __info_physical),
    hand_off: LinkAddress::of(&raw const __hand_off_physical),
    reserve: LinkAddress::NULL,
    section_count: 5,
    sections: {
        let mut all = [NO_SECTION; MAX_SECTIONS];
        all[0] = BootSection {
            // It begins at 0, where no symbol can be.
            start: LinkAddress::NULL,
            end: LinkAddress::of(&raw const __text_end),
            load: LinkAddress::of(&raw const __text_physical),
            flags: EXECUTE_ONLY.bits() as u64,
            kind: region_kind::TEXT,
            name: name(".text"),
        };
        all[1] = image::section(
            (&__rodata_start, &__rodata_end, &__rodata_physical),
            READ_ONLY,
            region_kind::RODATA,
            ".rodata",
        );
        all[2] = image::section(
            (&__data_start, &__bss_end, &__data_physical),
            WRITABLE,
            region_kind::DATA,
            ".data/.bss",
        );
        all[3] = image::section(
            (&__original_start, &__original_end, &__original_physical),
            UNMAPPED,
            region_kind::SHARED_DATA,
            "original shared data",
        );
        // With the kernel's shared data, and the beginning of its heap.
        all[4] = image::section(
            (&__kernel_stack_start, &__upper_end, &__stack_physical),
            WRITABLE,
            region_kind::STACK,
            "kernel stack",
        );
        all
    },
    services: Services {
        kalloc: LinkAddress(debug::debug_kalloc as *const ()),
        kalloc_done: LinkAddress(debug::debug_kalloc_done as *const ()),
        busy: LinkAddress::of(heap::BUSY),
    },
};

/// A table of the first ones.
#[repr(C, align(4096))]
struct Table(UnsafeCell<Words>);

// SAFETY: written once, before there is anything else; read by the hardware alone.
unsafe impl Sync for Table {}

impl Table {
    const fn empty() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }
}

static BOOT_ROOT: Table = Table::empty();
static BOOT_LOW: Table = Table::empty();
static BOOT_HIGH: Table = Table::empty();

/// Fills the first tables and says what satp is to be. Runs where the program is loaded: addresses are
/// relative to the program counter, and so physical.
extern "C" fn fill_boot_tables() -> u64 {
    let address = |table: &'static Table| PhysAddr::new(table.0.get() as u64);
    // SAFETY: the only hart, before anything else runs; each table is used once.
    let (root, low, high) = unsafe {
        (
            &mut *BOOT_ROOT.0.get(),
            &mut *BOOT_LOW.0.get(),
            &mut *BOOT_HIGH.0.get(),
        )
    };
    BootTables {
        root,
        low: (low, address(&BOOT_LOW)),
        high: (high, address(&BOOT_HIGH)),
    }
    .fill();
    let root = address(&BOOT_ROOT).as_u64() / pagescope_protocol::PAGE_SIZE;
    Satp::new(MODE, 0, pagescope_protocol::PhysPage::from_truncated(root)).bits()
}

global_asm!(
    r#"
    .section .text.start, "ax"
    .globl _start
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined ra               // nobody called: a backtrace ends here
    // Untranslated, where the program is loaded. `la` is relative to the program counter, so it
    // gives physical addresses of the lower piece.
    la      sp, __kernel_stack_end_below
    la      t0, __bss_start
    la      t1, __bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, (t0)
    addi    t0, t0, 8
    j       1b
2:  call    {fill_boot_tables}
    csrw    satp, a0
    sfence.vma
    // Translated, and still where it was: the boot tables have that GiB one to one. To where the
    // program is linked, by absolute addresses.
    lui     t0, %hi(linked)
    addi    t0, t0, %lo(linked)
    jr      t0
linked:
    lui     sp, %hi(__kernel_stack_end)
    addi    sp, sp, %lo(__kernel_stack_end)
    la      t0, trap_vector
    csrw    stvec, t0
    csrw    sscratch, zero
    call    {start}
    .cfi_endproc
    .size _start, . - _start
"#,
    fill_boot_tables = sym fill_boot_tables,
    start = sym crate::start::start,
);
