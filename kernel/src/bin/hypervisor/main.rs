//! The hypervisor layout's program: S-mode, four harts, the kernel's image high, RAM not where it was.
//!
//! ```text
//!  Virtual memory map                                               of every hart    G
//!
//!  0x0000000010000000   devices with identity mapping: UART0        rw-  the same    yes
//!  0x0000000030000000                                  PCI ECAM     rw-  the same    yes
//!
//!  0xffffffc000000000   VAS_KERNEL_IMAGE   + 2 MiB:    .text        r-x  the same    yes
//!                       kernel image                   .rodata      r--
//!                                                      .data .bss   rw-
//!
//!  0xffffffc040000000   VAS_CPU_STRUCT                 cpu info     rw-  its own     no
//!                       cpu struct                     guard        ---
//!                       (cpu info and stack)           cpu stack    rw-
//!                                                      trap guard   ---
//!                                                      trap stack   rw-
//!
//!  0xffffffe000000000   VAS_LINEAR_MAP     + 2 MiB:    the image    r--  the same    yes
//!                       linear mapping of whole RAM    all behind   rw-
//! ```
//!
//! RAM's first 2 MiB are the machine program's, and mapped nowhere.
//!
//! ```text
//!  entry ─▶ first instructions, untranslated: tp = hart; boot table of four gigapages; jump
//!  start ─▶ hart 0 frees all memory (kmem); builds its tables (vmem); moves into its cpu struct
//!        └▶ starts the other harts, one after another, which do the latter two
//!  idle     hart 0: the console, and kalloc at its pace; the others wait for work
//!
//!  linear   physical address ◀─▶ linear pointer: the one place that knows the distance
//!  cpu      the running hart's own struct
//!  harts    starting them; having them do something
//!  ipi      fences on other harts
//!  trap     faults, on the trap stack;  rescue: provoked ones are survived
//! ```
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod checks;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod fault;
#[cfg(target_os = "none")]
mod harts;
#[cfg(target_os = "none")]
mod idle;
#[cfg(target_os = "none")]
mod info;
#[cfg(target_os = "none")]
mod ipi;
#[cfg(target_os = "none")]
mod kmem;
#[cfg(target_os = "none")]
mod linear;
#[cfg(target_os = "none")]
mod out;
#[cfg(target_os = "none")]
mod rescue;
#[cfg(target_os = "none")]
mod selftest;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod stress;
#[cfg(target_os = "none")]
mod trap;
#[cfg(target_os = "none")]
mod vmem;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this program runs on bare metal; `cargo xtask demo` boots it in QEMU");
    std::process::exit(2);
}
