//! The hypervisor layout: where everything is, and the algorithms that make it so.
//!
//! ```text
//!  0x0000000000000000  devices, each at its own address (virtual is physical)
//!        …             nothing: neither null nor RAM's physical addresses are mapped
//!  0xffffffc000000000  VAS_KERNEL_IMAGE   .text .rodata .data .bss
//!  0xffffffc040000000  VAS_CPU_STRUCT     cpu info, guard, stack, guard, trap stack: each hart's own
//!  0xffffffe000000000  VAS_LINEAR_MAP     whole RAM: what kalloc hands out, and page tables
//! ```
//!
//! The first two MiB of RAM are the machine program's. So the image, which lies behind them, begins
//! at [`VAS_KERNEL_IMAGE`] + 2 MiB, as it does in RAM; and they are mapped nowhere. Everything but the cpu
//! struct is mapped alike for every hart, and global.
//!
//! ```text
//!  class        which of these a pointer belongs to
//!  cpu_struct   what a hart's own GiB has in it
//!  kmem         the free list: pages linked through themselves, by linear pointers alone
//!  vmem         a hart's final tables
//!  work         what a hart is told to do
//! ```

pub mod class;
pub mod cpu_struct;
pub mod kmem;
pub mod vmem;
pub mod work;

use pagescope_protocol::{PhysRange, VirtAddr};

use crate::window::Window;

/// The kernel's image: as far from here as it is from RAM's first byte.
pub const VAS_KERNEL_IMAGE: VirtAddr = VirtAddr::new(0xffff_ffc0_0000_0000);

/// The running hart's own struct, and its stacks.
pub const VAS_CPU_STRUCT: VirtAddr = VirtAddr::new(0xffff_ffc0_4000_0000);

/// RAM's first byte.
pub const VAS_LINEAR_MAP: VirtAddr = VirtAddr::new(0xffff_ffe0_0000_0000);

/// Most of RAM that is used: what the gigapages of the boot table reach.
pub const MAX_RAM_SIZE: u64 = 1 << 30;

/// How `ram` is seen in the linear map.
pub const fn linear_window(ram: PhysRange) -> Window {
    Window::at_distance(VAS_LINEAR_MAP.as_u64().wrapping_sub(ram.start().as_u64()))
}

#[cfg(test)]
mod tests;
