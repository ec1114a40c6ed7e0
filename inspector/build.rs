//! Builds our kernel for the bare machine, so that the program carries it.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use pagescope_kernel_join::{LAYOUTS, build_kernel};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets this"));
    let root = manifest.parent().unwrap_or_else(|| Path::new(".."));
    for watched in [
        "kernel",
        "protocol/src",
        "protocol/Cargo.toml",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo:rerun-if-changed={}", root.join(watched).display());
    }
    // A target folder of its own: the one in use is locked by the cargo that runs this script.
    let target = out.join("kernel-target");
    for layout in LAYOUTS {
        match build_kernel(root, &target, layout) {
            Ok(elf) => {
                let path = out.join(format!("{layout}.elf"));
                fs::write(&path, elf).expect("OUT_DIR can be written to");
            }
            Err(error) => {
                eprintln!("pagescope's kernel ({layout}) does not build: {error}");
                process::exit(1);
            }
        }
    }
}
