//! The debug channel's algorithms: what the machine program's GDB stub is made of, apart from the
//! harts and the UART themselves (`bin/machine/debug`).
//!
//! ```text
//!  UART ─▶ listen ─▶ the console's bytes, or a packet, or an interrupt
//!                        packet ─▶ screen ─▶ gdbstub ─▶ view         memory of a stopped hart
//!                                                  ├──▶ breakpoints  patches, while harts run
//!                                                  ├──▶ step         where one instruction leads
//!                                                  ├──▶ registers    the target's description
//!                                                  └──▶ report       what `monitor` answers
//! ```
//!
//! All of it takes memory through [`view::Physical`], and is tested on the host.

pub mod breakpoints;
pub mod listen;
pub mod registers;
pub mod report;
pub mod ring;
pub mod screen;
pub mod step;
pub mod view;
