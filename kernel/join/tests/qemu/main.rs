//! The whole kernel, in QEMU.

mod debug_channel;
mod hypervisor;
mod kernel;
mod machine;
<<<<<<< HEAD
mod nanos;
=======
mod process;
>>>>>>> proc
mod strategies;
