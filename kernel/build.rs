//! Gives each bare-metal program its linker script; on the host there is nothing to do.

fn main() {
    println!("cargo:rerun-if-changed=link");
    let target_os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if target_os != "none" {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".into());
    for program in ["machine", "pseudos", "hypervisor", "process", "nanos"] {
        println!("cargo:rustc-link-arg-bin={program}=-T{folder}/link/{program}.ld");
    }
}
