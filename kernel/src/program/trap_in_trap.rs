//! `trap_in_trap`: where stvec points while there is nothing that could handle a trap: within a handler,
//! and before there is one.
//!
//! It says so, and waits for a debugger. What the first trap found stays as it is, in the handler's frame;
//! scause, stval and sepc tell of the second. The words cost a0, a1, a6, a7 and t0. They leave byte by byte,
//! from where the program counter is: no stack, no lock, no tables need to be sound.

use core::arch::global_asm;

use crate::sbi::{EXT_DBCN, dbcn};

global_asm!(
    r#"
    .section .text
    // stvec holds multiples of four (privileged specification, section "Supervisor Trap Vector Base Address
    // (stvec) Register").
    .balign 4
    .globl trap_in_trap
    .type trap_in_trap, @function
trap_in_trap:
    lla     t0, 2f
1:  lbu     a0, 0(t0)
    beqz    a0, trapped_in_trap
    li      a6, {write_byte}
    li      a7, {dbcn}
    ecall
    addi    t0, t0, 1
    j       1b
2:  .asciz  "\r\nkernel: a trap where none can be handled; the hart waits for a debugger\r\n"
    .balign 4
    .size trap_in_trap, . - trap_in_trap

    .globl trapped_in_trap
    .type trapped_in_trap, @function
trapped_in_trap:
    wfi
    j       trapped_in_trap
    .size trapped_in_trap, . - trapped_in_trap
"#,
    write_byte = const dbcn::CONSOLE_WRITE_BYTE,
    dbcn = const EXT_DBCN,
);
