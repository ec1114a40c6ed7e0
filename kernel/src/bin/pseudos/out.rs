//! Words on the console.

use core::fmt::{self, Write as _};
use core::panic::PanicInfo;

use pagescope_kernel::board;
use pagescope_kernel::uart::Uart;

use crate::trap;

/// The console's device.
pub(crate) fn uart() -> Uart {
    let registers = core::ptr::with_exposed_provenance_mut(board::UART0.start().as_u64() as usize);
    // SAFETY: the boot map has the 16550 at its own address (S0.5). Values of this type are made
    // for one use and do not keep state, so several are as good as one.
    unsafe { Uart::new(registers) }
}

/// What `print!` and `println!` write with.
pub(crate) fn write(arguments: fmt::Arguments<'_>) {
    // The device takes every byte; `Uart::write_str` never fails.
    let _ = uart().write_fmt(arguments);
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($arguments:tt)*) => { $crate::out::write(format_args!($($arguments)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arguments:tt)*) => { $crate::print!("{}\n", format_args!($($arguments)*)) };
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("\nkernel: {info}");
    trap::halt()
}
