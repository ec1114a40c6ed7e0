//! `pagescope kernel`: our kernel's ELF, for people who boot it themselves.

use super::arguments::{Kernel, Layout};
use super::{Answer, Failure, format};
use crate::export::file::write_atomically;

/// The kernel's ELF with the layout's program, as the build script joined it.
pub(super) const fn image(layout: Layout) -> &'static [u8] {
    match layout {
        Layout::Pseudos => include_bytes!(concat!(env!("OUT_DIR"), "/pseudos.elf")),
        Layout::Hypervisor => include_bytes!(concat!(env!("OUT_DIR"), "/hypervisor.elf")),
        Layout::Process => include_bytes!(concat!(env!("OUT_DIR"), "/process.elf")),
        Layout::Nanos => include_bytes!(concat!(env!("OUT_DIR"), "/nanos.elf")),
    }
}

pub(super) fn run(options: &Kernel) -> Result<Answer, Failure> {
    write_atomically(&options.out, image(options.layout)).map_err(Failure::usage)?;
    let out = options.out.display();
    let harts = match options.layout.harts() {
        1 => String::new(),
        harts => format!(" -smp {harts}"),
    };
    format::write(&format!(
        "wrote {out}\nboot it:   qemu-system-riscv64 -M virt -m 128M{harts} -bios none -nographic -s \
         -kernel {out} -append layout={}\nlook at it: pagescope attach :1234 --elf {out}",
        options.layout.name()
    ));
    Ok(Answer::Yes)
}
