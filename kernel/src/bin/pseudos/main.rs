//! The pseudos layout's program: S-mode under Sv39, virtual is physical.
//!
//! ```text
//!  entry ─▶ start ─▶ kernel: takes over heap and tables from the machine program
//!                    ├─▶ selftest, where the command line says so
//!                    └─▶ idle loop: poll the console, kalloc at its pace, wfi
//!
//!  kernel    kalloc, kfree, map, unmap, lookup: the symbols that debuggers know
//!  info      the information block and the trace, for the inspector
//!  debug     what the machine program's debug channel may call
//!  trap      faults: survived where a probe expects them, reported where not
//! ```
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bench;
#[cfg(target_os = "none")]
mod checks;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod debug;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod idle;
#[cfg(target_os = "none")]
mod info;
#[cfg(target_os = "none")]
mod kernel;
#[cfg(target_os = "none")]
mod mapping;
#[cfg(target_os = "none")]
mod out;
#[cfg(target_os = "none")]
mod selftest;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod stress;
#[cfg(target_os = "none")]
mod trap;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this program runs on bare metal; `cargo xtask demo` boots it in QEMU");
    std::process::exit(2);
}
