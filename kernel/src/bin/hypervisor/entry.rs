//! The boot header, the boot table, the first instructions, and the way into a trap and out of it.
//!
//! ```text
//!  machine program ─▶ _start         hart 0, at its physical address, untranslated
//!                     _start_hart    the others, likewise, through the SBI's hart_start
//!                         tp = hart; satp = boot table; fence; jump
//!                     in_high_half   the first address of VAS_KERNEL_IMAGE's that is executed
//! ```
//!
//! satp and pc cannot be written in one instruction: the instructions between the two run through the boot
//! table's identity mapping.

use core::arch::global_asm;
use core::mem::offset_of;

use pagescope_kernel::board;
use pagescope_kernel::handoff::{
    BOOT_MAGIC, BOOT_VERSION, BootHeader, HandOff, MAX_SECTIONS, Services, paging,
};
use pagescope_kernel::hypervisor::cpu_struct::TRAP_STACK;
use pagescope_kernel::hypervisor::{VAS_CPU_STRUCT, VAS_KERNEL_IMAGE, VAS_LINEAR_MAP};
use pagescope_kernel::program::image::{
    EXECUTABLE, LinkAddress, NO_SECTION, READ_ONLY, Symbol, WRITABLE, section,
};
use pagescope_protocol::info::{name, region_kind};
use pagescope_protocol::{ENTRIES_PER_TABLE, LeafFlags, Level, PhysAddr, Pte, VirtAddr};

use crate::cpu::{CpuInfo, MAX_HARTS};
use crate::harts;

/// The layout that this program implements.
pub(crate) const LAYOUT: &str = "hypervisor";

unsafe extern "C" {
    pub(crate) safe static __text_start: Symbol;
    pub(crate) safe static __text_end: Symbol;
    pub(crate) safe static __rodata_start: Symbol;
    pub(crate) safe static __rodata_end: Symbol;
    pub(crate) safe static __data_start: Symbol;
    pub(crate) safe static __data_end: Symbol;
    pub(crate) safe static __bss_start: Symbol;
    pub(crate) safe static __bss_end: Symbol;
    // Physical addresses, for the boot header alone: code here is too far away to name them.
    safe static __start_load: Symbol;
    safe static __text_load: Symbol;
    safe static __rodata_load: Symbol;
    safe static __data_load: Symbol;
    safe static __bss_load: Symbol;
    safe static __info_load: Symbol;
    safe static __hand_off_load: Symbol;
    /// Where hart 0 starts.
    pub(crate) safe fn _start();
    /// Where the other harts start.
    pub(crate) safe fn _start_hart();
    /// The way into a trap.
    pub(crate) safe fn trap_vector();
}

/// What the machine program hands on. The linker script knows it by this name.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.hand_off")]
pub(crate) static mut HAND_OFF: HandOff = HandOff::EMPTY;

/// What the machine program reads at 0x80200000.
#[used]
#[unsafe(link_section = ".text.boot_header")]
static BOOT_HEADER: BootHeader<LinkAddress> = BootHeader {
    magic: BOOT_MAGIC,
    version: BOOT_VERSION,
    layout: name(LAYOUT),
    paging: paging::BARE,
    entry: LinkAddress::of(&raw const __start_load),
    info: LinkAddress::of(&raw const __info_load),
    hand_off: LinkAddress::of(&raw const __hand_off_load),
    reserve: LinkAddress::NULL,
    section_count: 4,
    sections: {
        let mut all = [NO_SECTION; MAX_SECTIONS];
        let text = (&__text_start, &__text_end, &__text_load);
        let rodata = (&__rodata_start, &__rodata_end, &__rodata_load);
        let data = (&__data_start, &__data_end, &__data_load);
        let bss = (&__bss_start, &__bss_end, &__bss_load);
        all[0] = section(text, EXECUTABLE, region_kind::TEXT, ".text");
        all[1] = section(rodata, READ_ONLY, region_kind::RODATA, ".rodata");
        all[2] = section(data, WRITABLE, region_kind::DATA, ".data");
        all[3] = section(bss, WRITABLE, region_kind::DATA, ".bss");
        all
    },
    services: Services {
        kalloc: LinkAddress::NULL,
        kalloc_done: LinkAddress::NULL,
        busy: LinkAddress::NULL,
    },
};

/// The primitive page table: gigapages alone, so that nothing is allocated for it.
///
/// ```text
///  [  0]  0x0000000000000000 ─▶ 0x00000000   rw-   devices
///  [  2]  0x0000000080000000 ─▶ 0x80000000   rwx   RAM at its own address: pc is there
///  [256]  0xffffffc000000000 ─▶ 0x80000000   rwx   VAS_KERNEL_IMAGE
///  [384]  0xffffffe000000000 ─▶ 0x80000000   rw-   VAS_LINEAR_MAP
/// ```
#[repr(C, align(4096))]
pub(crate) struct BootTable(pub(crate) [u64; ENTRIES_PER_TABLE]);

/// A GiB of physical addresses from `start` on.
const fn gigapage(start: PhysAddr, flags: LeafFlags) -> u64 {
    assert!(start.is_aligned(Level::L2.entry_size()));
    let preset = LeafFlags::ACCESSED.union(LeafFlags::DIRTY);
    match start.page() {
        Some(page) => Pte::leaf(page, flags.union(preset)).bits(),
        None => panic!("no page"),
    }
}

