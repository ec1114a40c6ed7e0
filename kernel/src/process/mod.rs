//! The process layout (S3): what can be known of it without a machine.
//!
//! ```text
//!  layout     where everything lies: the kernel's windows, and a user space from its limits
//!  tables     page tables through the kernel heap's window: look up, map, unmap, tear down
//!  kernel_map the kernel's part of every table, from a list of stretches
//!  boot       the first tables, in three frames, for the jump from physical to virtual addresses
//!  space      one process's address space: build, grow the stack, set the break, give all back
//!  policy     what a user's fault leads to: a larger stack, or the end of the process
//!  table      the processes that there are, whose turn it is, and how those ended that are gone
//!  syscall    the numbers that user programs call the kernel by
//! ```

pub mod boot;
pub mod kernel_map;
pub mod layout;
pub mod policy;
pub mod space;
pub mod syscall;
pub mod table;
pub mod tables;

#[cfg(test)]
mod rig;
