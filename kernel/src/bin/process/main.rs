//! The process layout's program (S3): the kernel low, users high, a table for each process.
//!
//! ```text
//!  0x3fc0000000 + …  user space: the distances between text and shared data are the kernel's
//!  ┌─────────────────────────────────────────────────────────────┐
//!  │ user shared data          rw-u  the process's own copy      │ 0x3fffe?????, NOT aligned
//!  ├┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┤ one page for both
//!  │ user stack                rw-u  1 page, grows when written  │
//!  ├─────────────────────────────────────────────────────────────┤
//!  │ user stack room           ----  up to the maximum           │
//!  ├─────────────────────────────────────────────────────────────┤
//!  │ user stack guard          ----  always                      │
//!  ├─────────────────────────────────────────────────────────────┤
//!  │ user heap room            ----  up to the maximum           │
//!  ├─────────────────────────────────────────────────────────────┤
//!  │ user heap                 rw-u  0 pages at first            │
//!  └─────────────────────────────────────────────────────────────┘
//!  │ user .rodata              r--u  the kernel's frames         │
//!  │ user .text                --xu  the kernel's frames         │ 0x3fc0000000
//!  ═══════════════════════════════════════════════════════════════ user space ▲
//!  ┌─────────────────────────────────────────────────────────────┐
//!  │ device IO                 rw--  with holes                  │ 0x50000000
//!  ├─────────────────────────────────────────────────────────────┤
//!  │ kernel heap               rw--  up to the end of RAM        │ NOT aligned
//!  ├┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┤ one page for all three
//!  │ kernel shared data        rw--  the kernel's own copy       │ NOT aligned
//!  ├┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┤
//!  │ kernel stack              rw--  grows down                  │
//!  ├─────────────────────────────────────────────────────────────┤
//!  │ original shared data      ----  r--- while one is created   │
//!  ├─────────────────────────────────────────────────────────────┤ 0x3fe….000
//!  │ .data/.bss                rw--                              │
//!  ├─────────────────────────────────────────────────────────────┤
//!  │ .rodata                   r---                              │
//!  ├─────────────────────────────────────────────────────────────┤
//!  │ .text                     --x-  begins with no instruction  │ 0
//!  └─────────────────────────────────────────────────────────────┘
//!
//!  entry ─▶ start ─▶ spaces: the kernel's tables     idle: console, kalloc at its pace
//!                    ├─▶ selftest                      └─▶ processes: whose turn it is
//!                    └─▶ idle, for ever                      ├─▶ syscalls
//!                                                            └─▶ faults
//! ```
//!
//! S-mode never executes a page with U, and users never one without, so .text has two addresses: that is
//! the document's "Kernel=X, User=X". The document says nothing of it; the hardware does.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod checks;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod debug;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod faults;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
mod idle;
#[cfg(target_os = "none")]
mod kinds;
#[cfg(target_os = "none")]
mod processes;
#[cfg(target_os = "none")]
mod regions;
#[cfg(target_os = "none")]
mod shared;
#[cfg(target_os = "none")]
mod spaces;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod syscalls;
#[cfg(target_os = "none")]
mod trap;
#[cfg(target_os = "none")]
mod users;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this program runs on bare metal; `cargo xtask demo` boots it in QEMU");
    std::process::exit(2);
}
