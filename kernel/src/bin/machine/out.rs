//! Words on the UART, and the end of a machine that cannot go on.

use core::fmt;
use core::panic::PanicInfo;

use pagescope_kernel::board;
use pagescope_kernel::uart::Uart;

use crate::{debug, finisher};

/// Exit code of QEMU where what was asked for is refused.
pub(crate) const EXIT_REFUSED: u16 = 2;

/// Exit code of QEMU where something broke.
pub(crate) const EXIT_BROKEN: u16 = 3;

/// The console's device.
pub(crate) fn uart() -> Uart {
    let registers = core::ptr::with_exposed_provenance_mut(board::UART0.start().as_u64() as usize);
    // SAFETY: `virt` has its 16550 there, and M-mode reaches it untranslated.
    unsafe { Uart::new(registers) }
}

/// Prints a line that says who speaks; to a debugger, where one listens.
pub(crate) fn say(arguments: fmt::Arguments<'_>) {
    debug::write_last(format_args!("machine: {arguments}\n"));
}

/// Says why nothing can be booted, and ends the machine.
pub(crate) fn refuse(why: fmt::Arguments<'_>) -> ! {
    say(why);
    finisher::fail(EXIT_REFUSED)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say(format_args!("{info}"));
    finisher::fail(EXIT_BROKEN)
}
