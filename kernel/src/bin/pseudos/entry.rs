//! The boot header, the first instructions, and the way into a trap and out of it.

use core::arch::global_asm;

use pagescope_kernel::board;
use pagescope_kernel::handoff::{
    BOOT_MAGIC, BOOT_VERSION, BootHeader, BootSection, HandOff, MAX_SECTIONS, Services, paging,
};
use pagescope_kernel::program::image::{
    self, EXECUTABLE, LinkAddress, NO_SECTION, READ_ONLY, Symbol, UNMAPPED, WRITABLE,
};
use pagescope_kernel::program::publish::PAGESCOPE_INFO;
use pagescope_kernel::reserve::Reserve;
use pagescope_kernel::space::{OWN_REGIONS, OwnRegion};
use pagescope_protocol::info::{InfoBlock, name, region_kind};
use pagescope_protocol::{LeafFlags, VirtAddr};

use crate::{debug, kernel};

/// The layout that this program implements.
pub(crate) const LAYOUT: &str = "pseudos";

unsafe extern "C" {
    pub(crate) safe static __text_start: Symbol;
    pub(crate) safe static __text_end: Symbol;
    pub(crate) safe static __rodata_start: Symbol;
    pub(crate) safe static __rodata_end: Symbol;
    pub(crate) safe static __data_start: Symbol;
    pub(crate) safe static __data_end: Symbol;
    pub(crate) safe static __bss_start: Symbol;
    pub(crate) safe static __bss_end: Symbol;
    pub(crate) safe static __guard_start: Symbol;
    pub(crate) safe static __guard_end: Symbol;
    pub(crate) safe static __stack_start: Symbol;
    pub(crate) safe static __stack_end: Symbol;
    safe fn _start();
    /// Where other harts start.
    safe fn visit();
}

/// Where other harts start, to say that they are there.
pub(crate) fn visit_address() -> u64 {
    visit as *const () as u64
}

/// The information block and the hand-off are read and written by their physical addresses, which
/// in this layout are the virtual ones.
#[unsafe(link_section = ".data.hand_off")]
pub(crate) static mut HAND_OFF: HandOff = HandOff::EMPTY;

/// Pages that wait to become tables. The machine program fills it, and takes from it where tables are
/// made on demand.
#[unsafe(link_section = ".data.reserve")]
pub(crate) static RESERVE: Reserve = Reserve::new();

/// A section, which is loaded where it is mapped.
const fn section(
    start: &'static Symbol,
    end: &'static Symbol,
    flags: LeafFlags,
    kind: u64,
    text: &str,
) -> BootSection<LinkAddress> {
    image::section((start, end, start), flags, kind, text)
}

/// What the machine program reads at 0x80200000.
#[used]
#[unsafe(link_section = ".text.boot_header")]
static BOOT_HEADER: BootHeader<LinkAddress> = BootHeader {
    magic: BOOT_MAGIC,
    version: BOOT_VERSION,
    layout: name(LAYOUT),
    paging: paging::BUILT,
    entry: LinkAddress(_start as *const ()),
    info: LinkAddress::of::<InfoBlock>((&raw const PAGESCOPE_INFO).cast()),
    hand_off: LinkAddress::of(&raw const HAND_OFF),
    reserve: LinkAddress::of(&raw const RESERVE),
    section_count: 6,
    sections: {
        let mut all = [NO_SECTION; MAX_SECTIONS];
        all[0] = section(
            &__text_start,
            &__text_end,
            EXECUTABLE,
            region_kind::TEXT,
            ".text",
        );
        all[1] = section(
            &__rodata_start,
            &__rodata_end,
            READ_ONLY,
            region_kind::RODATA,
            ".rodata",
        );
        all[2] = section(
            &__data_start,
            &__data_end,
            WRITABLE,
            region_kind::DATA,
            ".data",
        );
        all[3] = section(
            &__bss_start,
            &__bss_end,
            WRITABLE,
            region_kind::DATA,
            ".bss",
        );
        all[4] = section(
            &__guard_start,
            &__guard_end,
            UNMAPPED,
            region_kind::GUARD,
            "guard",
        );
        all[5] = section(
            &__stack_start,
            &__stack_end,
            WRITABLE,
            region_kind::STACK,
            "stack",
        );
        all
    },
    services: Services {
        kalloc: LinkAddress(debug::debug_kalloc as *const ()),
        kalloc_done: LinkAddress(debug::debug_kalloc_done as *const ()),
        busy: LinkAddress::of(kernel::BUSY),
    },
};