#[unsafe(link_section = ".data.boot_table")]
pub(crate) static BOOT_TABLE: BootTable = {
    const fn slot(address: VirtAddr) -> usize {
        Level::L2.index_of(address)
    }
    let ram = board::RAM.start();
    let executable = WRITABLE.union(LeafFlags::EXECUTE);
    let mut table = [0; ENTRIES_PER_TABLE];
    table[slot(VirtAddr::new(0))] = gigapage(PhysAddr::new(0), WRITABLE);
    table[slot(VirtAddr::new(ram.as_u64()))] = gigapage(ram, executable);
    table[slot(VAS_KERNEL_IMAGE)] = gigapage(ram, executable);
    table[slot(VAS_LINEAR_MAP)] = gigapage(ram, WRITABLE);
    BootTable(table)
};

// A hart's bit in LIVE is the one of its number: `hart_trap_in_trap` finds it by a shift.
const _: () = assert!(harts::bit(MAX_HARTS as u64 - 1) == 1 << (MAX_HARTS - 1));

/// The registers that a trap interrupted; x0's place is unused.
#[repr(C)]
pub(crate) struct TrapFrame {
    /// x0 to x31.
    pub(crate) x: [u64; 32],
}

global_asm!(
    r#"
    .section .text.start, "ax"
    // Up to the jump everything is addressed relative to pc, which is physical.
    .globl _start
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined ra               // nobody called: a backtrace ends here
    la      t0, __bss_start
    la      t1, __bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, (t0)
    addi    t0, t0, 8
    j       1b
2:  li      s0, 1                   // the first hart
    j       3f
    .cfi_endproc
    .size _start, . - _start

    .globl _start_hart
    .type _start_hart, @function
_start_hart:
    .cfi_startproc
    .cfi_undefined ra
    li      s0, 0
3:  mv      tp, a0                  // which hart this is, until its cpu struct says so (S2.6)
    la      t0, early_trap
    csrw    stvec, t0
    la      t0, {boot_table}
    srli    t0, t0, 12
    li      t1, 8 << 60             // MODE: Sv39
    or      t0, t0, t1
    la      a2, _start              // where the image lies
    la      t2, 4f
    ld      t2, (t2)
    csrw    satp, t0
    sfence.vma
    jr      t2                      // from the identity mapping to VAS_KERNEL_IMAGE
    .balign 8
4:  .quad   in_high_half
    .cfi_endproc
    .size _start_hart, . - _start_hart

    .globl in_high_half
    .type in_high_half, @function
in_high_half:
    .cfi_startproc
    .cfi_undefined ra
    la      t0, early_trap
    csrw    stvec, t0
    la      sp, __boot_stack_end    // one hart at a time comes this way
    beqz    s0, 5f
    call    {start}
5:  call    {start_hart}
    .cfi_endproc
    .size in_high_half, . - in_high_half

    // A trap before there is a stack for it.
    .balign 4
    .globl early_trap
    .type early_trap, @function
early_trap:
    wfi
    j       early_trap
    .size early_trap, . - early_trap

    .section .text
    .balign 4
    .globl trap_vector
    .type trap_vector, @function
trap_vector:
    // A trap from here on, until sret, is one in the handler: nothing that could handle it can be
    // relied on. It stops at once, and what the first trap found stays as it is. sp is the one register
    // that is free: its value waits in sscratch, and the trap stack is where it is on every hart.
    csrw    sscratch, sp
    la      sp, hart_trap_in_trap
    csrw    stvec, sp
    li      sp, {frame}
    sd      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd      x\n, \n*8(sp)
    .endr
    csrr    t0, sscratch
    sd      t0, 2*8(sp)
    mv      a0, sp
    call    {handle}
    ld      t0, 2*8(sp)
    csrw    sscratch, t0
    ld      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld      x\n, \n*8(sp)
    .endr
    la      sp, trap_vector
    csrw    stvec, sp
    csrr    sp, sscratch
    sret
    .size trap_vector, . - trap_vector

    .balign 4
    .globl hart_trap_in_trap
    .type hart_trap_in_trap, @function
hart_trap_in_trap:
    // Nobody is to wait for this hart any more: it takes its bit from LIVE, without a stack, for none can be
    // relied on; then it says so as any program does. t1 and t2 are put back for a debugger: they wait in
    // the cpu info page; t0 is what the words cost.
    la      t0, trap_in_trap        // should there be no cpu info page either
    csrw    stvec, t0
    li      t0, {cpu_info}
    sd      t1, {kept}(t0)
    sd      t2, {kept}+8(t0)
    ld      t1, {hart}(t0)
    li      t2, 1
    sll     t1, t2, t1
    not     t1, t1
    la      t2, {live}
    .option push
    .option arch, +a
    amoand.d.aqrl zero, t1, (t2)
    .option pop
    ld      t1, {kept}(t0)
    ld      t2, {kept}+8(t0)
    j       trap_in_trap
    .size hart_trap_in_trap, . - hart_trap_in_trap
"#,
    boot_table = sym BOOT_TABLE,
    frame = const TRAP_STACK.end().as_u64() as i64 - size_of::<TrapFrame>() as i64,
    start = sym crate::start::start,
    start_hart = sym crate::start::start_hart,
    handle = sym crate::trap::handle,
    cpu_info = const VAS_CPU_STRUCT.as_u64() as i64,
    hart = const offset_of!(CpuInfo, hart),
    kept = const offset_of!(CpuInfo, kept),
    live = sym harts::LIVE,
);
