//! gdb's remote serial protocol, the client's side.
//!
//! Ours, because no kept crate exists: [`packet`] is framing without I/O, [`client`] sends requests
//! and matches replies to them, [`description`] says which register has which number.
//!
//! Source: "Debugging with GDB", appendix "GDB Remote Serial Protocol"; and for what QEMU makes of
//! it, QEMU's `gdbstub/gdbstub.c` and `gdbstub/system.c` (up to 7.2 in one `gdbstub/gdbstub.c`).

pub mod client;
pub mod description;
pub mod hex;
pub mod packet;
pub mod stop;
mod window;
mod wire;

pub use wire::escaped;