/// What must stay as the machine program has mapped it, for this program to run: its own sections,
/// and the console.
pub(crate) fn own_regions() -> [OwnRegion; OWN_REGIONS] {
    let region = |name, start, end| OwnRegion {
        name,
        start: VirtAddr::new(start),
        end: VirtAddr::new(end),
    };
    let section = |name, start: &'static Symbol, end: &'static Symbol| {
        region(name, start.address(), end.address())
    };
    let uart = board::UART0;
    [
        section(".text", &__text_start, &__text_end),
        section(".rodata", &__rodata_start, &__rodata_end),
        section(".data", &__data_start, &__data_end),
        section(".bss", &__bss_start, &__bss_end),
        section("the stack's guard", &__guard_start, &__guard_end),
        section("the stack", &__stack_start, &__stack_end),
        region("UART0", uart.start().as_u64(), uart.end().as_u64()),
    ]
}

/// Bytes of the stack that traps are handled on: their own, for the other may have overflowed.
const TRAP_STACK_SIZE: usize = 16 << 10;

#[repr(C, align(16))]
struct TrapStack([u8; TRAP_STACK_SIZE]);

static mut TRAP_STACK: TrapStack = TrapStack([0; TRAP_STACK_SIZE]);

/// The registers that a trap interrupted; x0's place is unused.
#[repr(C)]
pub(crate) struct TrapFrame {
    /// x0 to x31.
    pub(crate) x: [u64; 32],
}

global_asm!(
    r#"
    .section .text.start, "ax"
    .globl _start
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined ra               // nobody called: a backtrace ends here
    la      sp, __stack_end
    la      t0, __bss_start
    la      t1, __bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, (t0)
    addi    t0, t0, 8
    j       1b
2:  la      t0, trap_vector
    csrw    stvec, t0
    call    {start}
    .cfi_endproc
    .size _start, . - _start

    .section .text
    // Another hart, started through the SBI: untranslated, no stack. It adds one to the word
    // that a1 points to, and stops itself.
    .globl visit
    .type visit, @function
visit:
    li      t0, 1
    .option push
    .option arch, +a
    amoadd.d zero, t0, (a1)
    .option pop
    li      a7, {ext_hsm}
    li      a6, {hart_stop}
    ecall
1:  wfi
    j       1b
    .size visit, . - visit

    .balign 4
    .type trap_vector, @function
trap_vector:
    // A trap from here on, until sret, is one in the handler: nothing that could handle it can be
    // relied on, and a second frame would overwrite the first. It stops at once, and what the
    // first trap found stays as it is. sp is the one register that is free: its value waits in
    // sscratch, and the stack's top is known.
    csrw    sscratch, sp
    la      sp, trap_in_trap
    csrw    stvec, sp
    la      sp, {trap_stack}+{frame_offset}
    sd      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd      x\n, \n*8(sp)
    .endr
    csrr    t0, sscratch
    sd      t0, 2*8(sp)
    mv      a0, sp
    call    {handle}
    ld      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld      x\n, \n*8(sp)
    .endr
    la      sp, trap_vector
    csrw    stvec, sp
    csrr    sp, sscratch
    sret
    .size trap_vector, . - trap_vector
"#,
    trap_stack = sym TRAP_STACK,
    frame_offset = const TRAP_STACK_SIZE - size_of::<TrapFrame>(),
    ext_hsm = const pagescope_kernel::sbi::EXT_HSM,
    hart_stop = const pagescope_kernel::sbi::hsm::HART_STOP,
    start = sym crate::start::start,
    handle = sym crate::trap::handle,
);
