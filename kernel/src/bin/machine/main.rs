//! The machine program: M-mode, physical addresses, from reset to the end.
//!
//! ```text
//!  reset ─▶ entry ─▶ boot: device tree, bootargs, boot header, boot map ─▶ mret ─▶ S-mode
//!                                                                            │
//!  other harts wait in hart                        trap ◀── ecall, timer, IPI ┘
//!                                                   ├─▶ sbi
//!                                                   ├─▶ table_service, or reflect: page faults
//!                                   UART ─▶ PLIC ─▶ └─▶ debug: a GDB stub; stops all harts
//! ```
//!
//! It is linked where it is loaded, so every absolute pointer in it is right at all times. S-mode
//! cannot touch its memory: PMP closes it (see `hart`).
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod clint;
#[cfg(target_os = "none")]
mod debug;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod finisher;
#[cfg(target_os = "none")]
mod hart;
#[cfg(target_os = "none")]
mod out;
#[cfg(target_os = "none")]
mod reflect;
#[cfg(target_os = "none")]
mod sbi;
#[cfg(target_os = "none")]
mod table_service;
#[cfg(target_os = "none")]
mod trap;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this program runs on bare metal; `cargo xtask demo` boots it in QEMU");
    std::process::exit(2);
}
