//! gdb's remote serial protocol, the client's side.
