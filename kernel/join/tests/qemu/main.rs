//! The whole kernel, in QEMU.

mod kernel;
mod machine;
mod strategies;
