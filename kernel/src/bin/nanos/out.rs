//! What is left to do where a panic is.

use core::panic::PanicInfo;

use pagescope_kernel::println;

use crate::trap;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("\nkernel: {info}");
    trap::halt()
}
