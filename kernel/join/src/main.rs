//! `pagescope-kernel-join [-o FILE] [LAYOUT]`: builds the kernel and writes its ELF.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pagescope_kernel_join::build_kernel;

const USAGE: &str = "usage: pagescope-kernel-join [-o FILE] [LAYOUT]
  builds the kernel, with LAYOUT (pseudos) the one that boots by default, and writes it to FILE (kernel.elf);
  boot it with
  qemu-system-riscv64 -M virt -m 128M -bios none -kernel FILE -serial mon:stdio -display none";

fn main() -> ExitCode {
    let mut file = PathBuf::from("kernel.elf");
    let mut layout = String::from("pseudos");
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("-o") => match arguments.next() {
                Some(name) => file = name.into(),
                None => return usage(),
            },
            Some(name) if !name.starts_with('-') => layout = name.into(),
            _ => return usage(),
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let written = build_kernel(&root, &target.join("kernel"), &layout)
        .map_err(|error| error.to_string())
        .and_then(|elf| {
            std::fs::write(&file, elf).map_err(|error| format!("{}: {error}", file.display()))
        });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
