//! The whole kernel, in QEMU.

mod debug_channel;
mod kernel;
mod machine;
mod strategies;
