//! One target under libFuzzer: the one that `PAGESCOPE_FUZZ` names. `cargo xtask fuzz` builds and runs it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pagescope_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

fn chosen() -> Target {
    let name = std::env::var("PAGESCOPE_FUZZ").unwrap_or_default();
    pagescope_fuzz::target(&name).unwrap_or_else(|| {
        let known: Vec<&str> = pagescope_fuzz::TARGETS
            .iter()
            .map(|target| target.name)
            .collect();
        eprintln!(
            "PAGESCOPE_FUZZ is {name:?}; it names one of: {}",
            known.join(", ")
        );
        std::process::exit(2)
    })
}

fuzz_target!(|data: &[u8]| {
    (TARGET.get_or_init(chosen).run)(data);
});
