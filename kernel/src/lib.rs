//! Pagescope's kernel: the algorithms, apart from the programs that run them.
//!
//! Two programs run on the machine, linked separately (folder `bin/`):
//!
//! ```text
//!  0x80000000  machine   M-mode, physical addresses, stays for ever: reset, PMP, harts, SBI,
//!                        and the boot map, built before S-mode runs its first instruction
//!  0x80200000  pseudos   S-mode under Sv39: kalloc, map, the console, the self-test
//!         or   hypervisor   linked high, four harts, builds its tables itself
//! ```
//!
//! This library holds what both are made of. It knows no register and no assembly outside
//! `arch`; everything else is tested on the host, against a software model of Sv39 in which the
//! kernel reaches its tables through virtual addresses only, and through a TLB that forgets
//! nothing unless it is fenced.
//!
//! ```text
//!  board ─ handoff ─ carried ─ bootargs ─ device_tree   what the machine is, what it was told
//!  memory ─▶ mapper ─▶ boot_map                      page tables: the mechanism; the first ones
//!              ▲ └───▶ space ◀─ heap ◀─ reserve       all of them; frames, and those in reserve
//!           self_map                                 the policy: pool, self-leaf, mirror, demand
//!              └─────▶ table_service                 M-mode's side of demand
//!  nanos                                            the nanos layout's heaps and tables
//!  stress                                           random maps, checked against a shadow
//!  hypervisor                                       that layout's free list and tables, for all harts
//!  debug                                            the debug channel: a GDB stub's parts
//!  program                                          what every supervisor program is made of
//!  holdings ─ pace ─ census ─ command ─ line ─ fault ─ lock ─ sbi ─ uart    the smaller parts
//! ```
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(all(target_arch = "riscv64", target_os = "none"))]
pub mod arch;
pub mod board;
pub mod boot_map;
pub mod bootargs;
pub mod carried;
pub mod census;
pub mod command;
pub mod debug;
pub mod device_tree;
pub mod fault;
pub mod handoff;
pub mod heap;
pub mod holdings;
pub mod hypervisor;
pub mod line;
pub mod lock;
pub mod mapper;
pub mod memory;
pub mod nanos;
pub mod pace;
pub mod process;
#[cfg(all(target_arch = "riscv64", target_os = "none"))]
pub mod program;
pub mod reserve;
pub mod sbi;
pub mod self_map;
pub mod space;
pub mod stress;
pub mod table_service;
pub mod uart;
pub mod window;

#[cfg(test)]
mod model;
