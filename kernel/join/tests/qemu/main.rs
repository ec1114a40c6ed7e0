//! The whole kernel, in QEMU.

mod debug_channel;
mod hypervisor;
mod kernel;
mod machine;
mod nanos;
mod process;
mod strategies;
