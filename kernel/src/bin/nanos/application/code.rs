//! The application's program. It is built with the kernel, and copied below the image.
//!
//! ```text
//!  a0   what to do              a1
//!   0   touch pages of the heap  how many: each must read as zero before it is written
//!   1   load                     the address
//!   2   store                    the address
//!   3   call                     the address
//!   4   have 256 bytes printed   their address; ends with how many were, 0 where the kernel refuses
//!   5   run for ever
//! ```
//!
//! Every address in it is relative to the program counter: it runs where it was copied to.

use core::arch::global_asm;

use pagescope_kernel::program::image::Symbol;

use crate::layout;

/// What the application can be told to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub(crate) enum Task {
    /// Touch so many pages of its heap.
    Touch = 0,
    /// Load from an address.
    Load = 1,
    /// Store to an address.
    Store = 2,
    /// Call an address.
    Call = 3,
    /// Have what lies at an address printed.
    Write = 4,
    /// Run for ever.
    Loop = 5,
}

/// System calls, in a7.
pub(crate) mod call {
    /// Prints a1 bytes from a0 on.
    pub(crate) const WRITE: u64 = 64;
    /// Ends the application with a0.
    pub(crate) const EXIT: u64 = 93;
}

unsafe extern "C" {
    pub(crate) safe static __application_start: Symbol;
    pub(crate) safe static __application_end: Symbol;
}

global_asm!(
    r#"
    .section .application, "a"
    .balign 8
application:
    beqz    a0, 1f
    addi    a0, a0, -1
    beqz    a0, 4f
    addi    a0, a0, -1
    beqz    a0, 5f
    addi    a0, a0, -1
    bnez    a0, 8f
    jalr    a1
    j       6f

    // Task 0: s0 = pages left, s1 = the page, s2 = words that were not zero.
1:  mv      s0, a1
    lla     a0, 7f
    li      a1, 27
    li      a7, {write}
    ecall
    li      s1, {heap}
    li      s2, 0
    beqz    s0, 3f
2:  ld      t0, 0(s1)
    snez    t0, t0
    add     s2, s2, t0
    ld      t0, 2040(s1)
    snez    t0, t0
    add     s2, s2, t0
    sd      s1, 0(s1)
    li      t0, 4096
    add     s1, s1, t0
    addi    s0, s0, -1
    bnez    s0, 2b
3:  mv      a0, s2
    li      a7, {exit}
    ecall

4:  lbu     zero, 0(a1)
    j       6f
5:  sb      zero, 0(a1)
6:  li      a0, 99
    li      a7, {exit}
    ecall
    j       6b

8:  addi    a0, a0, -1
9:  bnez    a0, 9b
    mv      a0, a1
    li      a1, {write_most}
    li      a7, {write}
    ecall
    // All ones is the refusal.
    not     t0, a0
    snez    t0, t0
    neg     t0, t0
    and     a0, a0, t0
    li      a7, {exit}
    ecall

7:  .ascii  "application: hello, kernel\n"
    .balign 8
    .section .text
"#,
    write = const call::WRITE,
    write_most = const super::WRITE_MOST,
    exit = const call::EXIT,
    heap = const layout::USER_HEAP.start().as_u64(),
);
