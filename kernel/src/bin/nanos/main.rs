//! The nanos layout's program: S-mode under Sv39, address space from heaps.
//!
//! ```text
//!  0x1000000000  user heap            rw-u   zeroed pages, each on its first touch; 64 MiB, then its limit
//!  0x0100000000  first virtual_huge   virtual_page's: from here on, what the heaps hand out; it has one more at most
//!                  page-table pool    rw-    2 MiB, mapped before anything needs a table
//!                  UART0              rw-    its registers are at 0x10000000
//!                  backed, kalloc     rw-    a mixture of 2 MiB and 4 KiB pages
//!  0x007f000000  kernel image         .text r-x, .rodata r--, .data .bss rw-, guard, stack rw-
//!  0x007e000000  application stack    rw-u   ends here; below its 64 KiB, a guard
//!  0x0000400000  application          r-xu, and its data rw-u
//!  0x0000001000  application space    free, below the image
//!  0x0000000000  zero page            never mapped: a null pointer faults
//!
//!  stage 2, until the switch to the final tables: 32-bit addresses are themselves, and the image is at
//!  0x7f000000, too. Boot stack and identity heap lie at the top of RAM, from the region allocator:
//!
//!  0x0088000000  end of RAM
//!  0x0087ff8000  boot stack           ┐ dismantled in stage 3, and given to `physical`
//!  0x0087fe8000  identity heap        ┘ with the two boot tables in it
//!  0x0080200000  the image, as it is loaded
//!
//!  entry ─▶ stage2: region allocator, boot tables ─▶ heaps, final tables
//!                   └─▶ stage3: boot memory dismantled ─▶ selftest, or idle loop with console
//! ```
//!
//! The document's user heap at 0x7000000000 is no Sv39 address, and lies at 0x1000000000 here.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod application;
#[cfg(target_os = "none")]
mod checks;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod debug;
#[cfg(target_os = "none")]
mod dump;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod faults;
#[cfg(target_os = "none")]
mod idle;
#[cfg(target_os = "none")]
mod info;
#[cfg(target_os = "none")]
mod kernel;
#[cfg(target_os = "none")]
mod layout;
#[cfg(target_os = "none")]
mod out;
#[cfg(target_os = "none")]
mod selftest;
#[cfg(target_os = "none")]
mod stage2;
#[cfg(target_os = "none")]
mod stage3;
#[cfg(target_os = "none")]
mod stress;
#[cfg(target_os = "none")]
mod trap;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this program runs on bare metal; `cargo xtask demo` boots it in QEMU");
    std::process::exit(2);
}
