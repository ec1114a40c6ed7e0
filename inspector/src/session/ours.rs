//! Our own kernel, as the build script joined it: one image for each layout.

use std::sync::Arc;

use super::{Demo, Source};

/// One of our kernel's layouts.
#[derive(Debug)]
pub struct Ours {
    /// Its name, as the kernel's command line has it.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub about: &'static str,
    /// Its harts.
    pub harts: u32,
    /// The ELF that boots.
    pub image: &'static [u8],
}

/// All of them, the one to begin with first.
pub static OURS: [Ours; 4] = [
    Ours {
        name: "pseudos",
        about: "Identity mapped; kalloc maps page by page.",
        harts: 1,
        image: include_bytes!(concat!(env!("OUT_DIR"), "/pseudos.elf")),
    },
    Ours {
        name: "hypervisor",
        about: "Four harts, a cpu struct of its own for each.",
        harts: 4,
        image: include_bytes!(concat!(env!("OUT_DIR"), "/hypervisor.elf")),
    },
    Ours {
        name: "process",
        about: "Processes whose stack and heap grow.",
        harts: 1,
        image: include_bytes!(concat!(env!("OUT_DIR"), "/process.elf")),
    },
    Ours {
        name: "nanos",
        about: "A unikernel: id heaps, an unmapped page 0.",
        harts: 1,
        image: include_bytes!(concat!(env!("OUT_DIR"), "/nanos.elf")),
    },
];

impl Ours {
    /// It, started in a QEMU of our own; it calls kalloc each `pace` milliseconds, or with 0 only when it is told to.
    pub fn demo(&self, pace: u32) -> Source {
        Source::Demo(Demo {
            kernel: Arc::from(self.image),
            append: format!("layout={} pace={pace}", self.name),
            harts: self.harts,
        })
    }
}

/// The layout of this name.
pub fn ours(name: &str) -> Option<&'static Ours> {
    OURS.iter().find(|ours| ours.name == name)
}
