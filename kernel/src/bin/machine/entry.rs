//! Reset, and the way into a trap and out of it.
//!
//! ```text
//!  0x80000000  j start           all harts, with a0 = hart, a1 = device tree
//!  0x80000008  InfoPointer       where the inspector looks for the information block
//!
//!  mscratch    0 while the hart runs in M-mode; else the top of its machine stack
//! ```

use core::arch::{global_asm, naked_asm};

use pagescope_protocol::info::{InfoPointer, POINTER_MAGIC, POINTER_OFFSET};

/// Most harts that can be started; more of them park for ever. The linker script makes room for
/// their stacks.
pub(crate) const MAX_HARTS: usize = 8;

/// A hart's stack has 2 to this power bytes: 64 KiB.
const HART_STACK_SHIFT: usize = 16;

/// Bytes of a [`TrapFrame`].
const FRAME_SIZE: usize = size_of::<TrapFrame>();

/// The registers of S-mode, as it was interrupted; x0's place is unused.
#[repr(C)]
pub(crate) struct TrapFrame {
    /// x0 to x31.
    pub(crate) x: [u64; 32],
}

unsafe extern "C" {
    /// The pointer at the entry.
    pub(crate) static mut INFO_POINTER: InfoPointer;
    /// The entry itself.
    pub(crate) safe fn _start();
}

global_asm!(
    r#"
    .section .text.start, "ax"
    .globl _start
    .type _start, @function
_start:
    .option push
    .option norvc
    .option norelax
    j       1f
    .balign {pointer_offset}
    .option pop
    .size _start, . - _start

    .globl INFO_POINTER
    .type INFO_POINTER, @object
INFO_POINTER:
    .quad   {pointer_magic}
    .quad   0
    .size INFO_POINTER, . - INFO_POINTER

    .type start, @function
start:
1:  csrw    mie, zero
    csrw    mscratch, zero
    la      t0, trap_vector
    csrw    mtvec, t0
    csrr    a0, mhartid
    li      t0, {max_harts}
    bgeu    a0, t0, 5f

    // The stack of hart n ends n + 1 sizes above the first.
    la      sp, __stack_start
    addi    t0, a0, 1
    slli    t0, t0, {stack_shift}
    add     sp, sp, t0
    bnez    a0, 4f

    // Hart 0 clears .bss and boots. The others touch nothing before they are started.
    la      t0, __bss_start
    la      t1, __bss_end
2:  bgeu    t0, t1, 3f
    sd      zero, (t0)
    addi    t0, t0, 8
    j       2b
3:  call    {boot}

4:  csrwi   mie, 8                  // MSIE: wfi ends when this hart is sent for
    wfi
    csrr    t0, mip
    andi    t0, t0, 8
    beqz    t0, 4b
    call    {wait}

5:  wfi
    j       5b
    .size start, . - start

    .section .text
    .balign 4
    .globl trap_vector
    .type trap_vector, @function
trap_vector:
    csrrw   sp, mscratch, sp
    beqz    sp, 6f
    addi    sp, sp, -{frame_size}
    sd      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd      x\n, \n*8(sp)
    .endr
    csrrw   t0, mscratch, zero      // the trapped sp; and from here on this is M-mode
    sd      t0, 2*8(sp)
    mv      a0, sp
    call    {handle}
    addi    t0, sp, {frame_size}
    csrw    mscratch, t0
    ld      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld      x\n, \n*8(sp)
    .endr
    ld      sp, 2*8(sp)
    mret

    // The machine program itself has trapped: its stack pointer is in mscratch.
6:  csrrw   sp, mscratch, sp
    call    {fatal}
    .size trap_vector, . - trap_vector
"#,
    pointer_offset = const POINTER_OFFSET,
    pointer_magic = const POINTER_MAGIC,
    max_harts = const MAX_HARTS,
    stack_shift = const HART_STACK_SHIFT,
    frame_size = const FRAME_SIZE,
    boot = sym super::boot::boot,
    wait = sym super::hart::wait_to_be_started,
    handle = sym super::trap::handle,
    fatal = sym super::trap::machine_has_trapped,
);

/// Leaves M-mode for S-mode, by mret, with `a0` and `a1` as given and every other register 0. The
/// hart's machine stack is empty from here on.
///
/// # Safety
/// mepc and mstatus.MPP must say where to and in which mode; the memory there must be S-mode's.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn leave(a0: u64, a1: u64) -> ! {
    naked_asm!(
        "la   t0, __stack_start",
        "csrr t1, mhartid",
        "addi t1, t1, 1",
        "slli t1, t1, {stack_shift}",
        "add  t0, t0, t1",
        "csrw mscratch, t0",
        ".irp n, 1,2,3,4,5,6,7,8,9,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "li   x\\n, 0",
        ".endr",
        "mret",
        stack_shift = const HART_STACK_SHIFT,
    )
}
