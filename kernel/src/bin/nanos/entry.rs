//! The boot header, the first instructions, the way into a trap and out of it, and into the
//! application and out of it.

use core::arch::{asm, global_asm};

use pagescope_kernel::arch::csr::{MSTATUS_FS, MSTATUS_SPIE, MSTATUS_SPP};
use pagescope_kernel::handoff::{
    BOOT_MAGIC, BOOT_VERSION, BootHeader, HandOff, MAX_SECTIONS, Services, paging,
};
use pagescope_kernel::program::image::{
    EXECUTABLE, LinkAddress, NO_SECTION, READ_ONLY, Symbol, UNMAPPED, WRITABLE, section,
};
use pagescope_protocol::info::{name, region_kind};
use pagescope_protocol::{Satp, VirtAddr};

use crate::debug;
use crate::layout::LAYOUT;

unsafe extern "C" {
    pub(crate) safe static __text_start: Symbol;
    pub(crate) safe static __text_end: Symbol;
    safe static __text_load: Symbol;
    pub(crate) safe static __rodata_start: Symbol;
    pub(crate) safe static __rodata_end: Symbol;
    safe static __rodata_load: Symbol;
    pub(crate) safe static __data_start: Symbol;
    pub(crate) safe static __data_end: Symbol;
    safe static __data_load: Symbol;
    pub(crate) safe static __bss_start: Symbol;
    pub(crate) safe static __bss_end: Symbol;
    safe static __bss_load: Symbol;
    pub(crate) safe static __guard_start: Symbol;
    pub(crate) safe static __guard_end: Symbol;
    safe static __guard_load: Symbol;
    pub(crate) safe static __stack_start: Symbol;
    pub(crate) safe static __stack_end: Symbol;
    safe static __stack_load: Symbol;
    /// The first instruction, where it is loaded: S-mode starts untranslated.
    safe static __start_load: Symbol;
    safe static __info_load: Symbol;
    safe static __hand_off_load: Symbol;
    /// Runs in U-mode at `entry` with `stack` as sp, and two arguments; comes back with what
    /// [`leave_user`] is given.
    pub(crate) fn enter_user(entry: u64, stack: u64, first: u64, second: u64) -> u64;
    /// Ends U-mode: [`enter_user`] returns `value`.
    pub(crate) fn leave_user(value: u64) -> !;
}

/// What the machine program hands on; it is written by its physical address.
#[unsafe(export_name = "HAND_OFF")]
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
    section_count: 6,
    sections: {
        let mut all = [NO_SECTION; MAX_SECTIONS];
        all[0] = section(
            (&__text_start, &__text_end, &__text_load),
            EXECUTABLE,
            region_kind::TEXT,
            ".text",
        );
        all[1] = section(
            (&__rodata_start, &__rodata_end, &__rodata_load),
            READ_ONLY,
            region_kind::RODATA,
            ".rodata",
        );
        all[2] = section(
            (&__data_start, &__data_end, &__data_load),
            WRITABLE,
            region_kind::DATA,
            ".data",
        );
        all[3] = section(
            (&__bss_start, &__bss_end, &__bss_load),
            WRITABLE,
            region_kind::DATA,
            ".bss",
        );
        all[4] = section(
            (&__guard_start, &__guard_end, &__guard_load),
            UNMAPPED,
            region_kind::GUARD,
            "guard",
        );
        all[5] = section(
            (&__stack_start, &__stack_end, &__stack_load),
            WRITABLE,
            region_kind::STACK,
            "stack",
        );
        all
    },
    services: Services {
        kalloc: LinkAddress(debug::debug_kalloc as *const ()),
        kalloc_done: LinkAddress(debug::debug_kalloc_done as *const ()),
        busy: LinkAddress::of(debug::BUSY),
    },
};

/// Bytes of the stack that the first instructions run on, before the boot stack is carved out.
const FIRST_STACK_SIZE: usize = 4 << 10;

/// Bytes of the stack that traps are handled on: their own, for the other may have overflowed.
const TRAP_STACK_SIZE: usize = 16 << 10;

#[repr(C, align(16))]
struct Stack<const SIZE: usize>([u8; SIZE]);

