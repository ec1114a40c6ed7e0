//! What the debug channel may have a program do ([`Services`](crate::handoff::Services)).

/// Bytes of the stack that a debugger's call runs on: its own, for the hart was stopped anywhere.
pub const STACK_SIZE: usize = 16 << 10;

/// That stack.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Stack(pub [u8; STACK_SIZE]);

/// Defines `debug_kalloc` and `debug_kalloc_done`, the addresses that a boot header offers to the debug
/// channel: the first hands out a page on a stack of its own and stops at the second, an ebreak, with in a0
/// what `$page`, an `extern "C" fn() -> u64`, has returned.
#[macro_export]
macro_rules! debug_kalloc {
    ($page:path) => {
        static mut DEBUG_STACK: $crate::program::debug_service::Stack =
            $crate::program::debug_service::Stack([0; $crate::program::debug_service::STACK_SIZE]);

        unsafe extern "C" {
            /// Hands out a page, and stops at [`debug_kalloc_done`] with it in a0.
            pub(crate) safe fn debug_kalloc();
            /// The ebreak at the end.
            pub(crate) safe fn debug_kalloc_done();
        }

        core::arch::global_asm!(
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
            stack = sym DEBUG_STACK,
            stack_size = const $crate::program::debug_service::STACK_SIZE,
            page = sym $page,
        );
    };
}
