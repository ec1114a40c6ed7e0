//! What stands where on QEMU's `virt` machine, and what we make of its RAM.
//!
//! ```text
//!  0x00100000  test finisher     ends the machine
//!  0x02000000  CLINT             timer and inter-processor interrupts, M-mode's
//!  0x0c000000  PLIC              the UART's interrupt, M-mode's
//!  0x10000000  UART0             16550
//!  0x30000000  PCI ECAM          256 MiB of configuration space
//!  0x40000000  PCI MMIO          1 GiB of registers of PCI devices
//!  0x80000000  RAM ┬ machine program, 2 MiB, closed to S-mode by PMP
//!  0x80200000      ├ supervisor program: text, rodata, data, bss, guard, stack
//!                  │ free memory
//!                  │   …   kalloc(2), kalloc(1), kalloc(0): the heap grows down
//!  0x87ffe000      ├ kalloc(0)
//!  0x87fff000      └ the heap counter's page; the counter is its last eight bytes
//!  0x88000000
//! ```
//!
//! Source: QEMU, `hw/riscv/virt.c`; for RAM, requirement S0.1 (`-m 128M`).

use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysPage, PhysRange};

const fn range(start: u64, size_bytes: u64) -> PhysRange {
    match PhysRange::new(PhysAddr::new(start), size_bytes) {
        Some(range) => range,
        None => panic!("a range of the board wraps around"),
    }
}

/// The RAM that the kernel uses (S0.1); a machine with more keeps the rest unused.
pub const RAM: PhysRange = range(0x8000_0000, 128 << 20);

/// The machine program's part of RAM, which S-mode cannot touch.
pub const MACHINE_RAM: PhysRange = range(0x8000_0000, 2 << 20);

/// Where the supervisor program is loaded; its boot header lies here.
pub const SUPERVISOR_START: PhysAddr = MACHINE_RAM.end();

/// The page that is reserved whole for the heap counter.
pub const HEAP_COUNTER_PAGE: PhysPage = PhysPage::from_truncated(0x87ff_f000 / PAGE_SIZE);

/// The heap counter, within the top 256 bytes of RAM (S0.3).
pub const HEAP_COUNTER: PhysAddr = PhysAddr::new(0x87ff_fff8);

/// What `kalloc(0)` returns (S0.4).
pub const HEAP_TOP: PhysPage = PhysPage::from_truncated(0x87ff_e000 / PAGE_SIZE);

/// The console's 16550.
pub const UART0: PhysRange = range(0x1000_0000, PAGE_SIZE);

/// The console's interrupt.
pub const UART0_INTERRUPT: u32 = 10;

/// The platform-level interrupt controller.
pub const PLIC: PhysRange = range(0x0c00_0000, 0x60_0000);

/// PCI's configuration space: 256 buses of 1 MiB.
pub const PCI_ECAM: PhysRange = range(0x3000_0000, 256 << 20);

/// The registers of PCI devices: the highest of the devices.
pub const PCI_MMIO: PhysRange = range(0x4000_0000, 1 << 30);

/// The core-local interruptor: msip, mtimecmp, mtime.
pub const CLINT: PhysRange = range(0x0200_0000, 0x1_0000);

/// The test finisher: a word written here ends the machine.
pub const TEST_FINISHER: PhysAddr = PhysAddr::new(0x0010_0000);

/// Ticks of `time` in a second where the device tree does not say.
pub const DEFAULT_TIMEBASE_HZ: u64 = 10_000_000;

const _: () = assert!(HEAP_COUNTER.as_u64() >= RAM.end().as_u64() - 256);
const _: () = assert!(HEAP_COUNTER_PAGE.start().as_u64() + PAGE_SIZE == RAM.end().as_u64());
const _: () = assert!(HEAP_TOP.number() + 1 == HEAP_COUNTER_PAGE.number());
