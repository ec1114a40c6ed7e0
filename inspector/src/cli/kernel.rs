//! `pagescope kernel`: our kernel's ELF, for people who boot it themselves.

use super::arguments::{Kernel, Layout};
use super::{Answer, Failure, format};
use crate::export::file::write_atomically;
use crate::session::ours::OURS;

/// The kernel's ELF with the layout's program, as the build script joined it.
pub(super) fn image(layout: Layout) -> &'static [u8] {
    let [pseudos, hypervisor, process, nanos] = &OURS;
    match layout {
        Layout::Pseudos => pseudos.image,
        Layout::Hypervisor => hypervisor.image,
        Layout::Process => process.image,
        Layout::Nanos => nanos.image,
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