static mut FIRST_STACK: Stack<FIRST_STACK_SIZE> = Stack([0; FIRST_STACK_SIZE]);
static mut TRAP_STACK: Stack<TRAP_STACK_SIZE> = Stack([0; TRAP_STACK_SIZE]);

/// The kernel's stack pointer, while the application runs.
static mut KERNEL_SP: u64 = 0;

/// The registers that a trap interrupted; x0's place is unused.
#[repr(C)]
pub(crate) struct TrapFrame {
    /// x0 to x31.
    pub(crate) x: [u64; 32],
}

global_asm!(
    r#"
    .section .text.start, "ax"
    // Untranslated: everything here is relative to the program counter.
    .globl _start
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined ra               // nobody called: a backtrace ends here
    la      t0, trap_in_trap
    csrw    stvec, t0
    la      t0, __bss_start
    la      t1, __bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, (t0)
    addi    t0, t0, 8
    j       1b
2:  la      sp, {first_stack}+{first_stack_size}
    call    {boot_tables}           // a0 = satp, a1 = the boot stack's end
    beqz    a0, 4f                  // no RAM for them, and nobody yet who could say so
    mv      sp, a1
    la      t0, 3f
    ld      t1, 0(t0)
    csrw    stvec, t1
    ld      t1, 8(t0)
    // The boot tables map these instructions where they are, and where they are linked.
    sfence.vma
    csrw    satp, a0
    sfence.vma
    jr      t1
    .balign 8
3:  .quad   trap_vector
    .quad   stage2_linked
4:  wfi
    j       4b
    .cfi_endproc
    .size _start, . - _start

    .type stage2_linked, @function
stage2_linked:
    .cfi_startproc
    .cfi_undefined ra
    call    {stage2}
    .cfi_endproc
    .size stage2_linked, . - stage2_linked

    .section .text
    .balign 4
    .globl trap_vector
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

    // enter_user(entry, stack, first, second): callee-saved registers wait on the kernel's stack.
    .globl enter_user
    .type enter_user, @function
enter_user:
    addi    sp, sp, -112
    sd      ra, 0(sp)
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11
    sd      s\n, 8+\n*8(sp)
    .endr
    la      t0, {kernel_sp}
    sd      sp, (t0)
    csrw    sepc, a0
    li      t0, {not_for_users}
    csrc    sstatus, t0
    mv      sp, a1
    mv      a0, a2
    mv      a1, a3
    // The application sees nothing of the kernel's registers.
    .irp    n, 1,3,4,5,6,7,8,9,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    li      x\n, 0
    .endr
    sret
    .size enter_user, . - enter_user

    .globl leave_user
    .type leave_user, @function
leave_user:
    la      t0, {kernel_sp}
    ld      sp, (t0)
    ld      ra, 0(sp)
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11
    ld      s\n, 8+\n*8(sp)
    .endr
    addi    sp, sp, 112
    la      t0, trap_vector
    csrw    stvec, t0
    ret
    .size leave_user, . - leave_user
"#,
    first_stack = sym FIRST_STACK,
    first_stack_size = const FIRST_STACK_SIZE,
    trap_stack = sym TRAP_STACK,
    frame_offset = const TRAP_STACK_SIZE - size_of::<TrapFrame>(),
    kernel_sp = sym KERNEL_SP,
    not_for_users = const MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_FS,
    boot_tables = sym crate::stage2::boot_tables,
    stage2 = sym crate::stage2::stage2,
    handle = sym crate::trap::handle,
);

/// Switches to the final tables and to the image's own stack, and goes on with `stage3`. Nothing of what
/// was on the boot stack is used any more.
///
/// # Safety
/// The tables under `satp` must map the image as it is linked.
pub(crate) unsafe fn switch_tables(satp: Satp, stage3: extern "C" fn() -> !) -> ! {
    let stack = VirtAddr::new(__stack_end.address());
    // SAFETY: the caller's promise; the stack is the image's, and nobody uses it before.
    unsafe {
        asm!(
            "sfence.vma",
            "csrw satp, {satp}",
            "sfence.vma",
            "mv   sp, {stack}",
            "jr   {stage3}",
            satp = in(reg) satp.bits(),
            stack = in(reg) stack.as_u64(),
            stage3 = in(reg) stage3,
            options(noreturn, nostack),
        )
    }
}
