//! What the debug channel may have this program do (`BootHeader::services`).

use core::arch::global_asm;
use core::sync::atomic::AtomicBool;

use pagescope_kernel::handoff::KALLOC_BUSY;

use crate::kernel;

/// Whether heaps and tables are being changed, or are not there yet.
pub(crate) static IS_BUSY: AtomicBool = AtomicBool::new(true);

/// Where that byte lies.
pub(crate) const BUSY: *const AtomicBool = &raw const IS_BUSY;

/// Bytes of the stack that a debugger's call runs on: its own, for the hart was stopped anywhere.
const STACK_SIZE: usize = 16 << 10;

#[repr(C, align(16))]
struct Stack([u8; STACK_SIZE]);

static mut STACK: Stack = Stack([0; STACK_SIZE]);

unsafe extern "C" {
    /// Hands out a page, and stops at [`debug_kalloc_done`] with it in a0.
    pub(crate) safe fn debug_kalloc();
    /// The ebreak at the end.
    pub(crate) safe fn debug_kalloc_done();
}

global_asm!(
    r#"
    .section .text
    .globl debug_kalloc
    .type debug_kalloc, @function
debug_kalloc:
    .cfi_startproc
    .cfi_undefined ra               // nobody called: a backtrace ends here
    la      sp, {stack}+{stack_size}
    call    {page}
    .globl debug_kalloc_done
debug_kalloc_done:
    ebreak
    j       debug_kalloc_done
    .cfi_endproc
    .size debug_kalloc, . - debug_kalloc
"#,
    stack = sym STACK,
    stack_size = const STACK_SIZE,
    page = sym page_for_debugger,
);

extern "C" fn page_for_debugger() -> u64 {
    if kernel::is_busy() {
        return KALLOC_BUSY;
    }
    kernel::kalloc() as u64
}
